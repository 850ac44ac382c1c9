"""Fewer points for the same curve."""

from __future__ import annotations

import numpy as np


def thin_curve(x: np.ndarray, y: np.ndarray, limit: int, *, log_x: bool = False, log_y: bool = False) -> np.ndarray:
    """Row numbers, ascending, of at most `limit` points `(N,)` that keep the shape of a curve.

    Points that have no place on the axes (not finite, or not above zero on a logarithmic one) go. The others are
    picked at even steps along the length of the curve as it is drawn, so that steep parts keep as much detail as flat
    ones; its ends stay.
    """
    place_x, place_y = _on_axis(x, log_x), _on_axis(y, log_y)
    rows = np.flatnonzero(np.isfinite(place_x) & np.isfinite(place_y))
    if len(rows) <= limit:
        return rows
    steps = np.hypot(_unit_steps(place_x[rows]), _unit_steps(place_y[rows]))
    along = np.concatenate([[0.0], np.cumsum(steps)])
    picked = np.searchsorted(along, np.linspace(0, along[-1], limit), side="left")
    picked[0], picked[-1] = 0, len(rows) - 1
    return rows[np.unique(np.minimum(picked, len(rows) - 1))]


def _on_axis(values: np.ndarray, log: bool) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64)
    if not log:
        return values
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(values > 0, np.log10(values), np.nan)


def _unit_steps(place: np.ndarray) -> np.ndarray:
    """Steps between neighbours, as a share of the axis."""
    span = place.max() - place.min()
    return np.diff(place) / span if span > 0 else np.zeros(len(place) - 1)

"""Drawing hair, brows and beards of a face."""

from __future__ import annotations

import numpy as np

from curate.collect.canvas import ARC, Canvas, U, outline
from curate.collect.traits import Person, Photo


def back_hair(canvas: Canvas, who: Person, hair: np.ndarray) -> None:
    """What hangs or stands behind the head; `hair` is its colour, `(3,)` RGB."""
    shape = who.shape
    wide = shape["width"]
    dark = hair * 0.72
    if who.style in ("long", "bob"):
        low = shape["length"] if who.style == "long" else 0.55 + 0.25 * (shape["length"] - 1)
        x = np.array([-1.12, -1.2, -1.22, -1.05, 1.05, 1.22, 1.2, 1.12]) * (wide + 0.06)
        y = np.array([-0.5, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, -0.5]) * np.array([1, 1, low, low, low, low, 1, 1])
        canvas.poly(np.stack([x, y], axis=1), dark, z=-0.3)
        canvas.oval((0, -0.35), wide * 1.16 + 0.05, 0.78 + shape["hair_up"], dark, z=-0.25)
    elif who.style == "round":
        canvas.oval((0, -0.32), wide * 1.3 + shape["hair_up"], 0.9 + 1.2 * shape["hair_up"], dark, z=-0.2)
    elif who.style == "bun":
        canvas.oval((0.1 * shape["part"], -1.08 - shape["hair_up"]), 0.27, 0.24, dark, z=-0.3)


def beard(canvas: Canvas, who: Person, how: Photo, hair: np.ndarray) -> None:
    """Stubble, a full beard or a moustache; stubble may be shaved off for this photograph."""
    if who.beard == "none" or (how.shaved and who.beard == "stubble"):
        return
    shape = who.shape
    if who.beard in ("stubble", "full"):
        jaw = outline(shape, 0.02 if who.beard == "full" else -0.01)
        jaw = jaw[jaw[:, 1] > 0.18]
        inner = np.stack([-U * 0.42, 0.40 + 0.05 * np.abs(U) - 0.02], axis=1)
        strength, blur = (0.9, 0.035) if who.beard == "full" else (0.34, 0.05)
        canvas.soft(
            np.concatenate([jaw, inner[::-1] if jaw[-1, 0] < jaw[0, 0] else inner]), hair, strength, blur, z=0.1
        )
    if who.beard != "stubble":
        y = shape["mouth_y"] - shape["lip_up"] - 0.05
        wide = shape["mouth_w"] * 1.05
        top = np.stack([U * wide, y - 0.035 * ARC + 0.05 * U**2], axis=1)
        low = np.stack([U[::-1] * wide, y + 0.035 * ARC + 0.06 * U**2], axis=1)
        canvas.soft(np.concatenate([top, low]), hair, 0.95, 0.012)


def brow(canvas: Canvas, who: Person, how: Photo, side: int, hair: np.ndarray) -> None:
    """The brow over one eye; side: -1 or 1."""
    shape = who.shape
    u = (U + 1) / 2  # 0 at the nose, 1 at the temple
    x = side * (shape["eye_gap"] + (u - 0.5) * 2 * shape["brow_w"])
    y = shape["eye_y"] - shape["brow_y"] - how.brow_raise - shape["brow_arch"] * ARC + (u - 0.5) * shape["brow_tilt"]
    thick = shape["brow_t"] * (1.1 - 0.6 * u)
    band = np.stack([np.concatenate([x, x[::-1]]), np.concatenate([y - thick, (y + thick)[::-1]])], axis=1)
    canvas.poly(band, hair * 0.82, z=None)


def front_hair(canvas: Canvas, who: Person, hair: np.ndarray, age: int) -> None:
    """What lies on the head and the forehead; age: the group; men lose some in the two oldest."""
    shape, style = who.shape, who.style
    if style == "bald":
        return
    recede = (0, 0, 0.05, 0.11)[age] * (who.gender == "m")
    up = shape["hair_up"] * (1.35 if style in ("curly", "round") else 1.0)
    outer = outline(shape, 0.035)
    outer = outer[outer[:, 1] < -0.02]
    outer = outer[np.argsort(outer[:, 0])] * (1.0, 1.0) - np.stack(
        [np.zeros(len(outer)), up * np.clip(-outer[np.argsort(outer[:, 0])][:, 1], 0, 1)], axis=1
    )
    u = np.linspace(1, -1, 25)
    edge = who.hairline + recede
    shift = shape["part"]
    lines = {
        "part": edge + 0.14 * np.tanh(3 * (u - 0.5 * np.sign(shift))) * np.sign(shift),
        "fringe": np.full_like(u, edge - 0.2 + recede) + 0.015 * np.cos(9 * u + 4 * shift),
        "bob": np.full_like(u, edge - 0.17) + 0.03 * u**2,
        "long": edge + 0.1 - 0.28 * np.abs(u - 0.6 * shift) ** 1.5,
        "curly": edge + 0.04 * np.cos(11 * u + 7 * shift),
    }
    y = -lines.get(style, np.full_like(u, edge) + 0.02 * np.cos(5 * u))
    y = y + np.clip(np.abs(u) - 0.72, 0, 1) * 1.5
    inner = np.stack([u * (shape["width"] * 0.99), np.minimum(y, 0.12)], axis=1)
    canvas.poly(np.concatenate([outer, inner]), hair, z=0.04)
    if style in ("curly", "round"):
        rng = np.random.Generator(np.random.PCG64(int(abs(shift) * 1e9)))
        for x, y0 in outer[::2]:
            radius = 0.1 + 0.05 * rng.random()
            canvas.oval((x * 1.0, y0 + 0.03), radius, radius, hair * (0.9 + 0.2 * rng.random()), z=0.02)
    shine = np.clip(hair * 1.25 + 14, 0, 255)
    mid = (outer[::2] * (0.8, 0.9))[3:-3]
    if style not in ("curly", "round"):
        canvas.soft(np.concatenate([mid, (mid * (0.92, 0.9))[::-1]]), shine, 0.5, 0.03, z=0.1)
    if style in ("part", "long"):
        x = -0.5 * np.sign(shift) if style == "part" else 0.6 * shift
        canvas.line(
            [(x * shape["width"], -edge - 0.05), (x * 0.8 * shape["width"], -0.95 - 0.6 * up)], hair * 0.7, 0.02
        )

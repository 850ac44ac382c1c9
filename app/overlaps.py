"""The pairs of identities that `curate overlap` found, with the images of both sides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from curate.core import columns as col
from curate.core.errors import CurateError
from curate.core.files import read_json

from .images import Images
from .looking import Look

TABLES = ("pairs", "overlap/pairs")
VERDICTS = ("same", "likely", "look")
_NEEDED = {"dataset_a", "identity_a", "dataset_b", "identity_b", "verdict"}


@dataclass(frozen=True)
class PairFilter:
    """Which pairs to show: of which verdicts, found in which ways, between which two sets, with what in a name."""

    verdicts: tuple[str, ...]
    ways: tuple[str, ...] = ()
    sets: tuple[str, str] | None = None
    text: str = ""
    doubtful: bool = False


def read_pairs(look: Look) -> pd.DataFrame | None:
    """The pairs of a run, None where it has none."""
    for name in TABLES:
        file = look.path / f"{name}.parquet"
        if file.is_file() and set(pq.read_schema(file).names) >= _NEEDED:
            return look.run.table(name)
    return None


def read_certificate(look: Look) -> dict[str, Any]:
    """What the run certifies about the overlap, empty where it wrote nothing."""
    try:
        found = read_json(look.path / "overlap.json")
    except (CurateError, OSError):
        return {}
    return found if isinstance(found, dict) else {}


def choose(pairs: pd.DataFrame, wanted: PairFilter) -> pd.DataFrame:
    """The pairs that the filter lets through: the surest first, or those nearest to a score of one half."""
    mask = np.array(pairs["verdict"].isin(wanted.verdicts), dtype=bool)
    if wanted.ways and "by" in pairs:
        found = pairs["by"].astype("str").str.split(",")
        mask &= found.map(lambda ways: not set(wanted.ways).isdisjoint(ways)).to_numpy(bool)
    if wanted.sets is not None:
        for side, name in zip("ab", wanted.sets, strict=True):
            mask &= (pairs[f"dataset_{side}"] == name).to_numpy(bool)
    if wanted.text:
        held = [pairs[f"identity_{side}"].astype("str").str.contains(wanted.text, case=False, regex=False)
                for side in "ab"]  # fmt: skip
        mask &= (held[0] | held[1]).to_numpy(bool)
    chosen = pairs[mask]
    score = chosen["score"] if "score" in chosen else pd.Series(np.nan, index=chosen.index)
    rank = (score - 0.5).abs() if wanted.doubtful else -score
    order = np.argsort(rank.fillna(np.inf).to_numpy(dtype=np.float64), kind="stable")
    return chosen.iloc[order].reset_index(drop=True)


class Sides:
    """Finds the images of either side of a pair."""

    def __init__(self, images: Images, source: pd.DataFrame) -> None:
        self._images = images
        self._dataset = source[col.DATASET].cat
        self._identity = source[col.IDENTITY].cat

    def rows(self, pair: Any, side: str) -> np.ndarray:
        """Rows of the source: the images of a side of a pair, the shared photograph first."""
        dataset, name = str(pair[f"dataset_{side}"]), str(pair[f"identity_{side}"])
        known = pair.get(f"id_{side}")
        bare = known if isinstance(known, str) else name
        code = self._identity.categories.get_indexer([f"{dataset}/{bare}", bare])
        place = self._dataset.categories.get_indexer([dataset])[0]
        mine = np.isin(self._identity.codes.to_numpy(), code[code >= 0]) & (self._dataset.codes.to_numpy() == place)
        rows = np.flatnonzero(mine)
        shared = pair.get(f"image_{side}")
        first = self._images.row(shared) if isinstance(shared, str) else -1
        return rows if first < 0 else np.concatenate([[first], rows[rows != first]])


__all__ = ["TABLES", "VERDICTS", "PairFilter", "Sides", "choose", "read_certificate", "read_pairs"]

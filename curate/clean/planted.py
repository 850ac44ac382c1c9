"""How much of what was planted the steps found, and how much of what they found was planted."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from curate.core import columns as col
from curate.core.manifest import Manifest, text_array
from curate.core.shapes import Features, Report, StrictParams, report

#: Fault -> the steps that should find it, the first that ran counts; none yet where the tuple is empty.
LOOKED_FOR_BY: Mapping[str, tuple[str, ...]] = MappingProxyType({
    "exact_copy": ("exact_duplicates",),
    "exact_copy_other_identity": ("exact_duplicates",),
    "resized": ("near_duplicates",),
    "recompressed": ("near_duplicates",),
    "cropped": ("near_duplicates",),
    "flipped": ("near_duplicates",),
    "brightness": ("near_duplicates",),
    "near_copy_other_identity": ("near_duplicates",),
    "corrupt": ("unreadable",),
    "tiny": ("unreadable",),
    "mislabelled": (),
    "mixed_identity": (),
    "split_identity": (),
    "shared_identity": ("overlap",),
})  # fmt: skip
#: Faults that are a pair of images: the copy and what it was copied from.
COPIES = frozenset(
    fault for fault, steps in LOOKED_FOR_BY.items() if {"exact_duplicates", "near_duplicates"} & {*steps}
)

_COLUMNS = {
    "fault": "str", "step": "str", "planted": "int64", "removed_before": "int64", "found": "int64", "recall": "float64",
    "decided": "int64", "true": "int64", "precision": "float64",
}  # fmt: skip


class PlantedFaultsParams(StrictParams):
    """`planted_faults` has no parameters."""


@report("planted_faults", needs=("decisions", "truth", "steps"))
def planted_faults(
    manifest: Manifest, features: Features, params: PlantedFaultsParams, rng: np.random.Generator
) -> Report:
    """Compare the decisions of this run with the faults that were planted.

    Table `planted/faults`, one row for each fault: planted and found images, recall = found / planted; and of the step
    that looks for it: decided images (or pairs, for copies) and precision = the share of them that is truly a fault
    the step looks for. Only `drop` and `flag` count. A planted copy is found where a decision of its step names it, on
    either side, together with an image of the same source; any two images of one source are a true pair.
    removed_before: planted images that an earlier step had dropped for its own reasons; they count as planted.
    Recall and precision are NaN where no step looked.
    """
    truth, decisions = features["truth"], features["decisions"]
    by_step = decisions[(decisions["source"] != col.HUMAN_SOURCE).to_numpy()]
    ran = set(features["steps"])
    images = pd.Index(pd.unique(_texts(pd.concat([truth[col.IMAGE_ID], truth["related_id"]])).dropna()))
    family = _families(truth, images)
    found_by = {step: _Found(by_step, step, truth, images, family) for step in sorted(ran) if step in _STEPS}
    rows, unseen = [], []
    for fault in sorted(truth["fault"].dropna().astype("str").unique()):
        planted = truth[(truth["fault"] == fault).to_numpy()]
        step = next((name for name in LOOKED_FOR_BY.get(fault, ()) if name in ran), None)
        if step is None:
            rows.append({"fault": fault, "planted": len(planted), **_NOTHING})
            unseen.append(f"{fault} ({len(planted)})")
        else:
            rows.append({"fault": fault, **found_by[step].row(planted)})
    table = pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)
    summary = {row["fault"]: _sentence(row) for row in rows}
    notes = (f"No step of this run looks for these planted faults: {', '.join(unseen)}.",) if unseen else ()
    return Report(tables={"planted/faults": table}, summary=summary, notes=notes)


_STEPS = frozenset(step for steps in LOOKED_FOR_BY.values() for step in steps)
_NOTHING = {
    "step": None, "removed_before": 0, "found": 0, "recall": np.nan, "decided": 0, "true": 0, "precision": np.nan,
}  # fmt: skip


class _Found:
    """What one step decided, held against the truth."""

    def __init__(
        self, decisions: pd.DataFrame, step: str, truth: pd.DataFrame, images: pd.Index, family: np.ndarray
    ) -> None:
        self.step, self.images = step, images
        acts = (decisions["action"].isin(["drop", "flag"])).to_numpy()
        mine = (decisions["step"] == step).to_numpy()
        rows = decisions[acts & mine]
        one = _texts(rows[col.IMAGE_ID])
        at = images.get_indexer(one)
        faults = [fault for fault, steps in LOOKED_FOR_BY.items() if step in steps]
        if COPIES.intersection(faults):
            two = _texts(rows["related_id"])
            other = images.get_indexer(two)
            true = (at >= 0) & (other >= 0) & (at != other) & (family[at] == family[other])
            self.named = np.union1d(at[true], other[true])
            pairs = pd.DataFrame({"a": np.where(one < two, one, two), "b": np.where(one < two, two, one), "true": true})
            decided = pairs.drop_duplicates(["a", "b"])["true"]
        else:
            wanted = _texts(truth[col.IMAGE_ID])[(truth["fault"].isin(faults)).to_numpy()]
            true = one.isin(wanted).to_numpy()
            self.named = np.unique(at[true])
            decided = pd.Series(true, index=one).groupby(level=0).first()
        self.decided, self.true = len(decided), int(decided.sum())
        first = decisions["order"][mine].min() if mine.any() else 0
        before = (decisions["action"] == "drop").to_numpy() & (decisions["order"] < first).to_numpy()
        self.removed = np.unique(images.get_indexer(_texts(decisions[col.IMAGE_ID][before])))

    def row(self, planted: pd.DataFrame) -> dict[str, object]:
        """The figures of one fault that the step looks for."""
        at = self.images.get_indexer(_texts(planted[col.IMAGE_ID]))
        found = np.isin(at, self.named)
        return {
            "step": self.step, "planted": len(planted),
            "removed_before": int((np.isin(at, self.removed) & ~found).sum()),
            "found": int(found.sum()), "recall": float(found.mean()), "decided": self.decided, "true": self.true,
            "precision": self.true / self.decided if self.decided else np.nan,
        }  # fmt: skip


def _families(truth: pd.DataFrame, images: pd.Index) -> np.ndarray:
    """Which source each image comes from: images tied by planted copies, directly or through others, share a number."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    copies = truth[(truth["fault"].isin(COPIES) & truth["related_id"].notna()).to_numpy()]
    one = images.get_indexer(_texts(copies[col.IMAGE_ID]))
    two = images.get_indexer(_texts(copies["related_id"]))
    graph = coo_array((np.ones(len(one), np.int8), (one, two)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]


def _texts(values: pd.Series) -> pd.Series:
    return pd.Series(pd.array(text_array(values), dtype="str"))


def _sentence(row: Mapping[str, object]) -> str:
    if row["step"] is None:
        return f"{row['planted']} planted, no step looked"
    precision = "no decision" if np.isnan(row["precision"]) else f"precision {row['precision']:.2f}"
    return f"recall {row['recall']:.2f}, {precision} ({row['step']})"

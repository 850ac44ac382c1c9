"""The table of all confirmed copies, as the steps before it found and decided them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.copies import CONFLICTS, PAIR_COLUMNS
from curate.clean.exact_duplicates import BYTES, PIXELS
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.images.reasons import REASONS

#: Steps whose evidence is pairs of copies, strongest first: a pair is listed once, as the first of them found it.
STEPS = ("exact_duplicates", "near_duplicates")
KINDS = (BYTES, PIXELS, "near")


class DuplicatePairsParams(StrictParams):
    """Parameters of `duplicate_pairs`."""

    shown: Annotated[int, Field(ge=0, le=500)] = 60  # pairs on the contact sheet, spread evenly over the similarities


@report("duplicate_pairs", needs=("evidence", "decoded"))
def duplicate_pairs(
    manifest: Manifest, features: Features, params: DuplicatePairsParams, rng: np.random.Generator
) -> Report:
    """List all confirmed pairs of copies.

    Table `pairs`, one row for each pair that `exact_duplicates` and `near_duplicates` confirmed, in order of its ids:
    image_id_a < image_id_b; kind: `exact_bytes`, `exact_pixels` or `near`; method: what found it; distance: bits of the
    hash, or what the method measures (0 for equal images); similarity: the measure that confirmed it, at most 1;
    same_identity: null where an identity is missing; keep: the one of the two that is kept, null where both stay or
    neither does. A near copy of an image that went as an exact copy is listed with the image that stayed for it.
    Table `duplicates/conflicts`: the pairs that differ in labels of the recipe, and in which.
    """
    parts = [features["evidence"][name] for name in STEPS if name in features["evidence"]]
    table = _once(parts)
    # A person, or a later step, may have decided otherwise than the step that kept one image for the other.
    first, second = (_stays(table[name], manifest, features) for name in ("image_id_a", "image_id_b"))
    table["keep"] = table["keep"].where((first != second) & table["keep"].notna())
    conflicts = table.loc[table[CONFLICTS].notna(), [*PAIR_COLUMNS[:3], CONFLICTS]].reset_index(drop=True)
    table = table[list(PAIR_COLUMNS)]
    bad = features["decoded"]["reason"]
    figures = ()
    if len(table) and params.shown:
        options = {"a": "image_id_a", "b": "image_id_b", "keep": "keep", "order": ["kind", "similarity"],
                   "say": ["kind", "distance", "similarity"], "limit": params.shown}  # fmt: skip
        figures = (Figure("pairs", "pairs", "Pairs side by side", options),)
    tables = {"pairs": table, "duplicates/conflicts": conflicts}
    notes = tuple(_notes(table, conflicts, manifest, bad))
    return Report(tables=tables, figures=figures, summary=_summary(table), notes=notes)


def _once(parts: list[pd.DataFrame]) -> pd.DataFrame:
    """The pairs of several steps in order of their ids, each once, as the first step found it."""
    if not parts:
        return _EMPTY.copy()
    texts = dict.fromkeys(("kind", "method"), "str")
    table = pd.concat([part.astype(texts) for part in parts], ignore_index=True)
    table = table.drop_duplicates(["image_id_a", "image_id_b"]).sort_values(
        ["image_id_a", "image_id_b"], kind="stable", ignore_index=True
    )
    return table.astype({**dict.fromkeys(texts, "category"), "same_identity": "boolean"})


def _stays(ids: pd.Series, manifest: Manifest, features: Features) -> np.ndarray:
    """Which images are still there: in the manifest, or in the set that it is held against."""
    stays = manifest.rows_of(ids) >= 0
    return stays if features.reference is None else stays | (features.reference[0].rows_of(ids) >= 0)


def _summary(table: pd.DataFrame) -> dict[str, int]:
    same = table["same_identity"]
    return {
        **{kind: int((table["kind"] == kind).sum()) for kind in KINDS},
        "of one identity": int(same.fillna(False).sum()),
        "of two identities": int((~same).fillna(False).sum()),
        "identity unknown": int(same.isna().sum()),
    }


def _notes(table: pd.DataFrame, conflicts: pd.DataFrame, manifest: Manifest, bad: np.ndarray) -> Iterator[str]:
    if two := int((~table["same_identity"]).fillna(False).sum()):
        yield (
            f"{two:,} pairs show one photograph under two identities: at least one label is wrong. None of these pairs "
            "drops an image; flags name both sides and, where something speaks for it, an identity"
        )
    if len(conflicts):
        said = conflicts[CONFLICTS].str.findall(r"(?:^|; )([^:;]+): ").explode().value_counts().sort_index()
        yield (
            f"{len(conflicts):,} pairs of copies contradict each other in a label: "
            + ", ".join(f"{name} {count:,}" for name, count in said.items())
        )
    if bad.any():
        rows = np.flatnonzero(bad)
        names = ", ".join(f"{manifest.ids[row].as_py()} ({REASONS[bad[row]]})" for row in rows[:3].tolist())
        yield f"{len(rows):,} images can't be read and are compared with nothing (first: {names})"


_EMPTY = pd.DataFrame(
    {
        name: pd.Series(
            dtype={"distance": "float64", "similarity": "float64", "same_identity": "boolean"}.get(name, "str")
        )
        for name in (*PAIR_COLUMNS, CONFLICTS)
    }
).astype({"kind": "category", "method": "category"})

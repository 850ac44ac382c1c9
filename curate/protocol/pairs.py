"""The report that fixes who is compared with whom."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.core import columns as col
from curate.core.files import file_digest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, report
from curate.protocol.blocks import Block
from curate.protocol.capped import Caps
from curate.protocol.certificate import certificate
from curate.protocol.draw import draw_block
from curate.protocol.feasibility import Plan, feasibility, refuse_capped, refuse_shortage
from curate.protocol.given import copy_codes, matched_codes, training_overlap
from curate.protocol.hard import hardest
from curate.protocol.params import QUALITY, ProtocolParams
from curate.protocol.population import Population, population
from curate.protocol.table import COLUMNS, Coded, used


def _needs(params: ProtocolParams) -> tuple[str, ...]:
    return (*(("embedding",) if params.hard else ()), *((QUALITY,) if QUALITY in params.match else ()))


@report("verification_protocol", needs=_needs, version=2)
def verification_protocol(
    manifest: Manifest, features: Features, params: ProtocolParams, rng: np.random.Generator
) -> Report:
    """Draw fixed genuine and impostor pairs per group, in folds that share no identity.

    Tables: `protocol/pairs` (columns of `table.COLUMNS`, in order of groups, fold, kind and ids),
    `protocol/feasibility` (see `feasibility`), and where a training manifest is named `protocol/training_overlap`.
    Document: `protocol/certificate`. With `folder: .` they lie in the run folder itself.
    Raises InputError, listing all groups, where a group can't give what is asked and `allow_fewer` is not set.
    """
    images = _population(manifest, features, params, rng)
    plan = feasibility(images, params)
    if len(images.row) > 1:
        refuse_shortage(plan, images, params)
    pairs = draw(manifest, images, plan, features, params, rng)
    refuse_capped(plan.table, pairs, params)
    document = certificate(pairs, params.correlation)
    document |= _stated(images, params)
    tables = {"pairs": pairs.frame(), "feasibility": plan.table}
    if params.training is not None:
        tables["training_overlap"] = _trained(pairs, params, document)
    within = "" if params.folder == "." else f"{params.folder}/"
    return Report(
        tables={f"{within}{name}": table for name, table in tables.items()},
        figures=(Figure("table", f"{within}feasibility", "Pairs asked and possible, per group"),),
        summary={
            "pairs": len(pairs),
            "genuine": int(pairs.genuine.sum()),
            "groups": sum(row["group"] in images.groups for row in document["groups"]),
            "folds": params.folds,
            "smallest FMR": {row["group"]: row["smallest_fmr"] for row in document["groups"] if row["impostor"]},
            "fingerprint": document["fingerprint"],
        },
        notes=tuple(_notes(document, plan.table, len(images.row), params)),
        documents={f"{within}certificate": document},
    )


def _population(manifest: Manifest, features: Features, params: ProtocolParams, rng: np.random.Generator) -> Population:
    matched = None
    if params.match:
        usable = manifest.in_split(params.split) & manifest.originals() & (manifest.codes(col.IDENTITY) >= 0)
        matched = matched_codes(manifest, params.match, features, usable)
    copy = copy_codes(manifest, params.duplicates) if params.duplicates is not None else None
    return population(manifest, params.group_by, params.folds, params.split, rng, matched=matched, copy=copy)


def draw(
    manifest: Manifest,
    images: Population,
    plan: Plan,
    features: Features,
    params: ProtocolParams,
    rng: np.random.Generator,
) -> Coded:
    """The pairs of a plan, in order of groups, fold, genuine first, random before hard, then ids; a's id below b's."""
    caps = Caps(images, params) if params.capped else None
    parts: dict[tuple[int, int, int, int], list[tuple[np.ndarray, np.ndarray]]] = {}
    for block, quota in plan.blocks:
        kind = 0 if block.kind == "genuine" else 1
        parts.setdefault((block.group, block.other, block.fold, kind), []).append(
            draw_block(block, quota, params, rng, caps)
        )
    if plan.hard:
        vectors = features["embedding"][images.row]
        none = np.zeros(0, dtype=np.int64)
        for (group, fold), quota in plan.hard.items():
            block = Block(images, "impostor", group, group, fold, images.places(group, fold))
            taken = parts.get((group, group, fold, 1), [(none, none)])[0]
            parts[group, group, fold, 2] = [hardest(block, quota, vectors, taken, caps)]
    return _coded(manifest, images, parts)


def _coded(
    manifest: Manifest, images: Population, parts: dict[tuple[int, int, int, int], list[tuple[np.ndarray, np.ndarray]]]
) -> Coded:
    keys = sorted(parts)
    size = max(len(manifest), 1)
    ends = []
    for key in keys:
        drawn = parts.pop(key)
        a, b = (images.row[np.concatenate([part[side] for part in drawn])] for side in (0, 1))
        # One number for a pair sorts faster than two columns.
        ends.append(np.sort(np.minimum(a, b) * size + np.maximum(a, b)))
    rows = [len(part) for part in ends]
    a, b = np.divmod(np.concatenate([*ends, np.zeros(0, dtype=np.int64)]), size)
    ends.clear()
    group = np.full(len(manifest), -1, dtype=np.int32)
    group[images.row] = images.group
    identity = manifest.codes(col.IDENTITY).astype(np.int32)
    fold, kind = (np.repeat(np.array([key[at] for key in keys], dtype=np.int64), rows) for at in (2, 3))
    names = pa.array(manifest.frame[col.IDENTITY].cat.categories, pa.large_string())
    return Coded(
        a, b, identity[a], identity[b], group[a], group[b], fold.astype(np.int32), kind == 0, kind == 2, manifest.ids,
        names, images.groups,
    )  # fmt: skip


def _stated(images: Population, params: ProtocolParams) -> dict[str, Any]:
    """What was asked, what the pairs are uniform over, and what was left out."""
    copies = images.copy[images.copy >= 0]
    return {
        "asked": {key: value for key, value in params.model_dump(mode="json").items()
                  if key not in ("folder", "duplicates", "training")},
        "population": population_stated(params),
        "left_out": images.left_out,
        "duplicates": None if params.duplicates is None else {
            "table": file_digest(params.duplicates),
            "images_with_copies": int((np.bincount(copies)[copies] > 1).sum()) if len(copies) else 0,
        },
    }  # fmt: skip


def population_stated(params: ProtocolParams) -> str:
    """A sentence that says what every pair was drawn from, and how likely each is."""
    over = {
        "images": "every unordered pair of images of a kind is equally likely",
        "identities": "each identity gives equally many genuine pairs and each two identities equally many impostor "
        "pairs, as far as they have them; of what one has, every pair is equally likely",
    }[params.uniform]
    text = "Pairs of images of one group whose identities share a fold, an equal quota of each fold" + (
        " as far as it holds them" if params.allow_fewer else ""
    )
    text += f"; within a fold {over}"
    if params.capped:
        text += "; caps refuse pairs in random order, so that the pairs are not uniform"
    if params.match:
        text += f"; groups have equally many pairs of each two values of {', '.join(params.match)}"
    if params.duplicates is not None:
        text += "; two copies of one photograph are no pair"
    if params.across:
        text += "; pairs across groups have an equal quota of each two groups"
    if params.hard:
        text += "; the stratum `hard` holds the impostor pairs nearest by vectors that were not drawn, not uniform ones"
    return text + "."


def _trained(pairs: Coded, params: ProtocolParams, document: dict[str, Any]) -> pd.DataFrame:
    people = pairs.identities.take(np.flatnonzero(used(len(pairs.identities), pairs.identity_a, pairs.identity_b)))
    photos = pairs.images.take(np.flatnonzero(used(len(pairs.images), pairs.image_a, pairs.image_b)))
    table = training_overlap(people, photos, params.training)
    counts = {kind: int((table["kind"] == kind).sum()) for kind in ("identity", "image")}
    document["training"] = {
        "table": file_digest(params.training), "identities_shared": counts["identity"],
        "images_shared": counts["image"], "none_shared": not len(table), "first": table["name"].head(20).tolist(),
    }  # fmt: skip
    return table


def _notes(document: dict[str, Any], table: pd.DataFrame, images: int, params: ProtocolParams) -> Iterator[str]:
    if images < 2:
        where = f"in the split {params.split!r}" if params.split is not None else "in the manifest"
        yield f"No two images {where} can be compared: the protocol is empty."
        return
    for row in table[table["taken"] < table["asked"]].itertuples():
        yield f"{row.group}: only {row.taken:,} of {row.asked:,} {row.kind} pairs" + (
            ", as many as the smallest group has." if params.equal and row.taken < row.held else " were possible."
        )
    for row in document["groups"]:
        if row["impostor"] > 2 * row["n_eff"]["impostor"]:
            yield (
                f"{row['group']}: {row['impostor']:,} impostor pairs of {row['identities']:,} identities count as "
                f"about {row['n_eff']['impostor']:,.0f} (correlation {params.correlation:g} assumed; at worst "
                f"{row['n_eff_worst']['impostor']:,.0f}): an FMR below {row['smallest_fmr']:.2g} can't be shown."
            )
    if (training := document.get("training")) and not training["none_shared"]:
        yield (f"{training['identities_shared']:,} identities and {training['images_shared']:,} images of the pairs "
               "are in the training manifest too: see training_overlap.")  # fmt: skip
    if hard := sum(row["hard"] for row in document["groups"]):
        yield f"{hard:,} impostor pairs are hard ones (stratum `hard`): report rates on them apart from the others."
    said = {
        "without_identity": "have no identity",
        "without_group": "have no value of a label asked for and join no group",
        "without_match": "have no value of what is matched",
        "in_another_group": "lie in another group than most images of their identity",
    }
    yield from (f"{document['left_out'][key]:,} images {text}: left out." for key, text in said.items()
                if document["left_out"][key])  # fmt: skip


__all__ = ["COLUMNS", "ProtocolParams", "verification_protocol"]

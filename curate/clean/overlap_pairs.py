"""The overlap of datasets as a table, a matrix and a certificate with the rate at which overlaps are missed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from curate.clean.overlap import By, no_pairs, readable
from curate.clean.overlap_evidence import Cast, by_identity, cast_of, faces_of
from curate.clean.overlap_planted import missed_copies, missed_faces, missed_names
from curate.core import columns as col
from curate.core.errors import CurateError, InputError, nearest
from curate.core.manifest import Manifest
from curate.core.shapes import Features, Figure, Report, StrictParams, report
from curate.search.names import LIKELY, LOOK, SAME, VERDICTS
from curate.stats.intervals import MIN_ERRORS, upper_bound, wilson


class OverlapPairsParams(StrictParams):
    """Parameters of `overlap_pairs`; by, train and far as `overlap` has them."""

    by: Annotated[tuple[By, ...], Field(min_length=1)] = ("name",)
    train: str | None = None  # the set that benchmark identities are planted into; null: the first
    far: Annotated[float, Field(gt=0, lt=1)] | None = None
    planted: Annotated[int, Field(ge=0, le=100_000)] = 200  # of each way to look, to measure what is missed; 0: none


def needs_of(params: OverlapPairsParams) -> tuple[str, ...]:
    """Features of what is planted."""
    needs = ("evidence", "decisions", "steps")
    return (*needs, "embedding") if params.planted and "identity" in params.by else needs


@report("overlap_pairs", needs=needs_of, repeats=("near_duplicates",))
def overlap_pairs(
    manifest: Manifest, features: Features, params: OverlapPairsParams, rng: np.random.Generator
) -> Report:
    """List what datasets share, count it, and certify what is left and how much such a search misses.

    Table `pairs` (`overlap/pairs` where `duplicate_pairs` ran before): the evidence of `overlap`, PAIR_COLUMNS of it.
    `overlap/matrix`: for each two datasets, in both orders, and each with itself: identities (shared: same or likely;
    look besides), images with a copy, share of the identities of dataset_a. `overlap/missed`: benchmark identities
    planted into train, by way and alteration: planted, found, missed, low, high (95%). `overlap/doubtful`: the pairs
    that are not `same`, likeliest first. Document `overlap`: the certificate, and `overlap/certificate` the same to
    read.
    Raises CurateError where `overlap` did not run before.
    """
    if "overlap" not in features["evidence"] and len(_datasets(manifest)) > 1:
        raise CurateError("overlap_pairs lists what the step overlap found: put that before it")
    pairs = features["evidence"].get("overlap")
    pairs = readable(cast_of(manifest), no_pairs()) if pairs is None else pairs
    cast = cast_of(manifest)
    if params.train is not None and params.train not in cast.datasets and len(cast.datasets) > 1:
        raise InputError(f"there is no dataset {params.train!r}. {nearest(params.train, cast.datasets)}")
    matrix = matrix_of(pairs, cast)
    missed, thresholds = _missed(manifest, features, params, rng, cast, pairs)
    certificate = _certificate(manifest, features, params, cast, pairs, missed, thresholds)
    where = "overlap/pairs" if "duplicate_pairs" in features["steps"] else "pairs"
    figures = []
    if len(cast.datasets) > 1:
        options = {"x": "dataset_b", "y": "dataset_a", "value": "shared", "log": True}
        figures.append(Figure("heatmap", "overlap/matrix", "Shared identities (same or likely)", options))
    figures.append(Figure("table", "overlap/certificate", "The certificate (overlap.json)"))
    if len(missed):
        options = {"columns": list(missed.columns)}
        figures.append(Figure("table", "overlap/missed", "Planted overlaps that were found", options))
    shown = {"columns": ["dataset_a", "identity_a", "dataset_b", "identity_b", "verdict", "score", "evidence"]}
    doubtful = pairs[(pairs["verdict"] != VERDICTS[0]).to_numpy(bool)]
    doubtful = doubtful.sort_values("score", ascending=False, kind="stable", ignore_index=True)
    if len(doubtful):
        figures.append(Figure("table", "overlap/doubtful", "Pairs to look at: likely, and look", shown))
    if len(pairs):
        figures.append(Figure("table", where, "All pairs of identities", shown))
    counts = {verdict: int((pairs["verdict"] == verdict).sum()) for verdict in VERDICTS}
    return Report(
        tables={where: pairs, "overlap/matrix": matrix, "overlap/missed": missed, "overlap/doubtful": doubtful,
                "overlap/certificate": _as_table(certificate)}, figures=tuple(figures),
        summary={**counts, **{f"missed by {way}": _said(row) for way, row in certificate["missed"].items()}},
        notes=tuple(_notes(pairs, certificate)), documents={"overlap": certificate},
    )  # fmt: skip


def _datasets(manifest: Manifest) -> list[str]:
    return manifest.frame[col.DATASET].cat.categories.tolist()


def matrix_of(pairs: pd.DataFrame, cast: Cast) -> pd.DataFrame:
    """Each dataset against each, itself included: identities of dataset_a that dataset_b shares, and images."""
    sure = pairs[(pairs["verdict"] != VERDICTS[2]).to_numpy()]
    names = sorted({*cast.datasets, *pairs["dataset_a"].unique(), *pairs["dataset_b"].unique()})
    total = {name: int((cast.dataset == d).sum()) for d, name in enumerate(cast.datasets)}
    rows = []
    for one in names:
        for two in names:
            if one == two:
                shared, look = total.get(one, 0), 0
                images = int(cast.images[cast.rows(cast.datasets.index(one))].sum()) if one in total else 0
            else:
                here, mine = _between(sure, one, two)
                shared = int(here[[f"identity_{mine}", f"id_{mine}"]].drop_duplicates().shape[0])
                images = int(here["shared_images"].fillna(0).sum())
                look = len(_between(pairs, one, two)[0]) - len(here)
            rows.append((one, two, shared, look, images, shared / total[one] if total.get(one) else np.nan))
    kinds = {"dataset_a": "str", "dataset_b": "str", "shared": "int64", "look": "int64", "images": "int64",
             "share_of_a": "float64"}  # fmt: skip
    return pd.DataFrame(rows, columns=list(kinds)).astype(kinds)


def _between(pairs: pd.DataFrame, one: str, two: str) -> tuple[pd.DataFrame, str]:
    """The pairs of two datasets, and the side that the first of them stands on."""
    side = "a" if one < two else "b"
    first, second = sorted((one, two))
    return pairs[((pairs["dataset_a"] == first) & (pairs["dataset_b"] == second)).to_numpy(bool)], side


def _missed(
    manifest: Manifest, features: Features, params: OverlapPairsParams, rng: np.random.Generator, cast: Cast,
    pairs: pd.DataFrame,
) -> tuple[pd.DataFrame, dict[str, Any]]:  # fmt: skip
    parts, thresholds = [], {}
    if len(cast.datasets) > 1:
        train = cast.datasets.index(params.train) if params.train is not None else 0
        if "name" in params.by and params.planted:
            parts.append(missed_names(cast, train, params.planted, rng))
        if "identity" in params.by and "embedding" in features:
            faces = faces_of(features["embedding"], cast)
            found, thresholds = by_identity(faces, cast, features, rng, params.far)
            paired = np.unique(found[["a", "b"]].to_numpy())
            parts.append(missed_faces(cast, faces, train, paired, params.planted, features, rng, params.far))
        near = features["steps"].get("near_duplicates")
        if "image" in params.by and params.planted and near is not None and near.method != "embedding":
            parts.append(missed_copies(manifest, features, near, train, params.planted, rng))
    kinds = {"by": "str", "alteration": "str", "planted": "int64", "found": "int64"}
    table = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(kinds)).astype(kinds)
    limits = [_interval(n - k, n) for n, k in zip(table["planted"], table["found"], strict=True)]
    return table.assign(
        missed=(table["planted"] - table["found"]) / table["planted"],
        low=[low for low, _ in limits], high=[high for _, high in limits],
    ).astype(dict.fromkeys(("missed", "low", "high"), "float64")), thresholds  # fmt: skip


def _interval(errors: int, trials: int) -> tuple[float, float]:
    """95% limits of a rate: Wilson's, or for few errors 0 and the exact one-sided bound."""
    return (0.0, upper_bound(errors, trials)) if errors < MIN_ERRORS else wilson(errors, trials)


def _certificate(
    manifest: Manifest, features: Features, params: OverlapPairsParams, cast: Cast, pairs: pd.DataFrame,
    missed: pd.DataFrame, thresholds: dict[str, Any],
) -> dict[str, Any]:  # fmt: skip
    drops = features["decisions"]
    drops = drops[((drops["action"] == col.DROP) & (drops["step"] == "overlap")).to_numpy(bool)]
    left = _remaining(pairs, cast, params.train)
    totals = missed.groupby("by")[["planted", "found"]].sum()
    rates = {}
    for way, row in totals.iterrows():
        planted, found = int(row["planted"]), int(row["found"])
        low, high = _interval(planted - found, planted)
        rates[str(way)] = {
            "planted": planted,
            "found": found,
            "missed": (planted - found) / planted,
            "low": low,
            "high": high,
        }
    return {
        "sets": {
            name: {"identities": len(cast.rows(d)), "images": int(cast.images[cast.rows(d)].sum()),
                   "fingerprint": _fingerprint(manifest, name)} for d, name in enumerate(cast.datasets)
        },
        "methods": list(params.by),
        "thresholds": {"name": {"same": SAME, "likely": LIKELY, "look": LOOK}, "identity": thresholds},
        "found": {verdict: int((pairs["verdict"] == verdict).sum()) for verdict in VERDICTS},
        "removed": {"images": int(drops[col.IMAGE_ID].nunique()),
                    "by_reason": _by_reason(drops)},
        "left": left, "train": params.train, "share_nobody_known": left["same"] + left["likely"] == 0,
        "missed": rates,
    }  # fmt: skip


def _as_table(certificate: dict[str, Any]) -> pd.DataFrame:
    """The certificate in lines: what, and what it says."""
    rows = [(f"set {name}", f"{part['identities']:,} identities, {part['images']:,} images")
            for name, part in certificate["sets"].items()]  # fmt: skip
    rows += [(f"fingerprint of {name}", part["fingerprint"][:16]) for name, part in certificate["sets"].items()]
    rows += [("compared by", ", ".join(certificate["methods"])), ("training set", certificate["train"] or "none named")]
    if "name" in certificate["methods"]:
        limits = certificate["thresholds"]["name"]
        rows.append(("probability by name", ", ".join(f"{verdict} from {least}" for verdict, least in limits.items())))
    for both, limit in certificate["thresholds"]["identity"].items():
        rows.append((f"faces, {both}", f"log ratio from {limit['log_ratio']:.1f} on: false-match rate "
                     f"{limit['false_match_rate']:.2g} of {limit['impostor_pairs']:,} pairs"
                     f"{'' if limit['supported'] else ', too few to support it'}"))  # fmt: skip
    rows.append(("found", _counts_said(certificate["found"])))
    removed = certificate["removed"]
    rows.append(("images removed", f"{removed['images']:,}" + "".join(
        f", {count:,} {reason}" for reason, count in removed["by_reason"].items())))  # fmt: skip
    whose = f" with {certificate['train']}" if certificate["train"] else ""
    rows.append((f"pairs left{whose}", _counts_said(certificate["left"])))
    rows += [(f"missed by {way}", _said(row)) for way, row in certificate["missed"].items()]
    nobody = "yes" if certificate["share_nobody_known"] else "no"
    rows.append(("nobody known is shared any more", nobody))
    return pd.DataFrame(rows, columns=["what", "said"]).astype("str")


def _counts_said(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {verdict}" for verdict, count in counts.items())


def _by_reason(drops: pd.DataFrame) -> dict[str, int]:
    return {
        str(reason): int(count) for reason, count in drops["reason"].astype("str").value_counts().sort_index().items()
    }


def _remaining(pairs: pd.DataFrame, cast: Cast, train: str | None) -> dict[str, int]:
    """Pairs of which both identities still have images; with a train set, those that it takes part in."""
    there = {
        (cast.datasets[d], name, known or "") for d, name, known in zip(cast.dataset, cast.name, cast.id, strict=True)
    }
    sides = [
        list(zip(*(pairs[f"{what}_{side}"].fillna("") for what in ("dataset", "identity", "id")), strict=True))
        for side in "ab"
    ]
    stays = np.array(
        [a in there and b in there and train in (None, a[0], b[0]) for a, b in zip(*sides, strict=True)], dtype=bool
    )
    return {verdict: int((stays & (pairs["verdict"] == verdict).to_numpy(bool)).sum()) for verdict in VERDICTS}


def _fingerprint(manifest: Manifest, dataset: str) -> str:
    """A digest of the ids, identities and names of a dataset's images."""
    rows = manifest.frame[(manifest.frame[col.DATASET] == dataset).to_numpy()]
    columns = [name for name in (col.IMAGE_ID, col.IDENTITY, "name") if name in rows]
    text = "\n".join("\t".join(map(str, row)) for row in rows[columns].itertuples(index=False))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _said(row: dict[str, Any]) -> str:
    return f"{row['missed']:.3f} ({row['planted'] - row['found']} of {row['planted']}; at most {row['high']:.3f})"


def _notes(pairs: pd.DataFrame, certificate: dict[str, Any]) -> Iterator[str]:
    for words, what in (("the names match and the faces do not", "two persons of one name, or wrong images"),
                        ("the faces match and the names do not", "aliases, or wrong names")):  # fmt: skip
        count = int(pairs["evidence"].str.contains(words, regex=False).sum())
        if count:
            yield f"{count:,} pairs: {words} ({what})"
    prints = pd.Series({name: part["fingerprint"] for name, part in certificate["sets"].items()})
    for _, same in prints.groupby(prints):
        if len(same) > 1:
            yield f"{', '.join(same.index)} have the same images, identities and names"
    for way in certificate["methods"]:
        if way not in certificate["missed"]:
            yield f"what the search by {way} misses was not measured"
    if certificate["methods"] == ["name"]:
        yield "compared by name alone: a person under another name, or without one, is not found"

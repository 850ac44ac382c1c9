"""The certificate of a protocol: what its pairs are, recomputed from the pairs and the manifest alone."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from curate.core import columns as col
from curate.core.manifest import Manifest, text_array
from curate.protocol.population import COLUMNS


def certificate(pairs: pd.DataFrame, manifest: Manifest) -> dict[str, Any]:
    """What a table of pairs is, recomputed from the table and the manifest: a JSON value.

    checks: no duplicate pair, none of an image with itself, `image_id_a < image_id_b`, no replica, every image known
    and under the identity that the manifest gives it, `genuine` true where the identities agree, no identity in two
    groups or two folds, no pair across folds. groups: per group the pairs, identities, images, folds and the largest
    share of the pairs that one identity takes part in. fingerprint: SHA-256 of the table's values in order.
    """
    first, second = manifest.rows_of(pairs["image_id_a"]), manifest.rows_of(pairs["image_id_b"])
    known = bool((first >= 0).all() and (second >= 0).all())
    identity = manifest.codes(col.IDENTITY).astype(np.int64)
    original = manifest.originals()
    genuine = pairs["genuine"].to_numpy(bool)
    if known and len(pairs):
        claimed = [text_array(pairs[name]) for name in ("identity_a", "identity_b")]
        actual = [text_array(manifest.frame[col.IDENTITY].take(rows)) for rows in (first, second)]
        same_names = all(pc.all(pc.equal(a, b)).as_py() for a, b in zip(claimed, actual, strict=True))
        right_kind = bool(((identity[first] == identity[second]) == genuine).all())
        no_replica = bool(original[first].all() and original[second].all())
    else:
        same_names = right_kind = no_replica = known
    key = first * max(len(manifest), 1) + second
    sides = np.r_[identity[first], identity[second]] if known and len(pairs) else np.zeros(2 * len(pairs), np.int64)
    groups = pairs["group"].astype("category").cat.codes.to_numpy()
    checks = {
        "images_known": known,
        "identities_as_in_manifest": same_names,
        "genuine_as_in_manifest": right_kind,
        "no_replicas": no_replica,
        "no_duplicate_pairs": len(np.unique(key)) == len(key),
        "ids_in_order": bool(pc.all(pc.less(text_array(pairs["image_id_a"]), text_array(pairs["image_id_b"]))).as_py())
        if len(pairs)
        else True,
        "no_identity_in_two_groups": _one_each(sides, np.r_[groups, groups]),
        "no_identity_in_two_folds": _one_each(sides, np.tile(pairs["fold"].to_numpy(), 2)),
    }
    names = pairs["group"].astype("category").cat.categories
    described = (
        []
        if not known
        else [
            _describe(str(name), pairs["fold"].to_numpy()[mask], genuine[mask], identity, first[mask], second[mask])
            for name, mask in ((name, groups == code) for code, name in enumerate(names))
        ]
    )
    return {
        "groups": described,
        "checks": checks,
        "valid": all(checks.values()),
        "pairs": len(pairs),
        "fingerprint": fingerprint(pairs),
    }


def _one_each(identity: np.ndarray, value: np.ndarray) -> bool:
    """Whether each identity comes with one value only."""
    width = int(value.max(initial=0)) + 1
    both = np.unique((identity + 1) * width + value)
    return len(np.unique(both // width)) == len(both)


def _describe(
    name: str, fold: np.ndarray, genuine: np.ndarray, identity: np.ndarray, first: np.ndarray, second: np.ndarray
) -> dict[str, Any]:
    share = {}
    for kind, mask in (("genuine", genuine), ("impostor", ~genuine)):
        sides = identity[first[mask]] if kind == "genuine" else identity[np.r_[first[mask], second[mask]]]
        share[kind] = round(float(np.bincount(sides).max() / mask.sum()), 6) if mask.any() else 0.0
    numbers, per_fold = np.unique(fold, return_counts=True)
    return {
        "group": name,
        "genuine": int(genuine.sum()),
        "impostor": int((~genuine).sum()),
        "identities": len(np.unique(identity[np.r_[first, second]])),
        "images": len(np.unique(np.r_[first, second])),
        "pairs_per_fold": dict(zip(map(str, numbers.tolist()), per_fold.tolist(), strict=True)),
        "largest_share_of_one_identity": share,
    }


def fingerprint(pairs: pd.DataFrame) -> str:
    """SHA-256, in hexadecimal, of a pair table's values in order, whatever their storage."""
    digest = hashlib.sha256()
    for name in COLUMNS:
        digest.update(f"{name}/{len(pairs)}".encode())
        if name == "fold":
            digest.update(pairs[name].to_numpy("<i8").tobytes())
        elif name == "genuine":
            digest.update(pairs[name].to_numpy(np.uint8).tobytes())
        else:
            text = pc.fill_null(text_array(pairs[name]), "")
            digest.update(pc.binary_length(text).cast(pa.int64()).to_numpy(zero_copy_only=False).tobytes())
            digest.update("".join(text.to_pylist()).encode() if len(text) else b"")
    return digest.hexdigest()

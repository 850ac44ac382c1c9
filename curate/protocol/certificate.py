"""The certificate of a protocol: what its pairs are, counted from the pairs alone, and what they hold against it."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.protocol.table import Coded, used
from curate.stats.power import THIRTY, effective, smallest_rate

#: Pairs whose sums stand together in the certificate.
SECTION = 4096


def certificate(pairs: Coded, correlation: float = 0.01) -> dict[str, Any]:
    """What a table of pairs is: a JSON value.

    checks: no pair twice (in either order), none of an image with itself, `genuine` true exactly where the identities
    agree, no image under two identities, no identity in two groups or two folds. groups: see `described`. fingerprint:
    SHA-256 of the values in order. sections: sums of 64-bit hashes of the pairs, which name a changed one (`sums`).
    correlation: assumed of comparisons that share identities, for the effective numbers.
    """
    checks = check(pairs)
    return {
        "pairs": len(pairs), "groups": described(pairs, correlation), "checks": checks, "valid": all(checks.values()),
        "fingerprint": fingerprint(pairs), "section": SECTION, "sections": sums(pairs), "correlation": correlation,
    }  # fmt: skip


def check(pairs: Coded) -> dict[str, bool]:
    """The checks that need the pairs alone; those about identities leave out unknown ones."""
    return {name: not len(rows) for name, rows in faults(pairs).items()}


def faults(pairs: Coded) -> dict[str, np.ndarray]:
    """For each check the rows that fail it, ascending."""
    low, high = np.minimum(pairs.image_a, pairs.image_b), np.maximum(pairs.image_a, pairs.image_b)
    key = low * max(len(pairs.images), 1) + high
    known = (pairs.identity_a >= 0) & (pairs.identity_b >= 0)
    people = np.concatenate([pairs.identity_a, pairs.identity_b])
    return {
        "no_duplicate_pairs": _repeated(key),
        "no_image_with_itself": np.flatnonzero(low == high),
        "genuine_as_identities": np.flatnonzero(known & ((pairs.identity_a == pairs.identity_b) != pairs.genuine)),
        "no_image_in_two_identities": _several(np.concatenate([pairs.image_a, pairs.image_b]), people, people >= 0),
        "no_identity_in_two_groups": _several(
            people, np.concatenate([pairs.group_a, pairs.group_b]), people >= 0
        ),
        "no_identity_in_two_folds": _several(people, np.tile(pairs.fold, 2), people >= 0),
    }  # fmt: skip


def _repeated(key: np.ndarray) -> np.ndarray:
    ascending = np.sort(key)
    if not (ascending[1:] == ascending[:-1]).any():
        return np.zeros(0, dtype=np.int64)
    order = np.argsort(key, kind="stable")
    return np.sort(order[1:][key[order][1:] == key[order][:-1]])


def _several(thing: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The rows of things that come with several values; both sides stand one after the other."""
    if not mask.any():
        return np.zeros(0, dtype=np.int64)
    last = np.zeros(int(thing.max()) + 1, dtype=value.dtype)
    last[thing[mask]] = value[mask]
    differs = mask & (last[thing] != value)
    if not differs.any():
        return np.zeros(0, dtype=np.int64)
    bad = mask & np.isin(thing, thing[differs])
    return np.unique(np.flatnonzero(bad) % (len(thing) // 2))


def against_manifest(pairs: Coded, manifest: Manifest) -> dict[str, np.ndarray]:
    """For each check against the manifest that the pairs were drawn from, the rows that fail it."""
    rows = manifest.rows_of(pairs.images)
    names = manifest.frame[col.IDENTITY].cat.categories
    theirs = pd.Index(names).get_indexer(pairs.identities.to_pylist())
    identity = np.concatenate([manifest.codes(col.IDENTITY), [-1]])[rows]
    bad = {
        "images_known": rows < 0,
        "no_replicas": (rows >= 0) & ~np.concatenate([manifest.originals(), [True]])[rows],
    }
    found = {name: np.flatnonzero(wrong[pairs.image_a] | wrong[pairs.image_b]) for name, wrong in bad.items()}
    claimed = np.concatenate([theirs, [-1]])
    differ = [
        (rows[image] >= 0) & (claimed[who] != identity[image])
        for image, who in ((pairs.image_a, pairs.identity_a), (pairs.image_b, pairs.identity_b))
    ]
    found["identities_as_in_manifest"] = np.flatnonzero(differ[0] | differ[1])
    return found


def described(pairs: Coded, correlation: float) -> list[dict[str, Any]]:
    """Each group, and each two groups that pairs go across, in order.

    genuine, impostor, hard (of the impostor ones): pairs. identities, images, pairs_per_fold. concentration: of genuine
    and of impostor pairs, the largest share that one identity takes part in, and the effective number of identities
    (sum c_i)^2 / sum c_i^2. n_eff: the effective number of comparisons under the assumed correlation, n_eff_worst:
    where errors depend on the identities alone. smallest_fmr: 3 / n_eff of the impostor pairs (the rule of three),
    measurable_fmr: 30 / n_eff.
    """
    n = len(pairs.groups)
    low, high = np.minimum(pairs.group_a, pairs.group_b), np.maximum(pairs.group_a, pairs.group_b)
    key = low * (n + 1) + high
    order = np.argsort(key, kind="stable")
    ends = np.flatnonzero(np.r_[True, np.diff(key[order]) != 0, True]) if len(order) else np.zeros(1, dtype=np.int64)
    found = []
    for start, stop in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        rows = order[start:stop]
        a, b = int(low[rows[0]]), int(high[rows[0]])
        name = " with ".join(pairs.groups[code] for code in sorted({a, b}) if code >= 0)
        found.append({"group": name or "unknown", **_figures(pairs, rows, correlation)})
    return found


def _figures(pairs: Coded, rows: np.ndarray, correlation: float) -> dict[str, Any]:
    genuine = pairs.genuine[rows]
    first = int(pairs.fold[rows].min(initial=0))
    per_fold = np.bincount(pairs.fold[rows] - first)
    numbers = np.flatnonzero(per_fold)
    concentration, eff = {}, {}
    for kind, mask in (("genuine", genuine), ("impostor", ~genuine)):
        own, other = pairs.identity_a[rows][mask], pairs.identity_b[rows][mask]
        counts = np.bincount((own if kind == "genuine" else np.concatenate([own, other])) + 1)[1:]
        total = int(np.count_nonzero(mask))
        eff[kind] = effective(counts, total, kind == "impostor", correlation)
        square = float((counts.astype(np.float64) ** 2).sum())
        concentration[kind] = {
            "largest_share": round(float(counts.max(initial=0) / max(total, 1)), 6),
            "effective_identities": round(float(counts.sum()) ** 2 / square, 1) if square else 0.0,
        }
    return {
        "genuine": int(genuine.sum()), "impostor": int((~genuine).sum()), "hard": int(pairs.hard[rows].sum()),
        "identities": int(used(len(pairs.identities), pairs.identity_a[rows], pairs.identity_b[rows]).sum()),
        "images": int(used(len(pairs.images), pairs.image_a[rows], pairs.image_b[rows]).sum()),
        "pairs_per_fold": {str(n + first): int(per_fold[n]) for n in numbers.tolist()},
        "concentration": concentration,
        "n_eff": {kind: round(value.n_eff, 1) for kind, value in eff.items()},
        "n_eff_worst": {kind: round(value.worst, 1) for kind, value in eff.items()},
        "smallest_fmr": float(f"{smallest_rate(eff['impostor'].n_eff):.3g}"),
        "measurable_fmr": float(f"{smallest_rate(eff['impostor'].n_eff, THIRTY):.3g}"),
    }  # fmt: skip


def _columns(pairs: Coded) -> list[tuple[str, tuple[np.ndarray, ...], pa.Array | None]]:
    """The values in the order in which they are hashed: the codes of both sides, or of one column without names."""
    groups = pa.array(pairs.groups, pa.large_string())
    return [
        ("group", (pairs.group_a, pairs.group_b), groups), ("image_id", (pairs.image_a, pairs.image_b), pairs.images),
        ("identity", (pairs.identity_a, pairs.identity_b), pairs.identities), ("fold", (pairs.fold,), None),
        ("genuine", (pairs.genuine,), None), ("hard", (pairs.hard,), None),
    ]  # fmt: skip


def fingerprint(pairs: Coded) -> str:
    """SHA-256, in hexadecimal, of the values in order, whatever their storage.

    Hashed are, of each pair of columns, the lengths and the bytes of the names that occur, ascending, and then the
    numbers of the names, which say the same as the names themselves in less.
    """
    digest = hashlib.sha256()
    for name, sides, names in _columns(pairs):
        digest.update(f"{name}/{len(pairs)}".encode())
        if names is None:
            digest.update(sides[0].astype("<i4").tobytes())
            continue
        there = used(len(names), *sides)
        offsets, data = arrow_text(names.filter(pa.array(there)))
        digest.update(np.diff(offsets).astype("<i8").tobytes())
        digest.update(data[offsets[0] : offsets[-1]])
        renumber = np.append(np.cumsum(there) - 1, -1).astype("<i4")
        for codes in sides:
            digest.update(renumber[codes].tobytes())
    return digest.hexdigest()


def arrow_text(text: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Offsets `(n + 1,)` int64 and UTF-8 bytes of an Arrow array of texts, without a copy; a null has no bytes."""
    text = text.cast(pa.large_string())
    _, offsets, data = text.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[text.offset : text.offset + len(text) + 1] if len(text) else [0]
    return np.asarray(ends, dtype=np.int64), np.frombuffer(data or b"", dtype=np.uint8)


def hashes(pairs: Coded) -> np.ndarray:
    """A 64-bit hash of each pair's values: `(N,)` uint64."""
    from curate.protocol.kernels import add_hash, text_hashes

    value = np.zeros(len(pairs), dtype=np.uint64)
    for _, sides, names in _columns(pairs):
        if names is not None:
            table = np.append(text_hashes(*arrow_text(names)), np.zeros(1, dtype=np.uint64))
        for codes in sides:
            add_hash(value, codes.astype(np.int64).view(np.uint64) if names is None else table[codes])
    return value


def sums(pairs: Coded) -> list[str]:
    """For each section of `SECTION` pairs S0 and S1, in hexadecimal: the sums of h_i and of i h_i modulo 2^64.

    h_i: the hash of the section's pair i. Where one pair was changed, the difference of S1 is i times that of S0, which
    names it; `verify.changed` does that. They find a change, and the fingerprint proves that there is none.
    """
    value = hashes(pairs)
    start = np.arange(0, len(value), SECTION)
    if not len(start):
        return []
    place = (np.arange(len(value)) % SECTION).astype(np.uint64)
    both = [np.add.reduceat(part, start) for part in (value, value * place)]
    return [f"{int(a):016x}{int(b):016x}" for a, b in zip(*both, strict=True)]

"""Proving a protocol again from its files, and naming the pairs that are not as they were."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from curate.core.errors import InputError
from curate.core.manifest import Manifest
from curate.protocol.certificate import against_manifest, described, faults, fingerprint, hashes, sums
from curate.protocol.table import Coded


@dataclass(frozen=True)
class Finding:
    """One thing that was checked: its name, whether it holds, and where not, the pairs or a sentence."""

    check: str
    holds: bool
    says: tuple[str, ...] = ()


#: Pairs named for each check.
NAMED = 5


def structure(pairs: Coded, manifest: Manifest | None = None) -> Iterator[Finding]:
    """The checks of the pairs themselves, and against the manifest that they are of."""
    found = faults(pairs)
    if manifest is not None:
        found |= against_manifest(pairs, manifest)
    unknown = np.flatnonzero((pairs.identity_a < 0) | (pairs.identity_b < 0))
    if len(unknown):
        yield Finding("identities_known", False, ("what needs identities is not checked", *_named(pairs, unknown)))
    for name, rows in found.items():
        yield Finding(name, not len(rows), tuple(_named(pairs, rows)))


def against_certificate(pairs: Coded, document: dict[str, Any]) -> Iterator[Finding]:
    """Whether the pairs are those that the certificate was made of, and its figures theirs.

    Raises InputError where the certificate lacks a part.
    """
    for name in ("pairs", "fingerprint", "sections", "section", "groups", "correlation"):
        if name not in document:
            raise InputError(f"the certificate has no {name!r}", value=sorted(document))
    yield Finding("pairs_as_certified", len(pairs) == document["pairs"],
                  () if len(pairs) == document["pairs"] else
                  (f"{len(pairs):,} pairs, {document['pairs']:,} certified",))  # fmt: skip
    same = fingerprint(pairs) == document["fingerprint"]
    yield Finding("fingerprint_as_certified", same, () if same else tuple(_changed(pairs, document)))
    groups = described(pairs, document["correlation"]) == document["groups"]
    yield Finding("figures_as_certified", groups, () if groups else ("the counts of the groups differ",))


def _changed(pairs: Coded, document: dict[str, Any]) -> Iterator[str]:
    """The pair of each section that was changed, where it is one; else the section. See `certificate.sums`."""
    size, stored = document["section"], document["sections"]
    ours = sums(pairs)
    other = [at for at in range(min(len(ours), len(stored))) if ours[at] != stored[at]]
    for at in other[:NAMED]:
        start, stop = at * size, min((at + 1) * size, len(pairs))
        was, now = ([int(text[:16], 16), int(text[16:], 16)] for text in (stored[at], ours[at]))
        change = [(a - b) % (1 << 64) for a, b in zip(now, was, strict=True)]
        place = np.arange(stop - start, dtype=np.uint64)
        fits = np.flatnonzero(place * np.uint64(change[0]) == np.uint64(change[1]))
        if change[0] and len(fits) == 1 and len(pairs) == document["pairs"]:
            yield f"changed: {name_of(pairs, start + int(fits[0]))}"
        else:
            yield f"rows {start + 1:,} to {stop:,}: several pairs were changed, added, removed or moved"
    if len(other) > NAMED:
        yield f"and {len(other) - NAMED:,} further sections of {size:,} pairs"


def against_drawn(pairs: Coded, drawn: Coded) -> Finding:
    """Whether the pairs are those that the same seed draws again from the manifest of the run."""
    ours, theirs = hashes(pairs), hashes(drawn)
    if np.array_equal(ours, theirs):
        return Finding("drawn_again_alike", True)
    says = [f"not drawn: {text}" for text in _named(pairs, np.flatnonzero(~np.isin(ours, theirs)))]
    says += [f"missing: {text}" for text in _named(drawn, np.flatnonzero(~np.isin(theirs, ours)))]
    return Finding("drawn_again_alike", False, tuple(says) or ("the same pairs in another order, or some twice",))


def _named(pairs: Coded, rows: np.ndarray) -> list[str]:
    more = [f"and {len(rows) - NAMED:,} more"] if len(rows) > NAMED else []
    return [*(name_of(pairs, row) for row in rows[:NAMED].tolist()), *more]


def name_of(pairs: Coded, row: int) -> str:
    """A pair as a person finds it again: its row (1 is the first), its two images, identities and kind."""
    a, b = (pairs.images[int(codes[row])].as_py() for codes in (pairs.image_a, pairs.image_b))
    who = [pairs.identities[int(codes[row])].as_py() if codes[row] >= 0 else "unknown"
           for codes in (pairs.identity_a, pairs.identity_b)]  # fmt: skip
    kind = "genuine" if pairs.genuine[row] else "impostor"
    return f"row {row + 1}: {a} ({who[0]}) with {b} ({who[1]}), {kind}, fold {int(pairs.fold[row])}"

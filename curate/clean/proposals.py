"""What proposes pairs of copies: one way for each method, all of them confirmed by pixels later."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import numpy as np

from curate.core.errors import InputError
from curate.core.shapes import Executor
from curate.images.hashes import WINDOWS, window_hashes
from curate.images.vlad import LENGTH, VladModel, codebook, mirrored, words_of
from curate.images.words import candidate_pairs, signatures
from curate.search.approximate import approximate_pairs
from curate.search.confirm import Windows
from curate.search.cosine import similar_between, similar_pairs
from curate.search.hamming import pairs_within

MethodName = Literal["phash", "phash256", "dhash", "vlad", "minhash", "embedding"]
#: Proposals that are held at once; more are confirmed in several goes.
_HELD = 20_000_000
_BLOCK = 4096
#: Images, evenly spaced, that codebooks and axes are fitted on at most; visual words of MinHash.
_FITTED_ON, _WORDS = 10_000, 1024

#: Up to how many images a set has each of a method's defaults.
SIZES = (5_000, 50_000, 500_000, 5_000_000)

#: (whether the second image is mirrored, or None for either; i, j, what the method measures of each pair)
Proposals = tuple[bool | None, np.ndarray, np.ndarray, np.ndarray]


class Search(NamedTuple):
    """What a method is told: the facts `(N, ...)` by name, within what, and which images are new (None: all)."""

    facts: Mapping[str, Any]
    windows: Windows
    within: float
    mirrored: bool
    crops: bool
    approximate: bool
    executor: Executor
    new: np.ndarray | None
    rng: np.random.Generator


@dataclass(frozen=True)
class Method:
    """A way to propose pairs.

    needs: its facts. within: bits, or the least similarity, that it proposes by default, in sets of up to SIZES images
    (the last: any number), since chance proposals grow with the square of the set. grid: what a calibration tries,
    loosest first. most: bits of its hash, or None for a similarity.
    """

    needs: tuple[str, ...]
    within: tuple[float, ...]
    grid: tuple[float, ...]
    propose: Callable[[Search], Iterator[Proposals]]
    most: int | None = None

    def default(self, images: int) -> float:
        """What it proposes within, in a set of so many images, unless told."""
        return self.within[int(np.searchsorted(SIZES, images))]

    def close(self, measure: np.ndarray, within: float) -> np.ndarray:
        """Mask of the measures that are within."""
        return measure <= within if self.most else measure >= within


def windows_of(facts: Mapping[str, Any], executor: Executor) -> Windows:
    """The hashes of parts of each image, where a copy may lie over its original."""
    small = facts["thumbnail"]
    cut = (small[start : start + _BLOCK] for start in range(0, len(small), _BLOCK))
    parts = np.concatenate([*executor.map(window_hashes, cut), np.zeros((0, len(WINDOWS)), np.uint64)])
    return Windows(facts["phash"], facts["phash_mirror"], parts, WINDOWS)


def _by_hash(search: Search, name: str) -> Iterator[Proposals]:
    """Pairs within some bits, of whole images and with `crops` (pHash alone) of one with a window of the other."""
    plain, turned = search.facts[name], search.facts[f"{name}_mirror"]
    find = partial(pairs_within, max_distance=int(search.within), executor=search.executor, new=search.new)
    for mirror in (False, True) if search.mirrored else (False,):
        held = [find(plain, others=turned if mirror else None)]
        for window in range(1, len(WINDOWS)) if search.crops and name == "phash" else ():
            others = np.ascontiguousarray(search.windows.parts[:, window])
            held.append(find(turned if mirror else plain, others=others))
            if sum(len(part[0]) for part in held) > _HELD:
                yield mirror, *_once(held, smallest=True)
                held = []
        if held:
            yield mirror, *_once(held, smallest=True)


def _by_vlad(search: Search) -> Iterator[Proposals]:
    """Pairs above a cosine of VLAD vectors, whose codebook and axes are fitted once, here, on the images themselves."""
    model = VladModel.fit(_sample(search.facts["local"]))
    sides = [_tiled(search, partial(_vectors_of, model=model, turned=turned))
             for turned in ((False, True) if search.mirrored else (False,))]  # fmt: skip
    yield from _by_cosine(search, sides)


def _by_embedding(search: Search) -> Iterator[Proposals]:
    """Pairs above a cosine of the recipe's vectors, which do not say whether one is mirrored."""
    for _, i, j, similarity in _by_cosine(search, [search.facts["embedding"]]):
        yield None if search.mirrored else False, i, j, similarity


def _by_minhash(search: Search) -> Iterator[Proposals]:
    """Pairs whose sets of visual words are estimated to have a Jaccard similarity, met in the buckets of MinHash."""
    sample = _sample(search.facts["local"])
    centres = codebook(sample.reshape(-1, LENGTH), _WORDS)
    sides = [_tiled(search, partial(_signatures_of, centres=centres, turned=turned))
             for turned in ((False, True) if search.mirrored else (False,))]  # fmt: skip
    n = len(sides[0])
    both = np.concatenate(sides)
    i, j, left_out = candidate_pairs(both)
    if left_out:
        warnings.warn(
            f"{left_out:,} entries in MinHash buckets that hold more than 200 images are left out: what all images "
            "share proposes nothing", stacklevel=2,
        )  # fmt: skip
    estimate = np.empty(len(i))
    for start in range(0, len(i), 1 << 16):
        part = slice(start, start + (1 << 16))
        estimate[part] = (both[i[part]] == both[j[part]]).mean(axis=1)
    close = estimate >= search.within
    i, j, estimate = i[close], j[close], estimate[close]
    for mirror in range(len(sides)):
        # Two mirror images are the pair of their originals, which is met as such.
        which = (i < n) & ((j >= n) == bool(mirror))
        yield bool(mirror), *_new_pairs(i[which], j[which] - n * mirror, estimate[which], search.new)


def _by_cosine(search: Search, sides: list[np.ndarray]) -> Iterator[Proposals]:
    """Pairs of the first side's vectors with one another and with the mirror images' of the second; zeros are out."""
    usable = np.flatnonzero(sides[0].any(axis=1))
    sides = [side[usable] for side in sides]
    new = None if search.new is None else search.new[usable]
    n = len(usable)
    if search.approximate:
        found = approximate_pairs(np.concatenate(sides), search.within, search.executor, search.rng)
        warnings.warn(f"Approximate search among {n:,} images. {found.sentence()}", stacklevel=2)
        i, j, similarity = found.pairs
        for mirror in range(len(sides)):
            which = (i < n) & ((j >= n) == bool(mirror))
            one, two, value = _new_pairs(i[which], j[which] - n * mirror, similarity[which], new)
            yield bool(mirror), usable[one], usable[two], value
        return
    i, j, similarity = similar_pairs(sides[0], search.within, search.executor, new=new)
    yield False, usable[i], usable[j], similarity
    for turned in sides[1:]:
        # A new image's mirror image with all, and all mirror images with a new one: old ones never with one another.
        fresh, every = np.arange(n) if new is None else np.flatnonzero(new), np.arange(n)
        held = [_between(sides[0], turned, fresh, every, search)]
        if new is not None:
            held.append(_between(sides[0], turned, np.flatnonzero(~new), fresh, search))
        i, j, similarity = _once(held, smallest=False)
        yield True, usable[i], usable[j], similarity


def _between(plain: np.ndarray, turned: np.ndarray, rows: np.ndarray, others: np.ndarray, search: Search) -> tuple:
    i, j, similarity = similar_between(plain[rows], turned[others], search.within, search.executor)
    return _new_pairs(rows[i], others[j], similarity, None)


def _new_pairs(i: np.ndarray, j: np.ndarray, value: np.ndarray, new: np.ndarray | None) -> tuple[np.ndarray, ...]:
    """i < j, the largest value of each pair, and only pairs with a new image."""
    keep = i != j if new is None else (i != j) & (new[i] | new[j])
    i, j, value = i[keep], j[keep], value[keep]
    return _once([(np.minimum(i, j), np.maximum(i, j), value)], smallest=False)


def _sample(local: Any) -> np.ndarray:
    """Local descriptors of evenly spaced images."""
    n = len(local)
    return np.asarray(local[np.arange(min(n, _FITTED_ON)) * n // max(min(n, _FITTED_ON), 1)])


def _tiled(search: Search, work: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """What `work` makes of the local descriptors, tile by tile on the executor."""
    local = search.facts["local"]
    tiles = (np.asarray(local[start : start + _BLOCK]) for start in range(0, len(local), _BLOCK))
    found = list(search.executor.map(work, tiles))
    return np.concatenate(found) if found else work(np.asarray(local[:0]))


def _vectors_of(local: np.ndarray, *, model: VladModel, turned: bool) -> np.ndarray:
    return model.project(mirrored(local) if turned else local)


def _signatures_of(local: np.ndarray, *, centres: np.ndarray, turned: bool) -> np.ndarray:
    return signatures(words_of(mirrored(local) if turned else local, centres))


def _once(held: list[tuple[np.ndarray, ...]], *, smallest: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs in order, each once, with the smallest or largest of its values."""
    i, j, value = (np.concatenate(parts) for parts in zip(*held, strict=True))
    order = np.lexsort((value if smallest else -value, j, i))
    i, j, value = i[order], j[order], value[order]
    first = first_of_each(i, j)
    return i[first], j[first], value[first]


def first_of_each(i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """Mask of the pairs that differ from the one before."""
    return np.append(True, (i[1:] != i[:-1]) | (j[1:] != j[:-1]))[: len(i)]


def _hash(name: str, bits: int, within: tuple[float, ...]) -> Method:
    grid = tuple(range(int(within[0]), -1, -bits // 32))
    return Method((name, f"{name}_mirror"), within, grid, partial(_by_hash, name=name), bits)


METHODS: Mapping[str, Method] = {
    "phash": _hash("phash", 64, (12, 10, 8, 6, 4)),
    "phash256": _hash("phash256", 256, (44, 40, 36, 32, 28)),
    "dhash": _hash("dhash", 64, (12, 10, 8, 6, 4)),
    "vlad": Method(("local",), (0.35, 0.45, 0.5, 0.55, 0.6), (0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8), _by_vlad),
    "minhash": Method(("local",), (0.1, 0.12, 0.15, 0.2, 0.25), (0.1, 0.12, 0.15, 0.2, 0.25, 0.3, 0.4), _by_minhash),
    "embedding": Method(("embedding",), (0.6, 0.7, 0.8, 0.85, 0.9), (), _by_embedding),
}


def check_method(method: str, max_distance: int | None, min_similarity: float | None, approximate: bool) -> None:
    """Raise InputError for a threshold or a search that the method does not have."""
    most = METHODS[method].most
    if most is None and max_distance is not None:
        raise InputError(f"max_distance is of hashes, and {method} measures a similarity", value=max_distance,
                         remedy="Give min_similarity")  # fmt: skip
    if most is not None and min_similarity is not None:
        raise InputError(f"min_similarity is not of hashes such as {method}", value=min_similarity,
                         remedy="Give max_distance")  # fmt: skip
    if most is not None and max_distance is not None and max_distance > most // 2:
        raise InputError(f"max_distance is out of range for {method}", value=max_distance, allowed=f"0 to {most // 2}")
    if approximate and method not in ("vlad", "embedding"):
        raise InputError(f"{method} has no approximate search", allowed="approximate with vlad or embedding")

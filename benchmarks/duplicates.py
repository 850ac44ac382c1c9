"""The searches for duplicates against named peers, ratios of one run: `python -m benchmarks.duplicates --json`.

Each section is a function of the chosen options that returns figures by name; `--only` runs some of them. Whatever is
compared must list the same pairs, or the run fails. Work runs on `--workers` processes, started before the clock.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.descriptors import descriptor_methods
from benchmarks.hashes import phash_against_imagehash
from benchmarks.measure import best_seconds, process_cost, run_sections

#: Bits, and the cosine, within which copies are planted and sought.
MAX_DISTANCE, MIN_SIMILARITY, SIZE = 6, 0.9, 512


def random_hashes(n: int, seed: int = 0) -> np.ndarray:
    """`(n,)` uint64, of which one in a hundred is a copy of another with up to 8 bits flipped."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    copies = rng.permutation(n)[: n // 100]
    hashes[copies] = hashes[rng.integers(0, n, len(copies))]
    for _ in range(8):
        bit = rng.integers(0, 64, len(copies)).astype(np.uint64)
        hashes[copies] ^= (np.uint64(1) << bit) * (rng.random(len(copies)) < 0.7).astype(np.uint64)
    return hashes


def random_vectors(n: int, seed: int = 0) -> np.ndarray:
    """`(n, 512)` float32 unit vectors, one in a hundred a noisy copy of another (cosine about 0.93)."""
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((n, SIZE), dtype=np.float32)
    copies = rng.permutation(n)[: n // 100]
    vectors[copies] = vectors[rng.integers(0, n, len(copies))]
    vectors[copies] += np.float32(0.4) * rng.standard_normal((len(copies), SIZE), dtype=np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def hamming(chosen: argparse.Namespace) -> dict[str, Any]:
    """Pairs within 6 bits: buckets against comparing all with the same popcount kernel."""
    from curate.recipe.execute import LocalExecutor
    from curate.search.hamming import pairs_within, plan_search

    hashes = random_hashes(chosen.hashes)
    with LocalExecutor(chosen.workers) as executor:
        found = {}

        def search(method: str, rows: np.ndarray = hashes) -> None:
            found[method] = pairs_within(rows, MAX_DISTANCE, executor, method=method)

        for method in ("buckets", "all"):
            search(method, hashes[:20_000])
        buckets = best_seconds(lambda: search("buckets"), repeats=3)
        every = best_seconds(lambda: search("all"), repeats=1)
    _same(found["buckets"], found["all"])
    plan = plan_search(hashes, None, MAX_DISTANCE)
    return {
        "hamming_hashes": chosen.hashes, "hamming_pairs_found": len(found["all"][0]),
        "hamming_method_chosen": plan.method, "hamming_buckets_seconds": buckets, "hamming_all_seconds": every,
        "hamming_all_comparisons_per_second": plan.all_comparisons / every,
        "hamming_speedup_of_buckets": every / buckets, "hamming_speedup_goal": 20.0,
    }  # fmt: skip


def cosine(chosen: argparse.Namespace) -> dict[str, Any]:
    """Pairs above 0.9 among 512-d vectors: against a bare float32 matmul, and scikit-learn's brute-force radius search.

    The matmul makes as many comparisons, on as many threads as there are workers, and throws them away. scikit-learn
    is asked for the same pairs by cosine, as FiftyOne Brain asks it, and by the Euclidean distance of unit vectors;
    the ratio is to the faster of the two.
    """
    from threadpoolctl import threadpool_limits

    from curate.recipe.execute import LocalExecutor
    from curate.search.cosine import similar_pairs

    vectors = random_vectors(chosen.vectors)
    comparisons = chosen.vectors * (chosen.vectors - 1) / 2
    figures: dict[str, Any] = {"cosine_vectors": chosen.vectors, "cosine_size": SIZE}
    found = {}
    with LocalExecutor(chosen.workers) as executor:
        for screen in ("bfloat16", "float32"):

            def search(screen: str = screen, rows: np.ndarray = vectors) -> None:
                found[screen] = similar_pairs(rows, MIN_SIMILARITY, executor, screen=screen)

            search(rows=vectors[:17_000])
            figures[f"cosine_{screen}_seconds"] = best_seconds(search, repeats=2)
    _same(found["bfloat16"], found["float32"])
    with threadpool_limits(chosen.workers):
        matmul = best_seconds(lambda: _bare_matmul(vectors, comparisons), repeats=2)
        peer = {name: _scikit_learn(vectors, name, found["float32"]) for name in ("cosine", "euclidean")}
    bare = comparisons / matmul
    figures |= {
        "cosine_pairs_found": len(found["float32"][0]), "cosine_bare_float32_matmul_comparisons_per_second": bare,
        "cosine_bfloat16_comparisons_per_second": comparisons / figures["cosine_bfloat16_seconds"],
        "cosine_float32_comparisons_per_second": comparisons / figures["cosine_float32_seconds"],
        "cosine_bfloat16_to_bare_matmul": comparisons / figures["cosine_bfloat16_seconds"] / bare,
        "cosine_to_bare_matmul_goal": 1.5,
    }  # fmt: skip
    figures |= {f"cosine_scikit_learn_{name}_seconds": seconds for name, seconds in peer.items()}
    for screen, goal in (("bfloat16", 5.0), ("float32", 2.5)):
        figures[f"cosine_{screen}_speedup_over_scikit_learn"] = min(peer.values()) / figures[f"cosine_{screen}_seconds"]
        figures[f"cosine_{screen}_speedup_goal"] = goal
    return figures


def _bare_matmul(vectors: np.ndarray, comparisons: float, block: int = 4096) -> None:
    """So many scores in float32, block after block into the same memory."""
    block = min(block, len(vectors))
    scores = np.empty((block, block), np.float32)
    for number in range(max(1, round(comparisons / block**2))):
        start = number * block % (len(vectors) - block + 1)
        np.matmul(vectors[:block], vectors[start : start + block].T, out=scores)


def _scikit_learn(vectors: np.ndarray, metric: str, wanted: tuple) -> float:
    """Seconds of its brute-force radius search; it must list the same pairs but for ties within 1e-6."""
    from sklearn.neighbors import NearestNeighbors

    radius = 1 - MIN_SIMILARITY if metric == "cosine" else np.sqrt(2 - 2 * MIN_SIMILARITY)
    kept = []

    def search() -> None:
        peer = NearestNeighbors(metric=metric, algorithm="brute", radius=radius).fit(vectors)
        kept[:] = [peer.radius_neighbors(vectors, return_distance=False)]

    seconds = best_seconds(search, repeats=1)
    n = len(vectors)
    one = np.repeat(np.arange(n), [len(others) for others in kept[0]])
    other = np.concatenate(kept[0])
    theirs = (one * n + other)[one < other]
    ours = wanted[0] * n + wanted[1]
    for key in np.setxor1d(theirs, ours).tolist():
        similarity = float(vectors[key // n].astype(np.float64) @ vectors[key % n].astype(np.float64))
        if abs(similarity - MIN_SIMILARITY) > 1e-6:
            raise SystemExit(f"scikit-learn and the search differ on a pair of cosine {similarity}")
    return seconds


def approximate(chosen: argparse.Namespace) -> dict[str, Any]:
    """faiss, as it is used when asked for: its time, and its recall as the result states it."""
    from curate.recipe.execute import LocalExecutor
    from curate.search.approximate import approximate_pairs

    vectors, found = random_vectors(chosen.vectors), []
    with LocalExecutor(chosen.workers) as executor:

        def search() -> None:
            found[:] = [approximate_pairs(vectors, MIN_SIMILARITY, executor, np.random.default_rng(0), sample=5000)]

        seconds = best_seconds(search, repeats=1)
    return {
        "approximate_vectors": chosen.vectors, "approximate_seconds": seconds,
        "approximate_pairs_found": len(found[0].pairs[0]), "approximate_recall": found[0].sentence(),
    }  # fmt: skip


def growth(chosen: argparse.Namespace) -> dict[str, Any]:
    """Seconds and peak memory of the Hamming search from 100,000 to `--largest` hashes, a fresh process each."""
    sizes, seconds, peaks = [], [], []
    n = 100_000
    while n <= chosen.largest:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "seconds"
            code = f"import benchmarks.duplicates as d; d.search_alone({n}, {chosen.workers}, {str(out)!r})"
            cost = process_cost([sys.executable, "-c", code])
            seconds.append(float(out.read_text()))
        sizes.append(n)
        peaks.append(cost.peak_bytes)
        n *= 10
    figures: dict[str, Any] = {}
    for size, took, peak in zip(sizes, seconds, peaks, strict=True):
        figures |= {f"growth_hamming_{size}_seconds": took, f"growth_hamming_{size}_peak_gib": peak / 2**30}
    figures["growth_hamming_10000000_peak_gib_goal"] = 6.0
    if len(sizes) > 1:
        figures["growth_in_words"] = _in_words(sizes, seconds, peaks)
    return figures


def search_alone(n: int, workers: int, out: str) -> None:
    """Search n hashes once and write the seconds that it took, processes already started, to a file."""
    from curate.recipe.execute import LocalExecutor
    from curate.search.hamming import pairs_within

    hashes = random_hashes(n)
    with LocalExecutor(workers) as executor:
        pairs_within(hashes[:20_000], MAX_DISTANCE, executor, method="buckets")
        Path(out).write_text(str(best_seconds(lambda: pairs_within(hashes, MAX_DISTANCE, executor), repeats=1)))


def _in_words(sizes: list[int], seconds: list[float], peaks: list[int]) -> str:
    """How time and memory grow over the last step measured, and what 100 million would take if it went on so."""
    exponent = float(np.log(seconds[-1] / seconds[-2]) / np.log(sizes[-1] / sizes[-2]))
    each = (peaks[-1] - peaks[-2]) / (sizes[-1] - sizes[-2])
    far = 100_000_000
    minutes = seconds[-1] * (far / sizes[-1]) ** max(exponent, 1.0) / 60
    return (
        f"Measured: from {sizes[-2]:,} to {sizes[-1]:,} hashes the time grows as N**{exponent:.2f} (comparing all: "
        f"N**2) and the memory of all processes by {each:.0f} bytes a hash. Carried on, not measured: {far:,} hashes "
        f"within {MAX_DISTANCE} bits take about {minutes:.0f} minutes and "
        f"{(peaks[-1] + each * (far - sizes[-1])) / 2**30:.0f} GiB on this machine. Blocks of hashes are independent "
        "tasks of the executor, which may be a Ray cluster: n machines divide that time by n, but for the one that "
        "sorts the hashes into blocks, one pass for each substring, and sends each block to as many tasks as leading "
        "bits may be flipped; that pass and the network bound n."
    )


def _same(one: tuple[np.ndarray, ...], two: tuple[np.ndarray, ...]) -> None:
    if not all(np.array_equal(a, b) for a, b in zip(one, two, strict=True)):
        raise SystemExit("two ways to search list different pairs")


def phash(chosen: argparse.Namespace) -> dict[str, Any]:
    """pHash of drawn 112x112 faces against ImageHash in the obvious loop, with as many processes on both sides."""
    return phash_against_imagehash(chosen.images, chosen.workers)


def descriptors(chosen: argparse.Namespace) -> dict[str, Any]:
    """VLAD and MinHash over random descriptors, of half as many images and of all: time, memory, recall."""
    return descriptor_methods([chosen.described // 2, chosen.described], chosen.workers)


SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "phash": phash,
    "hamming": hamming,
    "cosine": cosine,
    "approximate": approximate,
    "growth": growth,
    "descriptors": descriptors,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=6000, help="images of the section phash")
    parser.add_argument("--hashes", type=int, default=1_000_000, help="hashes of the section hamming")
    parser.add_argument("--vectors", type=int, default=50_000, help="vectors of the sections cosine and approximate")
    parser.add_argument("--largest", type=int, default=10_000_000, help="most hashes of the section growth")
    parser.add_argument("--described", type=int, default=80_000, help="most images of the section descriptors")
    run_sections("duplicates", SECTIONS, parser)


if __name__ == "__main__":
    main()

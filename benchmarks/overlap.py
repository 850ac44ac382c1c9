"""Overlap of names and of identities, figures of one run: `python -m benchmarks.overlap --json`.

Each section is a function of the chosen options that returns figures by name; `--only` runs some of them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import best_seconds, process_cost, run_sections

SIZE = 512  # numbers of a template

_ONSETS = (
    "b", "br", "c", "ch", "d", "dr", "f", "g", "gr", "h", "j", "k", "kr", "l", "m", "n", "p", "r", "s", "st", "t", "tr",
    "v", "w", "z", "sh", "th",
)  # fmt: skip
_VOWELS = ["a", "e", "i", "o", "u", "ai", "ea", "io", "ou"]
_CODAS = ["", "n", "r", "l", "s", "t", "m", "nd", "rt", "ll", "ck", "ng"]


def drawn_names(n: int, rng: np.random.Generator) -> list[str]:
    """n different names `Given_Family`, or with a middle name or initial: few are common, most are rare (Zipf)."""
    given, family = _words(4_000, rng), _words(60_000, rng)
    names: dict[str, None] = {}
    while len(names) < n:
        size = n - len(names)
        first = given[_zipf(size, len(given), rng)]
        second = given[_zipf(size, len(given), rng)]
        last = family[_zipf(size, len(family), rng)]
        kind = rng.random(size)
        for a, b, c, k in zip(first.tolist(), second.tolist(), last.tolist(), kind.tolist(), strict=True):
            names[f"{a}_{b}_{c}" if k < 0.1 else f"{a}_{b[0]}._{c}" if k < 0.2 else f"{a}_{c}"] = None
    return list(names)


def _words(n: int, rng: np.random.Generator) -> np.ndarray:
    words: dict[str, None] = {}
    while len(words) < n:
        parts = [str(rng.choice(_ONSETS)) + str(rng.choice(_VOWELS)) for _ in range(int(rng.integers(1, 4)))]
        words["".join(parts).capitalize() + str(rng.choice(_CODAS))] = None
    return np.array(list(words), dtype=object)


def _zipf(size: int, n: int, rng: np.random.Generator) -> np.ndarray:
    share = 1 / (np.arange(n) + 10.0)
    return rng.choice(n, size, p=share / share.sum())


def altered(name: str, rng: np.random.Generator) -> str:
    """The name as another list might write it: another order, an initial, a letter less or another, a middle name."""
    parts = name.split("_")
    kind = int(rng.integers(5))
    if kind == 0:
        return "_".join([parts[-1], *parts[:-1]])
    if kind == 1:
        return "_".join([parts[0], "Q.", *parts[1:]])
    if kind == 2 and len(parts) > 2:
        return f"{parts[0]}_{parts[-1]}"
    at = int(rng.integers(1, max(len(parts[-1]) - 1, 2)))
    letter = "" if kind == 3 else "aeiou"[int(rng.integers(5))]
    return "_".join([*parts[:-1], parts[-1][:at] + letter + parts[-1][at + 1 :]])


def two_lists(n: int, shared: float = 0.1, seed: int = 0) -> tuple[list[str], list[str]]:
    """Two lists of n names; a tenth of the second are names of the first, half of those altered."""
    rng = np.random.default_rng(seed)
    names = drawn_names(2 * n, rng)
    left, right = names[:n], names[n:]
    for row in range(int(n * shared)):
        right[row] = altered(left[row], rng) if row % 2 else left[row]
    return left, right


def names(chosen: argparse.Namespace) -> dict[str, Any]:
    """100,000 x 100,000 names in a process of their own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures"
        code = f"import benchmarks.overlap as o; o.names_alone({chosen.names}, {str(out)!r})"
        cost = process_cost([sys.executable, "-c", code])
        seconds, processor, compared, found = (float(value) for value in out.read_text().split())
    return {
        "names_each_side": chosen.names, "names_seconds": seconds,
        "names_processor_seconds": processor, "names_seconds_goal": 60.0,
        "names_peak_gib": cost.peak_bytes / 2**30, "names_peak_gib_goal": 4.0, "names_pairs_found": int(found),
        "names_compared": int(compared), "names_fewer_comparisons": chosen.names**2 / compared,
        "names_fewer_comparisons_goal": 100.0,
    }  # fmt: skip


def names_alone(n: int, out: str) -> None:
    """Match two lists of n names once and write seconds, those of the processor, comparisons and pairs to a file."""
    from curate.search.names import match_names

    match_names(*two_lists(200))  # compile
    left, right = two_lists(n)
    found = []
    before = time.process_time()
    seconds = best_seconds(lambda: found.append(match_names(left, right)), repeats=1)
    Path(out).write_text(f"{seconds} {time.process_time() - before} {found[0].compared} {len(found[0].pairs)}")


def recall(chosen: argparse.Namespace) -> dict[str, Any]:
    """Of what comparing all 5,000 x 5,000 names finds, how much is found with blocking."""
    from curate.search.names import match_names

    left, right = two_lists(chosen.sample)
    every = match_names(left, right, exhaustive=True).pairs
    some = match_names(left, right).pairs
    keys = [set(zip(pairs["i"], pairs["j"], strict=True)) for pairs in (every, some)]
    return {
        "recall_names_each_side": chosen.sample, "recall_pairs_of_all": len(keys[0]),
        "recall_against_all_pairs": len(keys[0] & keys[1]) / len(keys[0]), "recall_goal": 0.99,
    }  # fmt: skip


def identity(chosen: argparse.Namespace) -> dict[str, Any]:
    """Nearest templates 85,000 x 10,000 at 512-d against a bare float32 matmul on as many threads."""
    from threadpoolctl import threadpool_limits

    from curate.recipe.execute import LocalExecutor
    from curate.search.between_sets import nearest
    from curate.search.templates import Templates

    rng = np.random.default_rng(0)
    between = np.linspace(4, 0.5, SIZE)
    n, m = chosen.templates, chosen.benchmark
    persons = rng.standard_normal((n + m, SIZE), dtype=np.float32) * np.sqrt(between).astype(np.float32)
    shared = m // 10
    persons[n : n + shared] = persons[:shared]
    images = rng.integers(2, 30, n + m).astype(float)
    persons += rng.standard_normal(persons.shape, dtype=np.float32) / np.sqrt(images, dtype=np.float32)[:, None]
    made = Templates(images, persons * images[:, None], between)
    found = []
    with LocalExecutor(chosen.workers) as executor:

        def search(rows: int = n) -> None:
            found[:] = [nearest(made, np.arange(rows), np.arange(n, n + m), executor, np.random.default_rng(0))]

        search(9_000)
        seconds = best_seconds(search, repeats=2)
    comparisons = chosen.templates * chosen.benchmark
    with threadpool_limits(chosen.workers):
        matmul = best_seconds(lambda: _bare_matmul(persons[:n], persons[n:]), repeats=2)
    hits = found[0].mutual & (found[0].score >= found[0].threshold)
    true = found[0].i[hits] == found[0].j[hits] - n
    return {
        "identity_templates": f"{chosen.templates} x {chosen.benchmark} x {SIZE}", "identity_seconds": seconds,
        "identity_comparisons_per_second": comparisons / seconds, "identity_bare_matmul_seconds": matmul,
        "identity_to_bare_matmul": matmul / seconds, "identity_to_bare_matmul_goal": 0.8,
        "identity_shared_found": int((true & (found[0].i[hits] < shared)).sum()) / max(shared, 1),
    }  # fmt: skip


def _bare_matmul(one: np.ndarray, two: np.ndarray, block: int = 4096) -> None:
    """All scores in float32, block after block into the same memory, and thrown away."""
    scores = np.empty((block, block), np.float32)
    for top in range(0, len(one), block):
        for left in range(0, len(two), block):
            a, b = one[top : top + block], two[left : left + block]
            np.matmul(a, b.T, out=scores[: len(a), : len(b)])


SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "names": names,
    "recall": recall,
    "identity": identity,
}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", type=int, default=100_000, help="names on each side of the section names")
    parser.add_argument("--sample", type=int, default=5_000, help="names on each side of the section recall")
    parser.add_argument("--templates", type=int, default=85_000, help="identities of the training set")
    parser.add_argument("--benchmark", type=int, default=10_000, help="identities of the benchmark")
    parser.add_argument("--workers", type=int, default=2)
    run_sections("overlap", SECTIONS, parser)


if __name__ == "__main__":
    main()

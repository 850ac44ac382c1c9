"""Local descriptors of many images, for `benchmarks.duplicates`: what VLAD and MinHash take of time and memory."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import process_cost

_SHARD = 4096


def _fill(cache: Any, keys: np.ndarray) -> None:
    """Random descriptors under the keys; the images of the second half of every shard's last hundred are copies.

    A copy shares 48 of its 64 descriptors with an image fifty places before it.
    """
    for start in range(0, len(keys), _SHARD):
        part = keys[start : start + _SHARD]
        values = np.random.default_rng(start).integers(0, 90, (len(part), 64, 128), np.uint8)
        values[-50:, :48] = values[-100:-50, :48]
        cache.save(part, values)


def propose_alone(method: str, n: int, workers: int, out: str) -> None:
    """Propose pairs among n images with random descriptors, from a cache to the pairs; figures go to a file."""
    from curate.clean.proposals import METHODS, Search
    from curate.core.scratch import Rows
    from curate.recipe.cache import KeyedCache
    from curate.recipe.execute import LocalExecutor

    keys = np.random.default_rng(7).integers(1, 2**63, (n, 2)).astype(np.uint64)
    with tempfile.TemporaryDirectory() as folder, LocalExecutor(workers) as executor:
        cache = KeyedCache(Path(folder) / "local")
        _fill(cache, keys)
        start = time.perf_counter()
        local = cache.lookup(keys, (64, 128), np.dtype("u1"))[1]
        facts = {"local": Rows([local], np.arange(n))}
        search = Search(facts, None, METHODS[method].default(n), False, False, False, executor, None,
                        np.random.default_rng(0))  # fmt: skip
        pairs = {(int(a), int(b)) for _, i, j, _ in METHODS[method].propose(search) for a, b in zip(i, j, strict=True)}
        seconds = time.perf_counter() - start
    ends = [min(at + _SHARD, n) for at in range(0, n, _SHARD)]
    planted = [(end - 100 + at, end - 50 + at) for end in ends for at in range(50)]
    found = sum(pair in pairs for pair in planted) / len(planted)
    Path(out).write_text(json.dumps({"seconds": seconds, "pairs": len(pairs), "recall": found}))


def descriptor_methods(sizes: list[int], workers: int) -> dict[str, Any]:
    """Each method at each size in a fresh process: seconds, peak memory of all processes, planted copies proposed."""
    figures: dict[str, Any] = {}
    for method in ("vlad", "minhash"):
        for n in sizes:
            with tempfile.TemporaryDirectory() as folder:
                out = Path(folder) / "figures"
                code = f"import benchmarks.descriptors as d; d.propose_alone({method!r}, {n}, {workers}, {str(out)!r})"
                peak = process_cost([sys.executable, "-c", code]).peak_bytes
                found = json.loads(out.read_text())
            name = f"descriptors_{method}_{n}"
            figures |= {f"{name}_{key}": value for key, value in found.items()}
            figures[f"{name}_peak_gib"] = peak / 2**30
    return figures

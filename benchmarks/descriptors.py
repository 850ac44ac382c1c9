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
    """Descriptors under the keys, 64 an image, each a random one of 4,096 centres and a little noise.

    The last fifty images of every shard are copies: each shares 48 of its 64 with the image fifty places before it.
    """
    centres = np.random.default_rng(1).integers(0, 90, (4096, 128), np.uint8)
    for start in range(0, len(keys), _SHARD):
        part, rng = keys[start : start + _SHARD], np.random.default_rng(start)
        values = centres[rng.integers(0, len(centres), (len(part), 64))]
        values += rng.integers(0, 8, values.shape, np.uint8)
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
        pairs = np.concatenate([i * n + j for _, i, j, _ in METHODS[method].propose(search)])
        seconds = time.perf_counter() - start
    ends = np.minimum(np.arange(0, n, _SHARD) + _SHARD, n)
    copies = (ends[:, None] - 50 + np.arange(50)).ravel()
    found = float(np.isin((copies - 50) * n + copies, pairs).mean())
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

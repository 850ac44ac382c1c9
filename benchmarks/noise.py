"""Wrong names among many vectors: time, memory and F1, alone and against cleanlab: `python -m benchmarks.noise --json`.

Vectors are drawn: persons come in families of five look-alikes, images scatter unevenly around their person, and one
label in ten is wrong, half of them within the family. `--only` runs some of the sections.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import process_cost, run_sections

SIZE, RATE, FAMILY = 512, 0.1, 5


def draw(path: Path, images: int, identities: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Write `(images, 512)` float16 unit vectors; returns them memory-mapped, the labels, and which are wrong."""
    rng = np.random.default_rng(seed)
    spread = np.exp(-np.arange(SIZE) / 120).astype(np.float32)  # as embeddings have it: a few hundred axes that matter
    family = rng.standard_normal((-(-identities // FAMILY), SIZE), dtype=np.float32)
    own = rng.standard_normal((identities, SIZE), dtype=np.float32)
    person = (0.6 * family[np.arange(identities) // FAMILY] + 0.8 * own) * spread
    person /= np.linalg.norm(person, axis=1, keepdims=True)
    shown = np.sort(rng.integers(0, identities, images))
    label, wrong = shown.copy(), rng.random(images) < RATE
    far = wrong & (rng.random(images) < 0.5)
    near = wrong & ~far
    label[far] = rng.integers(0, identities, far.sum())
    label[near] = np.minimum(shown[near] // FAMILY * FAMILY + rng.integers(0, FAMILY, near.sum()), identities - 1)
    matrix = np.lib.format.open_memmap(path, "w+", np.float16, (images, SIZE))
    noise = (0.6 * spread + 0.4 * spread.mean()) / np.sqrt((spread**2).sum())
    for start in range(0, images, 50_000):
        tile = person[shown[start : start + 50_000]]
        scale = 0.7 * np.exp(0.25 * rng.standard_normal((len(tile), 1), dtype=np.float32))
        tile = tile + scale * rng.standard_normal(tile.shape, dtype=np.float32) * noise
        matrix[start : start + len(tile)] = tile / np.linalg.norm(tile, axis=1, keepdims=True)
    matrix.flush()
    _, label = np.unique(label, return_inverse=True)
    return np.load(path, mmap_mode="r"), label, _changed(shown, label)


def _changed(shown: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Whether the label is not the one that most images of the person have."""
    order = np.argsort(shown, kind="stable")
    result = np.zeros(len(shown), bool)
    for rows in np.split(order, np.flatnonzero(np.diff(shown[order])) + 1):
        names, counts = np.unique(label[rows], return_counts=True)
        result[rows] = label[rows] != names[counts.argmax()]
    return result


def find(folder: Path, workers: int) -> None:
    """What the child process does: load the files of `draw`, find the wrong names, write what was found.

    One BLAS thread in each process, as in a run.
    """
    from threadpoolctl import threadpool_limits

    from curate.clean.noise.find import find_faults
    from curate.recipe.execute import LocalExecutor

    label = np.load(folder / "label.npy")
    with LocalExecutor(workers) as executor, threadpool_limits(1):
        start = time.perf_counter()
        found = find_faults(np.load(folder / "x.npy", mmap_mode="r"), label, executor, np.random.default_rng(0))
        seconds = time.perf_counter() - start
    table = found.table[(found.table["kind"] == "mislabelled") & (found.table["confidence"] >= 0.5)]
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    np.savez(folder / "found.npz", cpu=sum(part.ru_utime + part.ru_stime for part in used),
             rows=table["row"], seconds=seconds, searched=found.searched,
             recall=found.curves.screen_recall)  # fmt: skip


def million(chosen: argparse.Namespace) -> dict[str, Any]:
    """One million vectors of 20,000 identities: seconds, memory beside the memory map, F1, the screen's recall."""
    figures = _alone(chosen, chosen.images, chosen.identities)
    return figures | {"seconds_goal": 120.0, "peak_goal_gib": 4.0}


def many(chosen: argparse.Namespace) -> dict[str, Any]:
    """The same of as many vectors and five times as many identities, ten images each on average: what that costs."""
    figures = _alone(chosen, chosen.images, 5 * chosen.identities)
    return {f"many_{key}": value for key, value in figures.items()}


def _alone(chosen: argparse.Namespace, images: int, identities: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        folder = Path(name)
        _, label, wrong = draw(folder / "x.npy", images, identities)
        np.save(folder / "label.npy", label)
        command = [sys.executable, "-m", "benchmarks.noise", "--child", name, "--workers", str(chosen.workers)]
        cost = process_cost(command, "Pss_Anon:")
        with np.load(folder / "found.npz") as found:
            rows, seconds, cpu = found["rows"], float(found["seconds"]), float(found["cpu"])
            searched, recall = float(found["searched"]), float(found["recall"])
    return {
        "images": images, "identities": identities, "size": SIZE, "workers": chosen.workers,
        "seconds": seconds, "cpu_seconds_of_all_processes": cpu, "peak_anonymous_gib": cost.peak_bytes / 2**30,
        "compared_with_every_identity": searched, "recall_of_that_screen": recall, "mislabelled_f1": f1(rows, wrong),
    }  # fmt: skip


def peer(chosen: argparse.Namespace) -> dict[str, Any]:
    """cleanlab on the same 50,000 vectors, row by row as each is known: see benchmarks/noise_peer.py."""
    from threadpoolctl import threadpool_limits

    from benchmarks.noise_peer import CLASSIFIERS, Clock, label_issues, outliers, say
    from curate.clean.noise.find import find_faults
    from curate.recipe.execute import LocalExecutor

    with tempfile.TemporaryDirectory(dir=chosen.folder) as name, threadpool_limits(chosen.workers):
        x, label, wrong = draw(Path(name) / "x.npy", chosen.peer_images, chosen.peer_identities, seed=1)
        x = np.asarray(x, np.float32)
        with LocalExecutor(chosen.workers) as executor:
            find_faults(x[label < 50], label[label < 50], executor, np.random.default_rng(0))  # compiles
        with Clock() as clock, LocalExecutor(chosen.workers) as executor, threadpool_limits(1):
            found = find_faults(x, label, executor, np.random.default_rng(0)).table
        rows = found["row"][(found["kind"] == "mislabelled") & (found["confidence"] >= 0.5)]
        figures = {"peer_images": len(x), "peer_identities": chosen.peer_identities}
        figures |= say({**clock.told("peer_ours"), "peer_ours_f1": f1(rows, wrong)})
        figures |= outliers(x, wrong)
        figures |= label_issues(x, label, lambda issues: f1(issues, wrong), chosen.workers)
    for name, unit in product(CLASSIFIERS, ("seconds", "cpu_seconds")):
        parts = [f"{name}_classifier", f"{name}_label_issues", "outliers"]
        theirs = sum(figures[f"peer_cleanlab_{part}_{unit}"] for part in parts)
        figures[f"peer_speedup_over_{name}_and_outliers_in_{unit}"] = theirs / figures[f"peer_ours_{unit}"]
    return figures | {"peer_speedup_goal": 10.0}


def f1(rows: Any, wrong: np.ndarray) -> float:
    """F1 of rows against a mask."""
    hits = int(wrong[np.asarray(rows)].sum())
    return 2 * hits / max(1, len(rows) + int(wrong.sum()))


SECTIONS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {"million": million, "many": many, "peer": peer}


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--identities", type=int, default=20_000)
    parser.add_argument("--peer-images", type=int, default=50_000)
    parser.add_argument("--peer-identities", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", default=None, help="for the vectors: 1 GB")
    parser.add_argument("--child", default=None, help=argparse.SUPPRESS)
    chosen, _ = parser.parse_known_args()
    if chosen.child:
        find(Path(chosen.child), chosen.workers)
        return
    run_sections("noise", SECTIONS, parser)


if __name__ == "__main__":
    main()

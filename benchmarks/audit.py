"""The audit against a bare matmul and scikit-learn, ratios of one run: `python -m benchmarks.audit --json`.

Each section is a function of the chosen options that returns figures by name; `--only` runs some of them. Vectors lie
in a file, as a user's do, and workers are started before the clock. `--only memory --vectors 245000` is the whole audit
of 3e10 comparisons.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import best_seconds, process_cost, run_sections

SIZE, PER_IDENTITY = 512, 20


def write_vectors(path: Path, n: int, kind: str = "float32", seed: int = 0) -> None:
    """Unit vectors `(n, 512)` of n / 20 persons whose images have a cosine of about 0.5, part by part."""
    rng = np.random.default_rng(seed)
    matrix = np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(n, SIZE))
    for start in range(0, n, 20_000):
        rows = min(20_000, n - start)
        people = rng.standard_normal((rows // PER_IDENTITY + 1, SIZE), dtype=np.float32)
        part = people[np.arange(rows) // PER_IDENTITY] + rng.standard_normal((rows, SIZE), dtype=np.float32)
        matrix[start : start + rows] = part / np.linalg.norm(part, axis=1, keepdims=True)
    matrix.flush()


def mapped_faces(path: Path, rows: int | None = None) -> Any:
    """The faces of a file of vectors, in four groups."""
    from curate.audit.faces import Faces
    from curate.core.vectors import StoredVectors

    matrix = np.load(path, mmap_mode="r")
    places = np.arange(len(matrix) if rows is None else rows)
    identity = places // PER_IDENTITY
    return Faces.of(StoredVectors(matrix, places), identity, identity % 4, ("a", "b", "c", "d"))


def matmul(chosen: argparse.Namespace) -> dict[str, Any]:
    """All pairs with histograms and an exact tail, against a float32 matmul of the same tiles that throws them away.

    The matmul runs on as many threads as there are workers; the faster of tiles of 1,024 and of blocks of 8,192 counts.
    """
    from threadpoolctl import threadpool_limits

    from curate.audit.screened import Screen, scan
    from curate.recipe.execute import LocalExecutor

    n = chosen.images
    comparisons = n * (n - 1) / 2
    with tempfile.TemporaryDirectory() as folder, LocalExecutor(chosen.workers) as executor:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, n)
        faces = mapped_faces(path)
        screen = Screen.of(faces)
        few = mapped_faces(path, 17_000)
        scan(few, Screen.of(few, screen.halves), screen.least(0.9), executor)  # compiles, and starts the workers
        found: list[Any] = []
        matrix = np.array(np.load(path, mmap_mode="r"))
        ours, bare = [], []
        for _ in range(chosen.repeats):  # by turns, so that both meet the same noise

            def all_pairs() -> None:
                found[:] = [scan(faces, screen, screen.least(0.25), executor)]

            ours.append(best_seconds(all_pairs, repeats=1))
            with threadpool_limits(chosen.workers):
                bare.append(min(_bare(matrix, block) for block in (1024, 8192)))
    return {
        "images": n, "size": SIZE, "comparisons": int(comparisons),
        "screen": "bfloat16" if screen.halves else "float32",
        "screen_error": screen.error, "impostors_scored_again": len(found[0].score),
        "comparisons_per_second": comparisons / min(ours), "bare_float32_matmul_comparisons_per_second": 1 / min(bare),
        "to_bare_matmul": 1 / min(ours) * comparisons * min(bare), "to_bare_matmul_goal": 2.0,
    }  # fmt: skip


def _bare(matrix: np.ndarray, block: int) -> float:
    """Seconds of one comparison."""
    out, made = np.empty((block, block), np.float32), 0
    start = time.perf_counter()
    for top in range(0, len(matrix), block):
        for across in range(top, len(matrix), block):
            one, two = matrix[top : top + block], matrix[across : across + block]
            np.matmul(one, two.T, out=out[: len(one), : len(two)])
            made += len(one) * len(two)
    return (time.perf_counter() - start) / made


def scikit_learn(chosen: argparse.Namespace) -> dict[str, Any]:
    """The curve and operating points of 20,000 vectors, against scikit-learn's `roc_curve` on all their scores.

    Both include the matmul; scikit-learn gets float32 scores and labels of the upper triangle, in memory: it needs
    about 8 GB for the scores of 20,000 vectors, 2 GB for those of 10,000.
    """
    from sklearn.metrics import roc_curve

    from curate.audit.face_pairs import FacePairs
    from curate.audit.rates import Cell, threshold_of
    from curate.audit.source import Target
    from curate.recipe.execute import LocalExecutor

    n = chosen.curve_images
    with tempfile.TemporaryDirectory() as folder, LocalExecutor(chosen.workers) as executor:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, n)
        faces = mapped_faces(path)
        targets = [Target(None, 1e-4), Target(None, 1e-6)]
        made: list[Any] = []

        def audit() -> None:
            source = FacePairs(faces, [], executor)
            source.scan(targets, [])
            cuts = np.array([threshold_of(source, target) for target in targets])
            genuine = source.genuine(cuts, np.linspace(-1, 1, 300))
            made[:] = [(Cell(source, None), cuts, genuine)]

        audit()
        ours = best_seconds(audit, repeats=2)
        matrix = np.array(np.load(path, mmap_mode="r"))
        start = time.perf_counter()
        scores, same = np.empty(n * (n - 1) // 2, np.float32), np.empty(n * (n - 1) // 2, bool)
        identity, at = np.arange(n) // PER_IDENTITY, 0
        for top in range(0, n, 1024):
            tile = matrix[top : top + 1024] @ matrix[top:].T
            for row, values in enumerate(tile):
                size = n - 1 - (top + row)
                scores[at : at + size] = values[row + 1 :]
                same[at : at + size] = identity[top + row + 1 :] == identity[top + row]
                at += size
        fpr, _, _ = roc_curve(same, scores)
        theirs = time.perf_counter() - start
    return {
        "curve_images": n, "curve_audit_seconds": ours, "curve_scikit_learn_seconds": theirs,
        "curve_points_of_scikit_learn": len(fpr), "curve_speedup_over_scikit_learn": theirs / ours,
        "curve_speedup_goal": 20.0,
    }  # fmt: skip


def intervals(chosen: argparse.Namespace) -> dict[str, Any]:
    """Intervals of every two groups, and the fairness pack of 1,000 bootstrap draws, at 10^9 comparisons."""
    from curate.audit.face_pairs import FacePairs
    from curate.audit.fair import fairness_pack
    from curate.audit.rates import Cut, cells_of, rates_table, threshold_of
    from curate.audit.source import Target
    from curate.recipe.execute import LocalExecutor

    n = chosen.interval_images
    with tempfile.TemporaryDirectory() as folder, LocalExecutor(chosen.workers) as executor:
        path = Path(folder) / "vectors.npy"
        write_vectors(path, n)
        source = FacePairs(mapped_faces(path), [str(i) for i in range(n)], executor)
        targets = [Target(None, 1e-3), Target(None, 1e-5)]
        source.scan(targets, [])
        cuts = [Cut(target.rate, threshold_of(source, target)) for target in targets]
        genuine = source.genuine(np.array([cut.threshold for cut in cuts]), np.zeros(0))
        start = time.perf_counter()
        cells = cells_of(source)
        rates = rates_table(cells, genuine, cuts)
        single = [cell for cell in cells if cell.pair is None or cell.pair[0] == cell.pair[1]]
        fairness_pack(single, genuine, cuts, np.random.default_rng(0), 1000, 0.5)
        seconds = time.perf_counter() - start
    return {
        "interval_comparisons": n * (n - 1) // 2, "interval_rows": len(rates),
        "interval_false_matches": int(rates["false_matches"].iloc[0]),
        "interval_and_1000_draws_seconds": seconds, "interval_seconds_goal": 30.0,
    }  # fmt: skip


def memory(chosen: argparse.Namespace) -> dict[str, Any]:
    """The whole verb in processes of its own: seconds and the largest memory of the tree, for two numbers of images."""
    figures: dict[str, Any] = {}
    for n in sorted({chosen.vectors // 4, chosen.vectors}):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_vectors(folder / "vectors.npy", n, "float16")
            rows = [f"{i:07d},p{i // PER_IDENTITY:06d},g{i // PER_IDENTITY % 4}" for i in range(n)]
            (folder / "vectors.csv").write_text("image_id\n" + "\n".join(row.split(",")[0] for row in rows) + "\n")
            (folder / "manifest.csv").write_text("image_id,identity,group\n" + "\n".join(rows) + "\n")
            command = [
                sys.executable, "-m", "curate.cli", "audit", "all-pairs", "--vectors", str(folder / "vectors.npy"),
                "--manifest", str(folder / "manifest.csv"), "--group-by", "group", "--far", "1e-4,1e-6,1e-9",
                "--workers", str(chosen.workers), "--out", str(folder / "run"), "--set", "labels.group=identity",
            ]  # fmt: skip
            cost = process_cost(command)
        comparisons = n * (n - 1) // 2
        figures |= {
            f"memory_{n}_comparisons": comparisons, f"memory_{n}_seconds": cost.seconds,
            f"memory_{n}_comparisons_per_second": comparisons / cost.seconds,
            f"memory_{n}_peak_gib": cost.peak_bytes / 2**30,
        }  # fmt: skip
    return {**figures, "memory_goal_gib": 3.0}


SECTIONS = {"matmul": matmul, "scikit_learn": scikit_learn, "intervals": intervals, "memory": memory}


def main() -> None:
    """Run the sections and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=49_152)
    parser.add_argument("--curve-images", type=int, default=20_000)
    parser.add_argument("--interval-images", type=int, default=45_000)
    parser.add_argument("--vectors", type=int, default=60_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    run_sections("audit", SECTIONS, parser)


if __name__ == "__main__":
    main()

"""Pixels to facts against bare decoding, and the whole job on real faces: `python -m benchmarks.pipeline --json`.

The limit is `cv2.imdecode` of the same files, read from disk the same way, on the same executor with the same number
of workers, in the same run. With CURATE_REAL_DATA set, the recipe `lfw_balanced` is run too, from an empty cache.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import best_seconds, process_cost, show


def decode_only(root: str, paths: tuple[str, ...]) -> int:
    """Read and decode each file, and nothing else; returns how many there were."""
    import cv2
    import numpy as np

    cv2.setNumThreads(0)
    for path in paths:
        with open(os.path.join(root, path), "rb") as handle:
            data = np.frombuffer(handle.read(), dtype=np.uint8)
        cv2.imdecode(data, cv2.IMREAD_COLOR)
    return len(paths)


def pixels(workers: int, images: int) -> dict[str, float]:
    """Images per second of bare decoding, and of decoding + pHash + quality."""
    from curate.collect import SOURCES
    from curate.core import columns as col
    from curate.core.shapes import SerialExecutor
    from curate.images.facts import ShardTask, facts_of_shard
    from curate.recipe.execute import LocalExecutor
    from curate.recipe.pixels import SHARD

    with tempfile.TemporaryDirectory() as folder:
        source = SOURCES["synthetic"]
        manifest = source.read(source.params(kind="synthetic"), None, SerialExecutor(), Path(folder)).manifest
        every = tuple(manifest.frame[col.PATH])
        looked = facts_of_shard(ShardTask(str(manifest.root), every, ("decoded",), None))["decoded"]
        # Planted faults are left out: both sides decode the same good JPEGs.
        paths = [path for path, fine in zip(every, looked["reason"] == 0, strict=True) if fine]
        paths = tuple((paths * (images // len(paths) + 1))[:images])
        shards = [paths[start : start + SHARD // 4] for start in range(0, images, SHARD // 4)]
        root = str(manifest.root)
        tasks = [ShardTask(root, shard, ("phash", "quality"), None) for shard in shards]
        with LocalExecutor(workers) as executor:
            list(executor.map(facts_of_shard, tasks[:workers]))  # libraries loaded, kernels compiled, files in memory
            list(executor.map(partial(decode_only, root), shards))
            bare = best_seconds(lambda: list(executor.map(partial(decode_only, root), shards)))
            ours = best_seconds(lambda: list(executor.map(facts_of_shard, tasks)))
    return {
        "images": float(images), "workers": float(workers), "bare_decode_per_second": images / bare,
        "decode_phash_quality_per_second": images / ours, "ratio_to_bare_decode": bare / ours,
    }  # fmt: skip


def whole_job(workers: int) -> dict[str, float]:
    """Seconds and peak memory of `lfw_balanced` on real faces, from an empty cache."""
    faces = Path(os.environ["CURATE_REAL_DATA"]).resolve() / "lfw-faces-112"
    with tempfile.TemporaryDirectory() as folder:
        cost = process_cost([
            sys.executable, "-m", "curate.cli", "run", "lfw_balanced", "--out", f"{folder}/run", "--cache",
            f"{folder}/cache", "--workers", str(workers), "--set", f"source.root={faces / 'images'}",
            "--set", f"source.labels={faces / 'labels.csv'}",
        ])  # fmt: skip
    return {"lfw_balanced_seconds": cost.seconds, "lfw_balanced_peak_gib": cost.peak_bytes / 2**30}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--images", type=int, default=16_384)
    chosen = parser.parse_args()
    figures = pixels(chosen.workers, chosen.images)
    if os.environ.get("CURATE_REAL_DATA"):
        figures |= whole_job(chosen.workers)
    show("pipeline", figures, chosen.json)


if __name__ == "__main__":
    main()

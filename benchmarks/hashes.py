"""pHash of small JPEGs against ImageHash in the obvious loop, with as many processes on both sides."""

from __future__ import annotations

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import best_seconds, show


def _write(folder: Path, images: int) -> tuple[str, ...]:
    """Photograph-like 112x112 JPEGs in colour."""
    rng = np.random.default_rng(0)
    names = []
    for at in range(images):
        noise = rng.normal(size=(112, 112, 3))
        smooth = cv2.GaussianBlur(noise, (0, 0), 1.5) + 3 * cv2.GaussianBlur(noise, (0, 0), 8)
        pixels = np.clip(128 + 45 * smooth / smooth.std(), 0, 255).astype(np.uint8)
        names.append(f"{at:06d}.jpg")
        cv2.imwrite(str(folder / names[-1]), pixels, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return tuple(names)


def _ours(names: tuple[str, ...], root: str, facts: tuple[str, ...]) -> None:
    from curate.images.facts import ShardTask, facts_of_shard

    facts_of_shard(ShardTask(root, names, facts))


def _imagehash(names: tuple[str, ...], root: str) -> None:
    import imagehash
    from PIL import Image

    for name in names:
        with Image.open(f"{root}/{name}") as image:
            imagehash.phash(image)


def _decode(names: tuple[str, ...], root: str) -> None:
    cv2.setNumThreads(0)
    for name in names:
        cv2.imdecode(np.fromfile(f"{root}/{name}", np.uint8), cv2.IMREAD_COLOR)


def phash_against_imagehash(images: int = 6000, workers: int = 2, root: Path | None = None) -> dict[str, Any]:
    """Images a second of each way and their ratio. root: a folder of JPEGs to take instead of drawn ones."""
    with tempfile.TemporaryDirectory() as made, ProcessPoolExecutor(workers) as pool:
        folder = root or Path(made)
        names = _write(folder, images) if root is None else tuple(
            sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))[:images]
        )  # fmt: skip
        shards = [names[at : at + 500] for at in range(0, len(names), 500)]
        given = str(folder)
        rate = {}
        for label, way in (
            ("imagehash.phash", partial(_imagehash, root=given)),
            ("curate phash", partial(_ours, root=given, facts=("phash",))),
            ("curate phash and quality", partial(_ours, root=given, facts=("phash", "quality"))),
            ("bare decode", partial(_decode, root=given)),
        ):
            list(pool.map(way, shards[: 2 * workers]))  # libraries loaded, loops compiled
            rate[label] = len(names) / best_seconds(lambda way=way: list(pool.map(way, shards)))
    figures: dict[str, Any] = {"images": len(names), "workers": workers}
    figures |= {f"{label}, images/s": value for label, value in rate.items()}
    figures["phash: times imagehash"] = rate["curate phash"] / rate["imagehash.phash"]
    figures["phash and quality: share of bare decode"] = rate["curate phash and quality"] / rate["bare decode"]
    return figures


def main() -> None:
    """Run from the command line: `python -m benchmarks.hashes [--json]`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--root", type=Path, help="a folder of JPEGs; drawn ones without it")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    show("hashes", phash_against_imagehash(given.images, given.workers, given.root), given.json)


if __name__ == "__main__":
    main()

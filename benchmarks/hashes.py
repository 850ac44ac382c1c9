"""pHash of drawn 112x112 faces against ImageHash, for `benchmarks.duplicates`: images a second, and copies recalled."""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import best_seconds

#: Alterations, and bits, of the recall; images that are altered.
_PLANTED, _WITHIN, _ALTERED = ("recompressed", "resized", "brightness", "blurred"), 10, 500


def _faces(folder: Path, images: int) -> tuple[str, ...]:
    """JPEG files of drawn faces, in colour, of the qualities that the synthetic source gives them."""
    from curate.collect.synthetic import SyntheticParams, write_synthetic
    from curate.core.shapes import SerialExecutor
    from curate.images.decode import decode

    params = SyntheticParams(identities=max(images // 20, 1), images=24, benchmark=0)
    drawn = write_synthetic(params, folder / "drawn", SerialExecutor()) / "images"
    names = []
    for path in sorted(drawn.rglob("*.jpg")):
        pixels = decode(path.read_bytes()).pixels
        if len(names) < images and pixels is not None and pixels.shape == (112, 112, 3):
            names.append(f"{len(names):06d}.jpg")
            path.rename(folder / names[-1])
    return tuple(names)


def _ours(names: tuple[str, ...], root: str, facts: tuple[str, ...]) -> np.ndarray:
    from curate.images.facts import ShardTask, facts_of_shard

    return facts_of_shard(ShardTask(root, names, facts))["phash"]


def _imagehash(names: tuple[str, ...], root: str) -> np.ndarray:
    import imagehash
    from PIL import Image

    found = []
    for name in names:
        with Image.open(f"{root}/{name}") as image:
            found.append(imagehash.phash(image))
    return np.array([int(str(one), 16) for one in found], np.uint64)


def _decode(names: tuple[str, ...], root: str, flag: str) -> None:
    import cv2

    cv2.setNumThreads(0)
    for name in names:
        cv2.imdecode(np.fromfile(f"{root}/{name}", np.uint8), getattr(cv2, flag))


def _recalled(names: tuple[str, ...], root: Path) -> dict[str, float]:
    """The share of altered copies within 10 bits of their originals, by each way."""
    from curate.images.alter import ALTERATIONS
    from curate.images.decode import decode

    names, copies = names[:_ALTERED], []
    for at, name in enumerate(names):
        alteration = ALTERATIONS[_PLANTED[at % len(_PLANTED)]]
        pixels = decode((root / name).read_bytes()).pixels
        copies.append(f"copy-{name}")
        (root / copies[-1]).write_bytes(alteration.file(pixels, "medium", np.random.default_rng(at)))
    recall = {}
    for label, way in (("imagehash", _imagehash), ("curate", partial(_ours, facts=("phash",)))):
        one, two = (way(part, root=str(root)) for part in (names, tuple(copies)))
        recall[label] = float((np.bitwise_count(one ^ two) <= _WITHIN).mean())
    return recall


def phash_against_imagehash(images: int, workers: int) -> dict[str, Any]:
    """Images a second of each way with as many processes, and the copies that each recalls."""
    with tempfile.TemporaryDirectory() as made, ProcessPoolExecutor(workers) as pool:
        names = _faces(Path(made), images)
        shards = [names[at : at + 500] for at in range(0, len(names), 500)]
        rate = {}
        for label, way in (
            ("imagehash", partial(_imagehash, root=made)),
            ("curate", partial(_ours, root=made, facts=("phash",))),
            ("curate_with_quality", partial(_ours, root=made, facts=("phash", "quality"))),
            ("bare_half_decode", partial(_decode, root=made, flag="IMREAD_REDUCED_GRAYSCALE_2")),
            ("bare_colour_decode", partial(_decode, root=made, flag="IMREAD_COLOR")),
        ):
            list(pool.map(way, shards[: 2 * workers]))  # libraries loaded, loops compiled
            rate[label] = len(names) / best_seconds(lambda way=way: list(pool.map(way, shards)))
        recall = _recalled(names, Path(made))
    return {
        "phash_images": len(names), **{f"phash_{label}_images_per_second": value for label, value in rate.items()},
        "phash_speedup_over_imagehash": rate["curate"] / rate["imagehash"], "phash_speedup_goal": 6.0,
        "phash_share_of_bare_half_decode": rate["curate"] / rate["bare_half_decode"],
        **{f"phash_{label}_recall_of_copies": value for label, value in recall.items()},
    }  # fmt: skip

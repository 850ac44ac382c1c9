"""pHash of drawn 112x112 faces against ImageHash, for `benchmarks.duplicates`: images a second, and copies recalled."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

#: Turns that count.
_TURNS = 3
#: Alterations, and bits, of the recall; images that are altered.
_PLANTED, _WITHIN, _ALTERED = ("recompressed", "resized", "brightness", "blurred"), 10, 500


def _faces(folder: Path, images: int) -> tuple[str, ...]:
    """JPEG files of drawn faces: colour, 112x112, quality 90."""
    from PIL import Image

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
            Image.fromarray(pixels).save(folder / names[-1], quality=90)
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
    """Reads each file as `_ours` does, decodes it, and throws it away."""
    import cv2

    from curate.images.files import Reader

    cv2.setNumThreads(0)
    with Reader(root) as reader:
        for name in names:
            cv2.imdecode(np.frombuffer(reader.read(name)[1], np.uint8), getattr(cv2, flag))


def _cpu_seconds(names: tuple[str, ...], way: Callable[[tuple[str, ...]], Any]) -> float:
    start = time.process_time()
    way(names)
    return time.process_time() - start


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
    """Images a second of each way on one pool over the same files, in turns, and the copies that each recalls.

    The best of three turns counts for each. Beside it stand CPU seconds of the workers, which other programs disturb
    less, and the share of the workers' time that the machine gave them: a ratio of times is worth little far below 1.
    """
    with tempfile.TemporaryDirectory() as made, ProcessPoolExecutor(workers) as pool:
        names = _faces(Path(made), images)
        shards = [names[at : at + 500] for at in range(0, len(names), 500)]
        ways = {
            "imagehash": partial(_imagehash, root=made),
            "curate": partial(_ours, root=made, facts=("phash",)),
            "curate_with_quality": partial(_ours, root=made, facts=("phash", "quality")),
            "bare_half_decode": partial(_decode, root=made, flag="IMREAD_REDUCED_GRAYSCALE_2"),
            "bare_colour_decode": partial(_decode, root=made, flag="IMREAD_COLOR"),
        }
        turns: dict[str, list[tuple[float, float]]] = {label: [] for label in ways}
        for turn in range(1 + _TURNS):
            for label, way in ways.items():
                # The first turn loads libraries and compiles loops in every process, and does not count.
                part = shards[: 2 * workers] if turn == 0 else shards
                start = time.perf_counter()
                cpu = sum(pool.map(partial(_cpu_seconds, way=way), part))
                if turn:
                    turns[label].append((time.perf_counter() - start, cpu))
        recall = _recalled(names, Path(made))
    wall = {label: min(wall for wall, _ in took) for label, took in turns.items()}
    cpu = {label: min(cpu for _, cpu in took) for label, took in turns.items()}
    share = {label: max(cpu / (wall * workers) for wall, cpu in took) for label, took in turns.items()}
    return {
        "phash_images": len(names), **{f"phash_{label}_images_per_second": len(names) / wall[label] for label in ways},
        **{f"phash_{label}_cpu_microseconds_per_image": 1e6 * cpu[label] / len(names) for label in ways},
        **{f"phash_{label}_share_of_workers_time": share[label] for label in ways},
        "phash_speedup_over_imagehash": wall["imagehash"] / wall["curate"], "phash_speedup_goal": 6.0,
        "phash_speedup_over_imagehash_by_cpu_time": cpu["imagehash"] / cpu["curate"],
        "phash_share_of_bare_half_decode": wall["bare_half_decode"] / wall["curate"],
        "phash_share_of_bare_half_decode_by_cpu_time": cpu["bare_half_decode"] / cpu["curate"],
        **{f"phash_{label}_recall_of_copies": value for label, value in recall.items()},
    }  # fmt: skip

"""Copies made of images on purpose, with known alterations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from curate.core.errors import InputError, nearest
from curate.core.shapes import Executor
from curate.images.alter import ALTERATIONS, STRENGTHS

#: Images of one task: each is read once, altered, written and measured.
_TASK = 32


def known_copies(
    root: Path | str, paths: Sequence[str], alterations: Sequence[str], strength: str, facts: Sequence[str], seed: int,
    executor: Executor,
) -> dict[str, np.ndarray]:  # fmt: skip
    """One altered copy of each image for each alteration, measured: each of `facts` `(C, ...)`, and two more.

    facts: names of `curate.images.facts.FEATURES`. `alteration` `(C,)`: an index into alterations; `image` `(C,)`: an
    index into paths. Copies are JPEG files, written, read back and removed; images that can't be read have none.
    Raises InputError for an unknown alteration or strength.
    """
    for name in alterations:
        if name not in ALTERATIONS:
            raise InputError(f"there is no alteration {name!r}. {nearest(name, ALTERATIONS)}")
    if strength not in STRENGTHS:
        raise InputError("unknown strength", value=strength, allowed=", ".join(STRENGTHS))
    numbered = tuple(enumerate(paths))
    tasks = [(str(root), numbered[at : at + _TASK], seed) for at in range(0, max(len(numbered), 1), _TASK)]
    make = partial(_copies_of_task, alterations=tuple(alterations), strength=strength, facts=tuple(facts))
    parts = list(executor.map(make, tasks))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _copies_of_task(
    task: tuple[str, tuple[tuple[int, str], ...], int], *, alterations: tuple[str, ...], strength: str,
    facts: tuple[str, ...],
) -> dict[str, np.ndarray]:  # fmt: skip
    import tempfile

    from curate.images.decode import decode
    from curate.images.facts import ShardTask, facts_of_shard
    from curate.images.files import read_bytes

    root, images, seed = task
    names, alteration, image = [], [], []
    with tempfile.TemporaryDirectory(prefix="curate-copies-") as folder:
        for number, path in images:
            pixels = decode(read_bytes(root, path)[1]).pixels
            if pixels is None:
                continue
            for at, name in enumerate(alterations):
                # A copy depends on the seed, its image's place among the images and the alteration alone.
                rng = np.random.default_rng((seed, number, list(ALTERATIONS).index(name)))
                names.append(f"{number}-{at}.jpg")
                Path(folder, names[-1]).write_bytes(ALTERATIONS[name].file(pixels, strength, rng))
                alteration.append(at)
                image.append(number)
        measured = facts_of_shard(ShardTask(folder, tuple(names), facts))
    return {**measured, "alteration": np.array(alteration, np.int64), "image": np.array(image, np.int64)}

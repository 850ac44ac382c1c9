"""Files of a synthetic dataset: photographs, altered copies and damaged ones, each from its own seed."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from curate.collect.draw import draw_face
from curate.collect.traits import Person, generator, person, photo
from curate.images.alter import encode_jpeg, flip, resize, to_size, tone


@dataclass(frozen=True)
class RenderTask:
    """Some files to make: (person, gender, ethnicity, age group, number of the photograph, op, number of the file)."""

    seed: int
    size: int
    images: tuple[tuple[int, str, str, int, int, str, int], ...]


def render(task: RenderTask) -> list[bytes]:
    """The bytes of each file of the task; those of a file depend on its own numbers alone."""
    people: dict[int, Person] = {}
    files = []
    for number, gender, ethnicity, age, draw, op, file in task.images:
        if number not in people:
            people[number] = person(task.seed, number, gender, ethnicity)
        how = photo(task.seed, draw, people[number], age)
        data = encode_jpeg(draw_face(people[number], how, task.size), how.quality)
        files.append(alter(data, op, generator(task.seed, "alter", file)) if op else data)
    return files


def alter(data: bytes, op: str, rng: np.random.Generator) -> bytes:
    """A JPEG file, altered as such copies are found.

    op: `resized` (55 to 160% of the side), `recompressed` (quality 22 to 55), `cropped` (4 to 13% off two or more
    sides, at the old size or not), `flipped` (mirrored), `brightness` (gain, gamma, offset), `tiny` (7 to 12 pixels),
    `corrupt` (empty, cut short, or a web page instead of a picture).
    """
    if op == "corrupt":
        return _corrupt(data, rng)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    quality = int(rng.integers(70, 95))
    if op == "resized":
        image = resize(image, rng.choice([rng.uniform(0.55, 0.9), rng.uniform(1.1, 1.6)]))
    elif op == "recompressed":
        quality = int(rng.integers(22, 56))
    elif op == "cropped":
        image = _crop(image, rng)
    elif op == "flipped":
        image = flip(image)
    elif op == "brightness":
        gain = float(np.exp(rng.choice([-1, 1]) * rng.uniform(0.15, 0.4)))
        gamma = float(np.exp(rng.normal(0, 0.15)))
        image = tone(image, gain=gain, gamma=gamma, offset=rng.normal(0, 6))
    elif op == "tiny":
        side = int(rng.integers(7, 13))
        image = to_size(image, side, side)
    else:
        raise ValueError(f"unknown alteration {op!r}")
    return encode_jpeg(image, quality)


def _crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    height, width = image.shape[:2]
    top, bottom, left, right = rng.uniform(0.04, 0.13, 4) * (rng.permutation(4) > 1 if rng.random() < 0.5 else 1)
    part = image[
        round(top * height) : height - round(bottom * height), round(left * width) : width - round(right * width)
    ]
    return to_size(part, width, height) if rng.random() < 0.5 else part


def _corrupt(data: bytes, rng: np.random.Generator) -> bytes:
    kind = rng.integers(4)
    if kind == 0:
        return b""
    if kind == 1:
        return b"<html><head><title>404 Not Found</title></head><body>The picture was removed.</body></html>\n"
    cut = rng.uniform(0.02, 0.12) if kind == 2 else rng.uniform(0.3, 0.8)
    return data[: int(len(data) * cut)]

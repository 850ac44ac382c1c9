"""From images to the square faces that a model takes: by landmarks, by a detector, or as they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from curate.core.errors import InputError, MissingExtra
from curate.core.files import file_digest
from curate.core.shapes import StrictParams
from curate.embed.card import read_card
from curate.embed.session import open_session
from curate.images.align import aligned

Align = Literal["none", "landmarks", "dlib", "detector"]


class DetectorCard(StrictParams):
    """What an ONNX face detector expects and returns.

    output: `scrfd` (InsightFace: scores, boxes and landmarks for the strides 8, 16 and 32, two anchors each), or
    `faces` (one table of x1, y1, x2, y2, score and five landmarks, in pixels of the input).
    """

    size: Annotated[int, Field(ge=32, le=4096)] = 640
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: float = 127.5
    std: float = 128.0
    output: Literal["scrfd", "faces"] = "scrfd"
    min_score: Annotated[float, Field(ge=0, le=1)] = 0.5


def crops(
    images: Sequence[np.ndarray], batch: int, size: int, align: Align, landmarks: np.ndarray | None,
    detector: Path | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Faces `(batch, size, size, 3)` uint8 of n images, black after the last, and the mask `(n,)` where one was found.

    landmarks: `(n, 5, 2)`, NaN where there are none, for `align="landmarks"`. Without alignment the whole image is
    brought to the size. An image without a face is black, and not in the mask.
    """
    import cv2

    faces = np.zeros((batch, size, size, 3), np.uint8)
    found = np.zeros(len(images), bool)
    for row, image in enumerate(images):
        pixels = np.ascontiguousarray(image if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2))
        if align == "none":
            same = pixels.shape[0] == pixels.shape[1] == size
            interpolation = cv2.INTER_AREA if min(pixels.shape[:2]) > size else cv2.INTER_LINEAR
            face = pixels if same else cv2.resize(pixels, (size, size), interpolation=interpolation)
        else:
            points = _points(pixels, row, align, landmarks, detector)
            face = None if points is None else aligned(pixels, points, size)
        if face is not None:
            faces[row], found[row] = face, True
    return faces, found


def _points(
    pixels: np.ndarray, row: int, align: Align, landmarks: np.ndarray | None, detector: Path | None
) -> np.ndarray | None:
    if align == "landmarks":
        return None if landmarks is None else landmarks[row].astype(np.float64)
    return _dlib_eyes(pixels) if align == "dlib" else _detected(pixels, detector)


def check_align(align: Align, detector: Path | None) -> list[str]:
    """What identifies the detector, for fingerprints. Raises InputError or MissingExtra where it can't be used."""
    if (align == "detector") != (detector is not None):
        raise InputError("align: detector and detector: FILE.onnx belong together", value=align)
    if align == "dlib":
        from curate.embed.dlib_model import LANDMARKS, model_file

        try:
            import dlib  # noqa: F401
        except ImportError:
            raise MissingExtra("dlib-bin", "dlib", "align: dlib") from None
        return [file_digest(model_file(LANDMARKS))]
    if align == "detector":
        card = _detector_card(detector)
        return [file_digest(detector), card.model_dump_json()]
    return []


@cache
def _detector_card(path: Path) -> DetectorCard:
    card = path.with_suffix(".yaml")
    return read_card(card, DetectorCard) if card.is_file() else DetectorCard()


@cache
def _dlib() -> tuple[Any, Any]:
    import dlib

    from curate.embed.dlib_model import LANDMARKS, model_file

    return dlib.get_frontal_face_detector(), dlib.shape_predictor(str(model_file(LANDMARKS)))


def _dlib_eyes(pixels: np.ndarray) -> np.ndarray | None:
    """The middles of both eyes `(2, 2)` of the largest face.

    dlib's five points are the corners of the eyes and the base of the nose; the template has no such point, so the
    eyes alone place the face.
    """
    finder, predictor = _dlib()
    boxes = finder(pixels, 1)
    if not boxes:
        return None
    best = max(boxes, key=lambda box: (box.area(), -box.left(), -box.top()))
    shape = predictor(pixels, best)
    points = np.array([[shape.part(at).x, shape.part(at).y] for at in range(4)], dtype=np.float64)
    eyes = points.reshape(2, 2, 2).mean(axis=1)
    return eyes[np.argsort(eyes[:, 0])]


def _detected(pixels: np.ndarray, path: Path) -> np.ndarray | None:
    """Five landmarks `(5, 2)` of the largest face that an ONNX detector finds, or None."""
    import cv2

    card = _detector_card(path)
    height, width = pixels.shape[:2]
    scale = card.size / max(height, width)
    shrunk = cv2.resize(pixels, (max(1, round(width * scale)), max(1, round(height * scale))))
    canvas = np.zeros((card.size, card.size, 3), np.float32)
    canvas[: shrunk.shape[0], : shrunk.shape[1]] = shrunk if card.channels == "RGB" else shrunk[..., ::-1]
    session = open_session(path, "cpu")
    given = ((canvas - np.float32(card.mean)) / np.float32(card.std)).transpose(2, 0, 1)[None]
    outputs = session.run(None, {session.get_inputs()[0].name: np.ascontiguousarray(given)})
    faces = _scrfd_faces(outputs, card, path) if card.output == "scrfd" else np.reshape(outputs[0], (-1, 15))
    faces = faces[(faces[:, 4] >= card.min_score) & np.isfinite(faces).all(axis=1)]
    if not len(faces):
        return None
    area = (faces[:, 2] - faces[:, 0]) * (faces[:, 3] - faces[:, 1])
    return faces[int(np.lexsort((-faces[:, 4], -area))[0]), 5:].reshape(5, 2).astype(np.float64) / scale


def _scrfd_faces(outputs: list[np.ndarray], card: DetectorCard, path: Path) -> np.ndarray:
    """Candidates `(n, 15)`; SCRFD (Guo et al. 2021) tells distances from anchor points, in strides."""
    if len(outputs) != 9:
        raise InputError("a detector of layout scrfd with landmarks has nine outputs", file=path, value=len(outputs))
    tables = []
    for at, stride in enumerate((8, 16, 32)):
        scores, boxes, points = (np.reshape(outputs[at + 3 * kind], (-1, size)) for kind, size in enumerate((1, 4, 10)))
        cells = -(-card.size // stride)
        anchors = max(1, len(scores) // (cells * cells))
        y, x = np.divmod(np.arange(cells * cells), cells)
        centre = np.repeat(np.stack([x, y], axis=1) * stride, anchors, axis=0).astype(np.float32)
        if len(centre) != len(scores):
            raise InputError("the detector's outputs don't fit the size that its card says", file=path, value=card.size)
        corners = np.concatenate([centre - boxes[:, :2] * stride, centre + boxes[:, 2:] * stride], axis=1)
        tables.append(np.concatenate([corners, scores, np.tile(centre, 5) + points * stride], axis=1))
    return np.concatenate(tables)

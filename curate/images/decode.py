"""File bytes to pixels; whatever is wrong with a file comes back as a reason, never as an exception."""

from __future__ import annotations

import io
import warnings
from typing import NamedTuple

import numpy as np

from curate.images.headers import check_header, pillow_formats
from curate.images.reasons import CORRUPT, FINE, NOT_AN_IMAGE, TOO_LARGE, TRUNCATED

#: Smaller side of a JPEG from which on `small` is decoded at half size: the half still covers the hashes' square.
SMALL_FROM = 64


class Decoded(NamedTuple):
    """One image, or why there is none.

    reason: index into REASONS. pixels: `(H, W, 3)` uint8 RGB, None unless reason is 0.
    """

    reason: int
    pixels: np.ndarray | None = None


def decode(data: bytes) -> Decoded:
    """The pixels of an image file's bytes, upright, or the reason why there are none.

    The EXIF orientation is applied. Grey becomes three equal channels, palettes are resolved, 16 bits are cut to the
    upper 8, alpha is dropped; of an animation the first frame counts. An image of more than MAX_PIXELS is refused by
    its header, undecoded. Never raises. A JPEG whose data end early is `truncated` (some decoders fill the missing
    part with grey); one that is damaged in the middle but ends as it should decodes with wrong pixels, unnoticed.
    """
    reason, _ = check_header(data)
    if reason:
        return Decoded(reason)
    image = _decode_cv2(data)
    if image is None:
        return _decode_pillow(data)
    return Decoded(FINE, image)


class Views(NamedTuple):
    """What was asked for of one image, or why there is none.

    reason: index into REASONS. colour: `(H, W, 3)` uint8 RGB. grey: `(H, W)` uint8. small: grey, `(H, W)`, or half of
    it in each direction. None for what was not asked for.
    """

    reason: int
    colour: np.ndarray | None = None
    grey: np.ndarray | None = None
    small: np.ndarray | None = None


def look(data: bytes, *, colour: bool = False, grey: bool = False, small: bool = False) -> Views:
    """The views asked for of an image file's bytes; a view does not depend on which others are asked for.

    colour is as in `decode`. The grey of a JPEG is its own luma, decoded without the colours; that of other files is
    the ITU-R 601 luma of the RGB values, and both differ by a grey level or two. small: of a JPEG with both sides of at
    least SMALL_FROM pixels, decoded at half size (which costs the least), else the same as grey. Never raises.
    """
    reason, frame = check_header(data)
    if reason:
        return Views(reason)
    if frame is not None:
        views = _jpeg_views(data, frame, colour, grey, small)
        if views is not None:
            return views
    reason, image = decode(data)
    if image is None or not (grey or small):
        return Views(reason, image)
    from curate.images.kernels import grey_of

    luma = grey_of(np.ascontiguousarray(image))
    return Views(reason, image, luma, luma)


def _jpeg_views(data: bytes, frame: tuple[int, int, int], colour: bool, grey: bool, small: bool) -> Views | None:
    import cv2

    def read(flag: int) -> np.ndarray | None:
        try:
            return cv2.imdecode(buffer, flag)
        except cv2.error:
            return None

    buffer = np.frombuffer(data, dtype=np.uint8)
    width, height, channels = frame
    halved = small and min(width, height) >= SMALL_FROM
    plane = half = image = None
    if grey or (small and not halved) or (colour and channels == 1):
        plane = read(cv2.IMREAD_GRAYSCALE)
        if plane is None:
            return None
    if halved:
        half = read(cv2.IMREAD_REDUCED_GRAYSCALE_2)
        if half is None:
            return None
    if colour:
        image = cv2.cvtColor(plane, cv2.COLOR_GRAY2RGB) if channels == 1 else read(cv2.IMREAD_COLOR_RGB)
        if image is None:
            return None
    return Views(FINE, image, plane, half if halved else plane)


def _decode_cv2(data: bytes) -> np.ndarray | None:
    import cv2

    try:
        return cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        return None


def _decode_pillow(data: bytes) -> Decoded:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=pillow_formats()) as image:
                image.load()
                upright = ImageOps.exif_transpose(image)
                if upright.mode.startswith("I;16"):
                    grey = (np.asarray(upright) >> 8).astype(np.uint8)
                    return Decoded(FINE, np.repeat(grey[:, :, None], 3, axis=2))
                return Decoded(FINE, np.array(upright.convert("RGB")))
    except Image.DecompressionBombError:
        return Decoded(TOO_LARGE)
    except UnidentifiedImageError:
        return Decoded(NOT_AN_IMAGE)
    except MemoryError:
        return Decoded(TOO_LARGE)
    except Exception as error:  # see headers._pillow_header
        return Decoded(TRUNCATED if "truncated" in str(error).lower() else CORRUPT)

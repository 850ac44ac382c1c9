"""File bytes to pixels; whatever is wrong with a file comes back as a reason, never as an exception."""

from __future__ import annotations

import functools
import io
import warnings
from typing import NamedTuple

import numpy as np

from curate.images.files import read_bytes
from curate.images.reasons import CORRUPT, EMPTY_FILE, FINE, NOT_AN_IMAGE, REASONS, TOO_LARGE, TRUNCATED

__all__ = ["REASONS", "Decoded", "Views", "decode", "look", "read_bytes"]

#: Width times height; more is refused by the header alone, before a pixel is decoded.
MAX_PIXELS = 100_000_000
#: Smaller side of a JPEG from which on `small` is decoded at half size: the half still covers the hashes' square.
SMALL_FROM = 64
#: What Pillow may open. Formats that run other programs (EPS) or decode nothing of use here are left out.
_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "PCX", "ICO")
#: JPEG markers that carry the frame's height and width.
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


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
    reason, _ = _frame(data)
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
    reason, frame = _frame(data)
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


def _frame(data: bytes) -> tuple[int, tuple[int, int, int] | None]:
    """(why not to decode these bytes, (width, height, channels) of a JPEG)."""
    if not data:
        return EMPTY_FILE, None
    reason, pixels = _header(data)
    if reason:
        return reason, None
    if pixels > MAX_PIXELS:
        return TOO_LARGE, None
    return FINE, _jpeg_frame(data)[0] if data.startswith(_JPEG) else None


def _header(data: bytes) -> tuple[int, int]:
    """(reason, number of pixels) from the first bytes: JPEG and PNG here, in microseconds; the rest by Pillow."""
    if data.startswith(_JPEG):
        frame, scan = _jpeg_frame(data)
        if frame is not None:
            size = frame[0] * frame[1]
            # Without an end marker after the scan some decoders (OpenCV before 4.12) pad with grey and say nothing.
            return (FINE, size) if data.rfind(b"\xff\xd9", scan) >= 0 else (TRUNCATED, 0)
        if scan < 0:
            return TRUNCATED, 0
    elif data.startswith(_PNG) and data[12:16] == b"IHDR":
        if len(data) < 33:
            return TRUNCATED, 0
        return FINE, int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    return _pillow_header(data)


def _jpeg_frame(data: bytes) -> tuple[tuple[int, int, int] | None, int]:
    """((width, height, channels), end of the frame header); (None, -1) where the data end first, (None, 0) if odd."""
    at, end = 2, len(data)
    while at + 9 <= end:
        if data[at] != 0xFF:
            return None, 0
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker in _FRAMES:
            height, width = (data[at + 5] << 8) | data[at + 6], (data[at + 7] << 8) | data[at + 8]
            return ((width, height, data[at + 9] if at + 9 < end else 0), at + 9) if width and height else (None, 0)
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers that stand alone
            at += 2
        elif marker in (0xD9, 0xDA):  # the end, or pixels, before any frame
            return None, 0
        else:
            at += 2 + ((data[at + 2] << 8) | data[at + 3])
    return None, -1


@functools.cache
def _formats() -> tuple[str, ...]:
    """Those of _FORMATS that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _pillow_header(data: bytes) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
                return FINE, image.width * image.height
    except Image.DecompressionBombError:
        return TOO_LARGE, 0
    except UnidentifiedImageError:
        return NOT_AN_IMAGE, 0
    except Exception:  # a parser may fail in any way on hostile bytes; the image is a value with a reason all the same
        return CORRUPT, 0


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
            with Image.open(io.BytesIO(data), formats=_formats()) as image:
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
    except Exception as error:  # see _pillow_header
        return Decoded(TRUNCATED if "truncated" in str(error).lower() else CORRUPT)

"""What an image file's first bytes say, before anything is decoded."""

from __future__ import annotations

import functools
import io
import warnings

from curate.images.reasons import CORRUPT, EMPTY_FILE, FINE, NOT_AN_IMAGE, TOO_LARGE, TRUNCATED

#: Width times height; more is refused by the header alone, before a pixel is decoded.
MAX_PIXELS = 100_000_000

#: What Pillow may open. Formats that run other programs (EPS) or decode nothing of use here are left out.
_FORMATS = ("JPEG", "MPO", "PNG", "BMP", "DIB", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "PCX", "ICO")
#: JPEG markers that carry the frame's height and width.
_FRAMES = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)))
_JPEG = b"\xff\xd8\xff"
_PNG = b"\x89PNG\r\n\x1a\n"


def check_header(data: bytes) -> tuple[int, tuple[int, int, int] | None]:
    """(why not to decode these bytes, (width, height, channels) of a JPEG).

    JPEG and PNG are looked at here, in microseconds; the rest by Pillow.
    """
    if not data:
        return EMPTY_FILE, None
    frame = None
    if data.startswith(_JPEG):
        frame, scan = _jpeg_frame(data)
        # Without an end marker after the scan some decoders (OpenCV before 4.12) pad with grey and say nothing.
        if scan < 0 or (frame is not None and data.rfind(b"\xff\xd9", scan) < 0):
            return TRUNCATED, None
    if frame is not None:
        reason, pixels = FINE, frame[0] * frame[1]
    elif data.startswith(_PNG) and data[12:16] == b"IHDR":
        if len(data) < 33:
            return TRUNCATED, None
        reason, pixels = FINE, int.from_bytes(data[16:20], "big") * int.from_bytes(data[20:24], "big")
    else:
        reason, pixels = _pillow_header(data)
    return (TOO_LARGE if not reason and pixels > MAX_PIXELS else reason), frame


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
def pillow_formats() -> tuple[str, ...]:
    """Those of _FORMATS that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in _FORMATS if name in Image.OPEN)


def _pillow_header(data: bytes) -> tuple[int, int]:
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=pillow_formats()) as image:
                return FINE, image.width * image.height
    except Image.DecompressionBombError:
        return TOO_LARGE, 0
    except UnidentifiedImageError:
        return NOT_AN_IMAGE, 0
    except Exception:  # a parser may fail in any way on hostile bytes; the image is a value with a reason all the same
        return CORRUPT, 0

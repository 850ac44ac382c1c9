"""Small pictures of images, as text that a page can carry."""

from __future__ import annotations

import base64
import io
import warnings
from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import InputError
from curate.core.files import locate
from curate.images.containers import split_path
from curate.images.files import read_bytes
from curate.images.reasons import REASONS

SIDE = 112  # pixels of the longer side: twice what the page shows, for fine screens
MAX_PIXELS = 50_000_000  # a larger picture is not opened for a thumbnail
MAX_BYTES = 64 * 2**20
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF", "PPM")


@dataclass(frozen=True)
class Picture:
    """An image to show: its thumbnail as a data URI, or None and the reason why there is none."""

    image_id: str
    identity: str | None
    uri: str | None
    problem: str | None


def thumbnail(root: Path | None, path: str | None, *, side: int = SIDE) -> tuple[str | None, str | None]:
    """A JPEG data URI of the image at most `side` pixels wide and high and None, or None and why there is none.

    It never raises: a picture that can't be shown is a value with a reason. Links and paths that leave the root are
    not followed, nothing but a regular file is opened, and a header that promises too many pixels is believed.
    """
    if root is None:
        return None, "the source has no pixels"
    if not path:
        return None, "no file"
    if split_path(path) is not None:
        reason, data = read_bytes(root, path)
        if reason:
            return None, REASONS[reason].replace("_", " ")
        if len(data) > MAX_BYTES:
            return None, "file too large to show"
        return _shown(io.BytesIO(data), side)
    try:
        file = locate(root, path)
        if not file.is_file():
            return None, "not a file"
        size = file.stat().st_size
        if not 0 < size <= MAX_BYTES:
            return None, "empty file" if size == 0 else "file too large to show"
        return _shown(file, side)
    except InputError:
        return None, "outside the source's folder"
    except FileNotFoundError:
        return None, "no such file"
    except OSError:
        return None, "not readable"


def _shown(file: Path | io.BytesIO, side: int) -> tuple[str | None, str | None]:
    try:
        return _encode(file, side)
    except Exception as error:  # decoders raise nearly anything on damaged bytes
        return None, "too large to show" if type(
            error
        ).__name__ == "DecompressionBombError" else "not a readable picture"


def _encode(file: Path | io.BytesIO, side: int) -> tuple[str | None, str | None]:
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                return None, f"too large to show ({image.width:,} x {image.height:,} pixels)"
            image.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(image)
            upright.thumbnail((side, side))
            buffer = io.BytesIO()
            upright.convert("RGB").save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode(), None

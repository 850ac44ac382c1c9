from __future__ import annotations

import io
import os
import struct
import time
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from curate.images import files, headers, reasons
from curate.images.decode import decode
from curate.images.files import read_bytes
from curate.images.reasons import REASONS


def picture(height=60, width=40, seed=0):
    """A smooth random RGB picture, so that lossy formats stay close to it."""
    small = np.random.default_rng(seed).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def png_of_size(width, height):
    """A complete PNG of one colour, a few bytes for each row."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width + 7) // 8 + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def reason(data):
    result = decode(data)
    assert (result.pixels is None) == (result.reason != 0)
    return REASONS[result.reason]


@pytest.mark.parametrize("kind", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats_give_the_pixels(kind):
    image = picture()
    pixels = decode(encoded(image, kind)).pixels
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize(
    ("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("WEBP", {}), ("GIF", {})]
)
def test_lossy_formats_come_close_and_in_rgb_order(kind, options):
    image = np.zeros((40, 50, 3), np.uint8)
    image[..., 0], image[..., 1] = 200, 90
    pixels = decode(encoded(image, kind, **options)).pixels
    assert np.abs(pixels.astype(int) - image).max() <= 4


def test_grey_alpha_palette_and_one_pixel_become_rgb():
    grey = picture()[..., 0]
    for data in (encoded(grey, "PNG"), encoded(grey, "PPM"), encoded(grey, "BMP")):
        np.testing.assert_array_equal(decode(data).pixels, np.repeat(grey[..., None], 3, axis=2))
    image = picture()
    alpha = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    np.testing.assert_array_equal(decode(encoded(alpha, "PNG")).pixels, image)
    palette = Image.fromarray(image).quantize(16)
    np.testing.assert_array_equal(decode(encoded(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))
    assert decode(encoded(image[:1, :1], "PNG")).pixels.shape == (1, 1, 3)


@pytest.mark.parametrize("kind", ["PNG", "PPM", "TIFF"])
def test_sixteen_bits_are_cut_to_the_upper_eight(kind):
    deep = (np.arange(60 * 40, dtype=np.uint16) * 27).reshape(60, 40)
    pixels = decode(encoded(Image.fromarray(deep), kind)).pixels
    assert np.abs(pixels[..., 0].astype(int) - deep // 256).max() <= 1
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_exif_orientation_is_applied(kind, orientation):
    image = picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(image, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    turned = {
        1: image, 2: image[:, ::-1], 3: image[::-1, ::-1], 4: image[::-1], 5: image.transpose(1, 0, 2),
        6: np.rot90(image, -1), 7: image[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(image),
    }[orientation]  # fmt: skip
    pixels = decode(data).pixels
    assert pixels.shape == turned.shape
    assert np.abs(pixels.astype(int) - turned).mean() < 6


def test_a_bomb_is_refused_by_its_header_alone():
    bomb = png_of_size(20_000, 20_000)
    assert len(bomb) < 100_000
    start = time.perf_counter()
    assert reason(bomb) == "too_large"
    assert time.perf_counter() - start < 0.05
    assert reason(png_of_size(200, 200)) == "fine"
    bitmap = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 30_000, 30_000, 1, 24, 0, 0, 0, 0, 0, 0)
    assert reason(bitmap) == "too_large"
    jpeg = bytearray(encoded(picture(), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 20_000, 20_000)
    assert reason(bytes(jpeg)) == "too_large"


def test_the_limit_is_the_constant(monkeypatch):
    data = encoded(picture(60, 40), "JPEG")
    monkeypatch.setattr(headers, "MAX_PIXELS", 60 * 40)
    assert reason(data) == "fine"
    monkeypatch.setattr(headers, "MAX_PIXELS", 60 * 40 - 1)
    assert reason(data) == "too_large"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {}), ("BMP", {}),
                                               ("WEBP", {}), ("PPM", {}), ("TIFF", {})])  # fmt: skip
def test_a_file_cut_short_is_never_fine(kind, options, share):
    data = encoded(picture(200, 160), kind, **options)
    assert reason(data[: int(len(data) * share)]) in ("truncated", "corrupt", "not_an_image")


def test_a_truncated_jpeg_is_called_so_also_with_a_thumbnail_inside():
    inner = encoded(picture(20, 20), "JPEG")
    data = encoded(picture(200, 160), "JPEG", exif=b"Exif\0\0" + inner)
    assert reason(data) == "fine"
    assert reason(data[: len(data) * 2 // 3]) == "truncated"
    assert reason(data + b"trailing bytes") == "fine"


@pytest.mark.parametrize(
    "data", [b"just some text\n" * 20, b"\0" * 1000, b"\xff\xd8", b"%!PS-Adobe-3.0 EPSF\n", b"GIF8"]
)
def test_what_is_no_image_says_so(data):
    assert reason(data) in ("not_an_image", "truncated")


def test_no_bytes_at_all():
    assert reason(b"") == "empty_file"


def test_random_damage_never_raises():
    rng = np.random.default_rng(1)
    for kind in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP"):
        whole = encoded(picture(64, 64), kind)
        for _ in range(40):
            data = bytearray(whole)
            for at in rng.integers(0, len(data), 8):
                data[at] = rng.integers(0, 256)
            result = decode(bytes(data))
            assert (result.pixels is None) == (result.reason != 0)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    (root / "anna").mkdir(parents=True)
    (root / "anna" / "1.jpg").write_bytes(b"bytes of one")
    (root / "anna" / "empty.jpg").write_bytes(b"")
    (tmp_path / "secret.jpg").write_bytes(b"secret")
    (root / "anna" / "out.jpg").symlink_to(tmp_path / "secret.jpg")
    (root / "away").symlink_to(tmp_path)
    (root / "anna" / "in.jpg").symlink_to("1.jpg")
    (root / "alias").symlink_to("anna")
    (root / "anna" / "dangling.jpg").symlink_to("nowhere.jpg")
    (root / "anna" / "round.jpg").symlink_to("round.jpg")
    os.mkfifo(root / "anna" / "pipe.jpg")
    (root.joinpath(os.fsdecode(b"b\xff.jpg"))).write_bytes(b"odd name")
    return root


@pytest.mark.parametrize(
    ("path", "expected"),
    [("anna/1.jpg", b"bytes of one"), ("anna/in.jpg", b"bytes of one"), ("alias/1.jpg", b"bytes of one"),
     ("b%FF.jpg", b"odd name"), ("anna/2.jpg", "missing"), ("nobody/1.jpg", "missing"), ("anna/1.jpg/x", "missing"),
     ("anna/dangling.jpg", "missing"), ("anna/empty.jpg", "empty_file"), ("anna", "not_a_file"),
     ("anna/pipe.jpg", "not_a_file"), ("anna/out.jpg", "outside_root"), ("away/secret.jpg", "outside_root"),
     ("../secret.jpg", "outside_root"), ("/etc/hostname", "outside_root"), ("anna/round.jpg", "not_readable"),
     ("", "no_path"), ("anna/\0.jpg", "outside_root"), ("x" * 5000, "not_readable")],
)  # fmt: skip
def test_reading_below_the_root(root, path, expected):
    code, data = read_bytes(root, path)
    if isinstance(expected, bytes):
        assert (code, data) == (0, expected)
    else:
        assert (REASONS[code], data) == (expected, b"")


def test_a_huge_file_is_not_read(root, monkeypatch):
    monkeypatch.setattr(files, "MAX_BYTES", 5)
    assert REASONS[read_bytes(root, "anna/1.jpg")[0]] == "too_large"


def test_reasons_keep_their_places():
    # Cached features store the place; a new reason goes to the end.
    assert REASONS[:11] == (
        "fine", "no_path", "missing", "outside_root", "not_a_file", "not_readable", "empty_file", "too_large",
        "not_an_image", "truncated", "corrupt",
    )  # fmt: skip
    names = ("FINE", "NO_PATH", "MISSING", "OUTSIDE_ROOT", "NOT_A_FILE", "NOT_READABLE", "EMPTY_FILE", "TOO_LARGE",
             "NOT_AN_IMAGE", "TRUNCATED", "CORRUPT")  # fmt: skip
    assert tuple(REASONS[getattr(reasons, name)].upper() for name in names) == names

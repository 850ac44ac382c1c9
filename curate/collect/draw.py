"""Drawing a face: a person and the circumstances of a photograph become pixels."""

from __future__ import annotations

import cv2
import numpy as np

from curate.collect.canvas import ARC, CIRCLE, SHIFT, Canvas, U, outline
from curate.collect.hair import back_hair, beard, brow, front_hair
from curate.collect.traits import Person, Photo

_OVER = 2  # drawn at this many times the size, then averaged down


def draw_face(who: Person, how: Photo, size: int) -> np.ndarray:
    """The photograph, `(size, size, 3)` uint8 RGB."""
    canvas = Canvas(how, size * _OVER)
    _background(canvas, how)
    shape, age = who.shape, how.age
    hair = who.hair + (np.array([176, 174, 172]) - who.hair) * (0, 0, 0.22, 0.72)[age]
    back_hair(canvas, who, hair)
    _body(canvas, who, how)
    for side in (-1, 1):
        centre = (side * shape["width"] * 0.97, 0.06)
        canvas.oval(centre, shape["ear"] * 0.55, shape["ear"], who.skin * 0.9, z=-0.05)
        canvas.oval(centre, shape["ear"] * 0.3, shape["ear"] * 0.62, who.skin * 0.76, z=-0.05)
    head = outline(shape)
    canvas.poly(head, who.skin)
    _shade(canvas, head, who, how)
    _skin_marks(canvas, who, age)
    beard(canvas, who, how, hair)
    _nose(canvas, who)
    _mouth(canvas, who, how)
    for side in (-1, 1):
        _eye(canvas, who, how, side)
        brow(canvas, who, how, side, hair)
    front_hair(canvas, who, hair, age)
    if how.glasses:
        _glasses(canvas, who)
    return _camera(canvas.image, how, size)


def _background(canvas: Canvas, how: Photo) -> None:
    rng = np.random.Generator(np.random.PCG64(how.texture))
    coarse = how.back[0] + (how.back[1] - how.back[0]) * np.linspace(0, 1, 6)[:, None, None]
    coarse = coarse + rng.normal(0, 14, (6, 6, 1)) + rng.normal(0, 4, (6, 6, 3))
    coarse = np.clip(coarse, 0, 255).astype(np.uint8)
    canvas.image[:] = cv2.resize(coarse, (canvas.side, canvas.side), interpolation=cv2.INTER_CUBIC)


def _body(canvas: Canvas, who: Person, how: Photo) -> None:
    half = who.shape["neck"]
    canvas.poly([(-half, 0.4), (half, 0.4), (half * 1.08, 1.5), (-half * 1.08, 1.5)], who.skin * 0.8, z=-0.1)
    shoulder = 1.15 + 0.12 * (who.gender == "m")
    x = np.concatenate([[-shoulder * 1.25], U * shoulder, [shoulder * 1.25]])
    y = np.concatenate([[3.0], 1.62 - 0.34 * (1 - np.abs(U) ** 2.4), [3.0]])
    canvas.poly(np.stack([x, y], axis=1), how.cloth, z=-0.1)
    canvas.oval((0, 1.26), half * 1.05, 0.2, who.skin * 0.84, z=-0.1)


def _shade(canvas: Canvas, head: np.ndarray, who: Person, how: Photo) -> None:
    """Light from one side, a darker rim, warm cheeks, a shadow under the chin."""
    light = np.array(how.light)
    canvas.soft(head * 0.72 + light * 0.3, np.clip(who.skin * 1.12 + 8, 0, 255), 0.6, 0.17, z=0.25)
    away = -light * 0.55
    side = head * (0.55, 0.9) + (np.sign(away[0]) * who.shape["width"] * 0.68, away[1] * 0.3)
    canvas.soft(side, who.skin * 0.66, min(0.6, 0.1 + abs(light[0]) * 0.65), 0.2, z=0.0)
    for x in (-1, 1):
        blush = np.array([x * who.shape["width"] * 0.58, 0.3]) + CIRCLE * (0.17, 0.13)
        canvas.soft(blush, who.skin * (1.0, 0.8, 0.78), 0.45, 0.06)


def _skin_marks(canvas: Canvas, who: Person, age: int) -> None:
    shape = who.shape
    dark = who.skin * 0.74
    if age >= 2:
        for side in (-1, 1):
            fold = [
                (side * (shape["nose_w"] + 0.05), 0.34),
                (side * (shape["mouth_w"] * 0.85 + 0.05), shape["mouth_y"] - 0.09),
            ]
            canvas.line(fold, who.skin * (0.86 if age == 2 else 0.78), 0.02)
            bag = [(side * shape["eye_gap"] + u * 0.13, shape["eye_y"] + 0.13 + 0.04 * a)
                   for u, a in zip(U, ARC, strict=True)]  # fmt: skip
            canvas.line(bag, who.skin * 0.82, 0.018)
    if age >= 3:
        for y in (-0.52, -0.43):
            canvas.line(np.stack([U * 0.32, y - 0.03 * ARC], axis=1), who.skin * 0.82, 0.016)
    if who.freckles:
        for x, y in ((-0.3, 0.22), (-0.2, 0.28), (-0.36, 0.31), (0.3, 0.22), (0.2, 0.29), (0.37, 0.3), (-0.1, 0.2)):
            canvas.oval((x, y), 0.017, 0.015, who.skin * 0.82)
    for x, y in who.moles:
        canvas.oval((float(x), float(y)), 0.028, 0.028, dark * 0.6)


def _nose(canvas: Canvas, who: Person) -> None:
    shape = who.shape
    wide, y = shape["nose_w"], shape["eye_y"] + shape["nose_l"]
    dark, bright = who.skin * 0.7, np.clip(who.skin * 1.13 + 8, 0, 255)
    bridge = [(-0.045, shape["eye_y"]), (0.045, shape["eye_y"]), (wide * 0.7, y), (-wide * 0.7, y)]
    canvas.soft(bridge, bright, 0.45, 0.03, z=0.55)
    canvas.soft(np.array([0, y + 0.03]) + CIRCLE * (wide, 0.06 + 0.4 * shape["nose_tip"]), dark, 0.55, 0.025, z=0.56)
    canvas.oval((0, y - 0.015), wide * 0.62, 0.05 + 0.5 * shape["nose_tip"], who.skin * 1.04, z=0.62)
    for side in (-1, 1):
        canvas.oval((side * wide * 0.48, y + 0.035), wide * 0.2, 0.018, who.skin * 0.42, z=0.58)
        wing = np.stack([side * (wide * (0.8 + 0.2 * ARC)), y + U * 0.05], axis=1)
        canvas.line(wing, dark, 0.02, z=0.54)


def _mouth(canvas: Canvas, who: Person, how: Photo) -> None:
    shape = who.shape
    wide = shape["mouth_w"] * (1 + 0.16 * max(how.smile, 0))
    curve = shape["mouth_y"] - how.smile * 0.075 * U**2 + 0.03 * how.smile + shape["mouth_bow"] * ARC
    gap = 0.16 * how.mouth_open * ARC
    bow = 1 - 0.3 * np.exp(-((U / 0.16) ** 2))
    x = U * wide
    upper = curve - gap * 0.3
    lower = curve + gap * 0.7
    canvas.soft(np.stack([np.concatenate([x, x[::-1]]),
                          np.concatenate([lower, (lower + shape["lip_low"] * ARC + 0.05)[::-1]])], axis=1),
                who.skin * 0.72, 0.4, 0.02)  # fmt: skip

    def band(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
        return np.stack([np.concatenate([x, x[::-1]]), np.concatenate([top, bottom[::-1]])], axis=1)

    if how.mouth_open > 0.05:
        canvas.poly(band(upper, lower), np.array([84, 30, 34]), z=None)
        canvas.poly(band(upper, upper + gap * 0.5), np.array([244, 240, 232]), z=None)
    canvas.poly(band(upper - shape["lip_up"] * ARC**0.7 * bow, upper + 0.004), who.lip * 0.9, z=None)
    canvas.poly(band(lower - 0.004, lower + shape["lip_low"] * ARC**0.8), who.lip, z=None)
    if how.mouth_open <= 0.05:
        canvas.line(np.stack([x, curve], axis=1), who.lip * 0.5, 0.016)


def _eye(canvas: Canvas, who: Person, how: Photo, side: int) -> None:
    shape = who.shape
    centre = np.array([side * shape["eye_gap"], shape["eye_y"]])
    wide, high = shape["eye_w"], shape["eye_h"] * how.eye_open
    tilt = -side * shape["eye_tilt"]
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    top = np.stack([U * wide, -high * ARC**0.8], axis=1) @ turn + centre
    low = np.stack([U * wide, high * 0.72 * ARC], axis=1) @ turn + centre
    almond = np.concatenate([top, low[::-1]])
    canvas.soft((almond - centre) * (1.35, 1.7) + centre - (0, 0.02), who.skin * 0.72, 0.5, 0.035)
    pixels = canvas.place(almond, None)
    x0, y0 = np.maximum(np.floor(pixels.min(axis=0)).astype(int) - 2, 0)
    x1, y1 = np.minimum(np.ceil(pixels.max(axis=0)).astype(int) + 3, canvas.side)
    if x1 > x0 and y1 > y0:
        _eyeball(canvas, who, how, (centre, high, pixels), (x0, y0, x1, y1))
    canvas.line(top, np.array([46, 32, 30]), 0.022 + 0.012 * (who.gender == "f"))
    canvas.line(low[3:-3], who.skin * 0.62, 0.012)
    lid = top[2:-2] - (0, 0.02 + 0.035 * shape["lid"])
    canvas.line(lid, who.skin * 0.7, 0.014)
    if who.gender == "f":
        corner = top[-1] if side > 0 else top[0]
        canvas.line(np.array([[0, 0], [side * 0.035, -0.03]]) + corner, np.array([46, 32, 30]), 0.02)


def _eyeball(
    canvas: Canvas, who: Person, how: Photo, eye: tuple[np.ndarray, float, np.ndarray], box: tuple[int, ...]
) -> None:
    """White, iris, pupil and glint, seen through the opening between the lids."""
    centre, high, pixels = eye
    x0, y0, x1, y1 = box
    mask = np.zeros((y1 - y0, x1 - x0), dtype=np.uint8)
    cv2.fillPoly(mask, [np.round((pixels - (x0, y0)) * (1 << SHIFT)).astype(np.int32)], 255, cv2.LINE_AA, SHIFT)
    before = canvas.image[y0:y1, x0:x1].astype(np.float32)
    canvas.image[y0:y1, x0:x1] = (244, 242, 238)
    wide = who.shape["eye_w"]
    at = centre + np.array(how.gaze) * (wide * 0.55, high * 0.4)
    radius = 0.52 * wide
    canvas.oval(tuple(at), radius * 1.08, radius * 1.08, who.iris * 0.5)
    canvas.oval(tuple(at), radius * 0.92, radius * 0.92, who.iris)
    canvas.oval(tuple(at), radius * 0.48, radius * 0.48, np.array([18, 14, 14]))
    canvas.oval((at[0] - 0.022, at[1] - 0.026), 0.02, 0.02, np.array([255, 255, 255]))
    weight = (mask.astype(np.float32) / 255)[:, :, None]
    part = canvas.image[y0:y1, x0:x1]
    part[:] = before + (part - before) * weight


def _glasses(canvas: Canvas, who: Person) -> None:
    shape = who.shape
    tone = np.array([40, 36, 40]) if shape["lid"] < 0.55 else np.array([96, 58, 40])
    for side in (-1, 1):
        ring = np.array([side * shape["eye_gap"], shape["eye_y"] + 0.02]) + np.vstack([CIRCLE, CIRCLE[:1]]) * (
            0.215, 0.17)  # fmt: skip
        canvas.line(ring, tone, 0.03, z=0.5)
        arm = [(side * (shape["eye_gap"] + 0.21), shape["eye_y"]), (side * shape["width"], shape["eye_y"] - 0.02)]
        canvas.line(arm, tone, 0.03, z=0.25)
    half = shape["eye_gap"] - 0.21
    canvas.line([(-half, shape["eye_y"]), (half, shape["eye_y"])], tone, 0.03, z=0.55)


def _camera(image: np.ndarray, how: Photo, size: int) -> np.ndarray:
    """Light over the whole picture, blur, the sensor's noise: the drawing becomes a photograph."""
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    if how.blur > 0.15:
        small = cv2.GaussianBlur(small, (0, 0), how.blur * size / 112)
    u = np.linspace(-1, 1, size, dtype=np.float32)
    field = how.exposure * (1 + 0.22 * (how.light[0] * u[None, :] + how.light[1] * u[:, None]))
    gain = field[:, :, None] * np.array([1 + how.warmth, 1, 1 - how.warmth], dtype=np.float32)
    rng = np.random.Generator(np.random.PCG64(how.texture + 1))
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * how.noise
    return np.clip(small * gain + grain + 0.5, 0, 255).astype(np.uint8)

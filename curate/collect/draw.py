"""Drawing a face: a person and the circumstances of a photograph become pixels."""

from __future__ import annotations

import cv2
import numpy as np

from curate.collect.canvas import ARC, CIRCLE, SHIFT, Canvas, U
from curate.collect.traits import Person, Photo

_OVER = 2  # drawn at this many times the size, then averaged down


def draw_face(who: Person, how: Photo, size: int) -> np.ndarray:
    """The photograph, `(size, size, 3)` uint8 RGB."""
    canvas = Canvas(how, size * _OVER)
    _background(canvas, how)
    shape, age = who.shape, how.age
    hair = who.hair + (np.array([176, 174, 172]) - who.hair) * (0, 0, 0.22, 0.72)[age]
    _back_hair(canvas, who, hair)
    _body(canvas, who, how)
    for side in (-1, 1):
        centre = (side * shape["width"] * 0.97, 0.06)
        canvas.oval(centre, shape["ear"] * 0.55, shape["ear"], who.skin * 0.9, z=-0.05)
        canvas.oval(centre, shape["ear"] * 0.3, shape["ear"] * 0.62, who.skin * 0.76, z=-0.05)
    head = outline(shape)
    canvas.poly(head, who.skin)
    _shade(canvas, head, who, how)
    _skin_marks(canvas, who, age)
    _beard(canvas, who, how, hair)
    _nose(canvas, who)
    _mouth(canvas, who, how)
    for side in (-1, 1):
        _eye(canvas, who, how, side)
        _brow(canvas, who, how, side, hair)
    _front_hair(canvas, who, hair, age)
    if how.glasses:
        _glasses(canvas, who)
    return _camera(canvas.image, how, size)


def outline(shape: dict[str, float], grow: float = 0.0) -> np.ndarray:
    """The contour of the head, `(80, 2)`: a superellipse that tapers to the chin."""
    angle = np.linspace(0, 2 * np.pi, 81)[:-1]
    power = 2 / shape["square"]
    c, s = np.cos(angle), np.sin(angle)
    x = np.sign(c) * np.abs(c) ** power
    y = np.sign(s) * np.abs(s) ** power * np.where(s > 0, shape["chin"], 0.96)
    low = np.clip(y, 0, 1)
    x = x * (shape["width"] + shape["cheek"] * np.exp(-(((y - 0.25) / 0.25) ** 2)) + grow)
    x = x * (1 - shape["taper"] * low**1.6)
    return np.stack([x, y * (1 + grow)], axis=1)


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


def _back_hair(canvas: Canvas, who: Person, hair: np.ndarray) -> None:
    shape = who.shape
    wide = shape["width"]
    dark = hair * 0.72
    if who.style in ("long", "bob"):
        low = shape["length"] if who.style == "long" else 0.55 + 0.25 * (shape["length"] - 1)
        x = np.array([-1.12, -1.2, -1.22, -1.05, 1.05, 1.22, 1.2, 1.12]) * (wide + 0.06)
        y = np.array([-0.5, 0.0, 0.5, 1.0, 1.0, 0.5, 0.0, -0.5]) * np.array([1, 1, low, low, low, low, 1, 1])
        canvas.poly(np.stack([x, y], axis=1), dark, z=-0.3)
        canvas.oval((0, -0.35), wide * 1.16 + 0.05, 0.78 + shape["hair_up"], dark, z=-0.25)
    elif who.style == "round":
        canvas.oval((0, -0.32), wide * 1.3 + shape["hair_up"], 0.9 + 1.2 * shape["hair_up"], dark, z=-0.2)
    elif who.style == "bun":
        canvas.oval((0.1 * shape["part"], -1.08 - shape["hair_up"]), 0.27, 0.24, dark, z=-0.3)


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


def _beard(canvas: Canvas, who: Person, how: Photo, hair: np.ndarray) -> None:
    if who.beard == "none" or (how.shaved and who.beard == "stubble"):
        return
    shape = who.shape
    if who.beard in ("stubble", "full"):
        jaw = outline(shape, 0.02 if who.beard == "full" else -0.01)
        jaw = jaw[jaw[:, 1] > 0.18]
        inner = np.stack([-U * 0.42, 0.40 + 0.05 * np.abs(U) - 0.02], axis=1)
        strength, blur = (0.9, 0.035) if who.beard == "full" else (0.34, 0.05)
        canvas.soft(
            np.concatenate([jaw, inner[::-1] if jaw[-1, 0] < jaw[0, 0] else inner]), hair, strength, blur, z=0.1
        )
    if who.beard != "stubble":
        y = shape["mouth_y"] - shape["lip_up"] - 0.05
        wide = shape["mouth_w"] * 1.05
        top = np.stack([U * wide, y - 0.035 * ARC + 0.05 * U**2], axis=1)
        low = np.stack([U[::-1] * wide, y + 0.035 * ARC + 0.06 * U**2], axis=1)
        canvas.soft(np.concatenate([top, low]), hair, 0.95, 0.012)


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


def _brow(canvas: Canvas, who: Person, how: Photo, side: int, hair: np.ndarray) -> None:
    shape = who.shape
    u = (U + 1) / 2  # 0 at the nose, 1 at the temple
    x = side * (shape["eye_gap"] + (u - 0.5) * 2 * shape["brow_w"])
    y = shape["eye_y"] - shape["brow_y"] - how.brow_raise - shape["brow_arch"] * ARC + (u - 0.5) * shape["brow_tilt"]
    thick = shape["brow_t"] * (1.1 - 0.6 * u)
    band = np.stack([np.concatenate([x, x[::-1]]), np.concatenate([y - thick, (y + thick)[::-1]])], axis=1)
    canvas.poly(band, hair * 0.82, z=None)


def _front_hair(canvas: Canvas, who: Person, hair: np.ndarray, age: int) -> None:
    shape, style = who.shape, who.style
    if style == "bald":
        return
    recede = (0, 0, 0.05, 0.11)[age] * (who.gender == "m")
    up = shape["hair_up"] * (1.35 if style in ("curly", "round") else 1.0)
    outer = outline(shape, 0.035)
    outer = outer[outer[:, 1] < -0.02]
    outer = outer[np.argsort(outer[:, 0])] * (1.0, 1.0) - np.stack(
        [np.zeros(len(outer)), up * np.clip(-outer[np.argsort(outer[:, 0])][:, 1], 0, 1)], axis=1
    )
    u = np.linspace(1, -1, 25)
    edge = who.hairline + recede
    shift = shape["part"]
    lines = {
        "part": edge + 0.14 * np.tanh(3 * (u - 0.5 * np.sign(shift))) * np.sign(shift),
        "fringe": np.full_like(u, edge - 0.2 + recede) + 0.015 * np.cos(9 * u + 4 * shift),
        "bob": np.full_like(u, edge - 0.17) + 0.03 * u**2,
        "long": edge + 0.1 - 0.28 * np.abs(u - 0.6 * shift) ** 1.5,
        "curly": edge + 0.04 * np.cos(11 * u + 7 * shift),
    }
    y = -lines.get(style, np.full_like(u, edge) + 0.02 * np.cos(5 * u))
    y = y + np.clip(np.abs(u) - 0.72, 0, 1) * 1.5
    inner = np.stack([u * (shape["width"] * 0.99), np.minimum(y, 0.12)], axis=1)
    canvas.poly(np.concatenate([outer, inner]), hair, z=0.04)
    if style in ("curly", "round"):
        rng = np.random.Generator(np.random.PCG64(int(abs(shift) * 1e9)))
        for x, y0 in outer[::2]:
            radius = 0.1 + 0.05 * rng.random()
            canvas.oval((x * 1.0, y0 + 0.03), radius, radius, hair * (0.9 + 0.2 * rng.random()), z=0.02)
    shine = np.clip(hair * 1.25 + 14, 0, 255)
    mid = (outer[::2] * (0.8, 0.9))[3:-3]
    if style not in ("curly", "round"):
        canvas.soft(np.concatenate([mid, (mid * (0.92, 0.9))[::-1]]), shine, 0.5, 0.03, z=0.1)
    if style in ("part", "long"):
        x = -0.5 * np.sign(shift) if style == "part" else 0.6 * shift
        canvas.line(
            [(x * shape["width"], -edge - 0.05), (x * 0.8 * shape["width"], -0.95 - 0.6 * up)], hair * 0.7, 0.02
        )


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

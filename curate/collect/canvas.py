"""What faces are drawn with: shapes, strokes and soft shadows placed on a turned head."""

from __future__ import annotations

import cv2
import numpy as np

from curate.collect.traits import Photo

SHIFT = 4  # bits of sub-pixel precision in OpenCV's drawing

CIRCLE = np.stack([np.cos(np.linspace(0, 2 * np.pi, 33)), np.sin(np.linspace(0, 2 * np.pi, 33))], axis=1)[:-1]
U = np.linspace(-1, 1, 17)
ARC = 1 - U**2
_ROUND = np.array([1.3, 0.8])  # how fast the front of the head curves away, sideways and upwards


def tone_of(tone: object) -> tuple[int, int, int]:
    """A colour as OpenCV takes it."""
    red, green, blue = (min(max(int(part + 0.5), 0), 255) for part in np.asarray(tone).tolist())
    return red, green, blue


class Canvas:
    """Drawing in face units: x right, y down, z towards the viewer, the head within about -1 to 1."""

    def __init__(self, how: Photo, side: int) -> None:
        self.side = side
        self.image = np.zeros((side, side, 3), dtype=np.uint8)
        self.scale = how.scale * side
        self.centre = np.array([side * (0.5 + 0.3 * how.shift[0]), side * (0.5 + 0.3 * how.shift[1])])
        c, s = np.cos(how.roll), np.sin(how.roll)
        turn = np.array([[c, s], [-s, c]]) * self.scale
        self.flat = np.array([[np.cos(how.yaw)], [np.cos(how.pitch)]]) * turn
        self.deep = np.array([np.sin(how.yaw), np.sin(how.pitch)]) @ turn

    def place(self, points: object, z: float | None = 0.0) -> np.ndarray:
        """Pixels `(n, 2)` of face points; z None: on the curved front of the head."""
        flat = np.asarray(points, dtype=np.float64).reshape(-1, 2)
        if z is not None:
            return flat @ self.flat + (z * self.deep + self.centre)
        depth = 0.5 * np.sqrt(np.maximum(1 - np.square(flat) @ _ROUND, 0))
        return flat @ self.flat + depth[:, None] * self.deep + self.centre

    def poly(self, points: object, tone: np.ndarray, z: float | None = 0.0) -> None:
        """A filled shape."""
        pixels = np.rint(self.place(points, z) * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(self.image, [pixels], tone_of(tone), cv2.LINE_AA, SHIFT)

    def line(self, points: object, tone: np.ndarray, width: float, z: float | None = None) -> None:
        """A stroke; its width is in face units."""
        pixels = np.rint(self.place(points, z) * (1 << SHIFT)).astype(np.int32)
        thickness = max(1, round(width * self.scale))
        cv2.polylines(self.image, [pixels], False, tone_of(tone), thickness, cv2.LINE_AA, SHIFT)

    def oval(self, centre: tuple[float, float], rx: float, ry: float, tone: np.ndarray, z: float | None = None) -> None:
        """A filled ellipse."""
        self.poly(np.array(centre) + CIRCLE * (rx, ry), tone, z)

    def soft(self, points: object, tone: np.ndarray, strength: float, blur: float, z: float | None = None) -> None:
        """A filled shape with blurred edges, mixed into what is there."""
        pixels = self.place(points, z)
        margin = 2.6 * blur * self.scale + 2
        x0, y0 = np.maximum(np.floor(pixels.min(axis=0) - margin).astype(int), 0)
        x1, y1 = np.minimum(np.ceil(pixels.max(axis=0) + margin).astype(int), self.side)
        if x1 <= x0 or y1 <= y0:
            return
        sigma = max(0.6, blur * self.scale)
        less = max(1, int(sigma / 2))  # a wide blur needs few pixels
        width, height = -(-(x1 - x0) // less), -(-(y1 - y0) // less)
        mask = np.zeros((height, width), dtype=np.uint8)
        corners = np.rint((pixels - (x0, y0)) / less * (1 << SHIFT)).astype(np.int32)
        cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, SHIFT)
        mask = cv2.GaussianBlur(mask, (0, 0), sigma / less)
        if less > 1:
            mask = cv2.resize(mask, (width * less, height * less))[: y1 - y0, : x1 - x0]
        part = self.image[y0:y1, x0:x1]
        over = np.empty_like(part)
        cv2.rectangle(over, (0, 0), (x1 - x0, y1 - y0), tone_of(tone), cv2.FILLED)
        weight = cv2.multiply(mask, strength / 255, dtype=cv2.CV_32F)
        part[:] = cv2.blendLinear(over, part, weight, 1 - weight)


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

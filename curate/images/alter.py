"""Known alterations of a photograph: what is done to copies on their way, to plant and to measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

LIGHT, MEDIUM, STRONG = "light", "medium", "strong"
#: The named strengths of every alteration, weakest first.
STRENGTHS = (LIGHT, MEDIUM, STRONG)
#: JPEG quality of an altered copy that is written, unless the alteration is the compression itself.
COPY_QUALITY = 85


def encode_jpeg(image: np.ndarray, quality: int = COPY_QUALITY) -> bytes:
    """An RGB image `(H, W, 3)` uint8 as the bytes of a JPEG file of this quality, 1 to 100."""
    import cv2

    done, data = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    if not done:
        raise ValueError(f"no JPEG of an image of shape {image.shape}")
    return data.tobytes()


def recompress(image: np.ndarray, quality: int) -> np.ndarray:
    """The image once through JPEG of this quality, 1 to 100; same shape."""
    import cv2

    return cv2.imdecode(np.frombuffer(encode_jpeg(image, quality), np.uint8), cv2.IMREAD_COLOR_RGB)


def resize(image: np.ndarray, factor: float) -> np.ndarray:
    """The image with both sides times `factor` (at least 1 pixel): by area when smaller, bicubic when larger."""
    height, width = image.shape[:2]
    return to_size(image, max(round(width * factor), 1), max(round(height * factor), 1))


def crop(
    image: np.ndarray, share: float, at: tuple[float, float] = (0.5, 0.5), *, keep_size: bool = False
) -> np.ndarray:
    """The part with `share` of both sides, at least 1 pixel.

    at: where it lies, (down, across) in [0, 1]: 0 at the top or left edge, 1 at the bottom or right one. keep_size:
    whether it is enlarged to the old size.
    """
    height, width = image.shape[:2]
    tall, wide = max(round(height * share), 1), max(round(width * share), 1)
    top, left = round((height - tall) * at[0]), round((width - wide) * at[1])
    part = image[top : top + tall, left : left + wide]
    return to_size(part, width, height) if keep_size else part.copy()


def flip(image: np.ndarray) -> np.ndarray:
    """The mirror image, left for right."""
    return image[:, ::-1].copy()


def rotate(image: np.ndarray, degrees: float) -> np.ndarray:
    """Turned about the centre, counter-clockwise, in the old frame; what comes from outside repeats the edge."""
    import cv2

    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    return cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def tone(image: np.ndarray, *, gain: float = 1.0, offset: float = 0.0, gamma: float = 1.0) -> np.ndarray:
    """`255 gain (v / 255) ** gamma + offset` of each value, cut to 0 to 255."""
    level = np.arange(256) / 255
    return np.clip(255 * gain * level**gamma + offset, 0, 255).round().astype(np.uint8)[image]


def contrast(image: np.ndarray, gain: float) -> np.ndarray:
    """Each value's distance to middle grey (128) times `gain`, cut to 0 to 255."""
    return tone(image, gain=gain, offset=128 * (1 - gain))


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; sigma in pixels of an image whose smaller side is 112, and in proportion for others."""
    import cv2

    return cv2.GaussianBlur(image, (0, 0), sigma * min(image.shape[:2]) / 112, borderType=cv2.BORDER_REFLECT)


def grey(image: np.ndarray) -> np.ndarray:
    """Without colour: three equal channels of ITU-R 601 luma."""
    import cv2

    return np.repeat(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[:, :, None], 3, axis=2)


def to_size(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """The image with these sides: by area where one gets smaller, else bicubic."""
    import cv2

    smaller = width < image.shape[1] or height < image.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(np.ascontiguousarray(image), (width, height), interpolation=way)


def _sign(rng: np.random.Generator) -> float:
    return 1.0 if rng.random() < 0.5 else -1.0


def _resized(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return resize(image, strength if rng.random() < 0.5 else 1 / strength)


def _cropped(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    down, across, enlarge = rng.random(3)
    return crop(image, strength, (down, across), keep_size=bool(enlarge < 0.5))


def _brightened(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    return tone(image, gain=strength ** _sign(rng))


@dataclass(frozen=True)
class Alteration:
    """One way of altering a photograph, in three strengths.

    name: its name in ALTERATIONS. what: what the strengths measure. strengths: strength's name -> its figure, weakest
    first. apply: (RGB image, figure, generator) -> RGB image. quality: JPEG quality of the written copy, None where
    the figure itself is that quality.
    """

    name: str
    what: str
    strengths: Mapping[str, float]
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
    quality: int | None = COPY_QUALITY

    def __call__(self, image: np.ndarray, strength: str, rng: np.random.Generator) -> np.ndarray:
        """An RGB image `(H, W, 3)` uint8, altered; the given one is left alone. KeyError for an unknown strength."""
        return self.apply(image, self.strengths[strength], rng)

    def file(self, image: np.ndarray, strength: str, rng: np.random.Generator) -> bytes:
        """The altered copy as a JPEG file, as such copies are found."""
        if self.quality is None:
            return encode_jpeg(image, int(self.strengths[strength]))
        return encode_jpeg(self(image, strength, rng), self.quality)


def _known() -> dict[str, Alteration]:
    def three(*figures: float) -> Mapping[str, float]:
        return MappingProxyType(dict(zip(STRENGTHS, figures, strict=True)))

    made = (
        Alteration("recompressed", "JPEG quality", three(75, 50, 25), lambda i, s, r: recompress(i, int(s)), None),
        Alteration("resized", "factor of the sides, or one over it", three(0.8, 0.65, 0.5), _resized),
        Alteration("cropped", "share of the sides that is left, anywhere", three(0.95, 0.9, 0.8), _cropped),
        Alteration("flipped", "mirrored; strengths do not differ", three(1, 1, 1), lambda i, s, r: flip(i)),
        Alteration("rotated", "degrees, either way", three(2, 4, 8), lambda i, s, r: rotate(i, _sign(r) * s)),
        Alteration("brightness", "gain of all values, or one over it", three(1.15, 1.35, 1.6), _brightened),
        Alteration(
            "contrast", "gain about middle grey, or one over it", three(1.2, 1.5, 2),
            lambda i, s, r: contrast(i, s ** _sign(r)),
        ),
        Alteration("gamma", "exponent of the values, or one over it", three(1.2, 1.5, 2),
                   lambda i, s, r: tone(i, gamma=s ** _sign(r))),
        Alteration("blurred", "sigma, pixels at a side of 112", three(0.7, 1.2, 2), lambda i, s, r: blur(i, s)),
        Alteration("grey", "without colour; strengths do not differ", three(1, 1, 1), lambda i, s, r: grey(i)),
    )  # fmt: skip
    return {alteration.name: alteration for alteration in made}


#: Every known alteration by its name.
ALTERATIONS: Mapping[str, Alteration] = MappingProxyType(_known())

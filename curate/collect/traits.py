"""What a drawn person looks like, and what changes from one photograph to the next: numbers only, no pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

#: Invented peoples, so that no figure about drawn faces reads as a statement about real ones. Shares as collected.
ETHNICITIES = {"Aru": 0.55, "Belo": 0.24, "Cani": 0.13, "Dova": 0.08}
GENDERS = {"f": 0.32, "m": 0.68}
AGE_GROUPS = {"18-29": 0.44, "30-44": 0.33, "45-59": 0.16, "60+": 0.07}

#: Mean skin tone (sRGB), hair tones, and shifts of a few proportions of each people.
_SKIN = {"Aru": (236, 190, 160), "Belo": (214, 160, 116), "Cani": (164, 110, 76), "Dova": (112, 74, 54)}
_HAIR = {
    "Aru": ((92, 60, 36), (168, 118, 62), (58, 40, 30), (146, 70, 40)),
    "Belo": ((38, 28, 26), (62, 42, 34), (26, 22, 24)),
    "Cani": ((34, 26, 26), (48, 34, 30), (72, 46, 34)),
    "Dova": ((24, 20, 20), (36, 28, 26), (52, 36, 30)),
}
_IRIS = {
    "Aru": ((86, 128, 168), (98, 132, 84), (120, 84, 50), (104, 118, 128)),
    "Belo": ((86, 56, 34), (62, 42, 30), (110, 98, 56)),
    "Cani": ((70, 44, 28), (52, 34, 24), (96, 70, 40)),
    "Dova": ((56, 36, 26), (42, 28, 22), (78, 52, 32)),
}
#: (head width, eye distance, nose width, lip height, brow height) added to the means.
_SHAPE = {
    "Aru": (0.00, 0.000, -0.006, 0.000, 0.00),
    "Belo": (0.03, 0.010, 0.000, 0.003, 0.01),
    "Cani": (-0.02, -0.006, 0.006, 0.006, -0.01),
    "Dova": (0.01, 0.006, 0.012, 0.012, 0.00),
}
#: How far people differ from each other: more is easier to recognise.
SPREAD = 1.35
HAIR_STYLES = {
    "f": ("long", "bob", "bun", "round", "crop", "fringe"),
    "m": ("crop", "part", "curly", "bald", "round", "fringe"),
}


def generator(*words: object) -> np.random.Generator:
    """The random generator (PCG64) of a thing named by these words, the same on every machine."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=16).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest, "little")))


@dataclass(frozen=True)
class Person:
    """The traits of one person. Lengths are in head heights / 2 (the face spans about -1 to 1), tones are sRGB."""

    gender: str
    ethnicity: str
    shape: dict[str, float]
    skin: np.ndarray
    hair: np.ndarray
    iris: np.ndarray
    lip: np.ndarray
    style: str
    hairline: float
    beard: str
    glasses: bool
    moles: np.ndarray  # (M, 2)
    freckles: bool


def person(seed: int, number: int, gender: str, ethnicity: str) -> Person:
    """The person of this number; the same number is always the same face."""
    rng = generator(seed, "person", number)
    head, eyes, nose, lips, brow = _SHAPE[ethnicity]
    male = gender == "m"

    def near(mean: float, spread: float) -> float:
        return mean + SPREAD * spread * float(np.clip(rng.standard_normal(), -2, 2))

    shape = {
        "width": near(0.74 + head + 0.02 * male, 0.045),
        "taper": near(0.28 - 0.07 * male, 0.062),
        "chin": near(0.98 + 0.03 * male, 0.05),
        "square": near(2.15 + 0.15 * male, 0.17),
        "cheek": near(0.02, 0.02),
        "eye_gap": near(0.31 + eyes, 0.028),
        "eye_y": near(-0.05, 0.035),
        "eye_w": near(0.142 - 0.008 * male, 0.015),
        "eye_h": near(0.072 - 0.008 * male, 0.013),
        "eye_tilt": near(0.02, 0.07),
        "lid": near(0.5, 0.2),
        "brow_y": near(0.175 - 0.01 * male + brow, 0.022),
        "brow_w": near(0.19, 0.02),
        "brow_t": near(0.026 + 0.016 * male, 0.009),
        "brow_arch": near(0.05 - 0.02 * male, 0.022),
        "brow_tilt": near(0.03, 0.04),
        "nose_l": near(0.36, 0.045),
        "nose_w": near(0.115 + 0.012 * male + nose, 0.019),
        "nose_tip": near(0.05, 0.02),
        "mouth_y": near(0.56, 0.03),
        "mouth_w": near(0.26, 0.034),
        "lip_up": near(0.036 - 0.006 * male + lips, 0.010),
        "lip_low": near(0.052 - 0.006 * male + lips, 0.012),
        "mouth_bow": near(0.0, 0.02),
        "ear": near(0.17, 0.025),
        "neck": near(0.36 + 0.08 * male, 0.03),
        "hair_up": near(0.15, 0.045),
        "part": near(0.0, 0.3),
        "length": near(1.25, 0.25),
    }
    skin = np.array(_SKIN[ethnicity]) * near(1.0, 0.065) + rng.normal(0, 4, 3)
    hair = np.array(_HAIR[ethnicity][rng.integers(len(_HAIR[ethnicity]))]) * near(1.0, 0.12)
    iris = np.array(_IRIS[ethnicity][rng.integers(len(_IRIS[ethnicity]))]) * near(1.0, 0.1)
    lip = skin * np.array([0.86, 0.62, 0.62]) + np.array([18, 4, 8]) * (not male)
    beard = str(rng.choice(["none", "stubble", "full", "moustache"], p=[0.56, 0.22, 0.14, 0.08])) if male else "none"
    style = HAIR_STYLES[gender][rng.choice(6, p=[0.28, 0.22, 0.14, 0.10, 0.08, 0.18])]
    glasses = bool(rng.random() < 0.16)
    moles = rng.uniform((-0.5, 0.1), (0.5, 0.8), (int(rng.random() < 0.25), 2))
    return Person(gender, ethnicity, shape, np.clip(skin, 20, 250), np.clip(hair, 8, 240), np.clip(iris, 10, 230),
                  np.clip(lip, 20, 240), style, near(0.52, 0.06), beard, glasses, moles,
                  bool(rng.random() < 0.12))  # fmt: skip


@dataclass(frozen=True)
class Photo:
    """What one photograph adds to a person: angles in radians, shifts and widths in half head heights."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift: tuple[float, float]
    smile: float  # -1 sad .. 1 laughing
    mouth_open: float  # 0 .. 1
    eye_open: float  # 0 .. 1.2
    brow_raise: float
    gaze: tuple[float, float]
    light: tuple[float, float]
    exposure: float
    warmth: float
    glasses: bool
    shaved: bool
    age: int  # index into AGE_GROUPS
    back: np.ndarray  # (2, 3) the tones of the background
    cloth: np.ndarray  # (3,)
    blur: float  # sigma, in 1/112 of the side
    noise: float  # sigma, in grey levels
    quality: int  # JPEG
    texture: int  # seed of noise and background


def _muted(tones: np.ndarray, saturation: float) -> np.ndarray:
    grey = tones.mean(axis=-1, keepdims=True)
    return grey + (tones - grey) * saturation


def photo(seed: int, number: int, who: Person, age: int) -> Photo:
    """The circumstances of the photograph of this number."""
    rng = generator(seed, "photo", number)

    def spread(scale: float, limit: float = 2.2) -> float:
        return scale * float(np.clip(rng.standard_normal(), -limit, limit))

    laugh = rng.random() < 0.3
    values: dict[str, Any] = {
        "yaw": spread(0.17),
        "pitch": spread(0.09),
        "roll": spread(0.055),
        "scale": 0.365 * (1 + spread(0.04)),
        "shift": (spread(0.04), spread(0.03)),
        "smile": float(np.clip((0.75 if laugh else 0.25) + spread(0.3), -0.8, 1)),
        "mouth_open": float(np.clip((0.45 if laugh else 0.0) + spread(0.22), 0, 0.9)),
        "eye_open": 0.12 if rng.random() < 0.03 else float(np.clip(1 + spread(0.14), 0.6, 1.25)),
        "brow_raise": spread(0.02),
        "gaze": (spread(0.25), spread(0.12)),
        "light": (spread(0.42), -0.1 + spread(0.25)),
        "exposure": float(np.exp(spread(0.17))),
        "warmth": spread(0.06),
        "glasses": (who.glasses and rng.random() < 0.7) or rng.random() < 0.025,
        "shaved": rng.random() < 0.25,
        "age": age,
        "back": _muted(rng.uniform(50, 235, (1, 3)) + rng.uniform(-40, 40, (2, 3)), 0.45),
        "cloth": _muted(rng.uniform(30, 225, 3), 0.7),
        "blur": float(max(0.0, 0.35 + spread(0.4))),
        "noise": float(abs(spread(2.5))),
        "quality": int(rng.integers(78, 96)),
        "texture": int(rng.integers(2**31)),
    }
    return Photo(**values)

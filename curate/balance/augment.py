"""Stochastic augmentation: albumentations pipelines in YAML, one seed for each replica.

The only module that imports albumentations (2.0.8 is its last release under the MIT licence).
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from curate.core.errors import InputError, MissingExtra, nearest
from curate.core.files import json_digest

_PRESETS = Path(__file__).parent / "presets"
#: Compositions that hold transforms of their own.
_NESTED = ("OneOf", "SomeOf", "Sequential", "RandomOrder")


def presets() -> tuple[str, ...]:
    """The names of the pipelines that come with curate."""
    return tuple(sorted(path.stem for path in _PRESETS.glob("*.yaml")))


class Augmenter:
    """A pipeline that makes the same picture of the same pixels and seed, in any process.

    pipeline: the name of a preset, a YAML file, or a mapping `{transforms: [{NAME: {parameter: value}}, ...]}`; NAME is
    a transform of albumentations, or one of OneOf, SomeOf, Sequential, RandomOrder with `transforms` of its own.
    Raises InputError for an unknown name or parameter, MissingExtra without albumentations. It pickles as its text.
    """

    def __init__(self, pipeline: str | Path | Mapping[str, Any]) -> None:
        self.name, self.spec = read_pipeline(pipeline)
        self._compose: Any = _compose(self.spec, self.name)

    @property
    def fingerprint(self) -> str:
        """A digest of the pipeline and the library's version: equal ones draw equal pictures."""
        return json_digest([self.spec, _library().__version__])

    def __call__(self, image: np.ndarray, seed: int) -> np.ndarray:
        """The replica of an image `(H, W, 3)` uint8 RGB that belongs to a seed: a new array of the same shape.

        Raises InputError where the pipeline changes the shape, which no trainer expects.
        """
        self._compose.set_random_seed(int(seed))
        made = self._compose(image=image)["image"]
        if made.shape != image.shape or made.dtype != np.uint8:
            raise InputError("the pipeline changes the shape or type of an image", file=self.name,
                             value=(made.shape, str(made.dtype)), allowed=f"{image.shape} uint8",
                             remedy="Leave out crops, resizing and normalisation: the trainer does them")  # fmt: skip
        return made if made is not image else image.copy()

    def __getstate__(self) -> dict[str, Any]:
        return {"name": self.name, "spec": self.spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.name, self.spec = state["name"], state["spec"]
        self._compose = _compose(self.spec, self.name)


def resized(pixels: np.ndarray, size: int | None) -> np.ndarray:
    """Pixels `(H, W, 3)` as `(size, size, 3)`; as they are where `size` is None or they have it."""
    if size is None or pixels.shape[:2] == (size, size):
        return pixels
    import cv2

    shrinks = min(pixels.shape[:2]) >= size
    return cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def read_pipeline(pipeline: str | Path | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the mapping of a preset, a file or a mapping; nothing is built, so albumentations is not needed."""
    if isinstance(pipeline, Mapping):
        name, spec = "pipeline", dict(pipeline)
    else:
        path = _PRESETS / f"{pipeline}.yaml" if str(pipeline) in presets() else Path(pipeline)
        if not path.is_file():
            raise InputError(f"no preset and no file {str(pipeline)!r}. {nearest(str(pipeline), presets())}")
        try:
            name, spec = path.stem, yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise InputError(f"not valid YAML ({error})", file=path) from error
    if not isinstance(spec, dict) or not isinstance(spec.get("transforms"), list) or set(spec) != {"transforms"}:
        raise InputError("a pipeline is a mapping with the one key `transforms`, a list", file=name, value=spec)
    return name, spec


def _library() -> Any:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for news when it is imported
    try:
        import albumentations
    except ImportError:
        raise MissingExtra("albumentations", "augment", "augmentation") from None
    return albumentations


def _compose(spec: Mapping[str, Any], origin: str) -> Any:
    # Shapes are checked by Augmenter: the library's own check costs more than it finds.
    return _library().Compose([_transform(entry, origin) for entry in spec["transforms"]], is_check_shapes=False)


def _transform(entry: Any, origin: str) -> Any:
    library = _library()
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise InputError("a transform is one name with its parameters", file=origin, value=entry)
    name, params = next(iter(entry.items()))
    kind = getattr(library, str(name), None)
    known = [n for n in dir(library) if _usable(getattr(library, n), library)]
    if name not in known and name not in _NESTED:
        raise InputError(f"there is no transform {name!r}. {nearest(str(name), [*known, *_NESTED])}", file=origin)
    params = dict(params or {})
    if name in _NESTED:
        inner = params.pop("transforms", None)
        if not isinstance(inner, list) or not inner:
            raise InputError(f"{name} needs a list `transforms`", file=origin, value=inner)
        params["transforms"] = [_transform(item, origin) for item in inner]
    lists = {key: tuple(value) if isinstance(value, list) and key != "transforms" else value
             for key, value in params.items()}  # fmt: skip
    try:
        with warnings.catch_warnings():
            # The library says of an unknown parameter that it is not valid, and goes on.
            warnings.simplefilter("error", UserWarning)
            return kind(**lists)
    except (TypeError, ValueError, UserWarning) as error:
        said = " ".join(str(error).split())
        raise InputError(f"{name}: {said[:300]}", file=origin, value={k: v for k, v in params.items()
                                                                        if k != "transforms"}) from error  # fmt: skip


def _usable(kind: Any, library: Any) -> bool:
    """Whether it is a transform of one image: not a base class, and nothing that needs a function or other images."""
    if not isinstance(kind, type) or not issubclass(kind, library.BasicTransform):
        return False
    bases = (library.BasicTransform, library.ImageOnlyTransform, library.DualTransform, library.Lambda)
    return kind not in bases and kind is not getattr(library, "Transform3D", None)

"""How a face model takes its images: declared in the recipe, or by a card beside the model's file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, ValidationError

from curate.core.errors import InputError
from curate.core.shapes import StrictParams

_Channel = float | tuple[float, float, float]


class ModelCard(StrictParams):
    """What a model expects. Pixels of 0 to 255 become `(pixel - mean) / std`; mean and std may be one number."""

    size: Annotated[int, Field(ge=8, le=1024)]  # pixels of a side; faces are square
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    channels: Literal["RGB", "BGR"] = "RGB"
    mean: _Channel = 127.5
    std: _Channel = 127.5
    output: str | None = None  # the name of the output that is the vector; None: the model's first

    def tensor(self, faces: np.ndarray) -> np.ndarray:
        """Faces `(n, size, size, 3)` uint8 RGB as the model's float32 input."""
        values = faces if self.channels == "RGB" else faces[..., ::-1]
        # float32 arithmetic on purpose: it is what the model computes in.
        scaled = (values.astype(np.float32) - np.float32(self.mean)) / np.float32(self.std)
        return np.ascontiguousarray(scaled if self.layout == "NHWC" else scaled.transpose(0, 3, 1, 2))


def find_card(model: Path, declared: ModelCard | None) -> ModelCard:
    """The card that the recipe declares, else that of `MODEL.yaml` beside the model's file.

    Raises InputError where there is neither, or the card is not valid.
    """
    if declared is not None:
        return declared
    path = model.with_suffix(".yaml")
    if not path.is_file():
        raise InputError(
            "nothing says how the model takes its images", file=model,
            remedy=f"Write a card {path.name} beside it: size, layout, channels, mean, std (docs/embedding.md)",
        )  # fmt: skip
    return read_card(path, ModelCard)


def read_card(path: Path, kind: type[StrictParams]) -> StrictParams:
    """A card of this kind from a YAML file. Raises InputError for a key or value that is not allowed."""
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
        return kind.model_validate(value)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"not valid YAML ({error})", file=path) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"the key {where!r}: {first['msg']}", file=path, value=first["input"],
                         allowed=", ".join(kind.model_fields)) from None  # fmt: skip

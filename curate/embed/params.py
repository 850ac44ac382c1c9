"""The settings of each embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from curate.core.shapes import StrictParams
from curate.embed.card import ModelCard


class BaselineParams(StrictParams):
    """The classical descriptor: no download, fitted on the data. For plumbing and duplicates, not to judge people."""

    kind: Literal["baseline"] = "baseline"
    dimensions: Annotated[int, Field(ge=1, le=1024)] = 256  # at most; fewer for few images
    whitening: Annotated[float, Field(ge=0, le=1)] = 0.5  # 0: plain PCA, 1: every axis of variance 1
    max_fit_images: Annotated[int, Field(ge=100)] = 20_000  # evenly spaced rows beyond


class DlibParams(StrictParams):
    """dlib's ResNet, 128 dimensions; nothing is fitted. Needs `pip install 'curate[dlib]'`."""

    kind: Literal["dlib"] = "dlib"
    padding: Annotated[float, Field(ge=0, le=1)] = 0.25  # of the face chip, as a share of its width


class NetworkParams(StrictParams):
    """What models of the user's own share."""

    card: ModelCard | None = None  # how the model takes its images; None: MODEL.yaml beside its file
    align: Literal["none", "landmarks", "dlib", "detector"] = "none"  # none: images are face crops already
    detector: Path | None = None  # an ONNX face detector, for `align: detector`
    batch: Annotated[int, Field(ge=1, le=4096)] = 64  # faces at once; part of what the vectors depend on
    device: Literal["auto", "cpu", "cuda"] = "auto"


class OnnxParams(NetworkParams):
    """A face model as an ONNX file. Needs `pip install 'curate[onnx]'`."""

    kind: Literal["onnx"] = "onnx"
    model: Path


class TorchParams(NetworkParams):
    """A TorchScript file, or `package.module:function` that returns a module. Needs `pip install 'curate[torch]'`."""

    kind: Literal["torch"] = "torch"
    model: str
    precision: Literal["float32", "bfloat16"] = "float32"


class VectorsParams(StrictParams):
    """The user's own vectors: a folder that `Vectors.write` wrote, or a `.npy` with its ids in a table.

    ids: a CSV or Parquet with the column `image_id`, in the order of the rows (default: `NAME.csv` beside `NAME.npy`).
    """

    kind: Literal["vectors"] = "vectors"
    path: Path
    ids: Path | None = None

"""Images to vectors: one Embedder protocol, several models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Union

from pydantic import Field

from curate.embed.params import BaselineParams, DlibParams, OnnxParams, TorchParams, VectorsParams
from curate.embed.protocol import Embedder

if TYPE_CHECKING:
    from curate.core.shapes import StrictParams

#: The embedder of a recipe, told apart by its `kind`.
EmbedderParams = Annotated[
    Union[BaselineParams, DlibParams, OnnxParams, TorchParams, VectorsParams],  # noqa: UP007
    Field(discriminator="kind"),
]


def make_embedder(settings: StrictParams) -> Embedder:
    """The embedder that the settings ask for.

    `VectorsParams` make none: vectors that exist are loaded with `curate.core.vectors.load_vectors(settings.path)`.
    Raises MissingExtra where its library is not installed, InputError for settings that make no embedder.
    """
    from curate.core.errors import InputError

    if isinstance(settings, BaselineParams):
        from curate.embed.baseline import BaselineEmbedder

        return BaselineEmbedder(settings)
    if isinstance(settings, DlibParams):
        from curate.embed.dlib_model import DlibEmbedder

        return DlibEmbedder(settings)
    if isinstance(settings, OnnxParams):
        from curate.embed.onnx_model import OnnxEmbedder

        return OnnxEmbedder(settings)
    if isinstance(settings, TorchParams):
        from curate.embed.torch_model import TorchEmbedder

        return TorchEmbedder(settings)
    raise InputError("these settings make no embedder", value=getattr(settings, "kind", type(settings).__name__),
                     allowed="baseline, dlib, onnx, torch")  # fmt: skip


__all__ = [
    "BaselineParams", "DlibParams", "Embedder", "EmbedderParams", "OnnxParams", "TorchParams", "VectorsParams",
    "make_embedder",
]  # fmt: skip

"""What verbs that read and embed run: `curate embed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from curate.core.shapes import Executor
from curate.recipe.run import RunResult, run_recipe
from curate.recipe.verbs.shared import verb_recipe


def run_embed(
    source: str,
    out: Path,
    *,
    executor: Executor,
    model: str,
    settings: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    **more: Any,
) -> RunResult:
    """Embed the images of a source, and keep the vectors in the run folder: `curate embed`.

    model: `baseline`, `dlib`, an `.onnx` file, a TorchScript file, or `package.module:function`. settings: of the
    embedder (align, detector, batch, device, precision); those that are None keep their defaults. more: as
    `run_recipe` takes it. Raises InputError for a model that is none of these.
    """
    embedder = _embedder(model) | {key: value for key, value in (settings or {}).items() if value is not None}
    # A mapping as YAML, so that --set embedder.batch=8 can still change it.
    given = f"embedder={yaml.safe_dump(embedder, default_flow_style=True, width=10**6).strip()}"
    recipe = verb_recipe("embed", source, [("store_vectors", {})], [given, *overrides])
    return run_recipe(recipe, out, executor=executor, **more)


def _embedder(model: str) -> dict[str, Any]:
    if model in ("baseline", "dlib"):
        return {"kind": model}
    whole = str(Path(model).expanduser().resolve())
    if model.lower().endswith(".onnx"):
        return {"kind": "onnx", "model": whole}
    return {"kind": "torch", "model": model if ":" in model and not Path(model).exists() else whole}

"""Small models for tests, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

SIZE, DIMENSIONS = 16, 8


def weights(seed: int = 0, size: int = SIZE) -> np.ndarray:
    """`(3 * size * size, DIMENSIONS)` float32, rows in the order of height, width, channel (RGB)."""
    return np.random.default_rng(seed).normal(size=(3 * size * size, DIMENSIONS)).astype(np.float32)


def onnx_linear(path: Path, card: dict | None, layout: str = "NCHW", channels: str = "RGB", batch: int | None = None):
    """An ONNX model that is one matrix product; its card beside it unless None."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    matrix = weights().reshape(SIZE, SIZE, 3, DIMENSIONS)
    if channels == "BGR":
        matrix = matrix[:, :, ::-1]
    if layout == "NCHW":
        matrix = matrix.transpose(2, 0, 1, 3)
    shape = [batch or "N", 3, SIZE, SIZE] if layout == "NCHW" else [batch or "N", SIZE, SIZE, 3]
    nodes = [
        helper.make_node("Flatten", ["x"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "w"], ["vector"]),
        helper.make_node("ReduceSum", ["vector"], ["sum"], keepdims=0),
    ]
    graph = helper.make_graph(
        nodes, "linear", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("sum", TensorProto.FLOAT, None),
         helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch or "N", DIMENSIONS])],
        [numpy_helper.from_array(np.ascontiguousarray(matrix.reshape(-1, DIMENSIONS)), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    if card is not None:
        path.with_suffix(".yaml").write_text(yaml.safe_dump(card))
    return path


def onnx_constants(path: Path, outputs: dict[str, np.ndarray], card: dict, size: int) -> Path:
    """A detector that returns the same tables whatever it sees."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value.astype(np.float32)))
             for name, value in outputs.items()]  # fmt: skip
    graph = helper.make_graph(
        nodes, "detector", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, list(value.shape)) for name, value in outputs.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    path.with_suffix(".yaml").write_text(yaml.safe_dump(card))
    return path


def torch_linear():
    """The same matrix product as a torch module (NCHW, RGB)."""
    import torch

    matrix = weights().reshape(SIZE, SIZE, 3, DIMENSIONS).transpose(2, 0, 1, 3).reshape(-1, DIMENSIONS)
    layer = torch.nn.Linear(matrix.shape[0], DIMENSIONS, bias=False)
    layer.weight.data = torch.from_numpy(np.ascontiguousarray(matrix.T))
    return torch.nn.Sequential(torch.nn.Flatten(), layer)

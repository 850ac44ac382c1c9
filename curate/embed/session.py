"""onnxruntime sessions, opened once in each process."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

from curate.core.errors import CurateError, InputError, MissingExtra

Device = Literal["auto", "cpu", "cuda"]


@cache
def open_session(path: Path, device: str) -> Any:
    """A session of one thread on the CPU, or on CUDA: workers bring the parallelism, and the bytes stay the same.

    Raises InputError where the file is no ONNX model that onnxruntime can run.
    """
    ort = _onnxruntime()
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    providers = ["CUDAExecutionProvider"] if device == "cuda" else ["CPUExecutionProvider"]
    try:
        return ort.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime has a class of its own for each way in which a file can be wrong
        raise InputError(f"not a model that onnxruntime can run ({str(error)[:200]})", file=path) from error


def onnx_device(wanted: Device) -> str:
    """`cuda` where it is there or asked for, else `cpu`. Raises CurateError where it is asked for and missing."""
    there = "CUDAExecutionProvider" in _onnxruntime().get_available_providers()
    if wanted == "cuda" and not there:
        raise CurateError("device: cuda, but this onnxruntime has no CUDA: pip install onnxruntime-gpu")
    return "cuda" if there and wanted != "cpu" else "cpu"


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra("onnxruntime", "onnx", "An ONNX model") from None
    return onnxruntime

"""Pickle files of plain data, read without ever calling what they name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.errors import InputError

#: Kinds of numpy numbers that are taken: bool, integers, floats.
_KINDS = "biuf"


class _Dtype:
    """Stands for `numpy.dtype`: keeps its name only."""

    def __init__(self, name: Any = "", *_: Any) -> None:
        self.name = name.decode("ascii", "replace") if isinstance(name, bytes) else str(name)
        self.order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        self.order = order.decode("ascii", "replace") if isinstance(order, bytes) else str(order)

    def real(self) -> np.dtype:
        found = np.dtype(self.name).newbyteorder("=" if self.order == "|" else self.order)
        if found.kind not in _KINDS:
            raise pickle.UnpicklingError(f"an array of {self.name}")
        return found


class _Array:
    """Stands for `numpy.ndarray`: raw bytes with a shape, read only when they are asked for."""

    def __init__(self, *_: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def value(self) -> Any:
        """Bytes for an array of uint8 that is flat (all axes but one are 1), else nested lists."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise pickle.UnpicklingError("an array without its data")
        _, shape, kind, fortran, raw = self.state
        if not isinstance(kind, _Dtype) or not isinstance(raw, bytes):
            raise pickle.UnpicklingError("an array of objects")
        array = np.frombuffer(raw, dtype=kind.real()).reshape(shape, order="F" if fortran else "C")
        flat = array.size == max(array.shape, default=0)
        return raw if flat and array.dtype == np.uint8 else array.tolist()


def _scalar(kind: Any, raw: Any) -> Any:
    if not isinstance(kind, _Dtype) or not isinstance(raw, bytes):
        raise pickle.UnpicklingError("a number of an unknown kind")
    return np.frombuffer(raw, dtype=kind.real())[0].item()


def _no_bytes(*arguments: Any) -> bytes:
    """What Python 3 writes for no bytes in the oldest pickles."""
    if arguments:
        raise pickle.UnpicklingError("bytes made of something")
    return b""


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    """What Python 3 writes for bytes in old pickles."""
    if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
        raise pickle.UnpicklingError("text in an unknown encoding")
    return text.encode("latin1")


_STAND_INS: dict[tuple[str, str], Any] = {
    **{(f"numpy.{part}.multiarray", "_reconstruct"): _Array for part in ("core", "_core")},
    **{(f"numpy.{part}.multiarray", "scalar"): _scalar for part in ("core", "_core")},
    ("numpy", "ndarray"): _Array, ("numpy", "dtype"): _Dtype, ("_codecs", "encode"): _latin,
    ("__builtin__", "bytes"): _no_bytes,
}  # fmt: skip


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _STAND_INS[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to another file")


def load_plain(path: Path | str) -> Any:
    """A pickle file as lists, tuples, dicts, bytes, text and numbers; flat uint8 arrays of numpy become bytes.

    Nothing that the file names is imported or called: numpy's arrays and numbers are rebuilt by stand-ins, and anything
    else is refused. Text of Python 2 comes as bytes. Raises InputError for what is not plain data or damaged.
    """
    try:
        with open(path, "rb") as handle:
            return _plain(_Unpickler(handle, encoding="bytes").load())
    except FileNotFoundError as error:
        raise InputError("no such file", file=path) from error
    except (pickle.UnpicklingError, ValueError, TypeError, EOFError, AttributeError, KeyError, IndexError, ImportError,
            RecursionError, MemoryError, OverflowError) as error:  # fmt: skip
        raise InputError(
            f"not a pickle of plain data ({error})", file=path,
            allowed="lists, tuples, dicts, bytes, text, numbers, numpy arrays of numbers",
        ) from error  # fmt: skip


def _plain(value: Any) -> Any:
    if isinstance(value, _Array):
        return value.value()
    if isinstance(value, list | tuple):
        return type(value)(_plain(item) for item in value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, _Dtype | type):
        raise pickle.UnpicklingError("it holds a class")
    return value

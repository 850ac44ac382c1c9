"""InsightFace's verification `.bin`, read without unpickling anything.

Such a file is a pickle of `(images, same)`. Its opcodes are followed here one by one, and only those that build lists,
tuples, bytes, numbers, booleans and numpy's arrays of bytes are known; of an array only its place in the file is noted,
and numpy is never called. A pickle that names any other class or function is refused before anything happens. Images
are not copied: what comes back is where they lie in the file.
"""

from __future__ import annotations

import math
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from curate.core.errors import InputError

#: Opcodes of bytes -> how many bytes of length stand before the data. Python 2 wrote bytes as strings.
_BYTES = {
    "BINBYTES": 4, "SHORT_BINBYTES": 1, "BINBYTES8": 8, "BYTEARRAY8": 8, "BINSTRING": 4, "SHORT_BINSTRING": 1,
}  # fmt: skip
#: The only names that a pickle may hold: what numpy needs for an array or a boolean. None of them is ever called.
_NAMES = frozenset(
    f"{module} {name}" for module, name in (
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"), ("numpy", "ndarray"),
        ("numpy", "dtype"), ("numpy.core.numeric", "_frombuffer"), ("numpy._core.numeric", "_frombuffer"),
        ("numpy.core.multiarray", "scalar"), ("numpy._core.multiarray", "scalar"),
    )
)  # fmt: skip
#: Types of one byte: what images and booleans are kept as.
_SINGLE = frozenset({"u1", "i1", "b1"})
_TEXTS = frozenset({"BINUNICODE", "SHORT_BINUNICODE", "UNICODE"})
_VALUES = {"NEWTRUE": True, "NEWFALSE": False, "NONE": None}
_NUMBERS = frozenset({"BININT", "BININT1", "BININT2", "INT", "LONG", "LONG1", "LONG4", "BINFLOAT", "FLOAT"})
_GET = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUT = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()


@dataclass
class _Made:
    """What a call of one of _NAMES would have made: a type (`u1`, `b1`), and the bytes of an array."""

    type: str | None = None
    span: Span | None = None


class Span(NamedTuple):
    """Where the bytes of one image lie."""

    offset: int
    size: int


def read_bin(path: Path) -> tuple[list[Span], list[bool]]:
    """The places of the images `(2n)` of a verification file, and whether each two of them show one person `(n)`.

    Raises InputError where the file is no such pickle, where it is truncated, and where it would call anything.
    """
    with open(path, "rb") as handle:
        value = _plain(_follow(handle, path))
        if isinstance(value, tuple | list) and len(value) == 2:
            value = [_items(part, handle) for part in value]
            if isinstance(value[1], list):
                value[1] = [_boolean(item, handle) for item in value[1]]
    if not (isinstance(value, list | tuple) and len(value) == 2 and all(isinstance(part, list) for part in value)):
        raise InputError(
            "not a verification set", file=path, allowed="a pickle of (list of images, list of same or not)"
        )
    images, same = value
    if len(images) != 2 * len(same):
        raise InputError(f"{len(images):,} images for {len(same):,} answers", file=path, allowed="two for each")
    for row, image in enumerate(images, start=1):
        if not isinstance(image, Span):
            raise InputError("the image is no bytes", file=path, row=row, value=type(image).__name__)
    for row, one in enumerate(same, start=1):
        if not (isinstance(one, bool | int) and one in (0, 1)):
            raise InputError("the answer is neither true nor false", file=path, row=row, value=one)
    return images, [bool(one) for one in same]


def _items(part: Any, handle: BinaryIO) -> Any:
    """A part of the pair as a list: of a tuple, or of an array of booleans."""
    if isinstance(part, _Made) and part.type == "b1" and part.span:
        handle.seek(part.span.offset)
        return [byte != 0 for byte in handle.read(part.span.size)]
    return [_plain(item) for item in part] if isinstance(part, list | tuple) and not isinstance(part, Span) else part


def _plain(item: Any) -> Any:
    """An array of bytes is where it lies."""
    return item.span if isinstance(item, _Made) and item.type in _SINGLE and item.span else item


def _boolean(item: Any, handle: BinaryIO) -> Any:
    """numpy writes a boolean as one byte."""
    if isinstance(item, Span) and item.size == 1:
        handle.seek(item.offset)
        return handle.read(1) != b"\0"
    return item


def _follow(handle: BinaryIO, path: Path) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, at in pickletools.genops(handle):
            if opcode.name == "STOP":
                return stack.pop()
            _do(opcode.name, argument, at, stack, memo, path)
    except InputError:
        raise
    except Exception as error:  # genops fails in many ways on damaged bytes
        raise InputError(f"the pickle is damaged or truncated ({str(error)[:120]})", file=path) from error
    raise InputError("the pickle ends too early", file=path)


def _do(name: str, argument: Any, at: int, stack: list[Any], memo: dict[int, Any], path: Path) -> None:
    if name in _BYTES:
        stack.append(Span(at + 1 + _BYTES[name], len(argument)))
    elif name in _VALUES:
        stack.append(_VALUES[name])
    elif name in _NUMBERS:
        stack.append(argument)
    elif name == "MARK":
        stack.append(_MARK)
    elif name == "EMPTY_LIST":
        stack.append([])
    elif name == "APPEND":
        item = stack.pop()
        stack[-1].append(item)
    elif name in ("APPENDS", "LIST", "TUPLE"):
        mark = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[mark + 1 :]
        del stack[mark:]
        if name == "APPENDS":
            stack[-1].extend(items)
        else:
            stack.append(items if name == "LIST" else tuple(items))
    elif name in _TUPLES:
        count = _TUPLES[name]
        items = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        stack.append(items)
    elif name in _GET:
        stack.append(memo[argument])
    elif name in _PUT or name == "MEMOIZE":
        memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
    elif name in _TEXTS or (name == "GLOBAL" and argument in _NAMES):
        stack.append(argument)
    elif name == "STACK_GLOBAL" and f"{stack[-2]} {stack[-1]}" in _NAMES:
        stack[-2:] = [f"{stack[-2]} {stack[-1]}"]
    elif name == "REDUCE" and stack[-2] in _NAMES:
        called, given = stack[-2:]
        stack[-2:] = [_called(called, given)]
    elif name == "BUILD" and isinstance(stack[-2], _Made):
        _built(stack[-2], stack.pop(), path)
    elif name not in ("PROTO", "FRAME"):
        if name == "STACK_GLOBAL":
            argument = f"{stack[-2]} {stack[-1]}"
        old = "_codecs" in str(argument)  # how Python 3 writes bytes for Python 2
        raise InputError("the pickle calls for more than lists, bytes and arrays, and was not followed any further",
                         file=path, value=f"{name} {argument}" if argument is not None else name,
                         remedy="Write it again with pickle protocol 3 or later" if old else None)  # fmt: skip


def _called(name: str, given: Any) -> _Made:
    """What stands for the result: the name of a `dtype`, an empty array of `_reconstruct`, the value of a `scalar`."""
    if name.endswith("dtype"):
        return _Made(type=str(given[0]))
    if name.endswith("scalar") and isinstance(given[0], _Made) and isinstance(given[1], Span):
        return _Made(given[0].type, given[1])
    if name.endswith("_frombuffer") and len(given) == 4 and isinstance(given[0], Span):
        kind, shape = given[1], given[2]
        if isinstance(kind, _Made) and kind.type in _SINGLE and math.prod(shape) == given[0].size:
            return _Made(kind.type, given[0])
    return _Made()


def _built(made: _Made, state: Any, path: Path) -> None:
    """Give an array its bytes, from the state that numpy pickles: version, shape, type, order, data."""
    if made.type is not None and made.span is None:
        return  # the byte order of a type: of no matter for single bytes
    if not (isinstance(state, tuple) and len(state) == 5 and isinstance(state[2], _Made)):
        raise InputError("the pickle holds an array of another form", file=path)
    _, shape, kind, _, data = state
    if not (isinstance(data, Span) and kind.type in _SINGLE and math.prod(shape) == data.size):
        raise InputError("an image is no array of bytes", file=path, value=f"{kind.type} {shape}")
    made.type, made.span = kind.type, data

"""Which pairs of vectors may reach a cosine: matrix products of few bits, with a bound on their error."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from curate.core.errors import InputError
from curate.search.directions import Directions, parts_of

#: Vectors on one side of a block, which goes to a worker, and of the tiles that it cuts it into: the scores of a
#: tile stay in the second-level cache.
BLOCK, TILE = 8192, 1024


@dataclass(frozen=True)
class Screened:
    """What a screen sees of unit vectors: bfloat16 codes, uint16 `(N, D)`, or float32.

    off: the largest distance of a unit vector from what is seen of it.
    """

    rows: np.ndarray
    off: float

    @classmethod
    def of(cls, directions: Directions, halves: bool) -> Screened:
        """In bfloat16 if `halves`, else in float32."""
        from curate.search.cosine_kernels import rounded_units

        rows = np.empty(directions.vectors.shape, np.uint16 if halves else np.float32)
        no_single, no_half, off = np.empty((0, 0), np.float32), np.empty((0, 0), np.uint16), 0.0
        for part, vectors in parts_of(directions.vectors):
            single, half = (no_single, rows[part]) if halves else (rows[part], no_half)
            off = max(off, rounded_units(vectors, directions.scale[part], single, half))
        return cls(rows, off)


def screen_error(off: float, size: int) -> float:
    """How far a screened score can be from the cosine, in theory: no pair at the threshold is ever screened out.

    off: the largest distance of a rounded vector from its unit vector, measured on the data. size: D.
    Let x, y be unit vectors and x + e, y + f what the screen holds of them, |e|, |f| <= off (rounding to bfloat16
    changes each number by at most 2**-8 of it, so off <= 2**-8; random directions have about 0.0017). By Cauchy and
    Schwarz |(x + e).(y + f) - x.y| = |e.y + x.f + e.f| <= 2 off + off**2. The products are added up in float32,
    in an order that is the library's: with a rounding error of at most 2**-23 of its result in each of D + 1
    operations on a sum (twice that of rounding to nearest), the sum is off by at most g = n u / (1 - n u),
    n = D + 1, u = 2**-23, times the sum of |products| <= (1 + off)**2 (Higham 2002, section 3.1). Products so small
    that they are flushed to zero add less than D 2**-125. The sum is then rounded to bfloat16, which keeps the order
    of numbers: sums that reach the bound reach the bound rounded down.
    """
    steps = (size + 1) * 2.0**-23
    if steps >= 0.5:
        raise InputError("the vectors are too long for a screen in float32", value=size, allowed="D below 4,000,000")
    return 2 * off + off**2 + steps / (1 - steps) * (1 + off) ** 2 + size * 2.0**-125


def blocks_of(left: np.ndarray, right: np.ndarray, same: bool) -> Iterator[tuple]:
    """(first row, first column, rows, columns or None where they are the rows) of each block."""
    for top in range(0, len(left), BLOCK):
        for across in range(top if same else 0, len(right), BLOCK):
            diagonal = same and across == top
            columns = None if diagonal else right[across : across + BLOCK]
            yield top, across, left[top : top + BLOCK], columns


def screen_block(task: tuple, *, least: float) -> tuple[int, int, np.ndarray]:
    """Where the block starts, and (row, column) within it of the pairs that may reach `least`: uint16 `(C, 2)`."""
    from curate.search.cosine_kernels import passed_codes, passed_scores

    top, across, rows, columns = task
    diagonal = columns is None
    columns = rows if diagonal else columns
    matcher = Matcher.of(rows, columns)
    bound = code_below(least) if matcher.torch is not None else _below(least)
    found = np.empty((1 << 16, 2), np.uint16)
    at = 0
    for down in range(0, len(rows), TILE):
        for right in range(down if diagonal else 0, len(columns), TILE):
            before = at
            scores = matcher.scores(down, right)
            passed = passed_codes if matcher.torch is not None else passed_scores
            at = passed(scores, bound, down, right, diagonal and down == right, found, at)
            if at > len(found):
                found = np.concatenate([found[:before], np.empty((at + (1 << 16), 2), np.uint16)])
                at = passed(scores, bound, down, right, diagonal and down == right, found, before)
    return top, across, found[:at].copy()


@dataclass(frozen=True)
class Matcher:
    """Scores one tile of a block after the other in the same memory: bfloat16 codes as int16, or float32."""

    rows: Any
    columns: Any
    tile: np.ndarray
    torch: Any
    device: str

    @classmethod
    def of(cls, rows: np.ndarray, columns: np.ndarray) -> Matcher:
        """Of the `Screened.rows` of both sides."""
        torch, device = _torch(rows.shape[1]) if rows.dtype == np.uint16 else (None, "")
        if torch is not None:
            # torch takes no array that can't be written to, as one from another process is.
            sides = (side if side.flags.writeable else side.copy() for side in (rows, columns))
            one, two = (torch.from_numpy(side).view(torch.bfloat16).to(device) for side in sides)
            return cls(one, two, np.empty(TILE * TILE, np.int16), torch, device)
        one, two = (_singles(side) for side in (rows, columns))
        return cls(one, two, np.empty(TILE * TILE, np.float32), None, device)

    def scores(self, down: int, right: int) -> np.ndarray:
        """The scores of the tile that starts there, until the next call."""
        one, two = self.rows[down : down + TILE], self.columns[right : right + TILE]
        tile = self.tile[: len(one) * len(two)].reshape(len(one), len(two))
        if self.torch is None:
            return np.matmul(one, two.T, out=tile)
        if self.device != "cpu":
            product = self.torch.mm(one, two.t())
            self.torch.from_numpy(tile).view(self.torch.bfloat16).copy_(product)
            return tile
        threads = self.torch.get_num_threads()
        self.torch.set_num_threads(1)
        try:
            self.torch.mm(one, two.t(), out=self.torch.from_numpy(tile).view(self.torch.bfloat16))
        finally:
            self.torch.set_num_threads(threads)
        return tile


@lru_cache(maxsize=1)
def halves_pay() -> bool:
    """Whether torch is installed, and this processor multiplies bfloat16 or there is a GPU.

    Processors: on Linux, x86 with AMX or AVX-512, ARM with bf16. Elsewhere float32 is the faster screen.
    """
    if find_spec("torch") is None:
        return False
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        flags = set()
    if flags & {"amx_bf16", "avx512_bf16", "bf16"}:
        return True
    import torch

    return bool(torch.cuda.is_available())


@lru_cache(maxsize=8)
def _torch(size: int) -> tuple[Any, str]:
    """torch and the device where it multiplies bfloat16 as `screen_error` takes for granted; (None, "") if nowhere.

    A GPU first, then the processor. Tried on positive numbers of which the first product is the largest: sums kept in
    bfloat16 would lose the others. Without it the rounded vectors are multiplied in float32, to which the same bound
    applies.
    """
    try:
        import torch
    except ImportError:
        return None, ""
    probe = torch.from_numpy(np.abs(np.random.default_rng(0).standard_normal((64, size)))).to(torch.bfloat16)
    probe[:, 0] = 16.0
    exact = probe.double() @ probe.double().T
    if torch.cuda.is_available():
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    for device in ("cuda", "cpu") if torch.cuda.is_available() else ("cpu",):
        got = torch.mm(probe.to(device), probe.to(device).t()).cpu().double()
        # The last rounding, to 8 significant bits, and the bound on the sum.
        if bool(((got - exact).abs() <= exact * (2.0**-8 + (size + 1) * 2.0**-22)).all()):
            return torch, device
    return None, ""


def code_below(value: float) -> np.int16:
    """The ordered code of the largest bfloat16 number not above the value."""
    single = np.float32(_below(value))
    code = single.view(np.int32) >> 16
    if single < 0 and single.view(np.uint32) & 0xFFFF:
        code += 1  # towards minus infinity: a larger magnitude
    code = np.int32(code & 0xFFFF).astype(np.uint16).view(np.int16)
    return np.int16(code ^ ((code >> 15) & 0x7FFF))


def _below(value: float) -> np.float32:
    """The largest float32 not above the value."""
    single = np.float32(value)
    return single if float(single) <= value else np.nextafter(single, np.float32(-np.inf))


def _singles(side: np.ndarray) -> np.ndarray:
    return side if side.dtype == np.float32 else (side.astype(np.uint32) << np.uint32(16)).view(np.float32)

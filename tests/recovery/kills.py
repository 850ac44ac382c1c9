"""Kill a run at random moments, run the same command again, and compare every table with an undisturbed run."""

from __future__ import annotations

import hashlib
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


def digests(run: Path) -> dict[str, str]:
    """SHA-256 of every table and matrix of a run, by its path below the run."""
    tables = sorted([*run.rglob("*.parquet"), *run.rglob("*.npy")])
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in tables}


def command(verb: Sequence[str], out: Path, cache: Path, workers: int) -> list[str]:
    """The command line of a verb with its arguments."""
    return [
        sys.executable, "-m", "curate.cli", *verb, "--out", str(out), "--cache", str(cache), "--workers", str(workers)
    ]  # fmt: skip


@dataclass
class Tally:
    """What a series of kills met."""

    kills: int = 0
    finished: int = 0
    differing: int = 0
    whole_seconds: float = 0.0


def kill_often(verb: Sequence[str], folder: Path, *, kills: int, seed: int, workers: int = 2) -> Tally:
    """Run to the end undisturbed, then with SIGKILLs at random moments until `kills` of them hit a live run.

    verb: what to run, such as `("run", recipe)`. A disturbed run starts with an empty folder and cache, and is killed
    and started again until it ends by itself; then its tables are compared, and the next one begins. The moment is
    uniform over the length of a whole run.
    """
    draw = random.Random(seed)
    tally = Tally()
    start = time.monotonic()
    reference, cache = folder / "reference", folder / "cache"
    subprocess.run(command(verb, reference, cache, 1), check=True, stdout=subprocess.DEVNULL)
    tally.whole_seconds = time.monotonic() - start
    expected = digests(reference)
    shutil.rmtree(cache)
    while tally.kills < kills:
        out = folder / "disturbed"
        while True:
            final = tally.kills >= kills
            limit = None if final else draw.uniform(0, tally.whole_seconds)
            process = subprocess.Popen(command(verb, out, cache, workers), stdout=subprocess.DEVNULL)
            try:
                if process.wait(limit):
                    raise RuntimeError(f"the run failed with {process.returncode}")
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                tally.kills += 1
        tally.finished += 1
        tally.differing += digests(out) != expected
        shutil.rmtree(out)
        shutil.rmtree(cache)
    return tally

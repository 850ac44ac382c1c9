"""What the benchmarks share: timing, the memory of a process tree, and how a result is printed."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def best_seconds(function: Callable[[], Any], repeats: int = 3) -> float:
    """The shortest of a few runs, in seconds: the one least disturbed by other programs."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@dataclass(frozen=True)
class ProcessCost:
    """What a command took: seconds, and the largest sum of resident memory over it and its children, in bytes."""

    seconds: float
    peak_bytes: int


def process_cost(command: Sequence[str], memory: str = "Pss:") -> ProcessCost:
    """Run a command to its end, looking at the memory of its process tree ten times a second (Linux).

    memory: a line of `smaps_rollup`; `Pss_Anon:` leaves memory-mapped files out.
    """
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        peak = max(peak, resident_tree(process.pid, memory))
        time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return ProcessCost(time.perf_counter() - start, peak)


def resident_tree(pid: int, memory: str = "Pss:") -> int:
    """Memory of a process and all its children now, in bytes (Linux); memory: as in `process_cost`."""
    return sum(_resident(each, memory) for each in _tree(pid))


def _tree(pid: int) -> list[int]:
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += _tree(int(child))
    except OSError:
        pass
    return found


def _resident(pid: int, memory: str) -> int:
    try:
        # PSS counts a page that several processes share once.
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith(memory):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def run_sections(
    name: str, sections: Mapping[str, Callable[[argparse.Namespace], dict[str, Any]]], parser: argparse.ArgumentParser
) -> None:
    """Read the arguments, `--only SECTION,SECTION` and `--json` among them, run the sections, print their figures."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--only", default=",".join(sections), help=f"some of {', '.join(sections)}, by commas")
    chosen = parser.parse_args()
    figures: dict[str, Any] = {"workers": chosen.workers} if hasattr(chosen, "workers") else {}
    for section in chosen.only.split(","):
        if section not in sections:
            parser.error(f"no section {section!r}; there are {', '.join(sections)}")
        figures |= sections[section](chosen)
    show(name, figures, chosen.json)


def show(name: str, figures: dict[str, Any], as_json: bool) -> None:
    """Print the figures of a benchmark, one a line or as JSON."""
    figures = {"benchmark": name, "cores": len(os.sched_getaffinity(0)), **figures}
    if as_json:
        print(json.dumps(figures, indent=2))
        return
    for key, value in figures.items():
        print(f"{key:<44} {value:,.3g}" if isinstance(value, float) else f"{key:<44} {value}")

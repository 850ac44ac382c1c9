"""Kill the run on real faces again and again: `python -m tests.recovery.real --kills 20`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.recovery.kills import kill_often


def main() -> int:
    """Print the tally; the exit status is 1 where any table differed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    data = os.environ.get("CURATE_REAL_DATA")
    if not data:
        sys.exit("set CURATE_REAL_DATA to the folder of real faces")
    faces = Path(data).resolve() / "lfw-faces-112"
    options = ["--set", f"source.root={faces / 'images'}", "--set", f"source.labels={faces / 'labels.csv'}"]
    with tempfile.TemporaryDirectory() as folder:
        tally = kill_often(["run", "lfw_balanced", *options], Path(folder), kills=chosen.kills, seed=chosen.seed)
    print(
        f"{tally.kills} kills, {tally.finished} runs finished after them, {tally.differing} with a differing table; "
        f"an undisturbed run takes {tally.whole_seconds:.0f} s with one worker"
    )
    return int(tally.differing > 0)


if __name__ == "__main__":
    sys.exit(main())

"""The steps over tables, on a million rows, in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LIMIT_GIB = 2.0

CODE = """
import json, re, sys
from pathlib import Path
from curate.collect.synthetic import synthetic_table
from curate.core.files import write_table
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import make_recipe

folder = Path(sys.argv[1])
write_table(folder / "million.parquet", synthetic_table(rows=1_000_000, identities=40_000, seed=1))
result = run_recipe(make_recipe({
    "name": "million", "seed": 1, "source": {"kind": "table", "path": str(folder / "million.parquet")},
    "labels": {"gender": {"conflict": "majority"}, "ethnicity": None},
    "steps": [
        {"small_identities": {"min_images": 3}},
        {"holdout": {"fraction": 0.2, "stratify": ["gender", "ethnicity"]}},
        {"oversample": {"labels": ["gender", "ethnicity"], "target": 1.5, "budget": 500000}},
        {"imbalance": {"labels": ["identity", "gender", "ethnicity"], "cells": ["gender", "ethnicity"]}},
        {"verification_protocol": {"group_by": ["gender"], "pairs_per_group": 50000, "allow_fewer": True}},
    ],
}), folder / "run", executor=LocalExecutor(1), cache=folder / "cache")
# Not ru_maxrss: that begins with the peak of the process that started this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 2**20
print(json.dumps({"rows": len(result.manifest), "peak_gib": peak}))
"""


def test_a_million_rows(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", CODE, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["rows"] > 900_000
    assert found["peak_gib"] < LIMIT_GIB

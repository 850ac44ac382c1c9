"""Two ranks under torchrun see disjoint, reproducible samples."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np


def launch(out: Path, workers: int, port: int) -> list[dict[str, list[int]]]:
    out.mkdir()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port), Path(__file__).with_name("ddp_ranks.py"), out, str(workers),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


def free_port() -> int:
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_two_ranks_see_disjoint_and_reproducible_samples(tmp_path: Path):
    first = launch(tmp_path / "a", 0, free_port())
    again = launch(tmp_path / "b", 1, free_port())
    assert first == again
    for name in first[0]:
        one, other = first[0][name], first[1][name]
        assert len(one) == len(other) > 0
        assert not set(one) & set(other), name
        identity = np.arange(200) // 5
        if name.startswith("batches"):
            assert not set(identity[one].tolist()) & set(identity[other].tolist())
    rare = np.concatenate([first[0]["balanced 0"], first[1]["balanced 0"]]) >= 150
    assert abs(rare.sum() - 100) <= 1
    assert first[0]["balanced 0"] != first[0]["balanced 1"]
    assert first[0]["batches 0"] != first[0]["batches 1"]

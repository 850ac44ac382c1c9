"""`curate embed` is killed, goes on at the shard where it was, and makes the same vectors."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from curate.images.facts import SHARD
from tests.embed.models import SIZE, onnx_linear
from tests.images.test_records import record
from tests.recovery.kills import command, digests, kill_often

IMAGES = 2 * SHARD + 900


@pytest.fixture(scope="module")
def verb(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """Embedding three shards of small images, one of them damaged, with a small model."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    with open(folder / "faces.rec", "wb") as handle:
        for row in range(IMAGES):
            data = cv2.imencode(".bmp", rng.integers(0, 256, (SIZE, SIZE, 3), dtype=np.uint8))[1].tobytes()
            handle.write(record(data[:60] if row == 2 * SHARD + 5 else data, [float(row // 20)]))
    model = onnx_linear(folder / "linear.onnx", {"size": SIZE, "output": "vector"})
    return ("embed", str(folder / "faces.rec"), "--model", str(model))


def test_killed_at_random_moments(tmp_path: Path, verb: tuple[str, ...]):
    tally = kill_often(verb, tmp_path, kills=3, seed=1)
    assert tally.kills == 3
    assert tally.differing == 0
    assert len(np.load(tmp_path / "reference" / "vectors.npy")) == IMAGES - 1


def test_finished_shards_are_not_made_again(tmp_path: Path, verb: tuple[str, ...]):
    def shards() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("descriptor*/*.npz")}

    run = command(verb, tmp_path / "run", tmp_path / "cache", 1)
    process = subprocess.Popen(run, stdout=subprocess.DEVNULL)
    limit = time.monotonic() + 40
    while not shards() and process.poll() is None and time.monotonic() < limit:
        time.sleep(0.002)
    process.kill()
    process.wait()
    first = shards()
    assert 1 <= len(first) < 3, "killed after the first shard and before the last"
    said = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert first.items() <= shards().items()
    left = IMAGES - len(first) * SHARD
    assert f"({left:,} images in" in " ".join(said.split()), "only what was missing is embedded"
    again = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    assert "(all were in the cache)" in " ".join(again.split())
    subprocess.run(command(verb, tmp_path / "other", tmp_path / "empty", 2), check=True, stdout=subprocess.DEVNULL)
    assert digests(tmp_path / "run") == digests(tmp_path / "other")
    assert "vectors.npy" in digests(tmp_path / "run")

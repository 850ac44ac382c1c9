"""Executors place work and change nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import pytest

from curate.core.errors import CurateError
from curate.core.shapes import Executor, SerialExecutor
from curate.recipe.calling import Watched
from curate.recipe.execute import LocalExecutor, RayExecutor


def square(matrix: np.ndarray) -> bytes:
    return (matrix @ matrix.T).tobytes()


def die(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def work() -> list[np.ndarray]:
    return [np.random.default_rng(seed).normal(size=(300, 64)).astype(np.float32) for seed in range(9)]


def test_the_same_bytes_in_the_same_order(work: list[np.ndarray]):
    with LocalExecutor(1) as one, LocalExecutor(2) as two:
        assert isinstance(one, Executor)
        assert list(one.map(square, work)) == list(two.map(square, work))
    assert len(list(SerialExecutor().map(square, work))) == 9


@pytest.mark.parametrize("counted", [True, False])
def test_watched_work_is_the_same_and_told_of(work: list[np.ndarray], counted: bool):
    told = []
    watched = Watched(SerialExecutor(), "audit", lambda *said: told.append(said))
    assert isinstance(watched, Executor)
    assert list(watched.map(square, work if counted else iter(work))) == [square(matrix) for matrix in work]
    assert told == [("audit", done, 9 if counted else None) for done in range(1, 10)]


def test_work_is_taken_only_as_it_is_needed():
    taken = []

    def items() -> Iterator[int]:
        for item in range(100):
            taken.append(item)
            yield item

    with LocalExecutor(2) as executor:
        results = executor.map(abs, items())
        assert next(results) == 0
        assert len(taken) < 10
        assert list(results) == list(range(1, 100))


def test_a_worker_that_dies_is_a_clear_error():
    with LocalExecutor(2) as executor, pytest.raises(CurateError, match="fewer --workers"):
        list(executor.map(die, range(3)))


def test_no_workers_are_left_when_the_parent_is_killed():
    code = (
        "import time, os\nfrom curate.recipe.execute import LocalExecutor\nimport multiprocessing\n"
        "if __name__ == '__main__':\n"
        "    e = LocalExecutor(2)\n    list(e.map(abs, [1, 2, 3]))\n"
        "    print(*[p.pid for p in multiprocessing.active_children()], flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) >= 2
        parent.kill()
    deadline = time.monotonic() + 20
    while any(os.path.exists(f"/proc/{pid}") for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_ray_gives_the_same_bytes(work: list[np.ndarray], monkeypatch):
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with LocalExecutor(1) as one, RayExecutor(2) as ray:
        assert isinstance(ray, Executor)
        assert list(ray.map(square, work[:4])) == list(one.map(square, work[:4]))

"""Where work is placed: here, in local processes, or on a Ray cluster; never what is computed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any, Self, TypeVar

from threadpoolctl import threadpool_limits

from curate.core.errors import CurateError, MissingExtra

T = TypeVar("T")
R = TypeVar("R")

#: One BLAS thread per worker: the same bytes for any number of workers, and no oversubscription.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")


class LocalExecutor:
    """Up to `workers` processes on this machine; with one worker, this process.

    Processes start on first use, end with the `with` block, and end themselves if this process is killed.
    """

    def __init__(self, workers: int = 1) -> None:
        if workers < 1:
            raise CurateError(f"--workers is {workers}; give 1 or more")
        self.workers = workers
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=kind is None, cancel_futures=True)
            self._pool = None

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See Executor.map. At most twice as many results as workers wait in memory."""
        if self.workers == 1:
            for item in items:
                with threadpool_limits(1):
                    result = function(item)
                yield result
            return
        pool = self._start()
        waiting: deque[Future[R]] = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise CurateError(
                "a worker process was ended from outside, most often because memory ran out. "
                "Finished work is kept: run the same command again, with fewer --workers"
            ) from error
        finally:
            for future in waiting:
                future.cancel()

    def _start(self) -> ProcessPoolExecutor:
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self.workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
            )
            with _environment(_ONE_THREAD):
                # All processes start now, while the environment says one thread.
                list(self._pool.map(_nothing, range(self.workers)))
        return self._pool


class RayExecutor:
    """Tasks on a Ray cluster: the one named by RAY_ADDRESS, else one started on this machine."""

    def __init__(self, workers: int | None = None) -> None:
        try:
            import ray
        except ImportError:
            raise MissingExtra("ray", "ray", "--engine ray") from None
        self._ray = ray
        self._ours = not ray.is_initialized()
        if self._ours:
            local = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers, "include_dashboard": False}
            ray.init(runtime_env={"env_vars": _ONE_THREAD}, log_to_driver=False, **local)
        self.workers = workers or int(ray.cluster_resources().get("CPU", 1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            self._ray.shutdown()

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
        """See Executor.map."""
        remote = self._ray.remote(num_cpus=1)(_call)
        handle = self._ray.put(function)
        waiting: deque[Any] = deque()
        for item in items:
            waiting.append(remote.remote(handle, item))
            if len(waiting) > 2 * self.workers:
                yield self._ray.get(waiting.popleft())
        while waiting:
            yield self._ray.get(waiting.popleft())


def make_executor(engine: str, workers: int) -> LocalExecutor | RayExecutor:
    """The executor of `--engine local|ray`."""
    return RayExecutor(workers) if engine == "ray" else LocalExecutor(workers)


def _call(function: Callable[[T], R], item: T) -> R:
    return function(item)


def _nothing(_: int) -> None:
    return None


def _end_with_parent() -> None:
    """Leave no orphan behind: a worker whose parent was killed ends itself."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

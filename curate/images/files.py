"""The bytes of an image, from a file of its own or from inside a container; a bad one is a reason."""

from __future__ import annotations

import errno
import functools
import os
import stat
from pathlib import Path
from types import TracebackType

from curate.core.errors import InputError
from curate.core.files import is_encoded, locate, path_problem
from curate.images.containers import Container, open_container, split_path
from curate.images.reasons import (
    EMPTY_FILE,
    FINE,
    MISSING,
    NO_PATH,
    NOT_A_FILE,
    NOT_READABLE,
    OUTSIDE_ROOT,
    TOO_LARGE,
)  # fmt: skip

#: Size of a file in bytes; more is refused without reading it.
MAX_BYTES = 1 << 30

_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW
_FOLDER = os.O_PATH | os.O_CLOEXEC


def read_bytes(root: Path | str, path: str | None) -> tuple[int, bytes]:
    """The bytes of a manifest path below `root`: (0, bytes), or (index into REASONS, b"").

    A path `container#member` is read from inside its container (`curate.images.containers`), which stays open in this
    process. Links are followed only where they stay below the root. Never raises for a bad file.
    """
    with Reader(root) as reader:
        return reader.read(path)


class Reader:
    """Reads many files below one root; the folder of the last one stays open, which saves a third of the time."""

    def __init__(self, root: Path | str) -> None:
        self._root = os.fspath(root)
        self._name: str | None = None
        self._folder = -1

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def read(self, path: str | None) -> tuple[int, bytes]:
        """See read_bytes."""
        if not path:
            return NO_PATH, b""
        if path_problem(path):
            return OUTSIDE_ROOT, b""
        inside = split_path(path)
        try:
            if inside is not None:
                return _read_member(self._root, *inside)
            handle = self.open(path)
        except InputError:
            return OUTSIDE_ROOT, b""
        except (FileNotFoundError, NotADirectoryError):
            return MISSING, b""
        except (OSError, ValueError):
            return NOT_READABLE, b""
        try:
            facts = os.fstat(handle)
            if not stat.S_ISREG(facts.st_mode):
                return NOT_A_FILE, b""
            if facts.st_size > MAX_BYTES:
                return TOO_LARGE, b""
            data = os.read(handle, facts.st_size)
            while len(data) < facts.st_size and (more := os.read(handle, facts.st_size - len(data))):
                data += more
        except OSError:
            return NOT_READABLE, b""
        finally:
            os.close(handle)
        return (FINE, data) if data else (EMPTY_FILE, b"")

    def open(self, path: str) -> int:
        """A file handle for `path` below the root, to be closed by the caller.

        The common case opens one part after the other and follows no link, which costs a tenth of resolving the path;
        links and percent-encoded names go through `locate`.
        """
        try:
            if is_encoded(path):
                raise OSError(errno.ENOENT, "the name is to be decoded first")
            folder, _, name = path.rpartition("/")
            if folder != self._name:
                self._enter(folder)
            return os.open(name, _FLAGS, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.ENOENT):
                raise
        return os.open(locate(self._root, path), _FLAGS & ~os.O_NOFOLLOW)

    def _enter(self, folder: str) -> None:
        self._close()
        handle = os.open(self._root, _FOLDER)
        try:
            for part in folder.split("/") if folder else ():
                inner = os.open(part, _FOLDER | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
                os.close(handle)
                handle = inner
        except OSError:
            os.close(handle)
            raise
        self._name, self._folder = folder, handle

    def _close(self) -> None:
        if self._folder >= 0:
            os.close(self._folder)
        self._name, self._folder = None, -1


def stat_path(root: Path | str, path: str) -> os.stat_result:
    """The facts of the file that holds a manifest path: of the container for `container#member`.

    Raises InputError where the path leaves the root, OSError where there is no such file.
    """
    inside = split_path(path)
    name = path if inside is None else inside[0]
    plain = os.path.join(root, name)
    return os.stat(plain if os.path.exists(plain) else locate(root, name))


def _read_member(root: str, name: str, member: str) -> tuple[int, bytes]:
    facts = stat_path(root, name)
    if not stat.S_ISREG(facts.st_mode):
        return NOT_A_FILE, b""
    # A container that was written anew is opened anew.
    return _container(root, name, facts.st_ino, facts.st_size, facts.st_mtime_ns).read(member, MAX_BYTES)


@functools.lru_cache(maxsize=64)
def _container(root: str, name: str, *version: int) -> Container:
    with Reader(root) as reader:
        return open_container(reader.open(name), name)

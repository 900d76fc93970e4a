"""submitit's pickles, which run code when they are read: only our own, and only what they may consist of.

The folder that holds them is made for its owner alone (mode 0700), whatever the umask. One that is a link, belongs
to someone else or could be written by others is refused, when the executor starts and again before each pickle is
read: through descriptors, so that what was looked at is what is read. Of a pickle only the names below are loaded.
"""

import errno
import io
import os
import pickle
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake_interface_common.exceptions import WorkflowError

_ALLOWED = frozenset(
    [
        ("submitit.core.utils", "DelayedSubmission"),
        ("snakemake_executor_plugin_submitit.payload", "RankBatch"),
        ("snakemake_executor_plugin_submitit.payload", "RankCommand"),
    ]
)
_LONGEST_BYTES = 64 << 20  # the longest command that a rank can be given is a small part of it
_BROKEN = (
    pickle.UnpicklingError, EOFError, AttributeError, ImportError, IndexError, KeyError, TypeError, ValueError,
    OverflowError, MemoryError, AssertionError,
)  # fmt: skip


class NoPickle(ValueError):
    """A file that is truncated, or holds something else than submissions and results do."""


class _Unpickler(pickle.Unpickler):
    """Loads nothing that is not on the list: no other name, so no other code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} has no business in it")
        return super().find_class(module, name)


def private_folder(path: Path) -> Path:
    """Make the submitit folder (mode 0700) or check the one that is there.

    Raises WorkflowError for one that is a link, of someone else, or that others may have written to.
    """
    path = path.absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # also a file or a dangling link: opening it says so
        path.mkdir(mode=0o700)
    descriptor = _open_own_folder(path)
    try:
        if os.fstat(descriptor).st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)
    return path


def load(path: Path) -> Any:
    """What is in a pickle of ours.

    Raises FileNotFoundError; NoPickle for what is damaged or no submission or result; WorkflowError for a file or
    folder that is not safely our own.
    """
    folder = _open_own_folder(path.parent)
    try:
        descriptor = _open(path.name, os.O_RDONLY, path, "file", folder)
    finally:
        os.close(folder)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise NoPickle(f"{path} is no file")
        if found.st_uid != os.geteuid():
            raise _of_someone_else(path, found.st_uid)
        if found.st_size > _LONGEST_BYTES:
            raise NoPickle(f"{path} is longer than {_LONGEST_BYTES} bytes")
        content = file.read(_LONGEST_BYTES)
    try:
        return _Unpickler(io.BytesIO(content)).load()
    except _BROKEN as problem:
        raise NoPickle(f"{path}: {problem}") from problem


def _open_own_folder(path: Path) -> int:
    descriptor = _open(path, os.O_RDONLY | os.O_DIRECTORY, path, "folder")
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        os.close(descriptor)
        raise _of_someone_else(path, found.st_uid)
    if found.st_mode & 0o022:
        os.close(descriptor)
        raise WorkflowError(
            f"--submitit-folder: {path} can be written by others (mode {stat.S_IMODE(found.st_mode):04o}); results "
            "in it are pickles, and what others put there would run as you: remove it, or choose another folder"
        )
    return descriptor


def _open(name: str | Path, flags: int, path: Path, what: str, folder: int | None = None) -> int:
    """A descriptor of what is no link; `path` names it in words."""
    try:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError as problem:
        if path.is_symlink() and problem.errno in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
            raise WorkflowError(
                f"--submitit-folder: {path} is a link; results are pickles, which run code when they are read: "
                f"name the {what} itself ({path.resolve()})"
            ) from None
        if problem.errno == errno.ENOTDIR:
            raise WorkflowError(f"--submitit-folder: {path} is no folder") from None
        raise


def _of_someone_else(path: Path, uid: int) -> WorkflowError:
    return WorkflowError(
        f"--submitit-folder {path} belongs to another user (uid {uid}); results in it are pickles "
        "and would run that user's code here; choose a folder of your own"
    )

"""Which Snakemakes live: a file for each run, locked and touched from time to time by the process that wrote it.

The kernel's lock ends with its process, however that ends. But some file systems keep such locks to one host (NFS
with local_lock, Lustre with localflock), and others keep those of a host that is gone (NFS 3). So the file says
who holds it, and the rule is: a holder on this host lives as long as its lock is held; one on another host lives as
long as its last sign of life is younger than GONE_SECONDS, whatever the lock says.
"""

import fcntl
import os
import re
import socket
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import IO

from snakemake_interface_common.exceptions import WorkflowError

BEAT_SECONDS = 20.0
"""Between two signs of life."""
GONE_SECONDS = 180.0
"""Without a sign of life for so long, a run on another host is gone: file servers show changes late."""


class RunLock:
    """Held from its making until `let_go` or the end of the process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] = path.open("w")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WorkflowError(
                f"cannot lock {path} ({error.strerror}): --submitit-folder must lie on a file system "
                "with file locks (Lustre: mounted with flock)"
            ) from error
        self._file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._file.flush()
        self._ended = threading.Event()
        # the thread knows the file's name alone: who is forgotten holds nothing
        weakref.finalize(self, self._ended.set)
        threading.Thread(target=_give_signs_of_life, args=(path, self._ended), name="run-lock", daemon=True).start()

    def let_go(self) -> None:
        """Say that this run is over."""
        self._ended.set()
        self._file.close()
        self._path.unlink(missing_ok=True)


def _give_signs_of_life(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_SECONDS):
        try:
            os.utime(path)
        except OSError:  # a file system that does not answer now may later
            continue


def owner(path: Path) -> str | None:
    """Who holds a run's lock, in words that say what to do; None where the run is gone (its file goes too)."""
    try:
        with path.open("r+") as file:
            words = file.read().strip()
            locked = not _free(file)
            silent = _silent_seconds(file, path.parent)
    except FileNotFoundError:
        return None
    if _is_elsewhere(words):
        if silent < GONE_SECONDS:
            left = GONE_SECONDS - silent
            return (
                f"{words}, which gave a sign of life {silent:.0f} s ago; if it or its host is gone, its claim ends "
                f"in {left:.0f} s"
            )
    elif locked:
        return words
    path.unlink(missing_ok=True)
    return None


def _free(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_elsewhere(words: str) -> bool:
    """Whether a file was written on another host; what nobody could finish writing counts as from here."""
    match = re.fullmatch(r"process \d+ on (\S+)", words)
    return match is not None and match[1] != socket.gethostname()


def _silent_seconds(file: IO[str], folder: Path) -> float:
    """Since the last sign of life, by the file system's own clock."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".clock.") as clock:
            now = os.fstat(clock.fileno()).st_mtime
    except OSError:
        now = time.time()  # nothing can be written here: this host's clock must do
    return max(0.0, now - os.fstat(file.fileno()).st_mtime)

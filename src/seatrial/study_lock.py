"""One Snakemake at a time works on a study, whichever host it runs on; what one that is gone has left is no lock.

The kernel's lock on `results/<study>/.lock` is let go of when its process ends, however it ends. Some file systems
keep such locks to one host (NFS with local_lock, Lustre with localflock), others keep those of a host that is gone
(NFS 3). So the holder writes into the file who it is, and touches it as a sign of life. At each sign it looks
whether the file still names it: where it was silent for too long (a machine that was suspended, a file system that
did not answer) another may have taken the study over, and it ends at once.
"""

from __future__ import annotations

import atexit
import datetime as dt
import fcntl
import json
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from seatrial.errors import ConfigError, StudyBusy

BEAT_SECONDS = 20.0
"""Between two signs of life."""
GONE_SECONDS = 180.0
"""Without a sign of life for so long, a holder on another host counts as gone: file servers show changes late."""

_LARGEST_PROCESS = 1 << 22  # Linux gives no higher number

_SIGNING_SECONDS = 0.1
"""Whoever empties the file has written its name by then."""


@dataclass(frozen=True)
class Holder:
    """Who works on a study: `folder` is where Snakemake was started, `submissions` the executor's folder there."""

    process: int
    host: str
    since: str
    folder: str
    submissions: str | None

    def __str__(self) -> str:
        return f"process {self.process} on {self.host} (since {self.since})"

    @property
    def is_here(self) -> bool:
        """Whether its host is this one."""
        return self.host == socket.gethostname()


def read_holder(lock: Path) -> Holder | None:
    """Who wrote the lock last and has not let go of it; None where nobody has, or in words that are not ours."""
    try:
        found = Holder(**json.loads(lock.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None
    words = [found.host, found.since, found.folder, "" if found.submissions is None else found.submissions]
    is_ours = type(found.process) is int and 0 < found.process <= _LARGEST_PROCESS
    return found if is_ours and all(isinstance(word, str) and "\0" not in word for word in words) else None


def working(lock: Path) -> Holder | None:
    """Who works on the study now, as far as can be seen without taking the lock."""
    holder = read_holder(lock)
    if holder is None:
        return None
    alive = _runs_here(holder.process) if holder.is_here else _silent_seconds(lock) < GONE_SECONDS
    return holder if alive else None


def end_here(problem: StudyBusy) -> NoReturn:
    """Say it and end this process without another word to any file: what it runs is the other's business now."""
    print(f"seatrial: {problem}", file=sys.stderr, flush=True)
    os._exit(problem.exit_code)


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Within it the study is held. Raises StudyBusy and ConfigError as `StudyLock.take` does."""
    mine = StudyLock(lock)
    mine.take()
    try:
        yield
    finally:
        mine.let_go()


class StudyLock:
    """The lock of one study, held from `take` until `let_go` or the end of the process.

    `lost` is called, from another thread, where another has taken the study over meanwhile.
    """

    def __init__(self, lock: Path, lost: Callable[[StudyBusy], None] = end_here) -> None:
        self.lock, self._lost = lock, lost
        self._signature = b""
        self._descriptor: int | None = None
        self._ended = threading.Event()

    def take(self, submissions: str | None = None) -> None:
        """Hold the study, if it is not held yet; `submissions` is the executor's folder.

        Raises StudyBusy, in words that say what to do, where another process works on the study.

        Raises ConfigError where the study's folder cannot be written or its file system has no locks.
        """
        if self._descriptor is not None:
            return
        root = self.lock.parent
        try:
            root.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as problem:
            raise self._refused(f"the study's folder cannot be written: {problem.strerror}", "a folder") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._check_other_hosts()
            self._sign(descriptor, submissions)
        except BlockingIOError:
            os.close(descriptor)
            raise StudyBusy(self._who_holds()) from None
        except StudyBusy:
            os.close(descriptor)
            raise
        except OSError as problem:
            os.close(descriptor)
            allowed = "a folder with room, on a file system with file locks (Lustre: mounted with flock)"
            raise self._refused(f"the study cannot be locked: {problem.strerror}", allowed) from None
        self._descriptor = descriptor
        self._ended.clear()
        atexit.register(self.let_go)
        threading.Thread(target=self._give_signs_of_life, name="study-lock", daemon=True).start()

    def let_go(self) -> None:
        """Free the study, and say so in the file unless it names another by now; nothing where it is not held."""
        self._ended.set()
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            if os.pread(descriptor, len(self._signature) + 1, 0) == self._signature:
                os.ftruncate(descriptor, 0)
            os.close(descriptor)
        atexit.unregister(self.let_go)

    def _refused(self, problem: str, allowed: str) -> ConfigError:
        return ConfigError(problem, file=self.lock, key="results", value=str(self.lock.parent), allowed=allowed)

    def _check_other_hosts(self) -> None:
        """The kernel let us have the lock, but it may not know of other hosts."""
        holder = read_holder(self.lock)
        if holder is None or holder.is_here:
            return
        silent = _silent_seconds(self.lock)
        if silent < GONE_SECONDS:
            raise StudyBusy(
                f"{self.lock.parent} is being worked on by {holder}, which gave a sign of life {silent:.0f} s ago; "
                f"wait for it or stop it there. If it or its host is gone, start again in "
                f"{GONE_SECONDS - silent:.0f} s: its claim ends then"
            )

    def _who_holds(self) -> str:
        holder, root = read_holder(self.lock), self.lock.parent
        if holder is None:
            return f"{root} is being worked on by another process; wait for it or stop it"
        if not holder.is_here and (silent := _silent_seconds(self.lock)) >= GONE_SECONDS:
            return (
                f"{root} is locked by {holder}, which has given no sign of life for {silent:.0f} s; if that host "
                f"is gone, its file server keeps the lock: delete {self.lock} and start again"
            )
        return f"{root} is being worked on by {holder}; wait for it or stop it"

    def _sign(self, descriptor: int, submissions: str | None) -> None:
        holder = Holder(
            process=os.getpid(),
            host=socket.gethostname(),
            since=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            folder=str(Path.cwd()),
            submissions=submissions,
        )
        self._signature = (json.dumps(asdict(holder)) + "\n").encode()
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, self._signature, 0)

    def _give_signs_of_life(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            descriptor = self._descriptor
            if descriptor is None:
                return
            try:
                taken = self._taken_over()
                if taken is None:
                    os.utime(descriptor)
            except OSError:
                # a file system that does not answer now may later; the kernel's lock holds meanwhile
                continue
            if taken is not None:
                self._lost(taken)
                return

    def _taken_over(self) -> StudyBusy | None:
        """Why the study is not this process's any more, or None: by its name, not by the file that is open."""
        try:
            if self.lock.read_bytes() == self._signature:
                return None
        except FileNotFoundError:
            who = f"{self.lock} was removed, which lets another take it over"
        else:
            time.sleep(_SIGNING_SECONDS)
            who = f"{self.lock.parent} was taken over by {read_holder(self.lock) or 'another process'}"
        return StudyBusy(
            f"{who}: process {os.getpid()} on {socket.gethostname()} ends here and writes nothing more. Whoever "
            "holds the study takes up the jobs that are still queued or running; a holder on another host counts "
            f"as gone after {GONE_SECONDS:.0f} s without a sign of life"
        )


def _silent_seconds(lock: Path) -> float:
    """Since the last sign of life, by the file system's own clock."""
    try:
        with tempfile.NamedTemporaryFile(dir=lock.parent, prefix=".clock.") as clock:
            now = os.fstat(clock.fileno()).st_mtime
    except OSError:
        now = time.time()  # nothing can be written here: this host's clock must do
    return max(0.0, now - lock.stat().st_mtime)


def _runs_here(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

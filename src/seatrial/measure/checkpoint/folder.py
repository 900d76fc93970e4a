"""The probe's own folder: made in the folder that is given, removed with all it holds, whatever happened."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from seatrial.case import Case
from seatrial.errors import MeasurementFailed
from seatrial.units import GB, format_figure

PREFIX = "seatrial-checkpoint-"
FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
"""What the system says where nothing may be written."""
REMOVE = """trap '' TERM INT HUP
cat > /dev/null
for attempt in 1 2 3 4 5; do rm -rf -- "$1"; sleep 1; test -e "$1" || exit 0; done"""
"""Standard input ends with the process at its other end; ranks that die a little later may still write."""


def given_folder(case: Case) -> Path:
    """The absolute path of the folder that a checkpoint case names itself or by the target's storage."""
    workload = case.workload
    assert workload.kind == "checkpoint"
    place = workload.path
    if workload.storage is not None:
        named = case.target.storage.get(workload.storage)
        place = named.path if named is not None else None
        if place is None:
            raise MeasurementFailed(
                "crashed", f"target {case.target.name} has no path for the storage {workload.storage!r}"
            )
    assert place is not None
    return Path(place).expanduser().absolute()


def own_folder(case: Case, repeat: int, token: str) -> Path:
    """Where the probe's own folder is to be; the same for all ranks that share `token`."""
    return given_folder(case) / f"{_beginning(case, repeat)}{token}"


def make_folder(own: Path, case: Case, repeat: int) -> None:
    """Make the probe's own folder, and remove what runs of this repeat that were killed left long ago.

    Raises MeasurementFailed where the given folder is missing, none, or not writable.
    """
    given = own.parent
    if not given.is_dir():
        what = "is not a folder" if given.exists() else "does not exist"
        raise MeasurementFailed("crashed", f"{given} {what}; the probe checkpoint needs a folder that is there")
    try:
        _remove_abandoned(given, _beginning(case, repeat), case.workload.time_limit_minutes)
        own.mkdir(mode=0o700, exist_ok=True)
    except OSError as problem:
        if problem.errno in FORBIDDEN:
            words = f"{given} is not writable: {problem.strerror}"
        elif problem.errno == errno.ENOENT:
            words = f"no folder can be made in {given}: its file system takes none, or somebody removed it"
        else:
            words = f"no folder can be made in {given}: {problem.strerror}"
        raise MeasurementFailed("crashed", words) from problem


def _beginning(case: Case, repeat: int) -> str:
    return f"{PREFIX}{case.case_id}-{repeat}-"


def check_room(folder: Path, needed: int) -> None:
    """Raises MeasurementFailed where the file system of `folder` has no room for `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        wanted, there = format_figure(needed / GB), format_figure(free / GB)
        raise MeasurementFailed(
            "crashed",
            f"{folder.parent} is too full: {wanted} GB are needed and {there} GB are free; fewer parameters, "
            "or `kept` for fewer checkpoints at once",
        )


def remove(folder: Path) -> None:
    """Remove the probe's own folder; ranks may do so at once."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def removed_in_the_end(folder: Path) -> Iterator[None]:
    """Have a process of its own remove `folder` when this one is gone, also where a signal ends it.

    Ranks that lose a peer end at once and tidy nothing up; terabytes of theirs would stay on the storage.
    """
    follower = subprocess.Popen(
        ["/bin/sh", "-c", REMOVE, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        remove(folder)
        follower.kill()
        follower.communicate()


def _remove_abandoned(given: Path, prefix: str, minutes: float) -> None:
    """Folders of this very repeat that no run can still be writing, which may take `minutes` at most."""
    for entry in os.scandir(given):
        if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False):
            age = time.time() - entry.stat(follow_symlinks=False).st_mtime
            if age > 2 * 60 * minutes:
                remove(Path(entry.path))

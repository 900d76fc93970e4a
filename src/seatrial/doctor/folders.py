"""The folders of a study: whether they can be written, how fast, and whether they have the room."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from seatrial.doctor.check import Check, Topic
from seatrial.doctor.facts import Folder
from seatrial.doctor.limits import Limits
from seatrial.doctor.needs import Needs
from seatrial.units import GB, format_figure

TOPIC = Topic("folders")
FILES = Topic("files")


def folders_checks(folders: Sequence[Folder], needs: Needs, limits: Limits) -> list[Check]:
    """A check for each folder that the study writes, as this machine sees it."""
    known = {folder.path: folder for folder in folders}
    return [_folder(known[path], needs, limits) for path in needs.written if path in known]


def files_checks(folders: Sequence[Folder], needs: Needs) -> list[Check]:
    """A check for each file and folder that the study reads."""
    known = {folder.path: folder for folder in folders}
    return [_file(known[path], needs.here) for path in needs.read if path in known]


def _folder(folder: Folder, needs: Needs, limits: Limits) -> Check:
    name = short(folder.path)
    if folder.problem and not folder.exists and folder.made_in is None:
        do = "see that the file system is mounted and its server answers"
        return TOPIC.lacks(name, f"looking at it did not end: {folder.problem}", do)
    if folder.exists and not folder.is_folder:
        return TOPIC.lacks(name, "it is a file", "name another folder, or move the file away")
    if not folder.exists and folder.path not in needs.made:
        if needs.here:
            return TOPIC.lacks(
                name, "there is no such folder", "make it, or name another in the workload or target"
            )
        saw = "not on this machine; the nodes must have it"
        return TOPIC.not_checked(name, saw, "run this where it is mounted, or where Slurm answers")
    if not folder.writable:
        place = folder.path if folder.exists else folder.made_in or folder.path
        do = "a folder that you may write: --results here and results= of Snakemake, or target.storage.*.path"
        return TOPIC.lacks(name, f"{short(place)} cannot be written: {folder.problem or 'no right to'}", do)
    return _room_and_speed(folder, name, needs, limits)


def _room_and_speed(folder: Folder, name: str, needs: Needs, limits: Limits) -> Check:
    """What is free against what the study writes there, and MB/s of one file."""
    there = "" if folder.exists else f"can be made in {short(folder.made_in or '')}; "
    saw = there + speed_words(folder)
    free = f"{format_figure((folder.free or 0) / GB, 3)} GB free"
    needed = dict(needs.bytes_at).get(folder.path, 0)
    wanted = f", the study writes {format_figure(needed / GB, 3)} GB at once" if needed else ""
    if folder.free is not None and folder.free < needed:
        do = "make room, or fewer bytes at once (workload.kept, workload.parameters, dataset.samples)"
        return TOPIC.lacks(name, f"{saw}; {free}{wanted}", do)
    if folder.free is not None and folder.free < (limits.free_gb.value or 0) * GB + needed:
        return TOPIC.warning(name, f"{saw}; {free}{wanted}", f"make room ({limits.free_gb.source})")
    if folder.speed is not None and folder.speed < (limits.write_mb_per_s.value or 0):
        do = f"another file system, or see what slows this one down ({limits.write_mb_per_s.source})"
        return TOPIC.warning(name, f"{saw}; {free}{wanted}", do)
    return TOPIC.ok(name, f"{saw}; {free}{wanted}")


def speed_words(folder: Folder) -> str:
    """'1 file written and synced at 512 MB/s'."""
    if folder.speed is None:
        return "writable, speed not looked at"
    return f"one file written and synced at {format_figure(folder.speed, 3)} MB/s"


def _file(folder: Folder, here: bool) -> Check:
    name = short(folder.path)
    if folder.problem:
        return FILES.lacks(name, folder.problem, "see that the file system is mounted and its server answers")
    if folder.exists and folder.readable:
        return FILES.ok(name, "there, and can be read")
    if folder.exists:
        return FILES.lacks(name, "there, and cannot be read", "ask its owner for the right to read it")
    if here:
        return FILES.lacks(name, "there is no such file or folder", "put it there, or name another in the workload")
    return FILES.not_checked(name, "not on this machine; the nodes must have it", "run this where it is mounted")


def short(path: str) -> str:
    """A path below the working folder as it is typed there; others in full."""
    try:
        inside = Path(path).relative_to(Path.cwd())
    except ValueError:
        return path
    return f".{os.sep}" if inside == Path() else str(inside)

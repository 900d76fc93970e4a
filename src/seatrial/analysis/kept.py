"""What was read of a study's records, kept in a file of its own, so that a record that stays is read once.

An entry counts where record and series file have the inode, size and times that they had. What changed
less than TRUSTED_AFTER_S before it was read is not kept: on a file system with coarse times it may change again and
look the same. A file that is truncated, foreign or of other code is no error: it counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
from numpy.typing import NDArray

import seatrial.config.base
import seatrial.record
from seatrial.analysis.columns import NONE, Columns, Ints
from seatrial.config.metrics import METRICS
from seatrial.paths import StudyPaths, written_aside

FORMAT = 1
"""Of the file; code that reads records otherwise changes `version` by itself."""
TRUSTED_AFTER_S = 2.0
"""No file system in use has coarser times."""
DAMAGED = (
    OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, OverflowError, NotImplementedError,
    RuntimeError, MemoryError, struct.error, lzma.LZMAError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What reading a file raises that is none of ours: zipfile, numpy and json each have words of their own."""
STAMPS = ("record_stamps", "series_stamps")
Stamp = tuple[int, int, int, int]
"""Inode, size, times of the last change of content and of inode, in ns; all 0: there is no such file."""
NO_FILE: Stamp = (0, 0, 0, 0)
Place = tuple[str, int]
"""Case and repeat."""


@dataclass(frozen=True)
class Kept:
    """Records, where they lie, and what their files looked like when they were read, all in the same order."""

    columns: Columns
    places: list[Place]
    record_stamps: list[Stamp]
    series_stamps: list[Stamp]


def stamp_of(path: Path) -> Stamp:
    """What a file looks like from outside."""
    try:
        return stamp(path.stat())
    except OSError:
        return NO_FILE


def stamp(found: os.stat_result) -> Stamp:
    """The stamp of a file from its status."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def now_ns(paths: StudyPaths) -> int:
    """The time by the clock of the file system that the study lies on; 0 where nothing can be written there."""
    try:
        with tempfile.TemporaryFile(dir=paths.root) as file:
            file.write(b"0")
            file.flush()
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return 0


def is_settled(stamps: Iterable[Stamp], now: int) -> bool:
    """Whether files changed so long before `now` that another change would show."""
    return all(max(found[2:]) < now - TRUSTED_AFTER_S * 1e9 for found in stamps if found != NO_FILE)


def load(paths: StudyPaths) -> Kept | None:
    """What was kept, or None where nothing usable was."""
    try:
        with np.load(paths.kept_records, allow_pickle=False) as file:
            if str(file["version"]) != version():
                return None
            return _consistent(_unpacked({name: file[name] for name in file.files}))
    except DAMAGED:
        return None


def save(paths: StudyPaths, kept: Kept) -> None:
    """Keep this for the next time; where it cannot be written, nothing is kept and nothing is wrong."""
    arrays: dict[str, NDArray[Any]] = {"version": np.array(version())}
    for field in fields(Columns):
        value = getattr(kept.columns, field.name)
        arrays[field.name] = _packed(value) if isinstance(value, list) else value
    arrays |= {name: np.array(getattr(kept, name), dtype=np.int64).reshape(-1, 4) for name in STAMPS}
    arrays["places"] = _packed(kept.places)
    with suppress(OSError), written_aside(paths.kept_records) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


@cache
def version() -> str:
    """Changes with the code that reads and checks records."""
    digest = hashlib.sha256(f"{FORMAT} {pydantic.VERSION} {sorted(METRICS.items())}".encode())
    for module in (seatrial.record, seatrial.config.base):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def _packed(content: Sequence[Any]) -> NDArray[np.uint8]:
    return np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)


def _unpacked(arrays: dict[str, NDArray[Any]]) -> Kept:
    lists = {name: json.loads(arrays[name].tobytes()) for name in ("texts", "heads", "places")}
    columns = {field.name: lists.get(field.name, arrays[field.name]) for field in fields(Columns)}
    return Kept(
        columns=Columns(**columns),
        places=[(str(case_id), int(number)) for case_id, number in lists["places"]],
        **{name: [tuple(row) for row in arrays[name].tolist()] for name in STAMPS},
    )


def _consistent(kept: Kept) -> Kept:
    """Raises ValueError where the parts do not belong together."""
    columns, n, m = kept.columns, len(kept.places), len(kept.columns.metric)
    lengths = {len(getattr(kept, name)) for name in STAMPS} | {len(columns.heads), len(columns.rows)}
    of_rows = ("labels", "basis", "samples_file", "ceiling", "series", "series_samples", "counts")
    coded: list[Ints] = [columns.metric, columns.labels, columns.basis, columns.samples_file]
    if (
        lengths != {n}
        or {len(getattr(columns, name)) for name in of_rows} != {m}
        or int(columns.rows.sum()) != m
        or int(columns.counts.sum()) != len(columns.samples)
        or any(len(of) and not NONE <= of.min() <= of.max() < len(columns.texts) for of in coded)
    ):
        raise ValueError("its parts do not belong together")
    return kept

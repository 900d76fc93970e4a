"""Which repeats were asked for again (`rerun=failed`), which have reason to be, and what is kept of them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from seatrial.errors import UnreadableFile
from seatrial.paths import series_file


def read_reruns(path: Path) -> dict[str, int]:
    """Raises UnreadableFile where the file is there but is not what was written."""
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (ValueError, RecursionError) as problem:
        raise UnreadableFile(path, str(problem)) from problem
    if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
        raise UnreadableFile(path, "not counts by repeat")
    return counts


def ended_badly(record: Path) -> bool:
    """Whether a record is there and is not of a completed repeat.

    One that cannot be read counts too, and so does one whose series file is not there or is another's.
    """
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        digest = content.get("series_sha256")
        return content.get("outcome") != "completed" or (digest is not None and digest != _series_digest(record))
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError, RecursionError):
        return True


def keep_aside(record: Path, kept: Path) -> None:
    """Copy a record, and the series file that belongs to it, to where they outlive the next run."""
    shutil.copy2(record, kept)
    if series_file(record).exists():
        shutil.copy2(series_file(record), series_file(kept))


def _series_digest(record: Path) -> str | None:
    file = series_file(record)
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None

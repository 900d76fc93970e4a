"""Which repeats were asked for again (`rerun=failed`), and which of them have reason to be."""

from __future__ import annotations

import json
from pathlib import Path

from seatrial.errors import UnreadableFile


def read_reruns(path: Path) -> dict[str, int]:
    """Raises UnreadableFile where the file is there but is not what was written."""
    try:
        counts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError as problem:
        raise UnreadableFile(path, str(problem)) from problem
    if not isinstance(counts, dict) or not all(isinstance(n, int) for n in counts.values()):
        raise UnreadableFile(path, "not counts by repeat")
    return counts


def ended_badly(record: Path) -> bool:
    """Whether a record is there and is not of a completed repeat (an unreadable one counts too)."""
    try:
        return json.loads(record.read_text(encoding="utf-8")).get("outcome") != "completed"
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError):
        return True

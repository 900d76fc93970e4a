"""Importing fixtures and reading what comes out: shared by the tests of `seatrial reference import`."""

from __future__ import annotations

import csv
import hashlib
import shutil
from pathlib import Path

from seatrial.ingest.mlperf.read import read_results
from seatrial.ingest.mlperf.result import ResultFolder
from seatrial.reference.importing import import_results
from seatrial.reference.scoring import Score, score

FIXTURES = Path(__file__).parents[1] / "data" / "mlperf"


def repository(round_: str) -> Path:
    return FIXTURES / f"training_results_{round_}"


def scored(folder: Path) -> dict[str, tuple[ResultFolder, Score]]:
    return {found.path: (found, score(found)) for found in read_results(folder, detail=False).folders}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def imported(folder: Path, output: Path, *words: object) -> list[dict[str, str]]:
    import_results(folder, output, *words)  # type: ignore[arg-type]
    return table(output)


def fingerprint(folder: Path) -> str:
    """Names, contents and times of everything in a folder."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        content = path.read_bytes() if path.is_file() else b""
        digest.update(f"{path}{path.stat().st_mtime_ns}".encode() + content)
    return digest.hexdigest()


def copied(part: str, to: Path) -> Path:
    """A copy of a part of a fixture repository, under the same names."""
    return shutil.copytree(FIXTURES / part, to / part)

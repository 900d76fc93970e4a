"""Tables and page of large studies: how long they take and how much memory, and that a record is read once."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from measure import Result, publish
from report_study import MANY_RECORDS, MANY_ROWS, Mix, write_study
from watched import Watched, watched

from seatrial.analysis.kept import TRUSTED_AFTER_S
from seatrial.paths import StudyPaths

ROWS, RECORDS = 1_000_000, 10_000
STAGES = ("analyse", "report")
ROWS_S, ROWS_MB, RECORDS_S = 10.0, 2000.0, 5.0
RUNS = 5
"""Of everything that has a bar; what has none is done once."""


def main() -> None:
    print(f"load {os.getloadavg()[0]:.1f}: wall seconds say what they seem to on a quiet machine only", flush=True)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        publish("report", [*_many_records(work), *_many_rows(work)])


def _many_records(work: Path) -> list[Result]:
    folder, rows = _written(work / "records", MANY_RECORDS)
    assert MANY_RECORDS.records == RECORDS
    first, again = _collected(folder, afresh=True, runs=RUNS), _collected(folder, afresh=False, runs=1)
    opened = [_opened(folder, work / "opened", afresh) for afresh in (True, False)]
    if opened[0] != RECORDS:
        raise SystemExit(f"{opened[0]} of {RECORDS} files were counted: the count counts for nothing")
    what = f"{RECORDS:,} records of {rows:,} measurements"
    return [
        _seconds(f"collect {what}", first, RECORDS_S),
        Result("records opened when nothing changed", opened[1], "files", 0.0, opened[1] == 0, [opened[1]]),
        _seconds("... and collect then", again, None),
    ]


def _many_rows(work: Path) -> list[Result]:
    folder, rows = _written(work / "rows", MANY_ROWS)
    if rows < ROWS:
        raise SystemExit(f"the study has {rows:,} rows: too few")
    collected = _collected(folder, afresh=True, runs=1)
    stages = [[watched(["-m", "seatrial.cli", stage, str(folder)]) for stage in STAGES] for _ in range(RUNS)]
    runs = [_one_after_the_other(of_run) for of_run in stages]
    peaks = [run.peak_mb for run in runs]
    page_mb = StudyPaths(folder).report.stat().st_size / 1e6
    what = f"{rows:,} rows ({MANY_ROWS.records} records)"
    return [
        _seconds(f"tables and page from {what}", runs, ROWS_S),
        *(_seconds(f"... {stage}", [of_run[n] for of_run in stages], None) for n, stage in enumerate(STAGES)),
        Result("... peak memory", max(peaks), "MB", ROWS_MB, max(peaks) < ROWS_MB, peaks, f"page {page_mb:.2f} MB"),
        _seconds(f"collect {what}", collected, None),
    ]


def _written(folder: Path, mix: Mix) -> tuple[Path, int]:
    began = time.monotonic()
    rows = write_study(folder, mix)
    time.sleep(TRUSTED_AFTER_S + 0.5)  # records of just now are read again
    print(f"{mix.records:,} records, {rows:,} measurements written in {time.monotonic() - began:.0f} s", flush=True)
    return folder, rows


def _collected(folder: Path, afresh: bool, runs: int) -> list[Watched]:
    found = []
    for _ in range(runs):
        if afresh:
            StudyPaths(folder).kept_records.unlink(missing_ok=True)
        found.append(watched(["-m", "seatrial.cli", "collect", str(folder)]))
    return found


def _opened(folder: Path, counted: Path, afresh: bool) -> int:
    """How many records a collect opens."""
    if afresh:
        StudyPaths(folder).kept_records.unlink(missing_ok=True)
    watched([str(Path(__file__).with_name("opened.py")), str(folder), str(counted)])
    return counted.stat().st_size


def _one_after_the_other(stages: list[Watched]) -> Watched:
    print(", ".join(f"{s.wall_s:.1f} s wall, {s.cpu_s:.1f} s CPU, {s.peak_mb:.0f} MB" for s in stages), flush=True)
    return Watched(sum(s.wall_s for s in stages), sum(s.cpu_s for s in stages), max(s.peak_mb for s in stages))


def _seconds(name: str, runs: list[Watched], bar: float | None) -> Result:
    times = [run.wall_s for run in runs]
    value = median(times)
    cpu = median(run.cpu_s for run in runs)
    how = f"median of {len(runs)} runs" if len(runs) > 1 else "1 run"
    note = f"{how}, {cpu:.1f} CPU s, {max(run.peak_mb for run in runs):.0f} MB"
    return Result(name, value, "s", bar, None if bar is None else value < bar, times, note)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())

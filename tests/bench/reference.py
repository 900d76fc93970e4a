"""Import of MLPerf Training results: against the official summarizer, on two cores, and its memory.

The same folders go to both, copied several times over so that they hold 20 MB and more; their power logs are left
out, because the official tool dies on them. The scores must agree before anything is timed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
from measure import ROOT, Result, paired_ratio, publish

sys.path.insert(0, str(ROOT / "tests"))
from mlperf_folders import write_round
from mlperf_logging.compliance_checker import mlp_compliance
from mlperf_logging.result_summarizer import result_summarizer

from seatrial.ingest.mlperf.rules import ruleset_of
from seatrial.reference.importing import import_results

SAMPLES = ROOT.parent / "shared" / "data" / "mlperf_logs"
LEAST_MB = 20
ROUND_LOGS, ROUND_BYTES = 1700, 400_000_000
FASTER, TWO_CORES, MEMORY_MB = 30.0, 1.7, 300.0
TOLERANCE = 1e-6
LIMIT_S = 150.0
FAST_TIMES = 20


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        small = _small(work / "small")
        official = shutil.copytree(small, work / "official")
        _agree(small, official, work / "small.csv")
        results = [_against_official(small, official, work / "small.csv")]
        large = _large(small, work / "large")
        results.append(_two_cores(large, work / "large.csv"))
        results += [_memory(folder, workers, work) for folder in (small, large) for workers in (1, 2)]
    publish("reference", results)


def _small(folder: Path) -> Path:
    """At least LEAST_MB of result folders: the published samples where they are at hand, else of our own making."""
    if SAMPLES.is_dir():
        copies = 0
        while _bytes(folder) < LEAST_MB * 1e6:
            for organisation in sorted(SAMPLES.glob("*/*")):
                target = folder / organisation.parent.name / f"{organisation.name}-{copies}"
                shutil.copytree(organisation, target, ignore=shutil.ignore_patterns("power"))
            copies += 1
        for path in folder.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
        print(f"published sample folders, {copies} times over: {_bytes(folder) / 1e6:.1f} MB")
        return folder
    write_round(folder / "v5.1", size_bytes=LEAST_MB * 1_050_000, logs=100)
    print(f"folders of our own making: {_bytes(folder) / 1e6:.1f} MB")
    return folder


def _large(small: Path, folder: Path) -> Path:
    """As much as a whole round: the small folders, copied."""
    copies = 0
    while _bytes(folder) < ROUND_BYTES or _logs(folder) < ROUND_LOGS:
        for organisation in sorted(small.glob("*/*")):
            target = folder / organisation.parent.name / f"{organisation.name}-{copies}"
            shutil.copytree(organisation, target)
        copies += 1
    print(f"as much as a round: {_logs(folder)} logs, {_bytes(folder) / 1e6:.0f} MB")
    return folder


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("result_*.txt"))


def _logs(folder: Path) -> int:
    return sum(1 for _ in folder.rglob("result_*.txt"))


def _summarize(folder: Path) -> dict[tuple[str, str, str], float]:
    """The official scores by submitter's folder, system and benchmark."""
    scores = {}
    for organisation in sorted(folder.glob("*/*")):
        ruleset = ruleset_of(organisation.parent.name)
        mlp_compliance.enqueued_configs.clear()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            summary = result_summarizer.summarize_results(str(organisation), "training", ruleset)[0]
        for row in summary.to_dict("records"):
            for name, value in row.items():
                if isinstance(value, float) and value == value:
                    scores[organisation.name, str(row["system"]), str(name)] = value
    return scores


def _agree(small: Path, official: Path, output: Path) -> None:
    """Stop where a score differs: then the two do not do the same work."""
    _summarize(official)
    theirs = _summarize(official)
    import_results(small, output, workers=1)
    with output.open(encoding="utf-8", newline="") as file:
        ours = {
            (row["source"].rpartition(": ")[2].split("/")[0], row["system"], row["benchmark"]): float(
                row["minutes"]
            )
            for row in csv.DictReader(file)
            if row["minutes"]
        }
    if set(ours) != set(theirs):
        raise SystemExit(f"not the same results: {sorted(set(ours) ^ set(theirs))[:5]}")
    worst = max(abs(ours[key] / theirs[key] - 1) for key in theirs)
    print(f"{len(theirs)} scores, largest difference {worst:.1e}")
    if worst > TOLERANCE:
        raise SystemExit(f"the scores differ by more than {TOLERANCE}")


def _submitter(source: str) -> str:
    """The submitter's folder in `repository: Submitter/results/system/benchmark`."""
    return source.rpartition(": ")[2].split("/")[0]


def _against_official(small: Path, official: Path, output: Path) -> Result:
    return paired_ratio(
        "official summarizer / seatrial, CPU seconds, one core",
        lambda: _summarize(official),
        lambda: import_results(small, output, workers=1),
        FASTER,
        time.process_time,
        LIMIT_S,
        FAST_TIMES,
    )


def _two_cores(large: Path, output: Path) -> Result:
    return paired_ratio(
        "one worker / two workers, wall seconds",
        lambda: import_results(large, output, workers=1),
        lambda: import_results(large, output, workers=2),
        TWO_CORES,
        time.monotonic,
        LIMIT_S,
    )


def _memory(folder: Path, workers: int, work: Path) -> Result:
    """Peak of the memory of the whole command, all its processes together (shared pages counted once)."""
    words = ["-m", "seatrial.cli", "reference", "import", str(folder), "--output", str(work / "memory.csv")]
    process = psutil.Popen([sys.executable, *words, "--workers", str(workers)], stdout=-3)
    peaks = [0.0]
    watcher = threading.Thread(target=_watch, args=(process, peaks))
    watcher.start()
    code = process.wait(600)
    watcher.join()
    if code:
        raise SystemExit(f"the import ended with {code}")
    peak = max(peaks)
    name = f"peak memory, {_bytes(folder) / 1e6:.0f} MB of logs, {workers} worker{'s' if workers > 1 else ''}"
    return Result(name, peak, "MB", MEMORY_MB, peak < MEMORY_MB, peaks[-5:], f"{len(peaks)} readings")


def _watch(process: psutil.Process, peaks: list[float]) -> None:
    while True:
        try:
            family = [process, *process.children(recursive=True)]
            peaks.append(sum(p.memory_full_info().pss for p in family) / 1e6)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.AccessDenied:
            return
        time.sleep(0.02)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.CRITICAL)
    main()

"""What the tables and the page say of results of storage benchmarks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from storage_results import checkpoints, fio, job, training, way, write_run

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.cli import main
from seatrial.paths import StudyPaths
from seatrial.report.page import report

MIB = 1 << 20
DIRECT = {"direct": "1", "rw": "write", "bs": "1M"}


def analysed(tmp_path: Path, form: str, source: Path) -> StudyPaths:
    words = ["ingest", form, str(source), "--study", "disks", "--results", str(tmp_path / "results")]
    assert main([*words, "--conf", str(tmp_path / "none")]) == 0
    paths = StudyPaths(tmp_path / "results" / "disks")
    collect(paths)
    analyse(paths)
    return paths


def rows(paths: StudyPaths) -> list[dict[str, str]]:
    with paths.probe_table("storage_results").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_medians_over_repeats_and_the_page_cache_apart(tmp_path):
    source = tmp_path / "handed"
    source.mkdir()
    for number, milliseconds in enumerate((2000, 2100, 1900)):
        jobs = [job(write=way(4000 * MIB, milliseconds), options=DIRECT), job("r", 1, read=way(4000 * MIB, 200))]
        (source / f"{number}.json").write_text(fio(*jobs))
    (source / "3.json").write_text(fio(job(error=5, write=way(4000 * MIB, 10), options=DIRECT)))
    paths = analysed(tmp_path, "fio", source)
    cached, written = sorted(rows(paths), key=lambda row: row["metric"])
    assert (written["metric"], written["reached"], written["repeats"]) == (
        "storage.stated_write_bandwidth",
        "stated",
        "3",
    )
    assert float(written["value"]) == pytest.approx(4000 * MIB / 2.0 / 1e9)
    assert cached["reached"] == "page_cache" and cached["metric"] == "storage.page_cache_bandwidth"
    report(paths)
    page = paths.report.read_text()
    assert "Storage benchmarks of others" in page and "page cache, no figure of storage" in page
    assert "1 row of the page cache" in page
    assert "named apart: 1 row" in page and "written, not shown to be storage" in page


def test_results_of_mlperf_storage_stand_in_the_same_table(tmp_path):
    write_run(tmp_path / "h" / "checkpointing" / "llama3-8b" / "run" / "1", checkpoints())
    write_run(tmp_path / "h" / "training" / "unet3d" / "run" / "2", training())
    paths = analysed(tmp_path, "mlperf-storage", tmp_path / "h")
    found = {(row["metric"], row["direction"]): row for row in rows(paths)}
    assert {row["tool"] for row in found.values()} == {"mlperf_storage"} and len(rows(paths)) == 7
    assert "8 processes" in found["storage.write_bandwidth", "write"]["what"]


def test_a_study_in_which_nothing_completed_says_so(tmp_path):
    source = tmp_path / "bad.json"
    source.write_text(json.dumps(json.loads(fio(job(error=28, options=DIRECT)))))
    paths = analysed(tmp_path, "fio", source)
    assert rows(paths) == []
    report(paths)
    assert "No result was handed over that completed." in paths.report.read_text()

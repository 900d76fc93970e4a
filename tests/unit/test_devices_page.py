"""The page on devices and on the input pipeline: what is slow or too little is said, drawn and in tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from study_on_disk import GEMM, StudyOnDisk
from test_dataload_table import DATALOAD, swept
from test_devices import HOSTS, MEMORY, SEARCH, accelerated, bfloat16, fleet

from seatrial.config.metrics.origin import Origin
from seatrial.errors import UnreadableFile
from seatrial.report.page import report
from seatrial.report.probes import dataload, devices
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import read_study
from seatrial.report.table import MULTIPLY, Table


def of_devices(study: StudyOnDisk) -> ProbeSection:
    found = devices.section(read_study(study.analyse()))
    assert found is not None
    return found


def texts(shown: Table) -> list[str]:
    return [" | ".join(f"{cell.text} ({cell.under})" for cell in row) for row in shown.rows]


def test_slow_device_is_named_first_and_drawn(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("gemm", {**GEMM, "sustained_seconds": 5.0})
    held = fleet([50.0, 51.0, 52.0, 20.0], "gemm.sustained_throughput")
    study.record(case, 0, *fleet([100.0, 101.0, 99.5, 90.0]), *held, provenance=HOSTS)
    found = of_devices(study)
    assert found.words[0].startswith("Slow: n2, device 1 (cuda:1), at 39.6 % of its fleet's median in 128")
    assert "and slow in 1 more piece of work" in found.words[0]
    (figure,) = found.figures
    assert "4 devices, 0.902 to 1.01" in figure.caption
    ((title, every),) = found.details
    assert title == "Every device" and texts(every)[0].count("slow") == 1
    assert "50.5 (50.6 % of the burst)" in texts(found.tables[0])[0]
    report(study.paths)
    html = study.paths.report.read_text()
    assert 'id="devices"' in html and "Slow: n2, device 1" in html


def test_even_fleet_is_called_so_and_two_devices_tell_nothing(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    cases = study.experiment("gemm", GEMM), study.experiment("memory", MEMORY)
    study.record(cases[0][0], 0, *fleet([100.0, 101.0, 99.5, 99.0]), provenance=HOSTS)
    labels = {"operation": "copy", "dtype": "float32", "size_bytes": 2**20}
    study.record(cases[1][0], 0, *fleet([10.0, 1.0], "memory.bandwidth", labels))
    words = of_devices(study).words
    assert words[:2] == ["No device is slow beside its fleet.", "Fewer than 3 devices tell no slow one."]


def test_best_shape_and_published_figure_are_shown(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=accelerated())
    (case,) = study.experiment("search", SEARCH)
    searched = bfloat16(610.0, "gemm.searched_throughput", m=32, n=16, k=32)
    study.record(case, 0, searched, bfloat16(600.0, "gemm.best_throughput", m=32, n=16, k=32))
    found = of_devices(study)
    (row,) = texts(found.tables[0])
    assert f"best of 8 shapes bfloat16 (32 {MULTIPLY} 16 {MULTIPLY} 32)" in row
    assert "60 % (dense bfloat16 peak of X100: data sheet)" in row and "75 % (data sheet)" in row
    ((title, shapes),) = found.details
    assert found.figures == [] and title == "Fastest shapes of each search"
    assert "610 () | 100 % () | - () | 1 repeat" in texts(shapes)[0]


def test_case_without_results_is_a_row_without_figures(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    study.experiment("gemm", GEMM)
    (row,) = texts(of_devices(study).tables[0])
    assert row.endswith("no repeat completed ()")


def test_studies_without_such_probes_have_no_such_sections(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path / "one")
    study.experiment("memory", MEMORY)
    tables = read_study(study.analyse())
    assert devices.section(tables) is None, "one device that has measured nothing"
    assert dataload.section(tables) is None
    other = StudyOnDisk(tmp_path / "other")
    other.experiment("load", DATALOAD)
    assert devices.section(read_study(other.analyse())) is None


def of_pipeline(study: StudyOnDisk) -> ProbeSection:
    found = dataload.section(read_study(study.analyse()))
    assert found is not None
    return found


def test_workers_that_suffice_are_named_and_drawn_against_the_need(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 2: 110.0, 4: 210.0}, needed_samples_per_second=100.0)
    found = of_pipeline(study)
    assert found.words[0] == (
        "load: 2 workers of each rank give the 100 samples/s (stated with the workload) that are needed."
    )
    (figure,) = found.figures
    assert "40 at 0, 110 at 2, 210 at 4; 100 needed" in figure.caption
    rows = texts(found.tables[0])
    assert "too slow, of 100" in rows[0] and "suffices, of 100" in rows[1]
    report(study.paths)
    assert 'id="dataload"' in study.paths.report.read_text()


@pytest.mark.parametrize(("reached", "words"), [("page_cache", "page cache only"), ("unknown", "not known")])
def test_what_was_no_reading_of_storage_is_said(tmp_path: Path, reached: Origin, words: str) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 1: 50.0}, reached, needed_samples_per_second=100.0)
    said = of_pipeline(study).words
    assert "100 samples/s (stated with the workload) are needed, and 50 is the most" in said[0]
    assert said[1] == f"No figure of storage in 2 rows: the bytes came from {words}."


def test_what_suffices_from_the_page_cache_alone_is_said(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 1: 150.0}, "page_cache", needed_samples_per_second=100.0)
    found = of_pipeline(study)
    assert found.words[0].endswith(
        "are needed; 1 worker of each rank: suffices from the page cache; storage was not measured."
    )
    assert "suffices from the page cache; storage was not measured" in texts(found.tables[0])[1]


def test_pipeline_that_failed_is_a_row_without_figures(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("load", DATALOAD)
    study.failed(case, 0)
    found = of_pipeline(study)
    assert found.figures == [] and texts(found.tables[0])[0].endswith("no repeat completed ()")


def test_table_of_another_study_is_refused(tmp_path: Path) -> None:
    study: Any = StudyOnDisk(tmp_path)
    study.experiment("gemm", GEMM)
    paths = study.analyse()
    tables = read_study(paths)
    file = paths.probe_table("gemm")
    file.write_text(file.read_text().replace(study.planned[0].case_id, "0" * 16))
    with pytest.raises(UnreadableFile, match="not of this study"):
        devices.section(tables)

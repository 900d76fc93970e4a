"""tables/dataload.csv: samples per second against what the training needs, and how many workers give it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study_on_disk import FINETUNE, StudyOnDisk, training_measurements

from seatrial.case import Case
from seatrial.config.metrics.dataload import dataload_metric
from seatrial.config.metrics.origin import Origin
from seatrial.record import measurement

DATALOAD: dict[str, Any] = {
    "kind": "dataload",
    "dataset": {"source": "synthetic", "samples": 8, "sample_bytes": 1000},
    "batch_size": 2,
}


def read(study: StudyOnDisk, case: Case, repeat: int, rate: float, reached: Origin = "storage") -> None:
    labels = {"source": "synthetic", "workers": case.workload.workers, "ranks": 1, "reached": reached}
    rates = [rate * factor for factor in (0.97, 0.98, 0.99, 1.0, 1.01, 1.02, 1.03)]
    study.record(
        case,
        repeat,
        measurement(dataload_metric(reached, "throughput"), rates, labels),
        measurement(dataload_metric(reached, "bandwidth"), [r / 1e6 for r in rates], labels),
        measurement(dataload_metric(reached, "first_batch_time"), [0.5], labels),
        measurement(dataload_metric(reached, "rank_throughput"), rates, {**labels, "rank": 0}),
        measurement("dataload.fetched_share", [1.0], {**labels, "rank": 0}),
    )


def rows(study: StudyOnDisk) -> dict[int, dict[str, Any]]:
    """The rows of the table by workers."""
    found = pd.read_csv(study.analyse().probe_table("dataload"), keep_default_na=False, na_values=[""])
    return {row["workers"]: row for row in found.to_dict("records")}


def swept(study: StudyOnDisk, rates: dict[int, float], reached: Origin = "storage", **more: Any) -> None:
    cases = study.experiment("load", {**DATALOAD, **more}, axes={"workload.workers": list(rates)})
    for case in cases:
        read(study, case, 0, rates[case.workload.workers], reached)


def test_least_workers_that_suffice_are_named(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 1: 60.0, 2: 110.0, 4: 210.0}, needed_samples_per_second=100.0)
    found = rows(study)
    assert {workers: row["standing"] for workers, row in found.items()} == {
        0: "too_slow", 1: "too_slow", 2: "suffices", 4: "suffices",
    }  # fmt: skip
    assert {row["workers_needed"] for row in found.values()} == {2}
    assert found[0]["needed_over_sustained"] == pytest.approx(2.5)
    assert found[0]["gbps"] == pytest.approx(4e-5) and found[0]["first_batch_seconds"] == 0.5
    assert "over the windows of one repeat" in found[0]["interval_method"]


def test_where_no_number_of_workers_suffices_it_is_said(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 2: 90.0, 4: 100.5}, needed_samples_per_second=100.0)
    found = rows(study)
    assert found[4]["standing"] == "inconclusive", "the need lies within the interval"
    assert all(pd.isna(row["workers_needed"]) for row in found.values())
    assert "no tried number of workers (0, 2, 4) surely gives 100 samples/s" in found[0]["note"]


def test_need_of_a_training_of_the_same_study(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (training,) = study.experiment("train", FINETUNE, repeats=2)
    for repeat, rate in enumerate((70.0, 80.0)):
        tokens = measurement("train.throughput", [rate * FINETUNE["sequence_length"]])
        others = [m for m in training_measurements(1.0) if m.metric != "train.throughput"]
        study.record(training, repeat, *others, tokens)
    swept(study, {0: 40.0, 1: 100.0}, needed_by="train")
    found = rows(study)
    assert found[0]["needed_samples_per_second"] == pytest.approx(75.0)
    assert "what experiment train took" in found[0]["needed_basis"]
    assert found[1]["standing"] == "suffices" and found[0]["workers_needed"] == 1


def test_a_training_that_has_not_run_leaves_the_need_unknown(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    study.experiment("train", FINETUNE)
    swept(study, {1: 100.0}, needed_by="train")
    (row,) = rows(study).values()
    assert pd.isna(row["needed_samples_per_second"]) and pd.isna(row["standing"])
    assert "no repeat of experiment train has measured" in row["needed_basis"]


def test_without_a_need_there_is_no_standing(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {1: 100.0})
    (row,) = rows(study).values()
    assert pd.isna(row["standing"]) and row["needed_basis"] == "no need stated"


def test_readings_of_the_page_cache_are_called_so(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("load", DATALOAD, repeats=2)
    read(study, case, 0, 100.0)
    read(study, case, 1, 120.0, "page_cache")
    (row,) = rows(study).values()
    assert row["reached"] == "page_cache" and "no figure of storage" in row["note"]
    assert row["samples_per_second"] == pytest.approx(110.0) and row["measured"] == 2


@pytest.mark.parametrize(
    ("reached", "words"),
    [
        ("page_cache", "1 worker(s): suffices from the page cache; storage was not measured"),
        ("memory_file_system", "1 worker(s): suffices from memory; storage was not measured"),
        ("unknown", "1 worker(s): suffices, but nothing shows that storage gave it"),
    ],
)
def test_what_suffices_from_elsewhere_names_no_workers(tmp_path: Path, reached: Origin, words: str) -> None:
    study = StudyOnDisk(tmp_path)
    swept(study, {0: 40.0, 1: 110.0, 2: 210.0}, reached, needed_samples_per_second=100.0)
    found = rows(study)
    assert [found[workers]["standing"] for workers in (0, 1, 2)] == ["too_slow", *["suffices_elsewhere"] * 2]
    assert all(pd.isna(row["workers_needed"]) and words in row["note"] for row in found.values())


def test_a_case_that_failed_has_a_row_without_figures(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("load", {**DATALOAD, "needed_samples_per_second": 5.0})
    study.failed(case, 0)
    (row,) = rows(study).values()
    assert row["measured"] == 0 and pd.isna(row["samples_per_second"]) and row["note"] == "no repeat completed"

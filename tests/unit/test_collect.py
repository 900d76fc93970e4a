"""collect: what was measured, what became of every planned repeat, and why."""

from __future__ import annotations

import json
import math

import pandas as pd
import pyarrow.parquet as pq
import pytest
from study_on_disk import COLLECTIVE, FINETUNE, GEMM

from seatrial.analysis.collect import REPEAT_COLUMNS, collect, summary
from seatrial.errors import UnreadableFile
from seatrial.record import Error, measurement

DESIGN_COLUMNS = [
    "study",
    "target",
    "workload",
    "case_id",
    "repeat",
    "outcome",
    "metric",
    "labels",
    "unit",
    "direction",
    "n",
    "median",
    "p05",
    "p95",
    "min",
    "max",
    "ceiling",
    "fraction_of_ceiling",
]


def repeats_of(paths):
    return pd.read_csv(paths.repeats, dtype={"case_id": str}).set_index(["case_id", "repeat"], drop=False)


def test_measurements_hold_the_columns_of_the_design_and_one_per_axis(make_study):
    study = make_study()
    for case in study.experiment("gemm", GEMM, 2, {"workload.m": [64, 256], "workload.n": [64, 256]}):
        study.gemm(case, [2.0, 4.0], ceiling=8.0)
    collect(study.paths)
    table = pq.read_table(study.paths.measurements).to_pandas()
    assert set(DESIGN_COLUMNS) <= set(table.columns)
    assert {"axis.workload.m", "axis.workload.n"} <= set(table.columns)
    assert list(table["axis.workload.m"]) == [64, 64, 256, 256]
    assert list(table["repeat"]) == [0, 1, 0, 1]
    assert list(table["median"]) == [2.0, 4.0, 2.0, 4.0]
    assert list(table["n"]) == [5] * 4
    assert list(table["fraction_of_ceiling"]) == [0.25, 0.5, 0.25, 0.5]
    assert json.loads(table["labels"][0]) == {"dtype": "float32"}


def test_fraction_of_ceiling_respects_the_direction():
    higher = measurement("gemm.throughput", [4.0], {}, 8.0, "peak")
    lower = measurement("collective.time", [4.0], {}, 1.0, "alpha-beta")
    assert summary(higher)["fraction_of_ceiling"] == 0.5
    assert summary(lower)["fraction_of_ceiling"] == 0.25


def test_a_sample_that_is_not_a_number_leaves_no_statistics():
    found = measurement("gemm.throughput", [4.0], {}, 8.0, "peak").model_copy(update={"samples": [4.0, math.nan]})
    result = summary(found)
    assert result["n"] == 2
    assert all(math.isnan(value) for key, value in result.items() if key != "n")


def test_labels_are_canonical_text(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.record(case, 0, measurement("gemm.throughput", [1.0], {"rank": 1, "device": "x"}))
    collect(study.paths)
    assert pq.read_table(study.paths.measurements)["labels"].to_pylist() == ['{"device":"x","rank":1}']


def test_without_any_record_the_tables_exist_and_every_repeat_is_missing(make_study):
    study = make_study()
    study.experiment("gemm", GEMM, 2, {"workload.m": [64, 256]})
    collect(study.paths)
    table = pq.read_table(study.paths.measurements)
    assert table.num_rows == 0
    assert set(DESIGN_COLUMNS) <= set(table.column_names)
    repeats = repeats_of(study.paths)
    assert tuple(pd.read_csv(study.paths.repeats).columns) == REPEAT_COLUMNS
    assert len(repeats) == 4
    assert set(repeats["outcome"]) == {"missing"}
    assert set(repeats["error_message"]) == {"not started"}
    assert repeats["error_kind"].isna().all()


def test_the_four_outcomes_of_a_record_keep_their_error_and_measurements(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 4)
    found = measurement("gemm.throughput", [1.0])
    study.record(case, 0, found, resumed=2)
    study.failed(case, 1, "wrong_result", "off by 3")
    study.record(case, 2, outcome="unsupported", error=Error(kind="crashed", message="no bfloat16"))
    study.record(case, 3, found, outcome="aborted", error=Error(kind="cancelled", message="stopped", rank=3))
    collect(study.paths)
    repeats = repeats_of(study.paths)
    assert list(repeats["outcome"]) == ["completed", "failed", "unsupported", "aborted"]
    assert list(repeats["error_message"].fillna("")) == ["", "off by 3", "no bfloat16", "stopped"]
    assert list(repeats["resumed"]) == [2, 0, 0, 0]
    assert list(repeats["nodes"]) == ["n1,n2"] * 4
    assert list(repeats["seed"]) == [7, 8, 9, 10]
    assert list(pq.read_table(study.paths.measurements)["outcome"].to_pylist()) == ["completed", "aborted"]


@pytest.mark.parametrize(
    ("attempt", "kind", "words"),
    [
        ({"state": "TIMEOUT"}, "timeout", "time limit"),
        ({"state": "OUT_OF_MEMORY", "exit_code": "0:125"}, "out_of_memory", "memory limit"),
        ({"state": "NODE_FAIL", "nodes": ["n3"]}, "node_fail", "on n3"),
        ({"state": "CANCELLED by 1000"}, "cancelled", "cancelled"),
        ({"state": "PREEMPTED"}, "preempted", "preempted"),
        ({"state": "FAILED", "signal": 9, "exit_code": 137}, "crashed", "signal 9 (SIGKILL); exit code 137"),
        ({"state": "FAILED", "exit_code": 3, "failing_rank": 2}, "crashed", "exit code 3"),
        ({"state": "COMPLETED", "exit_code": 0}, "crashed", "left no record"),
        ({"state": "RUNNING"}, "", "not finished: its job is RUNNING"),
    ],
)
def test_a_repeat_without_record_is_missing_for_the_reason_of_its_last_attempt(make_study, attempt, kind, words):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.attempts(case, 0, {"attempt": 1, "state": "NODE_FAIL"}, {"attempt": 2, "external_jobid": "77", **attempt})
    collect(study.paths)
    row = repeats_of(study.paths).iloc[0]
    assert row["outcome"] == "missing"
    assert (row["error_kind"] if kind else "") == kind
    assert words in row["error_message"]
    assert "job 77" in row["error_message"]
    assert row["attempts"] == 2
    if "failing_rank" in attempt:
        assert row["error_rank"] == 2


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not JSON: EOF while parsing a value at line 1"),
        ('{"schema_version": 1,\n "study": tru', "at line 2"),
        ('{"schema_version": 1}', "study: Field required (and 8 more)"),
        ("null", "Input should be an object"),
        ("\x00\xff", "can't decode byte 0xff"),
    ],
)
def test_an_unreadable_record_is_missing_and_says_what_is_wrong(make_study, content, words):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    study.gemm(case, [1.0, 1.0])
    study.paths.record(case.case_id, 1).write_text(content, encoding="latin-1")
    collect(study.paths)
    row = repeats_of(study.paths).loc[case.case_id, 1]
    assert row["outcome"] == "missing"
    assert row["error_message"].startswith(f"cannot read records/{case.case_id}/1.json: ")
    assert words in row["error_message"]
    assert pd.isna(row["error_kind"])
    assert pq.read_table(study.paths.measurements).num_rows == 1


def test_a_repeat_with_the_series_file_of_another_is_missing_and_never_used(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    for repeat in (0, 1):
        study.record(case, repeat, measurement("gemm.throughput", [1.0 + repeat] * 1001))
    first, second = (study.paths.record(case.case_id, n).with_name(f"{n}.series.parquet") for n in (0, 1))
    second.write_bytes(first.read_bytes())
    collect(study.paths)
    row = repeats_of(study.paths).loc[case.case_id, 1]
    assert row["outcome"] == "missing"
    assert row["error_message"].startswith(
        f"cannot read records/{case.case_id}/1.series.parquet: it is not the series"
    )
    assert pq.read_table(study.paths.measurements)["repeat"].to_pylist() == [0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"unit": None}, "measurements.0.unit: Input should be a valid string"),
        ({"unit": "km"}, "measurements.0: gemm.throughput is in TFLOP/s, higher is better"),
    ],
)
def test_a_record_with_a_wrong_measurement_names_its_place(make_study, change, words):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.gemm(case, [1.0])
    path = study.paths.record(case.case_id, 0)
    content = json.loads(path.read_text())
    content["measurements"][0] |= change
    path.write_text(json.dumps(content))
    collect(study.paths)
    row = repeats_of(study.paths).iloc[0]
    assert row["error_message"] == f"cannot read records/{case.case_id}/0.json: {words}"
    assert (row["outcome"], pd.isna(row["error_kind"])) == ("missing", True)


def test_a_record_of_another_repeat_is_not_taken_for_this_one(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    study.gemm(case, [1.0])
    other = study.paths.record(case.case_id, 1)
    other.write_text(study.paths.record(case.case_id, 0).read_text())
    collect(study.paths)
    row = repeats_of(study.paths).loc[case.case_id, 1]
    assert row["outcome"] == "missing"
    assert "not this repeat's record: repeat is 0, not 1" in row["error_message"]


@pytest.mark.parametrize("content", ["[", '{"a": 1}', "[1]"])
def test_broken_attempts_are_words_not_a_crash(make_study, content):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    path = study.paths.attempts(case.case_id, 0)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    collect(study.paths)
    assert "cannot read 0.attempts.json" in repeats_of(study.paths).iloc[0]["error_message"]


def test_axes_of_different_kinds_stay_apart(make_study):
    study = make_study()
    (gemm,) = study.experiment("gemm", GEMM, 1, {"workload.m": [64]})
    (other,) = study.experiment("reduce", COLLECTIVE, 1, {"workload.dtype": ["float16"]})
    study.gemm(gemm, [1.0])
    study.record(other, 0, measurement("collective.time", [1.0], {"size_bytes": 4096}))
    collect(study.paths)
    table = pq.read_table(study.paths.measurements).to_pylist()
    assert [row["axis.workload.m"] for row in table] == [64, None]
    assert [row["axis.workload.dtype"] for row in table] == [None, "float16"]


def test_the_same_records_give_the_same_bytes(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(case, [1.0, 1.2])
    collect(study.paths)
    before = [path.read_bytes() for path in (study.paths.measurements, study.paths.repeats)]
    collect(study.paths)
    assert [path.read_bytes() for path in (study.paths.measurements, study.paths.repeats)] == before


def test_a_case_that_was_edited_or_is_gone_is_one_clear_error(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.paths.case(case.case_id).unlink()
    with pytest.raises(UnreadableFile, match=case.case_id):
        collect(study.paths)

"""checkpoint.csv, checkpoint_interval.csv and the page: storage apart from what is none, ends of intervals kept."""

from __future__ import annotations

import math
import re
from html import unescape
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study_on_disk import FINETUNE, LAPTOP, training_measurements

import seatrial
from seatrial.analysis.checkpointing import seconds_between_failures, young_interval
from seatrial.analysis.statistics import median_interval
from seatrial.paths import StudyPaths
from seatrial.record import Measurement, measurement
from seatrial.report.page import report

HOURS = 50_700.0
FAILURES = {"accelerator_hours_between_failures": {"value": HOURS, "source": "Llama 3"}}
SCHEDULE = {"reliability": FAILURES, "accelerators": 16_384}
WORK = {
    "kind": "checkpoint",
    "path": "/scratch",
    "parameters": 10**9,
    "bytes_per_parameter": 10,
    "schedule": SCHEDULE,
}
SIZE = 10**10


def reading(
    direction: str, gbps: list[float], reached: str = "storage", ceiling: float | None = None
) -> list[Measurement]:
    """What a repeat on two ranks leaves of one direction."""
    labels: dict[str, Any] = {"direction": direction, "reached": reached, "size_bytes": SIZE, "file_system": "xfs"}
    if reached != "storage":
        metric = {"page_cache": "page_cache", "memory_file_system": "memory", "unknown": "unproven"}[reached]
        return [measurement(f"checkpoint.{metric}_bandwidth", gbps, labels)]
    basis = None if ceiling is None else "its data sheet"
    found = [measurement(f"checkpoint.{direction}_bandwidth", gbps, labels, ceiling, basis)]
    found += [measurement("checkpoint.device_share", [1.01] * len(gbps), labels)]
    for rank, factor in ((0, 0.5), (1, 0.8)):
        samples = [value * factor for value in gbps]
        found.append(measurement("checkpoint.rank_bandwidth", samples, {**labels, "rank": rank}))
    return found


def told(*words: str) -> dict[str, Any]:
    return {"provenance": {"hosts": ["n1"], "checkpoint": {"evidence": list(words)}}}


def table(paths: StudyPaths, name: str) -> pd.DataFrame:
    return pd.read_csv(paths.probe_table(name), dtype={"case_id": str})


def test_medians_over_repeats_with_spread_and_ceiling(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK, 3)
    for repeat, gbps in enumerate([1.9, 2.0, 2.2]):
        study.record(
            case, repeat, *reading("write", [gbps] * 3, ceiling=4.0), *reading("read", [4.4] * 3, ceiling=4.0)
        )
    rows = table(study.analyse(), "checkpoint").set_index("direction")
    write = rows.loc["write"]
    interval = median_interval([1.9, 2.0, 2.2])
    assert (write["gbps"], write["gbps_low"], write["gbps_high"]) == pytest.approx(
        (2.0, interval.low, interval.high)
    )
    assert write["seconds"] == pytest.approx(5.0)
    assert (write["slowest_rank_gbps"], write["fastest_rank_gbps"]) == pytest.approx((1.0, 1.6))
    assert write["fraction_of_ceiling"] == pytest.approx(0.5)
    assert write["device_share"] == pytest.approx(1.01)
    assert (write["measured"], write["repeats"], write["reached"]) == (3, 3, "storage")
    assert rows.loc["read"]["fraction_of_ceiling"] == pytest.approx(1.1)
    assert "cache behind the device" in rows.loc["read"]["note"]


def test_one_repeat_has_the_interval_of_its_iterations_and_says_so(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK)
    samples = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    study.record(case, 0, *reading("write", samples))
    row = table(study.analyse(), "checkpoint").iloc[0]
    assert (row["gbps_low"], row["gbps_high"]) == (1.0, 1.5)
    assert "iterations of one repeat" in row["interval_method"]


def test_what_is_no_storage_has_rows_of_its_own_and_no_interval_between_checkpoints(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK, 3)
    study.record(case, 0, *reading("write", [2.0]), *reading("read", [3.0]))
    study.record(case, 1, *reading("write", [9.0], "page_cache"), *reading("read", [3.0]))
    study.failed(case, 2)
    (ram,) = study.experiment("ram", {**WORK, "path": "/dev/shm"})
    study.record(ram, 0, *reading("write", [8.0], "memory_file_system"), *reading("read", [8.0], "unknown"))
    paths = study.analyse()
    rows = table(paths, "checkpoint")
    of_case = rows[(rows["case_id"] == case.case_id) & (rows["direction"] == "write")]
    assert dict(zip(of_case["reached"], of_case["gbps"], strict=True)) == {"storage": 2.0, "page_cache": 9.0}
    assert list(of_case["measured"]) == [1, 1]
    of_ram = rows[rows["case_id"] == ram.case_id]
    assert list(of_ram["reached"]) == ["memory_file_system", "unknown"]
    intervals = table(paths, "checkpoint_interval").set_index("case_id")
    assert intervals.loc[case.case_id]["write_gbps"] == 2.0
    assert math.isnan(intervals.loc[ram.case_id]["seconds"])
    assert "no write was seen to reach storage" in intervals.loc[ram.case_id]["note"]


def test_a_case_without_a_completed_repeat_is_not_measured(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK, 2)
    study.failed(case, 0)
    rows = table(study.analyse(), "checkpoint")
    assert list(rows["measured"]) == [0, 0]
    assert rows["gbps"].isna().all()
    assert set(rows["note"]) == {"no repeat completed"}


def test_intervals_and_shares_carry_both_ends(make_study: Any) -> None:
    study = make_study()
    models = {"405B": {"parameters": 405 * 10**9, "accelerators": 16_384}}
    bounds = {name: {"value": 20_000, "source": "no limit here"} for name in ("extrapolation", "scale")}
    held = {**SCHEDULE, "models": models, **bounds}
    (case,) = study.experiment("store", {**WORK, "schedule": held}, 3)
    for repeat, gbps in enumerate([0.9, 1.0, 1.1]):
        study.record(case, repeat, *reading("write", [gbps]), *reading("read", [2.0]))
    rows = table(study.analyse(), "checkpoint_interval").set_index("model")
    row, mu = rows.loc["as measured"], seconds_between_failures(HOURS, 16_384)
    interval = median_interval([0.9, 1.0, 1.1])
    assert interval.low is not None and interval.high is not None
    assert (row["seconds"], row["seconds_low"], row["seconds_high"]) == pytest.approx(
        (10.0, 10 / interval.high, 10 / interval.low)
    )
    assert row["young_seconds"] == pytest.approx(young_interval(10, mu))
    assert row["young_seconds_low"] == pytest.approx(young_interval(10 / interval.high, mu))
    assert row["blocking_share"] == pytest.approx(math.sqrt(10 / (2 * mu)))
    assert row["waste"] == pytest.approx(2 * row["blocking_share"] + 5.0 / mu)
    assert row["waste_low"] < row["waste"] < row["waste_high"]
    assert row["restart_seconds"] == pytest.approx(5.0)
    assert row["hours_between_failures"] == pytest.approx(3.094, abs=1e-3)
    assert (row["standing"], bool(row["extrapolated"])) == ("within", False)
    model = rows.loc["405B"]
    assert bool(model["extrapolated"])
    assert model["seconds"] == pytest.approx(4050)
    # 5 % at Young's interval: C = 2 mu x 0.05^2 = 55.7 s for 4.05 TB
    assert model["required_gbps"] == pytest.approx(4050 / (2 * mu * 0.05**2))
    assert model["standing"] == "beyond"
    assert "a tenth of the time between failures" in model["note"]


def test_models_fail_by_their_own_accelerators_and_far_ones_have_no_standing(make_study: Any) -> None:
    """On a laptop's two ranks a model of 1,024 accelerators still fails every two days, not every three years."""
    study = make_study()
    models = {
        "near": {"parameters": 8 * 10**9, "accelerators": 2},
        "more ranks": {"parameters": 8 * 10**9, "accelerators": 8},
        "far": {"parameters": 10**12, "accelerators": 1024, "source": "of MLPerf Storage"},
    }
    (case,) = study.experiment("store", {**WORK, "schedule": {"reliability": FAILURES, "models": models}}, 3)
    for repeat in range(3):
        study.record(case, repeat, *reading("write", [100.0]))
    paths = study.analyse()
    rows = table(paths, "checkpoint_interval").set_index("model")
    assert dict(rows["accelerators"]) == {"as measured": 1, "near": 2, "more ranks": 8, "far": 1024}
    assert rows.loc["far"]["accelerators_basis"] == "of the model: of MLPerf Storage"
    assert rows.loc["far"]["hours_between_failures"] == pytest.approx(HOURS / 1024)
    assert rows.loc["near"]["standing"] == "within"
    assert pd.isna(rows.loc["far"]["standing"]) and rows.loc["far"]["times_measured"] == 1000
    far = rows.loc["far"]["note"]
    assert far.startswith(
        "the checkpoint is 1,000 times as large as the one measured (bound 10); 1,024 accelerators"
    )
    # by one rank's bandwidth, but eight would write: eight times as fast, or not
    assert pd.isna(rows.loc["more ranks"]["standing"])
    note = rows.loc["more ranks"]["note"]
    assert "8 accelerators write it, 1 did (bound: 2 times)" in note and "as large" not in note
    assert "restarting is not in what is lost" in rows.loc["near"]["note"]
    said = section_of(paths)
    assert said.count("beyond an order of magnitude it is another regime") == 1, "in the caption alone"
    assert "not held against 5 %; the checkpoint is 1,000 times" in said and "within 5 %; restarting" in said
    assert "of 1 accelerator (" in said and "1,024 accelerators (" in said


def test_long_words_under_a_figure_do_not_widen_the_table(make_study: Any) -> None:
    """Where they cannot wrap, what follows them lies out of view."""
    style = (Path(seatrial.__file__).parent / "report" / "page.css").read_text()
    assert re.search(r"^\.number \.under \{[^}]*white-space: normal", style, re.MULTILINE)
    study = make_study()
    (case,) = study.experiment("store", WORK, 3)
    for repeat in range(3):
        study.record(case, repeat, *reading("write", [100.0 + repeat]))
    paths = study.analyse()
    report(paths)
    found = re.search(r'<section id="checkpoint">.*?</section>', paths.report.read_text(), re.DOTALL)
    assert found is not None
    cells = re.findall(r"<td[^>]*number.*?</td>", found[0], re.DOTALL)
    assert any("under" in cell for cell in cells) and "within 5 %" in found[0]
    assert not any("within" in cell for cell in cells), "the standing is for the column of notes"


def test_a_job_that_makes_no_progress_has_no_interval(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", {**WORK, "schedule": {**SCHEDULE, "accelerators": 10**8}})
    study.record(case, 0, *reading("write", [1.0]))
    row = table(study.analyse(), "checkpoint_interval").iloc[0]
    assert math.isnan(row["young_seconds"]) and math.isnan(row["waste"])
    assert row["standing"] == "beyond"
    assert "no progress" in row["note"]


def test_a_given_interval_and_the_targets_own_failures_come_first(make_study: Any) -> None:
    own = {"accelerator_hours_between_failures": {"value": 100.0, "source": "our own log"}}
    study = make_study(target={**LAPTOP, "reliability": own})
    schedule = {"reliability": FAILURES, "interval_minutes": 10}
    (case,) = study.experiment("store", {**WORK, "schedule": schedule})
    study.record(case, 0, *reading("write", [1.0, 1.0]))
    row = table(study.analyse(), "checkpoint_interval").iloc[0]
    assert row["failure_source"] == "our own log"
    assert row["hours_between_failures"] == 100
    assert row["accelerators_basis"] == "ranks, for want of accelerators"
    assert (row["interval_basis"], row["interval_seconds"]) == ("given", 600)
    assert row["blocking_share"] == pytest.approx(10 / 600)
    assert row["required_gbps"] == pytest.approx(10 / (0.05 * 600))


def test_a_training_that_stood_still_is_reckoned_by_its_own_stall(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK)
    study.record(case, 0, *reading("write", [1.0]))
    (training,) = study.experiment("finetune", FINETUNE, 2)
    for repeat in (0, 1):
        stall = measurement("train.checkpoint_stall_time", [0.5, 0.7])
        study.record(training, repeat, *training_measurements(10.0), stall)
    rows = table(study.analyse(), "checkpoint_interval").set_index("source")
    row = rows.loc["training"]
    assert (row["case_id"], row["model"]) == (training.case_id, "finetune")
    assert row["seconds"] == pytest.approx(0.6)
    assert row["young_seconds"] > 0
    assert math.isnan(row["required_gbps"])


def test_no_schedule_is_guessed_for_a_training_where_the_cases_differ(make_study: Any) -> None:
    study = make_study()
    for name, minutes in (("often", 10), ("seldom", 60)):
        (case,) = study.experiment(name, {**WORK, "schedule": {**SCHEDULE, "interval_minutes": minutes}})
        study.record(case, 0, *reading("write", [1.0]))
    (training,) = study.experiment("finetune", FINETUNE)
    stall = measurement("train.checkpoint_stall_time", [0.5, 0.7])
    study.record(training, 0, *training_measurements(10.0), stall)
    row = table(study.analyse(), "checkpoint_interval").set_index("source").loc["training"]
    assert row["seconds"] == pytest.approx(0.6)
    assert math.isnan(row["young_seconds"]) and pd.isna(row["standing"])
    assert "different schedules" in row["note"]


def test_tables_go_where_the_probe_goes(make_study: Any) -> None:
    study = make_study()
    study.experiment("finetune", FINETUNE)
    paths = study.analyse()
    assert not paths.probe_table("checkpoint").exists()


def section_of(paths: StudyPaths) -> str:
    report(paths)
    found = re.search(r'<section id="checkpoint">.*?</section>', paths.report.read_text(), re.DOTALL)
    assert found is not None
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", found[0])))


def test_the_page_says_what_was_reached_and_what_follows(make_study: Any) -> None:
    study = make_study()
    models = {
        "8B": {"parameters": 8_030_000_000, "accelerators": 8},
        "405B": {"parameters": 405 * 10**9, "accelerators": 512},
    }
    (case,) = study.experiment("store", {**WORK, "schedule": {**SCHEDULE, "models": models}}, 2)
    for repeat in (0, 1):
        words = told("write: the counters moved by 1.00 to 1.01 of the bytes")
        study.record(case, repeat, *reading("write", [2.0, 2.1], ceiling=4.0), **words)
    (ram,) = study.experiment("ram", {**WORK, "path": "/dev/shm/<b>"})
    study.record(ram, 0, *reading("write", [8.0], "memory_file_system"), *reading("read", [8.0], "unknown"))
    study.experiment("never", {**WORK, "path": "/never"})
    said = section_of(study.analyse())
    assert "1 row with memory as what was reached" in said
    assert "the counters moved by 1.00 to 1.01" in said
    assert "its data sheet" in said
    assert "a run as root on Lustre" in said and "read_from: next_node" in said
    assert "no repeat completed" in said
    assert "80.3 GB, extrapolated" in said
    assert "cache behind the device" in said
    assert (study.paths.figures / "checkpoint.svg").exists()


def test_a_criterion_on_storage_is_not_passed_by_a_cache(make_study: Any) -> None:
    study = make_study()
    (case,) = study.experiment("store", WORK)
    study.record(case, 0, *reading("write", [90.0], "page_cache"), *reading("read", [90.0], "memory_file_system"))
    for direction in ("write", "read"):
        study.criterion(direction, f"checkpoint.{direction}_bandwidth", at_least=1.0)
    study.analyse()
    verdicts = pd.read_json(study.paths.verdicts)
    assert set(verdicts["verdict"]) == {"incomplete"}

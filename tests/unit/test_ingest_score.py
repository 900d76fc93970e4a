"""The score of logs handed over: MLCommons' allowance for failed runs, and whose results they are held against."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ingest_folders import table
from study_on_disk import B200

from seatrial.analysis.judgement import Failed, judge_values
from seatrial.analysis.statistics import median_bound
from seatrial.analysis.verdict_file import read_verdicts
from seatrial.config.benchmarks import BENCHMARKS
from seatrial.config.criterion import Criterion
from seatrial.record import measurement
from seatrial.reference.equivalent import find_reference

LOGS = {"kind": "mlperf_logs", "benchmark": "llama2_70b_lora", "round": "v5.1"}
RUNS = [10.0 + 0.02 * i for i in range(10)]
DELL = {"submitter": "Dell", "system_id": "xe", "system_description": {"system_name": "XE9780"}}


class Handed:
    """A study of the logs of one result on eight B200, a record for each run; None: it failed."""

    def __init__(self, make_study: Any, runs: list[float | None], factor: float = 1.0, **words: Any) -> None:
        self.study = make_study(target=words.pop("target", B200))
        self.runs, self.factor = runs, factor
        self.said, least = words.pop("said", DELL), words.pop("least", 10)
        self.repeats = words.pop("repeats", len(runs))
        (self.case,) = self.study.experiment("logs", LOGS | words, self.repeats)
        self.study.criterion("ratio", "comparison.ratio", at_most=1.3, minimum_repeats=least)
        self.study.criterion("time", "mlperf.scaled_time_to_train", at_most=12, minimum_repeats=least)
        for repeat, run in enumerate(runs):
            said = {"provenance": {"ingested": self.said}}
            if run is None:
                path = self.study.failed(self.case, repeat)
                continue
            found = {
                "mlperf.time_to_train": run,
                "mlperf.scaling_factor": factor,
                "mlperf.scaled_time_to_train": run * factor,
            }
            path = self.study.record(
                self.case, repeat, *(measurement(name, [value]) for name, value in found.items()), **said
            )
            assert path.exists()
        self.paths = self.study.analyse()
        (self.row,) = table(self.paths.comparison)
        (self.time,) = table(self.paths.time_to_quality)
        self.verdicts = {v["criterion"]: v for v in read_verdicts(self.paths)}

    @property
    def words(self) -> dict[str, str]:
        return {name: v["verdict"] for name, v in self.verdicts.items()}


def test_the_one_failed_run_that_a_result_may_have_is_its_slowest_and_a_verdict_follows(make_study):
    found = Handed(make_study, [*RUNS[:9], None], factor=1.01)
    score = 1.01 * sum(RUNS[1:9]) / 8
    assert float(found.row["measured_minutes"]) == pytest.approx(score)
    assert float(found.time["score_minutes"]) == pytest.approx(score)
    assert found.row["standing"] == "not_slower" and found.row["measured_n"] == "10"
    assert "olympic mean of 10 runs, 1 failed and counts as the slowest, x 1.01" in found.row["note"]
    assert "median is of these" not in found.row["note"] and "9 runs" not in found.row["note"]
    assert found.words == {"ratio": "pass", "time": "pass"}
    assert "n = 10 repeats, 1 failed and counts as the worst" in found.verdicts["time"]["reason"]
    assert [row["outcome"] for row in table(found.paths.repeats)].count("failed") == 1


def test_with_more_failures_than_may_be_there_is_no_score_no_ratio_and_no_pass(make_study):
    found = Handed(make_study, [*RUNS[:8], None, None])
    assert (found.row["basis"], found.row["standing"]) == ("undefined", "undefined")
    assert found.row["ratio"] == found.row["measured_minutes"] == found.time["score_minutes"] == ""
    words = "2 of 10 runs do not count, 1 may: no score"
    assert words in found.row["note"] and found.time["score_note"] == words
    assert found.words == {"ratio": "incomplete", "time": "incomplete"}
    assert all(words in v["reason"] for v in found.verdicts.values())


@pytest.mark.parametrize(("failed", "standing"), [(4, "not_slower"), (5, "undefined")])
def test_a_benchmark_with_more_runs_may_lose_more(make_study, failed, standing):
    reference = find_reference("unet3d", "v4.0", "H100-SXM", 8, exclude_submitter="Dell")
    assert reference.minutes is not None
    runs: list[float | None] = [reference.minutes * (1 + 0.001 * i) for i in range(40 - failed)]
    h100 = B200 | {"accelerator": {"name": "H100", "vendor": "NVIDIA", "family": "H100-SXM"}}
    logs = {"benchmark": "unet3d", "round": "v4.0"}
    found = Handed(make_study, runs + [None] * failed, target=h100, **logs)
    assert found.row["standing"] == standing, found.row["note"]


@pytest.mark.parametrize("missing", [1, 3])
def test_missing_logs_leave_it_incomplete_and_never_not_slower(make_study, missing):
    found = Handed(make_study, [*RUNS[: 10 - missing]], repeats=10)
    assert found.words == {"ratio": "incomplete", "time": "incomplete"}
    assert found.row["standing"] == "inconclusive" and found.time["score_minutes"] == ""
    assert f"{10 - missing} of 10 logs were handed over: no score" in found.row["note"]


def test_a_failed_and_a_missing_run_are_no_result_with_one_failure(make_study):
    found = Handed(make_study, [*RUNS[:8], None], repeats=10)
    assert found.words == {"ratio": "incomplete", "time": "incomplete"}
    assert found.row["standing"] == "inconclusive"


def test_fewer_runs_than_a_result_has_are_never_found_not_slower_even_where_the_study_asks_for_no_more(make_study):
    found = Handed(make_study, [*RUNS[:5]], least=5)
    assert found.row["standing"] == "inconclusive"
    # a time of each run is what it is; the score is not
    assert found.words == {"ratio": "incomplete", "time": "pass"}
    assert "5 runs are no MLPerf result, which has 10: no score" in found.row["note"]


def test_the_allowance_is_that_of_a_whole_result(make_study):
    found = Handed(make_study, [*RUNS[:7], None], least=5)
    assert found.words == {"ratio": "incomplete", "time": "incomplete"}


@pytest.mark.parametrize("declared", [None, "Dell"])
def test_the_submitter_that_the_system_description_names_is_no_reference_for_itself(make_study, declared):
    found = Handed(make_study, [*RUNS], submitter=declared)
    others = find_reference("llama2_70b_lora", "v5.1", "B200", 8, exclude_submitter="Dell")
    assert float(found.row["reference_minutes"]) == others.minutes and found.row["reference_n"] == str(others.n)
    behind = table(found.paths.references_used)
    assert behind and not any("Dell" in row["submitter"] for row in behind)
    assert "without Dell's results" in found.row["note"]
    assert (found.row["submitter"], found.row["system"]) == ("Dell", "XE9780")


def test_submitter_declared_and_submitter_described_are_both_left_out(make_study):
    found = Handed(make_study, [*RUNS], submitter="Lenovo")
    names = {row["submitter"] for row in table(found.paths.references_used)}
    assert names and not names & {"Dell", "Lenovo"}
    assert "without Lenovo's results, without Dell's results" in found.row["note"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"submitter": "Harbour Systems"}, "Harbour Systems has published no results"),
        ({"submitter": None}, "nothing says whose logs these are"),
    ],
)
def test_where_nobody_is_left_out_the_note_says_why(make_study, said, words):
    found = Handed(make_study, [*RUNS], said=said)
    assert words in found.row["note"] and "without" not in found.row["note"]


def test_a_training_that_ran_here_still_needs_every_repeat(make_study):
    study = make_study(target=B200)
    (case,) = study.experiment("probe", {"kind": "gemm", "m": 8, "n": 8, "k": 8}, 10)
    study.criterion("fast", "gemm.throughput", at_least=1.0)
    study.gemm(case, [5.0 + 0.1 * i for i in range(9)])
    study.failed(case, 9)
    (verdict,) = read_verdicts(study.analyse())
    assert verdict["verdict"] == "incomplete"


AT_MOST = Criterion(name="c", metric="mlperf.scaled_time_to_train", at_most=12)


@given(st.lists(st.floats(1.0, 1e3), min_size=7, max_size=12), st.integers(0, 2))
def test_a_failed_repeat_counts_as_slower_than_any_figure_that_it_could_have_had(values, failed):
    found = judge_values(AT_MOST, values, [], "min", len(values) + failed, Failed(failed, "lower"))
    assert found.n == len(values) + failed
    for slow in (max(values), 1e6):
        bound = median_bound([*values, *([slow] * failed)], "upper").value
        assert found.high is None or found.high == bound


def test_a_bound_that_would_be_a_failed_runs_is_none():
    found = judge_values(AT_MOST, [10.0, 10.1, 10.2, 10.3], [], "min", 5, Failed(1, "lower"))
    assert found.verdict == "inconclusive" and found.high is None and "failed run's" in found.reason
    fails = judge_values(
        AT_MOST, [13.0, 13.1, 13.2, 13.3, 13.4, 13.5, 13.6, 13.7, 13.8], [], "min", 10, Failed(1, "lower")
    )
    assert fails.verdict == "fail" and fails.measured == pytest.approx(13.45)
    assert judge_values(AT_MOST, [1.0], [], "min", 3, Failed(2, "lower")).verdict == "incomplete"
    assert math.isinf(Failed(1, "higher").worst) and Failed(1, "higher").worst < 0


def test_what_may_fail_is_never_half_of_a_result():
    """Else the median of a result could be a failed run's."""
    assert all(2 * facts.dropped < facts.runs for facts in BENCHMARKS.values())

"""Criteria on times to quality: a run that did not converge stands at infinity, and never helps to pass."""

from __future__ import annotations

import pytest
from study_on_disk import FINETUNE

from seatrial.analysis.verdict_file import read_verdicts


def verdict_on(make_study, minutes, kinds, metric="train.time_to_quality", **words):
    """The verdict on `metric` (bound: at most 30) of repeats with these minutes, and of failed ones beside them."""
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, len(minutes) + len(kinds))
    study.trained(case, minutes)
    for repeat, kind in enumerate(kinds, start=len(minutes)):
        study.failed(case, repeat, kind)
    study.criterion("in_time", metric, **({"at_most": 30.0} | words))
    return read_verdicts(study.analyse())[0]


MISSED = "target_not_reached"


@pytest.mark.parametrize(
    ("minutes", "kinds", "verdict"),
    [
        ([20.0, 21.0, 22.0], [], "pass"),
        ([20.0, 21.0, 22.0], [MISSED, MISSED], "incomplete"),
        ([20.0] * 9, [MISSED], "incomplete"),
        ([20.0], [MISSED] * 4, "incomplete"),
        ([20.0], [MISSED] * 7, "fail"),
        ([20.0], [MISSED] * 3 + ["diverged"] * 4, "fail"),
        ([20.0], ["crashed"] * 7, "incomplete"),
        # the median is below 30 min of runs of which 45 % never converge; three such in a row are no proof
        ([], [MISSED] * 3, "incomplete"),
        ([], [MISSED] * 5, "fail"),
        ([], ["diverged"] * 5, "fail"),
        ([], ["crashed"] * 3, "incomplete"),
        ([], [MISSED], "incomplete"),
        ([40.0, 40.5, 41.0], [MISSED], "fail"),
        ([29.0, 31.0, 31.0, 32.0, 33.0], [MISSED] * 3, "fail"),
    ],
)
def test_truth_table_with_runs_that_did_not_converge(make_study, minutes, kinds, verdict):
    assert verdict_on(make_study, minutes, kinds)["verdict"] == verdict


def test_a_fail_by_runs_that_did_not_converge_says_so(make_study):
    found = verdict_on(make_study, [20.0], [MISSED] * 7)
    assert found["measured"] is None and found["low"] is None and found["n"] == 8
    assert "no median, 7 of 8 repeats never reached the quality; bound never (order statistics" in found["reason"]
    slow = verdict_on(make_study, [29.0, 31.0, 31.5, 32.0, 33.0], [MISSED] * 3)
    assert (slow["measured"], slow["low"]) == (32.5, 31.0)


def test_too_few_repeats_stay_too_few(make_study):
    found = verdict_on(make_study, [], [MISSED] * 5, minimum_repeats=6)
    assert found["verdict"] == "incomplete"


@pytest.mark.parametrize(
    ("metric", "verdict"),
    [("train.mlperf_minutes", "fail"), ("train.samples_to_quality", "fail"), ("train.throughput", "incomplete")],
)
def test_only_what_counts_up_to_the_quality_is_infinite(make_study, metric, verdict):
    assert verdict_on(make_study, [], [MISSED] * 5, metric)["verdict"] == verdict

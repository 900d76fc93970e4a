"""Verdicts: only what was measured, and clears the bound with its own noise, passes."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from study_on_disk import B200, FINETUNE, GEMM

from seatrial.analysis.verdicts import NO_CRITERIA, exit_code, overall, read_verdicts, verdict_lines
from seatrial.record import Error, measurement

DESIGN_KEYS = {
    "criterion",
    "metric",
    "where",
    "verdict",
    "measured",
    "low",
    "high",
    "required",
    "n",
    "n_needed",
    "reason",
}


def gemm_verdict(make_study, values, repeats=None, ceiling=None, **words):
    """The verdict on gemm.throughput (bound: at least 10) of repeats with these medians."""
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, repeats or max(1, len(values)))
    study.gemm(case, values, ceiling)
    study.criterion("fast", "gemm.throughput", **({"at_least": 10.0} | words))
    return read_verdicts(study.analyse())[0]


@pytest.mark.parametrize(
    ("values", "words", "verdict"),
    [
        ([12.0, 12.1, 12.2], {}, "pass"),
        ([12.0, 12.1, 12.2, 11.9, 12.3, 12.0], {}, "pass"),
        ([8.0, 8.1, 8.2], {}, "fail"),
        ([9.0, 10.2, 11.5], {}, "inconclusive"),
        ([10.0, 10.0, 10.0], {}, "inconclusive"),
        ([10.0, 10.0, 10.0, 10.0, 10.0], {}, "pass"),
        ([12.0], {}, "inconclusive"),
        ([8.0], {}, "inconclusive"),
        ([10.0], {}, "inconclusive"),
        ([8.0, 8.1, 8.2], {"at_least": None, "at_most": 10.0}, "pass"),
        ([12.0, 12.1, 12.2], {"at_least": None, "at_most": 10.0}, "fail"),
        ([9.0, 10.2, 11.5], {"at_least": None, "at_most": 10.0}, "inconclusive"),
        ([12.0, 12.1], {"minimum_repeats": 3}, "incomplete"),
        ([12.0, 12.1, 12.2], {"where": {"experiment": "other"}}, "incomplete"),
        ([12.0, 12.1, 12.2], {"where": {"dtype": "float16"}}, "incomplete"),
        ([12.0, 12.1, 12.2], {"where": {"dtype": "float32", "m": 128, "workload": "gemm"}}, "pass"),
        ([12.0, 12.1, 12.2], {"unit_of": "ceiling", "at_least": 0.5}, "incomplete"),
        ([], {}, "incomplete"),
    ],
)
def test_truth_table_of_complete_and_short_measurements(make_study, values, words, verdict):
    found = gemm_verdict(make_study, values, **words)
    assert found["verdict"] == verdict, found
    assert set(found) >= DESIGN_KEYS
    if words.get("unit_of") == "ceiling":
        assert "no ceiling is known" in found["reason"]
    assert found["reason"]


@pytest.mark.parametrize(("ceiling", "verdict"), [(14.0, "pass"), (60.0, "fail"), (24.2, "inconclusive")])
def test_a_fraction_of_the_ceiling(make_study, ceiling, verdict):
    words = {"unit_of": "ceiling", "at_least": 0.5}
    assert gemm_verdict(make_study, [12.0, 12.1, 12.2], ceiling=ceiling, **words)["verdict"] == verdict


@pytest.mark.parametrize("what", ["missing", "failed", "unsupported", "aborted", "truncated", "nan", "no_metric"])
@pytest.mark.parametrize(
    ("others", "word"),
    [
        ([], "incomplete"),
        ([12.0], "incomplete"),
        ([12.0, 12.1, 12.2], "incomplete"),
        ([9.0, 10.2, 11.5], "incomplete"),
        ([8.0], "incomplete"),
        ([8.0, 8.01], "fail"),
        ([8.0, 8.1, 8.2], "fail"),
    ],
)
def test_a_repeat_that_was_not_measured_never_passes_and_hides_no_fail(make_study, what, others, word):
    study = make_study()
    bad = len(others)
    (case,) = study.experiment("gemm", GEMM, bad + 1)
    study.gemm(case, others)
    found = measurement("gemm.throughput", [12.0] * 1001, {"dtype": "float32"})
    if what in ("failed", "unsupported", "aborted"):
        study.record(case, bad, found, outcome=what, error=Error(kind="crashed", message="no"))
    elif what == "truncated":
        path = study.record(case, bad, found)
        path.write_text(path.read_text()[:200])
    elif what == "nan":
        study.record(case, bad, found.model_copy(update={"samples": [12.0] * 1001 + [float("nan")]}))
    elif what == "no_metric":
        study.record(case, bad)
    study.criterion("fast", "gemm.throughput", at_least=10.0)
    verdict = read_verdicts(study.analyse())[0]
    assert verdict["verdict"] == word, verdict
    assert exit_code([verdict]) == (1 if word == "fail" else 3)
    assert verdict["n"] == len(others)
    if what in ("missing", "failed", "unsupported", "aborted"):
        assert f"1 of {bad + 1} repeats not completed: repeat {bad} {what}" in verdict["reason"]
    if word == "fail":
        assert "is not at least 10" in verdict["reason"]
        assert "not measured: " in verdict["reason"]


@pytest.mark.parametrize(
    ("values", "planned", "word"),
    [
        ([8.0, 8.01], 3, "fail"),
        ([8.0, 8.01], 2, "incomplete"),
        ([8.0], 3, "incomplete"),
        ([12.0, 12.1], 3, "incomplete"),
    ],
)
def test_a_crash_below_the_minimum_of_repeats_hides_no_fail(make_study, values, planned, word):
    found = gemm_verdict(make_study, values, repeats=planned, minimum_repeats=3)
    assert found["verdict"] == word, found


def test_a_failing_case_decides_over_one_that_is_missing_and_both_are_named(make_study):
    study = make_study()
    bad, _ = study.experiment("gemm", GEMM, 3, {"workload.m": [64, 256]})
    study.gemm(bad, [8.0, 8.1, 8.2])
    study.criterion("all", "gemm.throughput", at_least=10.0)
    verdict = read_verdicts(study.analyse())[0]
    assert (verdict["verdict"], verdict["measured"], verdict["n"]) == ("fail", 8.1, 3)
    assert verdict["reason"].startswith("gemm (dtype float32, m 64), decisive of 2 selected (1 fail)")
    assert "is not at least 10" in verdict["reason"]
    assert "not measured (1 of 2 selected): gemm (m 256): 3 of 3 repeats not completed" in verdict["reason"]


def test_a_misspelt_where_selects_nothing_and_passes_nothing(make_study):
    found = gemm_verdict(make_study, [12.0, 12.1, 12.2], where={"sise": 3})
    assert found["verdict"] == "incomplete"
    assert "nothing that was planned is selected" in found["reason"]


def test_n_needed_is_given_where_the_spread_is_known_and_null_where_not(make_study):
    assert gemm_verdict(make_study, [9.0, 10.2, 11.5])["n_needed"] > 3
    assert gemm_verdict(make_study, [10.0, 10.0, 10.0])["n_needed"] is None
    assert gemm_verdict(make_study, [12.0], minimum_repeats=3)["n_needed"] == 3


def test_a_metric_that_a_record_has_twice_is_not_two_repeats(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.record(case, 0, measurement("gemm.throughput", [12.0]), measurement("gemm.throughput", [12.1]))
    study.criterion("fast", "gemm.throughput", at_least=10.0, minimum_repeats=2)
    verdict = read_verdicts(study.analyse())[0]
    assert verdict["verdict"] == "incomplete" and "1 of 1 repeats not completed" in verdict["reason"]


def test_the_worst_selected_case_decides(make_study):
    study = make_study()
    good, bad = study.experiment("gemm", GEMM, 3, {"workload.m": [64, 256]})
    study.gemm(good, [12.0, 12.1, 12.2])
    study.gemm(bad, [8.0, 8.1, 8.2])
    study.criterion("all", "gemm.throughput", at_least=10.0)
    study.criterion("good", "gemm.throughput", at_least=10.0, where={"workload.m": 64})
    worst, chosen = read_verdicts(study.analyse())
    assert (worst["verdict"], worst["measured"]) == ("fail", 8.1)
    assert "m 256" in worst["reason"]
    assert "decisive of 2 selected" in worst["reason"]
    assert chosen["verdict"] == "pass"


def test_a_missing_repeat_of_a_case_that_was_not_selected_does_not_matter(make_study):
    study = make_study()
    good, _ = study.experiment("gemm", GEMM, 3, {"workload.m": [64, 256]})
    study.gemm(good, [12.0, 12.1, 12.2])
    study.criterion("good", "gemm.throughput", at_least=10.0, where={"m": 64})
    assert read_verdicts(study.analyse())[0]["verdict"] == "pass"


def test_a_ratio_without_reference_is_no_reference(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(case, [1.0, 1.1, 1.2])
    study.criterion("equal", "comparison.ratio", at_most=1.3)
    verdict = read_verdicts(study.analyse())[0]
    assert verdict["verdict"] == "no_reference"
    assert verdict["measured"] is None
    assert "not an MLPerf benchmark" in verdict["reason"]


@pytest.mark.parametrize(
    ("factors", "repeats", "verdict"),
    [
        ([0.99, 1.0, 1.01], 3, "pass"),
        ([1.99, 2.0, 2.01], 3, "fail"),
        ([1.0, 1.3, 1.7], 3, "inconclusive"),
        ([1.0], 1, "inconclusive"),
        ([0.99, 1.0, 1.01], 4, "incomplete"),
        ([1.99, 2.0, 2.01], 4, "fail"),
        ([2.0], 4, "incomplete"),
        ([], 1, "incomplete"),
    ],
)
@pytest.mark.usefixtures("same_work")
def test_a_ratio_to_the_published_median(make_study, factors, repeats, verdict):
    study = make_study(target=B200)
    (case,) = study.experiment("finetune", FINETUNE | {"benchmark": "llama2_70b_lora"}, repeats)
    study.trained(case, [9.81 * f for f in factors])
    study.criterion("equal", "comparison.ratio", at_most=1.3, where={"experiment": "finetune"})
    assert read_verdicts(study.analyse())[0]["verdict"] == verdict


def test_a_published_subject_is_selected_by_submitter_and_benchmark(make_study):
    subject = {"round": "v5.1", "submitter": "Dell", "system": "1xXE9680Lx8B200-SXM-180GB"}
    study = make_study(references={"subjects": [subject]})
    study.criterion(
        "equal", "comparison.ratio", at_most=1.3, where={"submitter": "Dell", "benchmark": "llama2_70b_lora"}
    )
    study.criterion("half", "comparison.ratio", at_most=0.5, where={"benchmark": "llama2_70b_lora"})
    first, second = read_verdicts(study.analyse())
    assert (first["verdict"], second["verdict"]) == ("pass", "fail")


def words(*verdicts):
    return [{"verdict": v} for v in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "word", "code"),
    [
        ((), NO_CRITERIA, 0),
        (("pass", "pass"), "pass", 0),
        (("pass", "fail", "incomplete"), "fail", 1),
        (("pass", "inconclusive"), "inconclusive", 3),
        (("inconclusive", "no_reference"), "no_reference", 3),
        (("incomplete", "no_reference", "pass"), "incomplete", 3),
    ],
)
def test_overall_verdict_and_exit_code(verdicts, word, code):
    assert overall(words(*verdicts)) == word
    assert exit_code(words(*verdicts)) == code


def test_lines_json_and_junit_agree(make_study):
    study = make_study(name="trial")
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    study.criterion("a", "gemm.throughput", at_least=10.0)
    study.criterion("b", "gemm.throughput", at_most=10.0)
    study.criterion("c", "gemm.throughput", at_least=10.0, minimum_repeats=9)
    paths = study.analyse()
    lines = verdict_lines(paths)
    assert [line.split()[0] for line in lines[:3]] == ["pass", "fail", "incomplete"]
    assert lines[-1] == "verdict of trial: fail (1 pass, 1 incomplete, 1 fail)"
    suite = ET.parse(paths.verdicts.with_name("junit.xml")).getroot().find("testsuite")
    assert suite.attrib == {"name": "trial", "tests": "3", "failures": "1", "errors": "1"}
    assert [next(iter(c)).tag for c in suite] == ["system-out", "failure", "error"]


def test_the_same_input_gives_the_same_bytes(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    study.criterion("a", "gemm.throughput", at_least=10.0)
    paths = study.analyse()
    files = [*sorted(paths.tables.iterdir()), paths.verdicts, paths.verdicts.with_name("junit.xml")]
    before = [f.read_bytes() for f in files]
    study.analyse()
    assert [f.read_bytes() for f in files] == before


def test_markup_in_a_reason_stays_text_in_junit(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM)
    study.failed(case, 0, "crashed", "<script>\x00")
    study.criterion("a", "gemm.throughput", at_least=10.0, where={"experiment": "gemm"})
    paths = study.analyse()
    ET.parse(paths.verdicts.with_name("junit.xml"))
    assert json.loads(paths.verdicts.read_text())[0]["verdict"] == "incomplete"

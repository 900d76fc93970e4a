"""A verdict that does not follow from the tables beside it is not known, whatever verdicts.json says."""

from __future__ import annotations

import json

import pytest
from study_on_disk import B200, FINETUNE, FLORIDA, GEMM, StudyOnDisk

from seatrial.analysis.analyse import analyse
from seatrial.analysis.collect import collect
from seatrial.cli import main
from seatrial.report.headline import verdict
from seatrial.report.page import report
from seatrial.report.sections import criteria_table
from seatrial.report.study_tables import read_study

WORDS = "verdicts.json does not follow from the tables beside it: run `seatrial analyse`"


@pytest.fixture
def passed(make_study):
    """A study of five good repeats that passes, and its case."""
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 5)
    study.gemm(case, [12.0, 12.1, 12.2, 12.05, 12.15])
    study.criterion("fast", "gemm.throughput", at_least=10.0)
    return study, case, study.analyse()


def said(paths, capsys) -> tuple[int, str]:
    code = main(["verdict", str(paths.root)])
    return code, capsys.readouterr().out


def test_a_pass_does_not_survive_when_every_repeat_has_failed_since(passed, capsys):
    study, case, paths = passed
    assert said(paths, capsys)[0] == 0
    for repeat in range(5):
        study.failed(case, repeat)
    collect(paths)
    code, text = said(paths, capsys)
    assert code == 3 and WORDS in text and "pass" not in text
    report(paths)
    summary = paths.summary.read_text()
    assert f"**Verdict: not known.** {WORDS}" in summary.replace("\\", "") and "| pass" not in summary
    assert (
        "not known</strong>" in paths.report.read_text()
        and 'class="mark verdict pass"' not in paths.report.read_text()
    )
    analyse(paths)
    code, text = said(paths, capsys)
    assert code == 3 and "incomplete" in text and "not known" not in text


@pytest.mark.parametrize(
    "change", [{"verdict": "fail"}, {"measured": 13.0}, {"n": 9}, {"reason": "it is better still"}]
)
def test_a_verdict_changed_by_hand_is_not_believed(passed, change, capsys):
    paths = passed[2]
    found = json.loads(paths.verdicts.read_text())
    paths.verdicts.write_text(json.dumps([found[0] | change]))
    code, text = said(paths, capsys)
    assert code == 3 and WORDS in text
    shown = read_study(paths)
    assert verdict(shown)[1:] == ("not known", f"{WORDS}.")
    assert [row[1].text for row in criteria_table(shown).rows] == ["not known"]


def test_other_last_digits_are_the_same_verdict(passed, capsys):
    paths = passed[2]
    found = json.loads(paths.verdicts.read_text())
    paths.verdicts.write_text(json.dumps([found[0] | {"measured": found[0]["measured"] * (1 + 1e-12)}]))
    # junit.xml holds words, not figures
    assert said(paths, capsys)[0] == 0


def test_a_junit_file_that_says_something_else_is_named(passed, capsys):
    paths = passed[2]
    junit = paths.verdicts.with_name("junit.xml")
    junit.write_text(junit.read_text().replace("system-out", "failure"))
    code, text = said(paths, capsys)
    assert code == 3 and "junit.xml does not say what verdicts.json says" in text


def test_a_pass_without_its_tables_cannot_be_checked_and_is_no_pass(passed, capsys):
    paths = passed[2]
    paths.repeats.unlink()
    code, text = said(paths, capsys)
    assert code == 3 and "cannot be checked" in text and "repeats.csv" in text


def test_a_ratio_is_made_again_from_the_measurements_not_from_its_table(make_study, capsys):
    study = make_study(target=B200)
    study.experiment("gemm", GEMM)
    study.study["references"] = {"subjects": [FLORIDA]}
    study.criterion("like_others", "comparison.ratio", at_most=5.0, where={"accelerators": 8}, minimum_repeats=1)
    paths = study.analyse()
    before = said(paths, capsys)
    table = paths.comparison.read_text()
    paths.comparison.write_text(table.splitlines()[0] + "\n")
    assert said(paths, capsys) == before


def test_no_criteria_have_nothing_to_follow_from(make_study, capsys):
    study: StudyOnDisk = make_study()
    study.experiment("finetune", FINETUNE)
    assert said(study.analyse(), capsys)[0] == 0

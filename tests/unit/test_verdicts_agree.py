"""The file of verdicts, the lines, the exit code, the JUnit file and the page's first lines say the same."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from study_on_disk import FINETUNE, GEMM

from seatrial.analysis.verdicts import exit_code, overall, verdict_lines
from seatrial.cli import main
from seatrial.report import headline
from seatrial.report.study_tables import read_study

FIVE = {
    "pass": ({"at_least": 10.0}, 0, "system-out"),
    "fail": ({"at_most": 10.0}, 1, "failure"),
    "inconclusive": ({"at_least": 12.1}, 3, "error"),
    "incomplete": ({"at_least": 10.0, "minimum_repeats": 9}, 3, "error"),
    "no_reference": ({"at_most": 1.3}, 3, "error"),
}


@pytest.mark.parametrize("word", FIVE)
def test_file_lines_exit_code_junit_and_the_pages_first_lines_agree(make_study, word, capsys):
    bound, code, tag = FIVE[word]
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 3)
    study.gemm(case, [12.0, 12.1, 12.2])
    (training,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(training, [1.0, 1.1, 1.2])
    study.criterion("always", "gemm.throughput", at_least=1.0)
    study.criterion("it", "comparison.ratio" if word == "no_reference" else "gemm.throughput", **bound)
    paths = study.analyse()
    found = json.loads(paths.verdicts.read_text())
    assert [v["verdict"] for v in found] == ["pass", word]
    assert overall(found) == word and exit_code(found) == code
    assert main(["verdict", str(paths.root)]) == code
    shown = word.replace("_", " ")
    printed = capsys.readouterr().out.splitlines()
    assert printed == verdict_lines(paths)
    assert printed[1].startswith(shown) and printed[-1].startswith(f"verdict of trial: {shown} (")
    suite = ET.parse(paths.verdicts.with_name("junit.xml")).getroot().find("testsuite")
    assert [next(iter(one)).tag for one in suite] == ["system-out", tag]
    assert suite[1][0].get("type") == (None if word == "pass" else word)
    kind, name, sentence = headline.verdict(read_study(paths))
    assert (kind, name) == (word, shown)
    assert (sentence == "All criteria pass. 2 of 2 criteria.") == (word == "pass")

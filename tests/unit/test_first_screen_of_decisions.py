"""The first screen of a study that only decides: its answer, and a card for each proposal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import yaml
from study_on_disk import LAPTOP, StudyOnDisk
from test_decisions_page import PRESET, decision

from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.report.decisions import headline_of_decisions
from seatrial.report.page import report


def of_proposal(number: int, inputs: bool = True) -> Decision:
    figure = Figure("Training time", float(number), None, None, "days", "by the roofline")
    given = decision().inputs if inputs else ()
    return replace(decision("procurement"), title=f"Proposal {number}", figures=(figure,), inputs=given)


def test_the_first_screen_of_several_decisions_names_each_once_and_counts_the_rest() -> None:
    side_by_side = replace(of_proposal(1, inputs=False), title="Which cluster")
    shown = headline_of_decisions([side_by_side, *(of_proposal(n) for n in range(1, 7))])
    assert [one.name for one in shown] == [f"Training time: Proposal {n}" for n in (6, 5, 4, 3)]
    assert shown[0].sources[0].anchor == "decision-7"
    assert shown[-1].under.endswith("And 2 more decisions below") and "more" not in shown[0].under


def test_the_answer_heads_the_page_and_the_summary_of_a_study_that_only_decides(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=LAPTOP, economics=yaml.safe_load(PRESET.read_text(encoding="utf-8")))
    study.write()
    paths = study.analyse()
    report(paths)
    for text in (paths.report.read_text(encoding="utf-8"), paths.summary.read_text(encoding="utf-8")):
        title, none = text.index("Own or cloud"), text.index("No criteria were declared")
        assert title < none and "Verdict: " not in text
        assert text.lower().index("owning costs") < none

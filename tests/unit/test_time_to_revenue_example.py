"""The shipped business case: its figures by hand, its sources, its page, and the same with a measured training."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import FINETUNE, StudyOnDisk

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.decisions_file import read_decisions
from seatrial.analysis.decisions.time_to_revenue import time_to_revenue
from seatrial.paths import StudyPaths
from seatrial.plan import make_plan
from seatrial.record import measurement
from seatrial.report.page import report

CONF = Path(__file__).parents[2] / "conf"


def example() -> dict[str, Any]:
    return make_plan(["study=time_to_revenue_example"], CONF).study.economics.model_dump(mode="json")


def values(decision: Decision) -> dict[str, float | None]:
    return {figure.name: figure.value for figure in decision.figures}


def test_the_examples_figures_are_those_of_a_pocket_calculator() -> None:
    """(8 + 30) h, 4 runs 2 at once, 95 % complete, against (4 + 38) h one at a time, 85 %; 3 days of people."""
    study = make_plan(["study=time_to_revenue_example"], CONF).study
    (found,) = time_to_revenue(Basis(StudyPaths(Path("nowhere")), study, {}))
    here, there = 4 / 2 / 0.95 * 38 / 24 + 3, 4 / 0.85 * 42 / 24 + 3
    said = values(found)
    assert said["One decision on a cluster of one's own"] == pytest.approx(here) == pytest.approx(6.333, abs=1e-3)
    assert said["One decision on the cloud that is rented today"] == pytest.approx(there)
    assert said["Earlier than on the cloud that is rented today"] == pytest.approx(
        0.7 * 20 * (there - here) / 30.4375
    )
    assert said["Worth of what is earlier"] == pytest.approx(0.7 * 20 * (there - here) * 74_000)
    assert said["Worth of one month earlier"] == pytest.approx(74_000 * 30.4375)
    assert all(one.low is not None and one.low < one.value < one.high for one in found.figures)  # type: ignore[operator]
    assert "2.25 months (0.168 to 10.6) earlier" in found.answer
    assert said["Time saved, whether it counts or not"] == pytest.approx(20 * (there - here) / 30.4375)
    assert (
        "of the 3.22 months (" in found.answer and "70 % (40 to 100) are on the product's critical" in found.answer
    )
    of_share = [one.name for one in found.figures if one.method.startswith("70 % (40 to 100) of the time saved")]
    assert of_share == ["Worth of what is earlier", "Earlier than on the cloud that is rented today"]
    assert found.missing == ()


def test_every_assumption_of_the_example_has_a_date_and_who_states_it() -> None:
    study = make_plan(["study=time_to_revenue_example"], CONF).study
    (found,) = time_to_revenue(Basis(StudyPaths(Path("nowhere")), study, {}))
    assert all(given.as_of and given.source.startswith("stated by the buyer: ") for given in found.inputs)
    assert {given.name for given in found.inputs if given.is_exact} == {
        "runs at once, the cloud that is rented today"
    }


def test_with_a_training_that_was_measured_here_the_page_says_what_is_measured_and_what_is_stated(
    tmp_path: Path,
) -> None:
    economics = example()
    economics["time_to_revenue"]["system"] |= {"run_hours": None, "experiment": "tune"}
    disk = StudyOnDisk(tmp_path / "case", economics=economics)
    (case,) = disk.experiment("tune", FINETUNE, repeats=3)
    for repeat, minutes in enumerate((9.0, 10.0, 12.0)):
        end = f"2026-01-02T00:{minutes + 1:02.0f}:00+00:00"
        started = "2026-01-02T00:00:00+00:00"
        found = measurement("train.time_to_quality", [minutes])
        disk.record(case, repeat, found, started_at=started, finished_at=end)
    paths = disk.analyse()
    (decision,) = [one for one in read_decisions(paths) if one.kind == "time_to_revenue"]
    by_name = {given.name: given for given in decision.inputs}
    assert by_name["time to quality, a cluster of one's own"].value == pytest.approx(10 / 60)
    assert by_name["time to quality, a cluster of one's own"].measured
    assert not by_name["queue, a cluster of one's own"].measured
    report(paths)
    text = paths.report.read_text(encoding="utf-8")
    assert "Worth of what is earlier" in text and "stated by the buyer: the quota" in text
    assert re.search(r"What moves it most: .+, .+ and .+\.", text)


def test_the_cards_and_the_summary_say_the_share_of_the_time_saved_that_counts(tmp_path: Path) -> None:
    """32.1 - 18.1 = 14.0 weeks are 3.22 months; 0.70 of them 2.25."""
    disk = StudyOnDisk(tmp_path / "shares", economics=example())
    disk.write()
    paths = disk.analyse()
    report(paths)
    for text in (paths.report.read_text(encoding="utf-8"), paths.summary.read_text(encoding="utf-8")):
        seen = " ".join(html.unescape(text).split())
        assert "of the 3.22 months" in seen and "70 % (40 to 100) are on the product's critical path" in seen
        assert "70 % (40 to 100) of the time saved" in seen
        assert "Time saved, whether it counts or not" in seen


def test_where_all_of_the_time_saved_counts_no_share_is_said() -> None:
    study = make_plan(["study=time_to_revenue"], CONF).study
    (found,) = time_to_revenue(Basis(StudyPaths(Path("nowhere")), study, {}))
    assert "critical path" not in found.answer and "Time saved, whether it counts or not" not in values(found)

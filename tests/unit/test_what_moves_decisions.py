"""Every kind of decision names the three inputs that move it most, from its own tornado, or says why not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import FINETUNE, StudyOnDisk

from seatrial.analysis.decisions.decision import Decision, Input, Swing
from seatrial.analysis.decisions.decisions_file import decide
from seatrial.analysis.decisions.sensitivity import in_words, moves_most, of_each
from seatrial.case import Case
from seatrial.paths import StudyPaths
from seatrial.plan import make_plan
from seatrial.record import measurement
from seatrial.report.decisions import decisions_section

CONF = Path(__file__).parents[2] / "conf"


def stated(value: float, low: float, high: float) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "as_of": "2026-11", "source": "a test"}


def of_shipped(root: Path, *words: str) -> list[Decision]:
    """The decisions of a shipped study that needs no experiment."""
    study = make_plan(list(words), CONF).study
    disk = StudyOnDisk(root)
    disk.study = study.model_dump(mode="json") | {"experiments": {}}
    disk.write()
    return decide(StudyPaths(root))


def of_trained(root: Path, kind: str) -> list[Decision]:
    """The decisions of a study with three repeats of a training, of one kind."""
    price = {"low": 2.0, "high": 3.0, "as_of": "2026-11", "source": "a quote"}
    ranges = {
        "time_to_revenue": {
            "decisions": stated(20, 15, 30),
            "runs_per_decision": stated(4, 3, 6),
            "people_days_per_decision": stated(2, 1, 5),
            "revenue_per_day": price,
            "system": {"queue_hours": stated(6, 2, 20), "runs_at_once": stated(2, 1, 3)},
            "against": {
                "name": "the other",
                "run_hours": stated(9, 6, 12),
                "queue_hours": stated(9, 6, 12),
                "runs_at_once": stated(1, 1, 2),
            },
        },
        "run": {
            "kept_gb": stated(300, 100, 600),
            "kept_months": stated(6, 3, 12),
            "storage_gb_month": {**price, "low": 0.021, "high": 0.026},
        },
    }
    wanted = "time_to_revenue" if kind == "time_to_revenue" else "run"
    target = {**StudyOnDisk(root).study["target"], "prices": {"node_hour": price}}
    disk = StudyOnDisk(root, target=target, economics={wanted: ranges[wanted]})
    (case,) = disk.experiment("tune", FINETUNE, repeats=3)
    trained(disk, case)
    disk.analyse()
    return [one for one in decide(disk.paths) if one.kind == kind]


def trained(disk: StudyOnDisk, case: Case) -> None:
    for repeat, minutes in enumerate((9.0, 10.0, 12.0)):
        end = f"2026-01-02T00:{minutes + 1:02.0f}:00+00:00"
        disk.record(
            case,
            repeat,
            measurement("train.time_to_quality", [minutes]),
            started_at="2026-01-02T00:00:00+00:00",
            finished_at=end,
        )


SHIPPED = {
    "own_or_cloud": ["study=own_or_cloud"],
    "procurement": ["study=procurement"],
    "finish_date": [
        "study=finish_date",
        'economics.finish_date.run_spread={value: 0.02, low: 0.01, high: 0.04, as_of: "2026-11", source: a test}',
        "economics.finish_date.experiment=null",
    ],
}


@pytest.mark.parametrize("kind", ["cost", "time_to_revenue", *SHIPPED])
def test_every_kind_of_decision_names_three_of_its_own_tornado(kind: str, tmp_path: Path) -> None:
    found = of_shipped(tmp_path, *SHIPPED[kind]) if kind in SHIPPED else of_trained(tmp_path, kind)
    assert found
    for one in found:
        assert one.moved.startswith("What moves "), one.title
        if one.swings:
            most = moves_most(one.swings)
            assert len(most) == 3 and one.moved == f"What moves it most: {most[0]}, {most[1]} and {most[2]}."
    section = decisions_section(found)
    assert section is not None and [shown.moved for shown in section.shown] == [one.moved for one in found]
    assert any(one.swings for one in found)


def test_proposals_side_by_side_and_hybrid_attention_say_what_moves_them(tmp_path: Path) -> None:
    side_by_side, *each, hybrid = of_shipped(tmp_path, "study=procurement")
    for one in each:
        first, second, third = moves_most(one.swings)
        assert f"{first}, {second} and {third}" in side_by_side.moved
    assert side_by_side.moved.startswith("What moves the training time most: tokens of the training, ")
    assert hybrid.moved.startswith("What moves the number of times the steps at which it pays most: ")


RANGED = Input("wait", 2.0, 1.0, 3.0, "h", "a test", "2026-11", measured=False)
BARE = Decision("cost", "a", "b", "c", (), (), ())


def test_why_nothing_is_named_is_said() -> None:
    exact = replace(RANGED, low=None, high=None)
    assert in_words(BARE) == ""
    assert in_words(replace(BARE, inputs=(exact,))).startswith("No input has a range")
    assert (
        in_words(replace(BARE, inputs=(RANGED,)))
        == "What moves it most is not known, since the figure itself is not."
    )
    still = replace(BARE, inputs=(RANGED,), swings=(Swing("wait", 1.0, 1.0),))
    assert in_words(still) == "No input's range moves it."


def test_cases_with_the_same_inputs_are_said_once() -> None:
    wait, price = [Swing("wait", 1.0, 3.0)], [Swing("price", 0.0, 1.0)]
    assert of_each("it", {"a": wait, "b": wait}) == "What moves it most: wait."
    assert of_each("it", {"a": wait, "b": price, "c": wait}) == "What moves it most: wait (a and c); price (b)."
    assert of_each("it", {"a": []}) == "What moves it most is not known."

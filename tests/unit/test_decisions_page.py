"""decisions.json, and what the page makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from study_on_disk import LAPTOP, StudyOnDisk

from seatrial.analysis.decisions.decision import Decision, Figure, Input, Swing
from seatrial.analysis.decisions.decisions_file import decisions, read_decisions
from seatrial.errors import UnreadableFile
from seatrial.report.decisions import decisions_section, headline_cost, headline_of_decisions
from seatrial.report.page import report
from seatrial.report.tornado import draw_tornadoes, tornado_names

PRESET = Path(__file__).parents[2] / "conf" / "economics" / "h100_owned_or_rented.yaml"
SCRIPT = "<script>alert(1)</script>"


def decision(kind: str = "cost", value: float | None = 40.0, swings: tuple[Swing, ...] = ()) -> Decision:
    return Decision(
        kind=kind,
        title="What a run costs",
        where="eight accelerators",
        answer="A run costs 40 USD.",
        figures=(Figure("Cost of a run", value, 30.0 if value else None, None, "USD", "not known: no price"),),
        inputs=(Input("price", 3.0, 2.0, 4.0, "USD/h", "a quote", "2026-11", False),),
        swings=swings,
        missing=("storage",),
        case_ids=("0123",),
    )


SWINGS = (Swing("price", 26.0, 54.0), Swing("hours", 30.0, None), Swing("PUE", 40.0, 40.0))


def test_the_file_holds_what_was_decided_and_the_same_bytes_each_time(tmp_path: Path) -> None:
    economics = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    study = StudyOnDisk(tmp_path, target=LAPTOP, economics=economics)
    study.write()
    found = decisions(study.paths)
    first = study.paths.decisions.read_bytes()
    assert read_decisions(study.paths) == found and len(found) == 2
    decisions(study.paths)
    assert study.paths.decisions.read_bytes() == first


def test_a_study_that_states_nothing_decides_nothing(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, references={"subjects": []})
    study.experiment("gemm", {"kind": "gemm", "m": 8, "n": 8, "k": 8})
    assert decisions(study.paths) == []
    assert json.loads(study.paths.decisions.read_text(encoding="utf-8")) == []
    assert decisions_section([]) is None


@pytest.mark.parametrize("content", ["", "{}", '[{"kind": "cost"}]', None])
def test_a_file_that_is_something_else_is_refused_with_what_to_do(tmp_path: Path, content: str | None) -> None:
    study = StudyOnDisk(tmp_path)
    if content is not None:
        study.paths.decisions.write_text(content, encoding="utf-8")
    with pytest.raises(UnreadableFile, match="`seatrial analyse` makes it again"):
        read_decisions(study.paths)


def test_the_section_says_what_moves_it_what_is_missing_and_where_each_input_is_from() -> None:
    section = decisions_section([decision(swings=SWINGS)])
    assert section is not None
    (shown,) = section.shown
    assert shown.moved == "What moves it most: price and hours."
    assert shown.facts == [("Not known, or not in it", ("storage",))]
    assert [cell.text for cell in shown.figures.rows[0]][:3] == ["Cost of a run", "40 USD", "at least 30"]
    assert [cell.text for cell in shown.inputs.rows[0]] == ["price", "3", "2 to 4", "2026-11", "a quote"]


def test_the_tornado_shows_every_swing_and_its_data_holds_all() -> None:
    (figure,) = draw_tornadoes([decision(swings=SWINGS)])
    assert figure.name == "tornado_cost" and "price: 26 to 54" in figure.caption
    assert "hours: 30 to none" in figure.caption and "PUE" not in figure.caption
    assert figure.data is not None and [row["input"] for row in figure.data.rows] == ["price", "hours", "PUE"]
    assert figure.records.case_ids == ("0123",) and figure.records.tables == ("decisions.json",)


def test_tornadoes_of_one_kind_have_names_of_their_own_and_none_without_a_swing() -> None:
    several = [decision(swings=SWINGS), decision(), decision(swings=SWINGS), decision(value=None, swings=SWINGS)]
    assert list(tornado_names(several)) == ["tornado_cost", "tornado_cost_2"]


def test_the_first_screen_has_the_cost_where_it_is_known() -> None:
    assert headline_cost([decision(value=None)]) is None
    found = headline_cost([decision(value=None), decision()])
    assert found is not None and (found.value, found.unit) == ("40", "USD")
    assert found.sources[0].anchor == "decision-2"
    unknown = headline_of_decisions([decision(value=None)])
    assert [one.value for one in unknown] == ["not known"] and unknown[0].under == "not known: no price"


def test_the_page_of_a_study_without_experiments_shows_the_decision_and_no_planted_script(tmp_path: Path) -> None:
    economics = yaml.safe_load(PRESET.read_text(encoding="utf-8"))
    economics["own"]["staff_year"]["source"] = SCRIPT
    study = StudyOnDisk(tmp_path, target=LAPTOP, economics=economics)
    study.write()
    paths = study.analyse()
    report(paths)
    page = paths.report.read_text(encoding="utf-8")
    assert SCRIPT not in page and "&lt;script&gt;alert(1)" in page
    for words in (
        "an owned one costs 3.54 USD",
        "What moves it most: residual value, price of a 12-month reservation and support.",
        "What moves it most: utilisation, residual value and support.",
        "figures/tornado_own_or_cloud",
        "figures/tornado_own_or_cloud_2",
    ):
        assert words in page
    assert "Nothing was measured: what follows rests on figures that the study states" in page

"""Every claim of a decision carries n, its interval and its source; what was asked for leads page and summary."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from study_on_disk import StudyOnDisk
from test_decisions_page import decision
from test_finish_date import from_records, measured, stated

from seatrial.analysis.decisions.decision import Input, Swing
from seatrial.analysis.decisions.rests_on import in_short, inputs_counted, rests_on
from seatrial.report.decisions import MOST_SHOWN, decisions_section
from seatrial.report.headline import headline, leading_sentence
from seatrial.report.page import report
from seatrial.report.study_tables import read_study
from seatrial.report.summary import summary


def given(name: str, n: int | None = None, measured: bool = False, source: str = "a quote; of a dealer") -> Input:
    return Input(name, 2.0, 1.0, 3.0, "h", source, None if measured else "2026-11", measured, n)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], ""),
        ([given("a"), given("b")], "inputs: 2 stated"),
        ([given("a"), given("b", 3, True), given("c", 3, True)], "inputs: 1 stated, 2 measured (n = 3)"),
        ([given("b", 3, True), given("c", 10, True)], "inputs: 2 measured (n = 3 to 10)"),
        ([given("b", None, True)], "inputs: 1 measured"),
    ],
)
def test_inputs_are_counted_by_what_they_are_and_n_is_of_the_measured_ones(inputs: list[Input], words: str) -> None:
    assert inputs_counted(inputs) == words


def test_the_sources_of_what_moves_it_most_are_named_with_their_dates() -> None:
    inputs = (given("price"), given("rent"), given("hours", 3, True, source="tables/repeats.csv"), given("still"))
    swings = tuple(Swing(name, 1.0, 2.0 + n) for n, name in enumerate(("price", "rent", "hours")))
    assert rests_on(replace(decision(), inputs=inputs, swings=swings)) == (
        "Rests on inputs: 3 stated, 1 measured (n = 3). Sources of what moves it most: "
        "price and rent: a quote; of a dealer (2026-11); hours: tables/repeats.csv."
    )
    assert rests_on(replace(decision(), inputs=inputs[:1])).endswith(
        "Sources of the first: price: a quote; of a dealer (2026-11)."
    )
    assert rests_on(replace(decision(), inputs=())) == ""


def test_a_long_source_is_cut_at_a_statement_and_never_within_a_word() -> None:
    assert in_short("a quote; of a dealer") == "a quote; of a dealer"
    paper = "Somebody and others, A paper (2024)"
    assert in_short(f"{paper}: {'so ' * 40}; and more") == paper
    assert in_short(f"our assumption: {'so ' * 40}; and more").startswith("our assumption: so so")
    cut = in_short("word " * 40)
    assert len(cut) <= 102 and cut.endswith("word \u2026")


def asks_for_a_date(root: Path) -> StudyOnDisk:
    return measured(root, from_records() | {"steps": stated(1e6), "checkpoint_seconds": stated(30)})


def test_the_date_that_was_asked_for_heads_the_page_before_the_standard_cards(tmp_path: Path) -> None:
    study = asks_for_a_date(tmp_path)
    paths = study.analyse()
    read = read_study(paths)
    cards = headline(read)
    assert [card.name for card in cards][:2] == ["Until it is done", read.decisions[0].figures[1].name]
    assert cards[0].n.startswith("inputs: ") and "measured (n = 3)" in cards[0].n
    assert {link.anchor for link in cards[0].sources} == {"decision-1", "table-decision-1-inputs"}
    assert "Time to quality" in [card.name for card in cards][2:]
    said = leading_sentence(read)
    assert said is not None and said.rests_on.startswith("Rests on inputs: ")
    report(paths)
    page = paths.report.read_text(encoding="utf-8")
    places = [page.index(words) for words in ("Started on 20", "No criteria were declared", "Until it is done")]
    assert places == sorted(places) and page.index('id="decisions"') < page.index('id="findings"')
    assert page.index('id="figure-finish-date"') < page.index('id="figure-tornado-finish-date"')
    assert "inputs independent" in page


def test_the_summary_gives_n_and_source_of_a_decision(tmp_path: Path) -> None:
    paths = asks_for_a_date(tmp_path).analyse()
    read = read_study(paths)
    text = summary(read, read.decisions)
    assert "Rests on inputs: " in text.splitlines()[2] and "Sources of what moves it most: " in text.splitlines()[2]
    (row,) = [line for line in text.splitlines() if line.startswith("| Until it is done")]
    assert "measured (n = 3)" in row.split("|")[3]


def test_what_leads_is_shown_though_it_is_none_of_the_first() -> None:
    many = [replace(decision(), title=f"Case {n}") for n in range(MOST_SHOWN + 5)]
    section = decisions_section(many, leading=many[-1])
    assert section is not None and section.more == 4
    assert [one.title for one in section.shown[:2]] == [many[-1].title, "Case 0"]
    assert section.shown[0].anchor == f"decision-{MOST_SHOWN + 5}" and section.shown[0].answer == ""
    assert section.shown[1].answer and section.shown[1].rests_on.startswith("Rests on inputs: 1 stated.")

"""The proposals of a procurement on the page: the worst first, the answer said once, every row beside its file."""

from __future__ import annotations

from dataclasses import replace

from seatrial.analysis.decisions.decision import Decision, Figure, Swing
from seatrial.report.decisions import decisions_section, headline_of_decisions
from seatrial.report.headline import MainFinding
from seatrial.report.procurement_table import procurement_table
from seatrial.report.table import Cell, table
from seatrial.report.table_html import table_html
from seatrial.report.tornado_rows import swing_rows


def row(proposal: str, standing: str, ratio: float | None, **more: object) -> dict[str, object]:
    ends = {f"{name}{end}": None for name in ("needed", "has", "ratio") for end in ("", "_low", "_high")}
    given = {"nodes": 32, "target": "dgx_h100", "expert_ranks": None, "unit": "GB/s", "source": None, "note": None}
    return {
        "proposal": proposal,
        "question": "bisection",
        **ends,
        **given,
        "standing": standing,
        "ratio": ratio,
        **more,
    }


def proposal(name: str, days: float | None) -> Decision:
    figure = Figure("Training time", days, None, None, "days", "not known" if days is None else "exact")
    return Decision("procurement", name, "here", f"It takes {days}.", (figure,), (), (Swing("tokens", 10.0, 60.0),))


ROWS = [
    row("fine", "holds", 0.2),
    row("nobody_knows", "not known", None, note="nobody measured it"),
    row("two", "fails", 2.0, expert_ranks=64.0, needed=86.0, needed_low=60.0, needed_high=150.0),
    row("doubt", "not told apart", 1.1),
    row("twelve", "fails", 12.0),
]


def test_what_fails_by_most_stands_first_and_what_holds_last() -> None:
    found = procurement_table(ROWS)
    assert [cells[0].text for cells in found.rows] == ["twelve", "two", "doubt", "nobody knows", "fine"]
    assert found.file == "tables/procurement.csv" and found.total == 5


def test_a_row_says_what_is_needed_with_its_interval_and_never_a_number_for_what_is_not_known() -> None:
    rows = {cells[0].text: cells for cells in procurement_table(ROWS).rows}
    assert (rows["two"][1].under, rows["two"][4].text, rows["two"][4].under) == (
        "over 64 ranks",
        "86 GB/s",
        "60 to 150",
    )
    assert [cell.text for cell in rows["nobody knows"][3:6]] == ["-", "-", "-"]
    assert rows["nobody knows"][6].under == "nobody measured it"


def test_the_cards_of_proposals_begin_with_the_slowest_and_lead_to_their_own_decision() -> None:
    found = headline_of_decisions([proposal("a", 30.0), proposal("b", None), proposal("c", 212.0)])
    assert [card.value for card in found] == ["not known", "212", "30"]
    assert [card.sources[0].anchor for card in found] == ["decision-2", "decision-3", "decision-1"]


def test_cards_of_other_decisions_keep_their_order() -> None:
    others = [replace(proposal("a", 3.0), kind="cost"), replace(proposal("b", 9.0), kind="cost")]
    assert [card.value for card in headline_of_decisions(others)] == ["3", "9"]


def test_the_first_decision_has_the_table_and_an_answer_that_stands_above_is_not_said_again() -> None:
    decided = [proposal("a", 30.0), proposal("b", 40.0)]
    section = decisions_section(decided, ROWS, leading=decided[0])
    assert section is not None
    assert [one.answer for one in section.shown] == ["", "It takes 40.0."]
    assert [one.asked is not None for one in section.shown] == [True, False]
    plain = decisions_section(decided)
    assert plain is not None and [one.answer for one in plain.shown] == ["It takes 30.0.", "It takes 40.0."]


def test_a_statement_for_each_proposal_is_a_list_and_any_other_answer_a_sentence() -> None:
    said = "cloud fails a; rack passes b; dense passes c."
    long = MainFinding(said, "none", enumerates=True)
    assert long.parts == ["Cloud fails a", "Rack passes b", "Dense passes c"]
    assert MainFinding("cloud fails a; rack passes b.", "none", enumerates=True).parts == []
    assert MainFinding(said, "none").parts == []


def test_the_rows_of_a_tornado_reach_from_the_stated_figure_to_either_end() -> None:
    (found,) = swing_rows(proposal("a", 20.0))
    assert (found.name, found.words) == ("tokens", "10 to 60 days")
    assert [(bar.end, bar.left, bar.width) for bar in found.bars] == [("low", 0.0, 20.0), ("high", 20.0, 80.0)]
    assert swing_rows(proposal("a", None)) == []


def test_only_a_cell_in_which_nothing_stands_is_marked_empty() -> None:
    cells = [[Cell("a"), Cell(""), Cell("", "under it")]]
    found = table_html(
        table("t", "c", [("A", "text"), ("B", "prose"), ("C", "prose")], cells, "f"), lambda cell: cell.text
    )
    assert 'class="prose empty" data-label="B"' in found and 'class="prose" data-label="C"' in found

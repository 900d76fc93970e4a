"""summary.md: the page's answer in one screen of Markdown, for a pull request or a mail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.decisions_file import read_decisions
from seatrial.analysis.decisions.rests_on import rests_on
from seatrial.analysis.decisions.sensitivity import in_words
from seatrial.analysis.decisions.words import with_interval
from seatrial.paths import StudyPaths, write_text
from seatrial.reference.citation import notice
from seatrial.report import headline, sections
from seatrial.report.leading import leading
from seatrial.report.markdown import MOST_CHARACTERS, escape, section, table, whole_sentences
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import Cell, Table
from seatrial.report.time_to_quality_table import time_to_quality_table
from seatrial.report.worst_decisions import side_by_side, worst_first, worst_of_each_kind

MOST_CRITERIA, MOST_ROWS, MOST_DECISIONS, MOST_MISSING = 6, 3, 3, 4
"""Of each list the summary shows so many, the worst first; its heading names the file that has all."""
MOST_ANSWER = 1000
"""Characters of a decision's answer, in whole sentences."""
WORST_FIRST = (
    *("fail", "slower", "inconclusive", "incomplete", "no_reference", "undefined"),
    *("pass", "faster", "not_slower"),
)


def write_summary(paths: StudyPaths, study: StudyTables) -> None:
    """Write summary.md. The same records give the same bytes.

    Raises UnreadableFile where analyse has not run.
    """
    write_text(paths.summary, summary(study, read_decisions(paths)))


def summary(study: StudyTables, decisions: Sequence[Decision]) -> str:
    """The text: at most some 60 lines, made of what the page shows."""
    plan = study.plan.study
    _, word, sentence = headline.verdict(study)
    lines = [f"# {escape(plan.title)}", ""]
    ordered = worst_first(decisions)
    answered = leading(study, decisions)
    if answered is not None:
        lines += [f"**{escape(answered.title)}.** {_answer(answered)}", "", escape(sentence), ""]
    else:
        lines += [f"**Verdict: {escape(word)}.** {escape(sentence)}", ""]
    lines += [_subject(study), ""]
    lines += _headline(study, decisions)
    lines += section("What holds it back", _finding(study))
    lines += _worst("Criteria", sections.criteria_table(study), "verdict", MOST_CRITERIA)
    times, compared = time_to_quality_table(study), sections.comparison_table(study)
    # of one row the headline has said it
    lines += _rows("Time to quality", times, times.rows[:MOST_ROWS]) if times.total > 1 else []
    lines += _worst("Against the published median", compared, "standing", MOST_ROWS) if compared.total > 1 else []
    lines += _decisions([one for one in ordered if one != answered])
    lines += _missing(study, ordered)
    # what MLCommons asks of whoever shows published results
    lines += ["", " ".join(notice(study.has_own_results))] if study.comparison or study.survey else []
    return "\n".join(lines) + "\n"


def _answer(one: Decision) -> str:
    """Its answer, what moves that most and what it rests on, in whole sentences."""
    said = [_whole(words, MOST_ANSWER) for words in (one.answer, one.moved or in_words(one), rests_on(one))]
    return " ".join(words for words in said if words)


def _whole(text: str, most: int = MOST_CHARACTERS) -> str:
    found = whole_sentences(text, most)
    return escape(found, len(found))


def _subject(study: StudyTables) -> str:
    plan = study.plan.study
    what = f"Study `{plan.name}`"
    if study.cases:
        what += f" on {escape(plan.target.description)} (`{plan.target.name}`)"
    return f"{what}. Everything, with its evidence: [report.html](report.html)."


def _headline(study: StudyTables, decisions: Sequence[Decision]) -> list[str]:
    """The page's first screen: every figure with what qualifies it and on how many values it rests."""
    rows = []
    for figure in headline.headline(study, decisions):
        value = escape(f"{figure.value} {figure.unit}".strip())
        rows.append([escape(figure.name), f"**{value}**", escape(figure.n) or "-", _whole(figure.under)])
    return table(["What", "Value", "n", "Of what"], rows)


def _finding(study: StudyTables) -> list[str]:
    found = headline.main_finding(study)
    if found is None:
        return []
    cost = f" It costs {escape(found.cost)}." if found.cost else ""
    return [f"{_whole(found.sentence, MOST_ANSWER)}{cost}"]


def _worst(heading: str, shown: Table, kind: str, most: int) -> list[str]:
    """The rows that stand worst by their cell of a kind (`verdict fail`), each group in the table's order."""

    def rank(row: Sequence[Cell]) -> int:
        words = next(cell.kind.split() for cell in row if cell.kind.startswith(f"{kind} "))
        return WORST_FIRST.index(words[1])

    return _rows(heading, shown, sorted(shown.rows, key=rank)[:most])


def _rows(heading: str, shown: Table, rows: Sequence[Sequence[Cell]]) -> list[str]:
    """A section of rows of a page's table; nothing where there are none."""
    if not rows:
        return []
    lines = table([escape(name) for name, _ in shown.columns], [[_cell(cell) for cell in row] for row in rows])
    return section(_of(heading, len(rows), shown.total, shown.file), lines)


def _of(heading: str, shown: int, total: int, file: str) -> str:
    """'Criteria (6 of 20, all in verdicts.json)'."""
    return heading if shown >= total else f"{heading} ({shown} of {total}, all in {file})"


def _cell(cell: Cell) -> str:
    under = f" ({escape(cell.under)})" if cell.under else ""
    return escape(cell.text) + under


def _decisions(decisions: Sequence[Decision]) -> list[str]:
    """What follows for money and time: the answers, each with its first figure; of every kind the worst."""
    lines = [
        f"- **{escape(one.title)}**: {_answer(one)}{_figure_words(one)}"
        for one in worst_of_each_kind(decisions, MOST_DECISIONS)
    ]
    return section(_of("What follows", len(lines), len(decisions), "decisions.json"), lines)


def _figure_words(one: Decision) -> str:
    """The decision's first figure with its interval and the method of that; of what stands side by side none."""
    if not one.figures or side_by_side(one):
        return ""
    first = one.figures[0]
    return " " + _whole(f"{first.name}: {with_interval(first)}; {first.method}.")


def _missing(study: StudyTables, decisions: Sequence[Decision]) -> list[str]:
    """Repeats that did not complete, and what decisions would have needed, one of each in turn."""
    lost = [escape(_lost(study, row)) for row in study.repeats if row["outcome"] != "completed"]
    lacking: dict[str, list[str]] = {}
    for turn in zip_longest(*(one.missing for one in decisions)):
        for one, what in zip(decisions, turn, strict=True):
            if what is not None:
                lacking.setdefault(what, []).append(one.title)
    needed = [
        _whole(f"{titles[0] if len(titles) == 1 else f'{len(titles)} decisions'}: {what}")
        for what, titles in lacking.items()
    ]
    words = [*lost, *needed]
    lines = [f"- {word}" for word in words[:MOST_MISSING]]
    return section(_of("What is missing", len(lines), len(words), "report.html"), lines)


def _lost(study: StudyTables, row: Row) -> str:
    kind = f" ({row['error_kind'].replace('_', ' ')})" if row["error_kind"] else ""
    why = f": {row['error_message']}" if row["error_message"] else ""
    return f"{case_label(study.cases[row['case_id']])}, repeat {row['repeat']}: {row['outcome']}{kind}{why}"

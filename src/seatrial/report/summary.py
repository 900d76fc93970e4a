"""summary.md: the page's answer in one screen of Markdown, for a pull request or a mail."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from seatrial.analysis.decisions.cost import KIND as COST
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.decisions_file import read_decisions
from seatrial.analysis.decisions.sensitivity import in_words
from seatrial.analysis.decisions.words import with_interval
from seatrial.paths import StudyPaths, write_text
from seatrial.reference.citation import notice
from seatrial.report import headline, sections
from seatrial.report.decisions import headline_of_decisions
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
    answered = _answered(study, ordered)
    if answered is not None:
        lines += [f"**{escape(answered.title)}.** {_answer(answered)}", "", escape(sentence), ""]
    else:
        lines += [f"**Verdict: {escape(word)}.** {escape(sentence)}", ""]
    lines += [_subject(study), ""]
    lines += _headline(study, answered)
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


def _answered(study: StudyTables, decisions: Sequence[Decision]) -> Decision | None:
    """The decision that the study is about: all that it has, or what it asks where nothing was to pass or fail."""
    if headline.only_decides(study):
        return study.decisions[0]
    compared = any(row["ratio"] is not None for row in study.comparison)
    judged = study.verdicts or compared or study.survey is not None or study.unbelieved is not None
    # what a run costs is said of every training that has a price, whether or not it is asked
    asked = [one for one in decisions if one.kind != COST]
    return asked[0] if asked and not judged else None


def _answer(one: Decision) -> str:
    """Its answer and what moves that most, in whole sentences."""
    return f"{_whole(one.answer, MOST_ANSWER)} {_whole(one.moved or in_words(one), MOST_ANSWER)}".rstrip()


def _whole(text: str, most: int = MOST_CHARACTERS) -> str:
    found = whole_sentences(text, most)
    return escape(found, len(found))


def _subject(study: StudyTables) -> str:
    plan = study.plan.study
    what = f"Study `{plan.name}`"
    if study.cases:
        what += f" on {escape(plan.target.description)} (`{plan.target.name}`)"
    return f"{what}. Everything, with its evidence: [report.html](report.html)."


def _headline(study: StudyTables, answered: Decision | None) -> list[str]:
    """The page's first screen: every figure with what qualifies it and on how many values it rests.

    Before them the first figure of the decision that the study is about, where it is not among them.
    """
    rows = []
    own = [] if answered is None or not study.cases else headline_of_decisions([answered])[:1]
    for figure in [*own, *headline.headline(study)]:
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

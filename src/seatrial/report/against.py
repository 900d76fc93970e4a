"""The page's section on an earlier study: what is better, what is worse, what changed in between."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from seatrial.analysis.against import changes
from seatrial.analysis.against.table import COLUMNS, RESULTS
from seatrial.analysis.tables import read_csv, require_cases, rows_of
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, span_of_ratios, table
from seatrial.units import format_bytes, format_figure

TEXT_COLUMNS = ("earlier_case_id", "labels", "interval_method", "note")
WORDS_OF_RESULT = {
    "worse": "worse",
    "better": "better",
    "inconclusive": "not yet known",
    "no_difference_shown": "no difference shown",
    "not_compared": "not compared",
}
ONE_AFTER_THE_OTHER = (
    "The repeats of both did not run in turn: whatever else changed between their times (load, temperature, who "
    "else used the network) is in the ratios too."
)
CLASS_OF_RESULT = {"worse": "standing slower", "better": "standing not_slower"}


def section(study: StudyTables) -> ProbeSection | None:
    """None where no earlier study was named. Raises UnreadableFile where its table is not what analyse wrote."""
    if not study.paths.against.exists():
        return None
    frame = read_csv(study.paths.against, COLUMNS, TEXT_COLUMNS)
    require_cases(study.paths.against, frame, study.cases)
    rows = sorted(rows_of(frame), key=_most_telling_first)
    changed = rows_of(read_csv(study.paths.against_changes, changes.COLUMNS, ("value", "earlier_value")))
    compared = [row for row in rows if row["result"] != "not_compared"]
    others = [row for row in rows if row["result"] == "not_compared"]
    details = [("What changed in between", _changes(changed))] if changed else []
    if others:
        details.append((f"{count(len(others), 'row')} not compared, and why", _unlike(study, others)))
    return ProbeSection(
        name="against",
        title="Against an earlier study",
        short="Earlier study",
        words=_words(study, rows, changed),
        tables=[_compared(study, compared)] if compared else [],
        details=details,
    )


def _most_telling_first(row: Row) -> tuple[int, float]:
    return RESULTS.index(row["result"]), 1.0 if row["p_value"] is None else row["p_value"]


def _words(study: StudyTables, rows: Sequence[Row], changed: Sequence[Row]) -> list[str]:
    differences, counts = study.plan.study.differences, Counter(row["result"] for row in rows)
    name = next((row["earlier_study"] for row in rows), "the earlier study")
    shown = ", ".join(f"{counts[r]} {WORDS_OF_RESULT[r]}" for r in RESULTS if counts[r]) or "nothing to compare"
    q, least = differences.false_discovery_rate, differences.least
    recorded = [row["fact"] for row in changed if row["origin"] == "recorded"]
    between = f"Changed in between: {', '.join(recorded[:8])}" + (", ..." if len(recorded) > 8 else "")
    apart = any(row["interleaved"] is False for row in rows)
    return [
        f"Against {name}: {shown}.",
        *([ONE_AFTER_THE_OTHER] if apart else []),
        "Only the same work on the same kind of machine is compared. Better and worse: adjusted p at most "
        f"{q.value:g} over all metrics together ({q.source}). No difference shown: the whole 95 % interval lies "
        f"within {100 * least.value:g} % of 1 ({least.source}).",
        f"{between}." if recorded else "The records say the same of drivers, versions and hosts in both studies.",
    ]


def _what(study: StudyTables, row: Row) -> Cell:
    case = study.cases.get(row["case_id"])
    labels = json.loads(row["labels"]) if row["labels"] else {}
    named = [
        format_bytes(value) if name == "size_bytes" and isinstance(value, int) else f"{name} {value}"
        for name, value in labels.items()
    ]
    who = case_label(case) if case is not None else f"{row['experiment']} of the earlier study"
    return Cell(row["metric"] or who, ", ".join([who, *named] if row["metric"] else named))


def _compared(study: StudyTables, rows: Sequence[Row]) -> Table:
    cells = []
    for row in rows:
        unit = "" if row["unit"] == "1" else f" {row['unit']}"
        kind = CLASS_OF_RESULT.get(
            row["result"], "standing inconclusive" if row["result"] == "inconclusive" else ""
        )
        adjusted = "" if row["q_value"] is None else f"adjusted p {row['q_value']:.2g}"
        cells.append(
            [
                _what(study, row),
                Cell(f"{format_figure(row['value'])}{unit}", count(int(row["n"]), "repeat")),
                Cell(f"{format_figure(row['earlier_value'])}{unit}", count(int(row["earlier_n"]), "repeat")),
                Cell(ratio_words(row["ratio"]), span_of_ratios(row["ratio_low"], row["ratio_high"])),
                Cell(WORDS_OF_RESULT[row["result"]], adjusted, kind),
                Cell(row["note"] or f"{row['direction']} is better", row["interval_method"] or ""),
            ]
        )
    columns = [
        ("Metric", TEXT),
        ("Now", NUMBER),
        ("Earlier", NUMBER),
        ("Now over earlier", NUMBER),
        ("Result", TEXT),
        ("What it rests on", PROSE),
    ]
    caption = "Medians over repeats; under each ratio its 95 % interval"
    return table("against", caption, columns, cells, "tables/against.csv")


def _unlike(study: StudyTables, rows: Sequence[Row]) -> Table:
    cells = [[_what(study, row), Cell(row["note"] or "")] for row in rows]
    return table("against-unlike", "Not compared", [("What", TEXT), ("Why", PROSE)], cells, "tables/against.csv")


def _changes(rows: Sequence[Row]) -> Table:
    cells = [[Cell(r["fact"], r["origin"]), Cell(r["value"] or "-"), Cell(r["earlier_value"] or "-")] for r in rows]
    columns = [("Fact", TEXT), ("Now", PROSE), ("Earlier", PROSE)]
    return table("against-changes", "What differs between both", columns, cells, "tables/against_changes.csv")

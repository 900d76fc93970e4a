"""The pairs of a bisection in words and as a table: which of them are slow, and how many were measured."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, span, span_of_ratios, table
from seatrial.units import format_figure

HOW = {"alone": "alone", "rounds": "in rounds of disjoint pairs", "matching": "within matchings"}
MOST_NAMED = 6
"""Slow pairs that a sentence names; the table has all."""


def slow_words(rows: Sequence[Row]) -> str:
    """Which pairs or ends are slow, of rows that were judged together, in one or more sentences."""
    slow = [row for row in rows if row["slow"]]
    if not slow:
        return _sentence(rows[0]["note"] or "no pair stands out from the others")
    words = []
    for end in dict.fromkeys(row["slow_end"] for row in slow if row["slow_end"]):
        ratios = [row["ratio"] for row in slow if row["slow_end"] == end]
        kind = "rank" if ":" in end else "host"
        reach = span_of_ratios(min(ratios), max(ratios))
        words.append(f"{kind} {end} is slow: its {count(len(ratios), 'pair')} reach {reach} of the typical pair")
    alone = [row for row in slow if not row["slow_end"]]
    for row in alone[:MOST_NAMED]:
        words.append(
            f"pair {row['pair']} is slow: {format_figure(row['median_gbps'], 3)} GB/s, "
            f"{ratio_words(row['ratio'])} of the typical pair's {format_figure(row['typical_gbps'], 3)} GB/s"
        )
    if len(alone) > MOST_NAMED:
        words.append(f"{len(alone) - MOST_NAMED} more pairs are slow")
    shared = set.intersection(*({row["first"], row["second"]} for row in alone)) if len(alone) > 1 else set()
    words += [f"all of them share {end}" for end in sorted(shared)]
    return " ".join(_sentence(text) for text in words)


def not_all_pairs(label: str, rows: Sequence[Row]) -> list[str]:
    """How many of all pairs the rounds measured, where those are not all."""
    ends: dict[str, int] = {}
    in_rounds = [row for row in rows if row["how"] == "rounds"]
    for row in in_rounds:
        for end in (row["first"], row["second"]):
            ends[end] = ends.get(end, 0) + 1
    possible = len(ends) * (len(ends) - 1) // 2
    if len(in_rounds) == possible:
        return []
    least, most = min(ends.values()), max(ends.values())
    each = str(most) if least == most else f"{least} to {most}"
    return [
        f"{label}: the rounds measured {len(in_rounds)} of {possible} pairs, each end in {each} of them "
        "(workload.most_rounds); a slow pair among the others is not seen."
    ]


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."


def pairs_table(study: StudyTables, rows: Sequence[Row]) -> Table:
    columns = [
        ("Case", TEXT),
        ("Pair", TEXT),
        ("GB/s one way", NUMBER),
        ("Of the typical pair", NUMBER),
        ("Of its ceiling", PROSE),
    ]
    caption = "Medians with their intervals. The typical pair is the median of those not called slow"
    # the page shows the first of many: what is slow comes before all
    slowest_first = sorted(
        rows, key=lambda row: (not row["slow"], row["case_id"], row["how"], row["scope"], row["median_gbps"])
    )
    return table(
        "bisection-pairs",
        caption,
        columns,
        [_pair_cells(study, row) for row in slowest_first],
        "tables/bisection_pairs.csv",
    )


def _pair_cells(study: StudyTables, row: Row) -> list[Cell]:
    why = f"because of {row['slow_end']}" if row["slow_end"] else ""
    chance = f"by chance {format_figure(row['p'], 2)}" if row["p"] is not None else ""
    slow = "; ".join(filter(None, ["slow", why, chance])) if row["slow"] else ""
    basis = f"{format_figure(row['ceiling_gbps'], 3)}: {row['ceiling_basis']}" if row["ceiling_basis"] else ""
    share = row["fraction_of_ceiling"]
    return [
        Cell(case_label(study.cases[row["case_id"]]), f"{row['scope']}, {HOW[row['how']]}"),
        Cell(row["pair"], f"ranks {shortened(row['ranks'])}"),
        Cell(format_figure(row["median_gbps"], 3), span(row["low_gbps"], row["high_gbps"])),
        Cell(ratio_words(row["ratio"]), slow, "slower" if row["slow"] else ""),
        Cell("-" if share is None else f"{100 * share:.3g} %", basis or "no ceiling known"),
    ]


def shortened(names: str) -> str:
    """The first few of many names."""
    parts = str(names).split()
    more = f" and {len(parts) - MOST_NAMED} more" if len(parts) > MOST_NAMED else ""
    return " ".join(parts[:MOST_NAMED]) + more

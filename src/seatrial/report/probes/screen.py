"""The page's section on bad nodes: who is slow, on what evidence, and what to exclude."""

from __future__ import annotations

from collections.abc import Sequence

from seatrial.analysis.probes.screen import COLUMNS, STANDINGS, TEXT_COLUMNS
from seatrial.config.base import Threshold
from seatrial.report.case_links import with_records
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, table

BAD, NOT_CONFIRMED, GOOD, NOT_TESTED = STANDINGS


def section(study: StudyTables) -> ProbeSection | None:
    """Nodes, devices and links by standing; None where the study screens nothing.

    Raises UnreadableFile where the table is absent, or of another study.
    """
    if not any(case.workload.kind == "screen" for case in study.cases.values()):
        return None
    rows = study.probe_rows("screen", COLUMNS, TEXT_COLUMNS)
    words = [
        sentence
        for case_id, case in study.cases.items()
        if case.workload.kind == "screen"
        for sentence in _sentences(study, case_id, [row for row in rows if row["case_id"] == case_id])
    ]
    found = [row for row in rows if row["standing"] != GOOD]
    return ProbeSection(
        name="screen",
        title="Bad nodes: what is slow, and what to exclude",
        short="Bad nodes",
        words=[*words, _exclude_words(rows)],
        tables=[_table(study, found, "screen-found", "What is not good")] if found else [],
        details=[("All that was screened", _table(study, rows, "screen", "What was screened"))] if rows else [],
    )


def _sentences(study: StudyTables, case_id: str, rows: Sequence[Row]) -> list[str]:
    """How many of each standing there are, from how many group runs, and how many pairs were neighbours."""
    label = case_label(study.cases[case_id])
    ends = [row for row in rows if row["kind"] != "link" and row["name"] and ":" not in row["name"]]
    ends = ends or [row for row in rows if row["kind"] == "device"]
    if not ends:
        return [f"{label}: no repeat was completed; nothing is known of any node."]
    tally = [f"{sum(row['standing'] == s for row in ends)} {s}" for s in STANDINGS]
    links = sum(row["kind"] == "link" and row["standing"] == BAD for row in rows)
    said = [f"{label}: of {count(len(ends), ends[0]['kind'])} {', '.join(tally)}; {count(links, 'slow link')}."]
    runs = study.measurements
    runs = runs[(runs["case_id"] == case_id) & (runs["metric"] == "screen.group_runs")]
    if len(runs):
        said.append(f"It took {' and '.join(f'{int(n)}' for n in runs['median'])} group runs.")
    workload = study.cases[case_id].workload
    if workload.kind == "screen":
        said += _threshold_words(workload.slower, max(row["threshold"] for row in ends))
    return said


def _threshold_words(asked: Threshold, used: float) -> list[str]:
    if used <= asked.value:
        return [f"Slow is {ratio_words(used)} times as long as is typical. {asked.source}."]
    return [
        f"Slow is {ratio_words(used)} times as long as is typical, not {ratio_words(asked.value)} as asked for: "
        "the runs of all differ too much from each other to tell less. Who took between the two is not told from "
        f"noise: not confirmed, and not good. More iterations, or a quieter system, would tell. {asked.source}."
    ]


def _exclude_words(rows: Sequence[Row]) -> str:
    bad = sorted({row["host"] for row in rows if row["standing"] == BAD and row["kind"] != "link"})
    if not any(row["measured"] for row in rows):
        return (
            "Which nodes to exclude is not known: no repeat was completed. exclude.txt says so, which is no node "
            "list, so that Slurm refuses it."
        )
    left = _left_words(rows)
    if not bad:
        return f"No node was confirmed to be slow, so exclude.txt names none that is new{left or '.'}"
    return (
        f"Exclude {', '.join(bad)}: exclude.txt has the node list for the next study's target.launcher.exclude"
        f"{left or '.'} A slow link excludes nobody, since both of its ends are good."
    )


def _left_words(rows: Sequence[Row]) -> str:
    """What exclude.txt does not tell of; empty where everything was cleared or confirmed."""
    unsure = sum(row["standing"] == NOT_CONFIRMED and bool(row["name"]) for row in rows)
    untested = sum(row["standing"] == NOT_TESTED and bool(row["name"]) for row in rows)
    said = [f"{unsure} {NOT_CONFIRMED}"] if unsure else []
    said += [f"{untested} {NOT_TESTED}"] if untested else []
    said += ["repeats that were not completed"] if any(row["measured"] < row["repeats"] for row in rows) else []
    said += ["orders that stayed slow"] if any(row["kind"] == "link" and not row["name"] for row in rows) else []
    return f"; it does not clear what is left: {', '.join(said)}." if said else ""


def _table(study: StudyTables, rows: Sequence[Row], name: str, caption: str) -> Table:
    columns = [("What", TEXT), ("Standing", TEXT), ("Slowness", NUMBER), ("Evidence", PROSE)]
    cells = [
        [
            with_records(
                study,
                row["case_id"],
                Cell(f"{row['kind']} {row['name'] or ''}".strip(), case_label(study.cases[row["case_id"]])),
            ),
            Cell(row["standing"], row["piece"] or ""),
            Cell(ratio_words(row["ratio"])),
            Cell(row["evidence"] or ""),
        ]
        for row in rows
    ]
    return table(name, caption, columns, cells, "tables/screen.csv")

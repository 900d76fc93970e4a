"""The tables of the page, from the tables of the study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from seatrial.analysis.tables import canonical_json
from seatrial.config.ingested import HandedOver
from seatrial.config.workload import AnyWorkload
from seatrial.report.case_links import MISSING, with_records
from seatrial.report.study_tables import Row, StudyTables, case_label, whose
from seatrial.report.table import (
    MULTIPLY,
    NUMBER,
    PROSE,
    TEXT,
    Cell,
    Link,
    Table,
    count,
    ratio_words,
    span,
    span_of_ratios,
    table,
)
from seatrial.units import format_figure

MOST_RESUMED = 8
WITHOUT_UNIT = ("ratio", "1")
WORDS_OF_STANDING = {
    "slower": "slower",
    "not_slower": "not slower",
    "inconclusive": "not yet known",
    "undefined": "undefined",
}


def plan_table(study: StudyTables) -> Table:
    """What was planned: a row per experiment."""
    rows = []
    for name, experiment in study.plan.study.experiments.items():
        cases = [case for case in study.cases.values() if case.experiment == name]
        axes = [f"{axis}: {_values(cases, axis)}" for axis in sorted({a for case in cases for a in case.axes})]
        rows.append(
            [
                Cell(name),
                Cell(experiment.workload.kind),
                Cell("; ".join(axes) or "none"),
                Cell(str(len(cases))),
                Cell(str(sum(case.repeats for case in cases))),
                Cell(_time_limit(experiment.workload)),
            ]
        )
    columns = [
        ("Experiment", TEXT),
        ("Workload", TEXT),
        ("Swept axes", TEXT),
        ("Cases", NUMBER),
        ("Repeats", NUMBER),
        ("Time limit each", NUMBER),
    ]
    return table("plan", "What was planned", columns, rows, "study.json")


def _time_limit(workload: AnyWorkload) -> str:
    return "not run here" if isinstance(workload, HandedOver) else f"{workload.time_limit_minutes:g} min"


def _values(cases: list[Any], axis: str) -> str:
    values = list(dict.fromkeys(canonical_json(case.axes[axis]) for case in cases if axis in case.axes))
    shown = ", ".join(value.strip('"') for value in values[:8])
    return f"{shown}, ... ({len(values)} values)" if len(values) > 8 else shown


NOT_KNOWN = dict.fromkeys(("measured", "low", "high", "n", "n_needed")) | {"verdict": "incomplete"}
"""What stands for the figures of a verdict that does not follow from the tables."""


def criteria_table(study: StudyTables) -> Table:
    """The acceptance criteria with their verdicts."""
    rows = []
    for entry in study.verdicts:
        verdict = entry if study.unbelieved is None else {**entry, **NOT_KNOWN, "reason": f"{study.unbelieved}."}
        word = "not known" if study.unbelieved is not None else verdict["verdict"].replace("_", " ")
        where = ", ".join(f"{key} = {value}" for key, value in sorted(verdict["where"].items()))
        bound = verdict["bound"].replace("_", " ")
        unit = "" if verdict["unit"] in WITHOUT_UNIT else f" {verdict['unit']}"
        rows.append(
            [
                Cell(verdict["criterion"], verdict["source"] or ""),
                Cell(word, kind=f"verdict {verdict['verdict']}"),
                Cell(verdict["metric"], where),
                Cell(
                    f"{bound} {format_figure(verdict['required'])}{unit}", f"{100 * verdict['confidence']:g} % sure"
                ),
                Cell(format_figure(verdict["measured"]), span(verdict["low"], verdict["high"])),
                Cell(
                    "-" if verdict["n"] is None else str(verdict["n"]),
                    _needed(verdict),
                ),
                Cell(verdict["reason"]),
            ]
        )
    columns = [
        ("Criterion", TEXT),
        ("Verdict", TEXT),
        ("Measured where", TEXT),
        ("Required", TEXT),
        ("Median", NUMBER),
        ("n", NUMBER),
        ("Why", PROSE),
    ]
    caption = "Under each median its two one-sided bounds: a criterion passes only where the bound does"
    return table("criteria", caption, columns, rows, "verdicts.json")


def _needed(verdict: Mapping[str, Any]) -> str:
    """'5 needed' repeats; '71 samples needed' of a single one."""
    samples = "samples " if verdict["needed_of"] == "samples" else ""
    return f"{verdict['n_needed']} {samples}needed" if verdict["n_needed"] else ""


def comparison_table(study: StudyTables) -> Table:
    """Trainings and published subjects beside the published median."""
    rows = []
    for row in study.comparison:
        own = row["subject"] == "training"
        stated = row["case_id"] in study.stated_systems
        who = case_label(study.cases[row["case_id"]]) if own else f"{row['submitter']} {row['system']}"
        hardware = _hardware(row)
        reference = row["reference_minutes"]
        behind = f"n = {_int(row['reference_n'])}, {_int(row['reference_submitters'])} submitters"
        basis = f"basis {row['basis']}" + (f", {behind}" if reference else "")
        kind = f"standing {row['standing']}"
        subject = Cell(who, f"{study.stated_systems[row['case_id']]}; {whose(row)}" if stated else whose(row))
        rows.append(
            [
                with_records(study, row["case_id"], subject) if own else subject,
                Cell(row["benchmark"] or "none", f"{row['round']}, {hardware}"),
                Cell(_minutes(row["measured_minutes"]), count(_int(row["measured_n"]), "run")),
                Cell(_minutes(reference), basis),
                Cell(ratio_words(row["ratio"]), span_of_ratios(row["ratio_low"], row["ratio_high"])),
                Cell(WORDS_OF_STANDING[row["standing"]], _settled(row), kind),
                Cell(row["note"] or "", row["source"] or ""),
            ]
        )
    columns = [
        ("Subject", TEXT),
        ("Benchmark", TEXT),
        ("Time to train", NUMBER),
        ("Reference median", NUMBER),
        ("Ratio", NUMBER),
        ("Standing", TEXT),
        ("What it rests on", PROSE),
    ]
    caption = (
        "Against the median of equivalent published results: same benchmark, round, accelerator family and count. "
        "Under each ratio its two one-sided 95 % bounds, with both sides' spread. Source of the threshold: "
        f"{study.plan.study.references.slower_than_median.source}."
    )
    return table("comparison", caption, columns, rows, "tables/comparison.csv")


def _settled(row: Row) -> str:
    """The threshold, and how many further repeats would settle what is not yet known."""
    words = f"threshold {format_figure(row['threshold'])}"
    more = row["further_repeats"]
    if more is None:
        return words
    return f"{words}; about {count(int(more), 'further repeat')} would settle it in 4 of 5 studies"


def _hardware(row: Row) -> str:
    if not row["accelerators"]:
        return "no accelerators"
    return f"{_int(row['accelerators'])} {MULTIPLY} {row['accelerator_family'] or 'unpublished family'}"


def _minutes(value: float | None) -> str:
    return "-" if value is None else f"{format_figure(value)} min"


def _int(value: Any) -> int:
    return int(value or 0)


def references_table(study: StudyTables) -> Table:
    """The published results behind the references."""
    seen: dict[str, list[Cell]] = {}
    for row in study.references:
        seen[row["citation"]] = [
            Cell(row["submitter"], row["system"]),
            Cell(row["benchmark"], row["round"]),
            Cell(f"{_int(row['accelerators'])} {MULTIPLY} {row['accelerator_family']}"),
            Cell(_minutes(row["minutes"])),
            Cell(str(_int(row["n_runs"])) if row["n_runs"] else "-"),
            Cell(row["citation"]),
        ]
    columns = [
        ("Submitter", TEXT),
        ("Benchmark", TEXT),
        ("Hardware", TEXT),
        ("Score", NUMBER),
        ("Runs", NUMBER),
        ("Citation", PROSE),
    ]
    caption = "The published results behind the medians"
    return table("references", caption, columns, list(seen.values()), "tables/references.csv")


def outcomes_table(study: StudyTables) -> Table:
    """Every planned repeat that did not complete, and why."""
    rows = []
    for row in study.repeats:
        if row["outcome"] == "completed":
            continue
        rank = f"rank {int(row['error_rank'])}" if row["error_rank"] is not None else ""
        nodes = row["nodes"] if row["nodes"] and row["nodes"] not in (row["error_message"] or "") else ""
        where = ", ".join(part for part in (nodes, rank) if part)
        tries = count(int(row["attempts"]), "attempt") if row["attempts"] is not None else ""
        rows.append(
            [
                _repeat_cell(study, row),
                Cell(row["outcome"], tries, f"outcome {row['outcome']}"),
                Cell((row["error_kind"] or "-").replace("_", " ")),
                Cell(row["error_message"] or "-", where),
                Cell("-") if row["log"] is None else Cell("log", links=[Link(row["log"], file=row["log"])]),
            ]
        )
    columns = [("Repeat", TEXT), ("Outcome", TEXT), ("Kind", TEXT), ("Why", PROSE), ("Log", TEXT)]
    caption = "Planned repeats that did not complete"
    return table("outcomes", caption, columns, rows, "tables/repeats.csv")


def _repeat_cell(study: StudyTables, row: Row) -> Cell:
    """A repeat, its case, and its record where it left one."""
    case = study.cases[row["case_id"]]
    path = study.paths.record(row["case_id"], int(row["repeat"])).relative_to(study.paths.root)
    links = [Link("record", title=str(path), file=str(path))] if row["outcome"] != MISSING else []
    name = f"{row['experiment']}, repeat {row['repeat']}"
    return Cell(name, case_label(case), links=links, swept=bool(case.axes))


def outcome_counts(study: StudyTables) -> str:
    """'9 of 9 repeats completed' or '7 of 9 repeats completed, 1 failed, 1 missing'."""
    counts = Counter(row["outcome"] for row in study.repeats)
    planned = len(study.repeats)
    if not planned:
        return "no repeats planned"
    return ", ".join([f"{counts['completed']} of {count(planned, 'repeat')} completed", *not_completed(study)])


def not_completed(study: StudyTables) -> list[str]:
    """'1 failed', '2 missing': how many repeats had each outcome other than completed."""
    counts = Counter(row["outcome"] for row in study.repeats)
    return [f"{n} {outcome}" for outcome, n in sorted(counts.items()) if outcome != "completed"]


def resumed(study: StudyTables) -> str:
    """How often repeats of trainings were taken up from a checkpoint, in words; '' where nothing trains here."""
    trainings = {row["case_id"] for row in study.step_time}
    rows = [row for row in study.repeats if row["case_id"] in trainings and row["resumed"] is not None]
    if not rows:
        return ""
    again = [row for row in rows if row["resumed"] > 0]
    if not again:
        return "No repeat was taken up from a checkpoint: each ran in one go."
    named = [
        f"{case_label(study.cases[row['case_id']])}, repeat {row['repeat']}, {_times(int(row['resumed']))}"
        for row in again[:MOST_RESUMED]
    ]
    more = len(again) - MOST_RESUMED
    named += [f"and {more} more (tables/repeats.csv)"] if more > 0 else []
    of = f"{len(again)} of {count(len(rows), 'repeat')}"
    verb = "was" if len(again) == 1 else "were"
    return f"{of} {verb} taken up from a checkpoint; the clock counts training time only: {'; '.join(named)}."


def _times(n: int) -> str:
    return {1: "once", 2: "twice"}.get(n, f"{n} times")

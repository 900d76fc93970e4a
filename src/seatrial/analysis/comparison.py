"""Trainings and published subjects beside the median of equivalent published results -> tables/comparison.csv.

Nothing is compared across unlike things: where no equivalent reference exists, `basis` and `standing` are
`undefined` and `note` says why. Ratio, interval and standing are `standing.judged`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from seatrial.analysis.collect import read_record
from seatrial.analysis.comparable import Comparable, comparable
from seatrial.analysis.inputs import PlannedStudy, is_training, read_cases, read_plan
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.ratio import estimate
from seatrial.analysis.standing import Row, judged, undefined
from seatrial.analysis.statistics import log_spread, spread_from_range
from seatrial.analysis.tables import canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.ingested import MlperfLogs
from seatrial.config.study import References
from seatrial.config.training import External, LlmFinetune, Training
from seatrial.errors import ConfigError
from seatrial.paths import StudyPaths
from seatrial.reference.citation import cite
from seatrial.reference.conditions import loaded_otherwise, unlike
from seatrial.reference.equivalent import Reference, find_reference, subject_results
from seatrial.reference.published import PublishedResult, load_tables
from seatrial.reference.selection import of_others

COLUMNS = (
    "benchmark",
    "round",
    "accelerator_family",
    "accelerators",
    "measured_minutes",
    "measured_n",
    "reference_minutes",
    "reference_n",
    "reference_submitters",
    "basis",
    "ratio",
    "ratio_low",
    "ratio_high",
    "threshold",
    "standing",
    "note",
    "subject",
    "result_status",
    "study",
    "experiment",
    "workload",
    "case_id",
    "submitter",
    "system",
    "repeats",
    "reference_low_quartile",
    "reference_high_quartile",
    "interval_method",
    "ratio_error",
    "ratio_degrees_of_freedom",
    "spread",
    "n_needed",
    "source",
    "axes",
    "reference_low_minutes",
    "reference_high_minutes",
    "further_repeats",
    "threshold_source",
)
"""`measured_n` counts a failed run that is in a score as the slowest.
`n_needed` and `further_repeats`: how many repeats in all, and how many more, would settle an inconclusive row
in 4 of 5 studies, were ratio and spread as measured; empty where none would, and `note` says what is in the way.
`submitter` and `system` of logs handed over are those of their system description.
`reference_low_minutes` and `reference_high_minutes`: an interpolated reference's error band."""
REFERENCE_COLUMNS = (
    "for_subject",
    "for_case_id",
    "for_submitter",
    "for_system",
    "benchmark",
    "round",
    "accelerator_family",
    "accelerators",
    "submitter",
    "system",
    "minutes",
    "n_runs",
    "source",
    "citation",
)


def comparison(paths: StudyPaths) -> None:
    """Write tables/comparison.csv and tables/references.csv.

    Raises ConfigError where a published subject names a round, submitter or system that is not in the table.
    """
    rows, behind = compared(paths)
    write_csv(paths.comparison, COLUMNS, rows)
    write_csv(paths.references_used, REFERENCE_COLUMNS, behind)


def compared(paths: StudyPaths) -> tuple[list[Row], list[Row]]:
    """The rows of tables/comparison.csv and of tables/references.csv, from measurements and repeats.

    Raises ConfigError as `comparison` does.
    """
    plan = read_plan(paths)
    measurements, repeats = read_measurements(paths), read_repeats(paths)
    references = plan.study.references
    table = load_tables([Path(name).expanduser() for name in references.tables])
    rows: list[Row] = []
    behind: list[Row] = []
    for case in read_cases(paths, plan):
        if is_training(case):
            known = comparable(paths, case, measurements, repeats, references)
            _add(rows, behind, *_training(paths, case, known, references, table))
    for row, reference in _published(plan, table):
        _add(rows, behind, row, reference)
    return rows, behind


def _add(rows: list[Row], behind: list[Row], row: Row, reference: Reference | None) -> None:
    rows.append(row)
    for result in reference.results if reference is not None else ():
        behind.append(
            {
                "for_subject": row["subject"],
                "for_case_id": row.get("case_id"),
                "for_submitter": row.get("submitter"),
                "for_system": row.get("system"),
                **_published_columns(result),
                "minutes": result.minutes,
                "n_runs": result.n_runs,
                "source": result.source,
                "citation": cite(result),
            }
        )


def _published_columns(result: PublishedResult) -> Row:
    names = ("benchmark", "round", "accelerator_family", "accelerators", "submitter", "system")
    return {name: getattr(result, name) for name in names}


def _training(
    paths: StudyPaths, case: Case, known: Comparable, references: References, table: pd.DataFrame
) -> tuple[Row, Reference | None]:
    """The row of one training case of the study, or of logs handed over."""
    family = case.target.accelerator.family if case.target.accelerator else None
    row = _training_columns(case, known, references, family)
    why = [reason for reason in (_incomparable(paths, case), known.problem) if reason]
    if why:
        return row | undefined("; ".join(why)), None
    others, left_out = _without(known.submitters, table)
    try:
        reference = find_reference(
            row["benchmark"],
            known.round,
            family,
            case.target.accelerators,
            exclude_submitter=known.submitters[0] if known.submitters else None,
            table=others,
        )
    except ConfigError as unknown:
        # what was measured must not be lost over a name that nothing was published under
        return row | undefined(f"{unknown.problem}: {unknown.value}"), None
    spread = log_spread(known.minutes)
    measured = None if known.value is None else estimate(known.value, spread, len(known.minutes))
    found = judged(row, measured, spread, reference, known.gap)
    if known.note is not None:
        found["note"] = "; ".join(part for part in (found.get("note"), left_out, known.note) if part)
    return row | found, reference


def _without(submitters: Sequence[str], table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """`table` without the results of those whose logs were handed over, and what is to be said of it.

    The results of the first stay: `find_reference` leaves them out, and says that it is among others.
    """
    if not submitters:
        return table, "nothing says whose logs these are: results of their submitter may be among the published"
    words = []
    for number, name in enumerate(submitters):
        others = of_others(table, name)
        found = len(others) < len(table)
        words.append(f"without {name}'s results" if found else f"{name} has published no results")
        if number:
            table = others
    return table, ", ".join(words)


def _training_columns(case: Case, known: Comparable, references: References, family: str | None) -> Row:
    """What is known of a training before it is compared."""
    assert isinstance(case.workload, Training | External | MlperfLogs)
    return {
        "benchmark": case.workload.benchmark,
        "round": known.round,
        "accelerator_family": family,
        "accelerators": case.target.accelerators,
        "measured_minutes": known.value,
        "measured_n": len(known.minutes) + known.excused,
        "threshold": references.slower_than_median.value,
        "threshold_source": references.slower_than_median.source,
        "subject": "training",
        "result_status": "unverified",
        "study": case.study,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "submitter": known.stated.submitter if known.stated else None,
        "system": known.stated.name if known.stated else None,
        "repeats": case.repeats,
        "axes": canonical_json(case.axes),
    }


def _incomparable(paths: StudyPaths, case: Case) -> str | None:
    """Why nothing published compares with a training, or None."""
    if why := incomparable_beforehand(case):
        return why
    assert isinstance(case.workload, Training | External | MlperfLogs)
    differences = _loaded(paths, case)
    return f"not the same work as {case.workload.benchmark}: {'; '.join(differences)}" if differences else None


def incomparable_beforehand(case: Case) -> str | None:
    """Why nothing published compares with a training, as far as that is known before it runs, or None."""
    assert isinstance(case.workload, Training | External | MlperfLogs)
    if case.workload.benchmark is None:
        return f"{case.experiment} is not an MLPerf benchmark: nothing published is the same work"
    if not isinstance(case.workload, LlmFinetune | MlperfLogs):
        what = f"{case.experiment} ({case.workload.kind})"
        return f"nothing shows that {what} is the same work as {case.workload.benchmark}"
    if differences := unlike(case.workload, case.target.world_size):
        return f"not the same work as {case.workload.benchmark}: {'; '.join(differences)}"
    if case.target.ablation is not None:
        return f"runs with {case.target.ablation} switched off on purpose: published systems have all on"
    if case.target.accelerator is None or case.target.accelerator.family is None or not case.target.accelerators:
        return f"target {case.target.name} has no accelerator of a published family"
    return None


def _loaded(paths: StudyPaths, case: Case) -> list[str]:
    """In what the models that the completed repeats loaded differ from the benchmark's, each difference once."""
    found: list[str] = []
    for number in range(case.repeats):
        record = read_record(paths, case, number, ())
        if record is not None and record.outcome == "completed" and isinstance(case.workload, LlmFinetune):
            stated = record.provenance.get("model")
            found += loaded_otherwise(case.workload, stated if isinstance(stated, dict) else None)
    return list(dict.fromkeys(found))


def _published(plan: PlannedStudy, table: pd.DataFrame) -> Iterable[tuple[Row, Reference]]:
    """The rows of the study's published subjects: each of their results against the other submitters'."""
    references = plan.study.references
    for subject in references.subjects:
        results = subject_results(subject.round, subject.submitter, subject.system, subject.benchmarks, table)
        for result in results:
            reference = find_reference(
                result.benchmark,
                result.round,
                result.accelerator_family,
                result.accelerators,
                exclude_submitter=result.submitter,
                table=table,
            )
            row: Row = {
                **_published_columns(result),
                "measured_minutes": result.minutes,
                "measured_n": result.n_runs,
                "threshold": references.slower_than_median.value,
                "threshold_source": references.slower_than_median.source,
                "subject": "published",
                "result_status": "published",
                "study": plan.study.name,
                "source": result.source,
            }
            spread = _published_spread(result)
            measured = estimate(result.minutes, spread, result.n_runs or 0)
            yield row | judged(row, measured, spread, reference), reference


def _published_spread(result: PublishedResult) -> float | None:
    """Run-to-run spread of a published result from its fastest and slowest run."""
    if result.min_minutes is None or result.max_minutes is None or result.n_runs is None:
        return None
    return spread_from_range(result.min_minutes, result.max_minutes, result.n_runs)

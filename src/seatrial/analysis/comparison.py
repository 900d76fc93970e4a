"""Trainings and published subjects beside the median of equivalent published results -> tables/comparison.csv.

Nothing is compared across unlike things: where no equivalent reference exists, `basis` and `standing` are
`undefined` and `note` says why. The interval of a ratio is a pair of one-sided 95 % bounds; the standing rests on
exactly these: slower where the lower one exceeds the threshold, not_slower where the upper one does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seatrial.analysis.inputs import PlannedStudy, is_training, read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements
from seatrial.analysis.ratio import Estimate, Ratio, estimate, ratio, reference_estimate
from seatrial.analysis.statistics import log_spread, median, repeats_needed, spread_from_range
from seatrial.analysis.tables import canonical_json, write_csv
from seatrial.case import Case
from seatrial.config.study import References
from seatrial.config.training import LlmFinetune
from seatrial.errors import ConfigError
from seatrial.paths import StudyPaths
from seatrial.reference.citation import cite
from seatrial.reference.conditions import unlike
from seatrial.reference.equivalent import Reference, find_reference, subject_results
from seatrial.reference.names import canonical_submitter
from seatrial.reference.published import PublishedResult

CONFIDENCE = 0.95
INTERVAL_METHOD = "log-t, both sides' spread, each bound one-sided 95 %"
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
)
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
Row = dict[str, Any]


def comparison(paths: StudyPaths) -> None:
    """Write tables/comparison.csv and tables/references.csv.

    Raises ConfigError where a published subject names a round, submitter or system that is not in the table.
    """
    plan = read_plan(paths)
    measurements = read_measurements(paths)
    rows: list[Row] = []
    behind: list[Row] = []
    for case in read_cases(paths, plan):
        if is_training(case):
            minutes = medians_by_repeat(measurements, case.case_id, "train.time_to_quality")
            _add(rows, behind, *_training(case, minutes, plan.study.references))
    for row, reference in _published(plan):
        _add(rows, behind, row, reference)
    write_csv(paths.comparison, COLUMNS, rows)
    write_csv(paths.references_used, REFERENCE_COLUMNS, behind)


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


def _training(case: Case, minutes: list[float], references: References) -> tuple[Row, Reference | None]:
    """The row of one training case of the study."""
    assert isinstance(case.workload, LlmFinetune)
    family = case.target.accelerator.family if case.target.accelerator else None
    row: Row = {
        "benchmark": case.workload.benchmark,
        "round": references.round,
        "accelerator_family": family,
        "accelerators": case.target.accelerators,
        "measured_minutes": median(minutes),
        "measured_n": len(minutes),
        "threshold": references.slower_than_median.value,
        "subject": "training",
        "result_status": "unverified",
        "study": case.study,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "axes": canonical_json(case.axes),
    }
    why = _incomparable(case, family)
    if why:
        return row | _undefined(why), None
    assert case.workload.benchmark is not None and family is not None
    try:
        reference = find_reference(case.workload.benchmark, references.round, family, case.target.accelerators)
    except ConfigError as unknown:
        # what was measured must not be lost over a name that nothing was published under
        return row | _undefined(f"{unknown.problem}: {unknown.value}"), None
    spread = log_spread(minutes)
    measured = None if not minutes else estimate(row["measured_minutes"], spread, len(minutes))
    return row | _judged(row, measured, spread, reference), reference


def _incomparable(case: Case, family: str | None) -> str | None:
    """Why nothing published compares with a training, or None."""
    assert isinstance(case.workload, LlmFinetune)
    if case.workload.benchmark is None:
        return f"{case.experiment} is not an MLPerf benchmark: nothing published is the same work"
    if differences := unlike(case.workload):
        return f"not the same work as {case.workload.benchmark}: {'; '.join(differences)}"
    if family is None or not case.target.accelerators:
        return f"target {case.target.name} has no accelerator of a published family"
    return None


def _published(plan: PlannedStudy) -> Iterable[tuple[Row, Reference]]:
    """The rows of the study's published subjects: each of their results against the other submitters'."""
    references = plan.study.references
    for subject in references.subjects:
        results = subject_results(subject.round, subject.submitter, subject.system, subject.benchmarks)
        for result in results:
            reference = find_reference(
                result.benchmark,
                result.round,
                result.accelerator_family,
                result.accelerators,
                exclude_submitter=result.submitter,
            )
            row: Row = {
                **_published_columns(result),
                "measured_minutes": result.minutes,
                "measured_n": result.n_runs,
                "threshold": references.slower_than_median.value,
                "subject": "published",
                "result_status": "published",
                "study": plan.study.name,
                "source": result.source,
            }
            spread = _published_spread(result)
            measured = estimate(result.minutes, spread, result.n_runs or 0)
            yield row | _judged(row, measured, spread, reference), reference


def _published_spread(result: PublishedResult) -> float | None:
    """Run-to-run spread of a published result from its fastest and slowest run."""
    if result.min_minutes is None or result.max_minutes is None or result.n_runs is None:
        return None
    return spread_from_range(result.min_minutes, result.max_minutes, result.n_runs)


def _undefined(note: str) -> Row:
    return {"basis": "undefined", "standing": "undefined", "note": note}


def _judged(row: Mapping[str, Any], measured: Estimate | None, spread: float | None, reference: Reference) -> Row:
    """Reference, ratio, interval, standing and note of one row."""
    found: Row = {"basis": reference.basis, "note": reference.note or None}
    if reference.basis == "undefined" or reference.minutes is None:
        return found | _undefined(reference.note or "no equivalent published results")
    low, high = reference.quartiles or (None, None)
    found |= {
        "reference_minutes": reference.minutes,
        "reference_n": reference.n,
        "reference_submitters": reference.submitters,
        "reference_low_quartile": low,
        "reference_high_quartile": high,
        "spread": spread,
    }
    if measured is None:
        return found | {"standing": "inconclusive", "note": _notes(reference.note, "no repeat reached the quality")}
    against = reference_estimate(reference.minutes, _by_submitter(reference))
    result = ratio(measured, against)
    bounds = {
        "ratio": result.value,
        "ratio_low": result.bound("lower", CONFIDENCE),
        "ratio_high": result.bound("upper", CONFIDENCE),
        "interval_method": "none" if result.error is None else INTERVAL_METHOD,
        "ratio_error": result.error,
        "ratio_degrees_of_freedom": result.degrees_of_freedom,
    }
    return found | bounds | _standing(row, result, spread, reference, against)


def _by_submitter(reference: Reference) -> list[list[float]]:
    """The results behind a reference by submitter, in minutes."""
    minutes: dict[str, list[float]] = {}
    for published in reference.results:
        if published.minutes is not None:
            minutes.setdefault(canonical_submitter(published.submitter), []).append(published.minutes)
    return [results for _, results in sorted(minutes.items())]


def _standing(
    row: Mapping[str, Any], result: Ratio, spread: float | None, reference: Reference, against: Estimate
) -> Row:
    """slower, not_slower or inconclusive at the row's threshold, with the reason where there is one.

    A median over only those repeats that converged flatters: it can still be slower, never not_slower.
    """
    threshold, n = row["threshold"], row["measured_n"]
    low, high = result.bound("lower", CONFIDENCE), result.bound("upper", CONFIDENCE)
    planned = row.get("repeats")
    short = planned is not None and n < planned
    remark = f"{n} of {planned} repeats reached the quality; the median is of these" if short else None
    if low is None or high is None:
        unknown = "one side's spread is not known, so the ratio has no interval"
        return {"standing": "inconclusive", "note": _notes(reference.note, remark, unknown)}
    if low > threshold:
        return {"standing": "slower", "note": _notes(reference.note, remark)}
    if high <= threshold and not short:
        return {"standing": "not_slower", "note": _notes(reference.note)}
    if _reference_decides(result, against, threshold):
        decides = "the reference's own spread decides: no number of further repeats settles it"
        return {"standing": "inconclusive", "note": _notes(reference.note, remark, decides)}
    # nobody can repeat what somebody else published
    needed = repeats_needed(result.value, threshold, spread, CONFIDENCE, n) if planned is not None else None
    return {"standing": "inconclusive", "note": _notes(reference.note, remark), "n_needed": needed}


def _reference_decides(result: Ratio, against: Estimate, threshold: float) -> bool:
    """Whether even a measurement without any error would leave the ratio undecided at `threshold`."""
    exact = Ratio(result.value, against.error, against.degrees_of_freedom)
    low, high = exact.bound("lower", CONFIDENCE), exact.bound("upper", CONFIDENCE)
    return low is not None and high is not None and low <= threshold < high


def _notes(*parts: str | None) -> str | None:
    return "; ".join(part for part in parts if part) or None

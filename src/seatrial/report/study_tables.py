"""Everything the page is made from, read once: the plan, the cases and the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from seatrial.analysis import comparison, convergence, routing, step_time, time_to_quality
from seatrial.analysis.decisions import finish_date_table
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.decisions_file import read_decisions
from seatrial.analysis.decisions.procurement import table as procurement_table
from seatrial.analysis.findings.findings_file import FindingEntry, read_findings
from seatrial.analysis.follows import not_following
from seatrial.analysis.inputs import PlannedStudy, is_ingested, read_cases, read_plan
from seatrial.analysis.judge import COMPARISON_TEXT
from seatrial.analysis.measurements import read_measurements, read_repeats
from seatrial.analysis.tables import canonical_json, read_csv, require_cases, rows_by_case, rows_of
from seatrial.analysis.verdict_file import read_verdicts
from seatrial.case import Case
from seatrial.config.probe import Memory, MoeAlltoall
from seatrial.config.probe.moe_alltoall import load_words
from seatrial.config.training import External, Moe, Training
from seatrial.paths import StudyPaths
from seatrial.report.survey_tables import SurveyTables, read_survey
from seatrial.report.table import MULTIPLY
from seatrial.units import format_bytes

Row = dict[str, Any]
INSIDE_TRAINING = (
    "train.throughput",
    "train.sample_throughput",
    "train.step_time",
    "train.evaluation_time",
    "train.checkpoint_time",
    "mlperf.throughput",
    "mlperf.energy",
    "diffusion.frechet_floor",
    "diffusion.frechet_of_noise",
    "external.tflops",
    "external.mfu",
    "external.memory",
    "external.grad_norm",
)
MEDIANS = ("median", "p05", "p95", "ceiling", "fraction_of_ceiling")
NOTES = ("split_note", "utilisation_note", "energy_note")
OF_TRAINING = ("train.", "mlperf.", "diffusion.", "telemetry.", "external.")
"""What the metrics of trainings begin with; the others are the probes'."""


@dataclass(frozen=True)
class StudyTables:
    """One study as planned, measured and judged."""

    paths: StudyPaths
    plan: PlannedStudy
    cases: dict[str, Case]
    measurements: pd.DataFrame
    repeats: list[Row]
    time_to_quality: list[Row]
    comparison: list[Row]
    references: list[Row]
    verdicts: list[Row]
    findings: list[FindingEntry]
    convergence: list[Row]
    step_time: list[Row]
    routing: list[Row]
    survey: SurveyTables | None = None
    decisions: Sequence[Decision] = ()
    finish_date: Sequence[Row] = ()
    procurement: Sequence[Row] = ()

    @cached_property
    def unbelieved(self) -> str | None:
        """Why the verdicts are not known, in a sentence: they do not follow from the tables."""
        return not_following(self.paths)

    @property
    def has_own_results(self) -> bool:
        """Whether own trainings stand beside published results."""
        return any(row["subject"] == "training" for row in self.comparison)

    @property
    def stated_systems(self) -> dict[str, str]:
        """What logs handed over ran on, by case: name and submitter, as the system description states them."""
        stated = {}
        for row in self.comparison:
            if handed_over(row) and (row["system"] or row["submitter"]):
                system, submitter = row["system"] or "a system without a name", row["submitter"]
                stated[row["case_id"]] = f"{system} of {submitter}" if submitter else system
        return stated

    @cached_property
    def repeats_of(self) -> dict[str, list[Row]]:
        """The rows of repeats.csv by case, in the order of the plan."""
        return rows_by_case(self.repeats)

    @cached_property
    def by_metric(self) -> pd.DataFrame:
        """The measurements of completed repeats, a row for each case, metric and labels, in the order of the plan.

        MEDIANS are medians over repeats; `repeats` and `n` (samples) are counts.
        """
        frame = self.measurements
        completed = frame[frame["outcome"] == "completed"]
        found = (
            completed.groupby(["case_id", "metric", "labels"], sort=True, observed=True)
            .agg(
                unit=("unit", "first"),
                **{name: (name, "median") for name in MEDIANS},
                ceiling_basis=("ceiling_basis", "first"),
                repeats=("repeat", "nunique"),
                n=("n", "sum"),
            )
            .reset_index()
        )
        order = {case_id: place for place, case_id in enumerate(self.cases)}
        return found.iloc[found["case_id"].map(order).argsort(kind="stable")].reset_index(drop=True)

    @property
    def runs_something(self) -> bool:
        """Whether a case is run here, rather than made of logs that somebody handed over."""
        return any(not is_ingested(case) for case in self.cases.values())

    def probe_rows(self, name: str, columns: Collection[str], text: Iterable[str]) -> list[Row]:
        """The rows of a probe's table. Raises UnreadableFile where analyse has not run, or for another study."""
        return _rows(self.paths.probe_table(name), columns, text, self.cases)


def read_study(paths: StudyPaths) -> StudyTables:
    """Read everything.

    Raises UnreadableFile where a stage before the report has not run, or a table is not of this study.
    """
    plan = read_plan(paths)
    cases = read_cases(paths, plan)
    measurements = read_measurements(paths)
    repeats = read_repeats(paths)
    times = read_csv(paths.time_to_quality, time_to_quality.COLUMNS)
    compared = read_csv(paths.comparison, comparison.COLUMNS, COMPARISON_TEXT)
    references = read_csv(paths.references_used, comparison.REFERENCE_COLUMNS, ("for_case_id", *COMPARISON_TEXT))
    trains = any(isinstance(case.workload, Training | External) for case in cases)
    routes = any(isinstance(case.workload, Moe) for case in cases)
    for file, frame in (
        (paths.measurements, measurements),
        (paths.repeats, repeats),
        (paths.time_to_quality, times),
        (paths.comparison, compared),
    ):
        require_cases(file, frame, plan.cases)
    return StudyTables(
        paths=paths,
        plan=plan,
        cases={case.case_id: case for case in cases},
        measurements=measurements,
        repeats=rows_of(repeats),
        time_to_quality=rows_of(times),
        comparison=rows_of(compared),
        references=rows_of(references),
        verdicts=read_verdicts(paths),
        findings=read_findings(paths),
        convergence=_rows(paths.convergence, convergence.COLUMNS, ("note",), plan.cases),
        step_time=_rows(paths.step_time, step_time.COLUMNS, NOTES, plan.cases) if trains else [],
        routing=_rows(paths.routing, routing.COLUMNS, (), plan.cases) if routes else [],
        survey=read_survey(paths, plan.study.references.survey),
        decisions=read_decisions(paths),
        finish_date=_rows(paths.finish_date, finish_date_table.COLUMNS, finish_date_table.TEXT, plan.cases)
        if plan.study.economics.finish_date is not None
        else [],
        procurement=_rows(paths.procurement, procurement_table.COLUMNS, procurement_table.TEXT, plan.cases)
        if plan.study.economics.procurement is not None
        else [],
    )


def _rows(path: Path, columns: Collection[str], text: Iterable[str], case_ids: Iterable[str]) -> list[Row]:
    """The rows of a table. Raises UnreadableFile where it is none, or where it is of cases and of another study."""
    frame = read_csv(path, columns, text)
    if "case_id" in columns:
        require_cases(path, frame, case_ids)
    return rows_of(frame)


def case_label(case: Case) -> str:
    """A case in few words: what it is and its axes."""
    work = case.workload
    named = {name.rpartition(".")[2]: _axis_value(name, value) for name, value in case.axes.items()}
    if isinstance(work, MoeAlltoall) and "load" in named:
        named["load"] = load_words(work.load)
    if work.kind == "gemm":
        shape = MULTIPLY.join(f" {n} " for n in (work.m, work.n, work.k)).strip()
        head = f"{shape if work.search is None else f'best of {len(work.shapes)} shapes'} {work.dtype}"
        named = {key: value for key, value in named.items() if key not in ("m", "n", "k", "dtype")}
    elif work.kind in ("memory", "collective"):
        head = f"{work.operation} {_size_words(work)} {work.dtype}"
        named = {key: value for key, value in named.items() if key not in ("operation", "size_bytes", "dtype")}
    else:
        head = case.experiment
    rest = ", ".join(f"{key} {value}" for key, value in named.items())
    return f"{head}, {rest}" if rest else head


def _size_words(work: Any) -> str:
    """The size of a memory or collective probe's buffers, or the range of its sizes."""
    if work.size_bytes is not None:
        return format_bytes(work.size_bytes)
    if isinstance(work, Memory):
        return "beyond caches" if not work.host_copy else format_bytes(work.array_bytes)
    return f"{format_bytes(work.sizes.smallest)} to {format_bytes(work.sizes.largest)}"


def handed_over(row: Row) -> bool:
    """Whether a row is of logs that somebody handed over."""
    return bool(row["workload"] == "mlperf_logs")


def whose(row: Row) -> str:
    """Whose result a row of the comparison is, and what it is worth."""
    if row["subject"] != "training":
        return "published result"
    return "logs handed over, unverified" if handed_over(row) else "own result, unverified"


def _axis_value(name: str, value: object) -> str:
    if name.endswith("_bytes") and isinstance(value, int):
        return format_bytes(value)
    return canonical_json(value) if isinstance(value, list | dict) else str(value)

"""What a study observed of its workloads: one `Observed` for every training, with the probes of the same target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seatrial.analysis import comparison, time_to_quality
from seatrial.analysis.checkpointing import blocking_share, seconds_between_failures, young_interval
from seatrial.analysis.findings import probe_readings as probes
from seatrial.analysis.findings import sampled as sampling
from seatrial.analysis.findings.failures import Noted, laid_to_hosts, noted_failures
from seatrial.analysis.findings.observed import Estimate, Observed, Part, Storage
from seatrial.analysis.findings.sampled import sampled
from seatrial.analysis.findings.series import RunSeries, with_series
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import medians_by_repeat, read_measurements
from seatrial.analysis.medians import Rows, completed_rows
from seatrial.analysis.statistics import median, share_interval
from seatrial.analysis.tables import canonical_json, read_csv, rows_of
from seatrial.case import Case
from seatrial.config.probe import Probe
from seatrial.config.study import Study
from seatrial.config.training import External, Training
from seatrial.paths import StudyPaths

STEP, RANK, STALL = "train.step_time", "train.rank_time", "train.checkpoint_stall_time"
SIZE = "train.checkpoint_size"
SPLIT: Mapping[Part, str] = {
    "compute": "train.compute_time",
    "communication": "train.exposed_communication_time",
    "data_wait": "train.data_wait_time",
    "other": "train.other_time",
}
"""The metric of each part of a step."""
PROBES_OF = "probes of "
"""Begins the name of what is no case: the probes of a target, where nothing trains."""
READ = (STEP, RANK, STALL, *SPLIT.values(), *sampling.READ)
"""What of a training's records is looked at."""
Row = dict[str, Any]


@dataclass(frozen=True)
class _Tables:
    """Tables of the study that all its trainings are in; rows by case."""

    measurements: pd.DataFrame
    minutes: Mapping[str, Row]
    references: Mapping[str, Row]


class _Beside(NamedTuple):
    """What a training on a target is held beside: what the probes there say, and what failed of them."""

    said: probes.Said
    failed: tuple[Noted, ...]


def observe(paths: StudyPaths) -> list[Observed]:
    """One for every case that trains here, in plan order; of a study that only probes, one for each target.

    Raises UnreadableFile where `collect` has not run, or a table is not what `seatrial analyse` writes.
    """
    plan = read_plan(paths)
    cases = read_cases(paths, plan)
    trained = [case for case in cases if isinstance(case.workload, Training | External)]
    probing = [case for case in cases if isinstance(case.workload, Probe)]
    others = probing if trained else cases
    beside = {
        name: _Beside(
            probes.said_of(paths, name), noted_failures(paths, [c for c in others if c.target.name == name])
        )
        for name in dict.fromkeys(case.target.name for case in trained or probing)
    }
    if not trained:
        return [_probed(name, found) for name, found in beside.items()]
    tables = _Tables(
        read_measurements(paths),
        _by_case(paths.time_to_quality, time_to_quality.COLUMNS, _has_minutes),
        _by_case(paths.comparison, comparison.COLUMNS, _has_ratio),
    )
    return [_training(paths, plan.study, case, tables, beside[case.target.name]) for case in trained]


def _probed(target: str, beside: _Beside) -> Observed:
    name = f"{PROBES_OF}{target}"
    observed = Observed(
        where=name,
        title=name,
        split_note="nothing in this study trains",
        failures=laid_to_hosts(beside.failed),
    )
    return _with_probes(observed, beside.said, None)


def _training(paths: StudyPaths, study: Study, case: Case, tables: _Tables, beside: _Beside) -> Observed:
    repeats = completed_rows(paths, case, READ)
    observed = Observed(
        where=case.case_id,
        title=_title(case),
        runs=len(repeats),
        runs_planned=case.repeats,
        hosts=tuple(dict.fromkeys(host for repeat in repeats for host in repeat.hosts)),
        ranks=case.target.world_size,
        split_note="" if repeats else "no repeat completed",
        profiled_exposed=_profiled(tables.measurements, case),
        mfu=_share(medians_by_repeat(tables.measurements, case.case_id, "train.mfu")),
        minutes_to_quality=_minutes(tables.minutes.get(case.case_id)),
        telemetry=sampled(repeats),
        failures=laid_to_hosts([*noted_failures(paths, [case]), *beside.failed]),
        **_reference(tables.references.get(case.case_id)),
    )
    runs = [run for repeat in repeats if (run := run_series(repeat)) is not None]
    observed = with_series(observed, runs, study.findings, study.noise_bands.hiccup.value)
    if observed.runs and not observed.shares:
        observed = replace(observed, split_note="the steps of this training were not split")
    return _with_probes(observed, beside.said, _own_checkpoints(tables.measurements, case, runs))


def _with_probes(observed: Observed, said: probes.Said, own: Storage | None) -> Observed:
    """With all that the probes of the target say."""
    known = own or said.bandwidth or said.benchmarks
    storage = replace(own or Storage(), bandwidth=said.bandwidth, other=said.benchmarks) if known else None
    waited = observed.shares.get("data_wait")
    return replace(
        observed,
        fabric=said.fabric,
        storage=storage,
        loading=probes.loading(said.loaders, None if waited is None else waited.value),
        devices=said.devices,
        gemm=said.gemm,
    )


def run_series(repeat: Rows) -> RunSeries | None:
    """The steps of one repeat; None where it has none. What is not of every step is left out."""
    found = {m.metric: m.samples for m in repeat.of((STEP, STALL, *SPLIT.values()))}
    if not found.get(STEP):
        return None
    step = np.asarray(found[STEP], dtype=np.float64)
    parts: dict[Part, NDArray[np.float64]] = {
        part: np.asarray(found[metric], dtype=np.float64)
        for part, metric in SPLIT.items()
        if metric in found and len(found[metric]) == len(step)
    }
    own, hosts = _own_times(repeat, len(step)), repeat.hosts
    stalls = tuple(found[STALL]) if STALL in found else None
    return RunSeries(step, parts, own, hosts if own is not None and len(hosts) == own.shape[1] else (), stalls)


def _own_times(repeat: Rows, steps: int) -> NDArray[np.float64] | None:
    """[steps, ranks]: each rank's own time; None where not every one of several ranks has one of every step."""
    of, rows = repeat.columns, repeat.only((RANK,))
    by_rank = {
        int(of.labels_of(code)["rank"]): row for code, row in zip(of.labels[rows].tolist(), rows, strict=True)
    }
    ranks = sorted(by_rank)
    if len(ranks) < 2 or ranks != list(range(len(ranks))):
        return None
    chosen = np.array([by_rank[rank] for rank in ranks])
    return np.ascontiguousarray(of.values(chosen).T) if (of.counts[chosen] == steps).all() else None


def _own_checkpoints(measurements: pd.DataFrame, case: Case, runs: Sequence[RunSeries]) -> Storage | None:
    """The training's own stalls, what it saves in one, and the least share of time that such stalls can cost
    (Young 1974)."""
    seconds = median([value for run in runs for value in run.stalls or ()])
    if seconds is None:
        return None
    reliability = case.target.reliability
    hours = None if reliability is None else reliability.accelerator_hours_between_failures.value
    size = median(medians_by_repeat(measurements, case.case_id, SIZE)) if _stands_still(case) else None
    rate = None if size is None or seconds <= 0 else size / seconds / 1e9
    if hours is None or seconds <= 0:
        return Storage(stall_seconds=seconds, checkpoint_gbps=rate)
    mu = seconds_between_failures(hours, case.target.accelerators or case.target.world_size)
    least = blocking_share(seconds, young_interval(seconds, mu))
    return Storage(stall_seconds=seconds, optimum_share=least, checkpoint_gbps=rate)


def _stands_still(case: Case) -> bool:
    """Whether the training stands still until a checkpoint is written; else a stall is the time of a copy."""
    return isinstance(case.workload, Training) and case.workload.checkpoint_mode == "synchronous"


def _profiled(measurements: pd.DataFrame, case: Case) -> Estimate | None:
    """Exposed communication of profiled steps over the median step, run by run."""
    exposed = medians_by_repeat(measurements, case.case_id, "train.profiled_exposed_communication_time")
    steps = medians_by_repeat(measurements, case.case_id, STEP)
    if len(exposed) != len(steps) or not steps:
        return None
    return _share([part / whole for part, whole in zip(exposed, steps, strict=True)])


def _title(case: Case) -> str:
    axes = ", ".join(
        f"{name.rpartition('.')[2]} {canonical_json(value).strip(chr(34))}" for name, value in case.axes.items()
    )
    return f"{case.experiment}, {axes}" if axes else case.experiment


def _share(values: Sequence[float]) -> Estimate | None:
    middle = median(values)
    if middle is None:
        return None
    found = share_interval(values)
    return Estimate(middle, found.low, found.high, found.method, len(values))


def _minutes(row: Row | None) -> Estimate | None:
    """Of a row of time_to_quality.csv."""
    if row is None:
        return None
    ends = row["low_minutes"], row["high_minutes"]
    return Estimate(row["median_minutes"], *ends, str(row["interval_method"]), int(row["converged"]))


def _reference(row: Row | None) -> Mapping[str, Any]:
    """Of a row of comparison.csv."""
    if row is None:
        return {}
    ends = row["ratio_low"], row["ratio_high"]
    ratio = Estimate(row["ratio"], *ends, str(row["interval_method"]), int(row["measured_n"] or 1))
    known = row["standing"] in ("slower", "not_slower")
    return {"over_reference": ratio, "slower_than_reference": row["standing"] == "slower" if known else None}


def _has_minutes(row: Row) -> bool:
    return row["median_minutes"] is not None


def _has_ratio(row: Row) -> bool:
    return row["subject"] == "training" and row["ratio"] is not None


def _by_case(path: Path, columns: Sequence[str], wanted: Callable[[Row], bool]) -> dict[str, Row]:
    """Of each case the first row that is wanted."""
    if not path.exists():
        return {}
    return {str(row["case_id"]): row for row in reversed(rows_of(read_csv(path, columns))) if wanted(row)}

"""tables/step_time.csv: where the step time of trainings goes, what they use of the peak, their energy.

Shares are of all steps of a run and the checkpoints that it stood still for; of one run they add up to 1, and each
is the median over completed repeats. They come from the records, which keep every step. The productive fraction is
`train.productive_fraction`: compute's share of each stretch between pauses, of which the median is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import multimode
from typing import Any

import pandas as pd

from seatrial.analysis.collect import read_record
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.measurements import Labelled, completed_rows, medians_by_repeat, read_measurements
from seatrial.analysis.statistics import median, share_interval
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.training import External, Training
from seatrial.paths import StudyPaths
from seatrial.record import Record

PARTS = {
    "compute": "train.compute_time",
    "communication": "train.exposed_communication_time",
    "data_wait": "train.data_wait_time",
    "checkpoint_stall": "train.checkpoint_stall_time",
    "other": "train.other_time",
}
"""What a run's time is made of, and the metric that has it."""
COLUMNS = (
    "study",
    "target",
    "experiment",
    "workload",
    "case_id",
    "repeats",
    "measured",
    *(f"{part}_share" for part in PARTS),
    "productive_fraction",
    "productive_low",
    "productive_high",
    "interval_method",
    "split_note",
    "profiled_exposed_share",
    "model_tflops_per_second",
    "mfu",
    "hfu",
    "utilisation_note",
    "ranks",
    "slowest_rank",
    "slowest_over_median",
    "accelerator_joules",
    "accelerator_watts",
    "cpu_joules",
    "cpu_watts",
    "energy_note",
)
"""`measured`: repeats whose steps were split; the notes say why a figure is not there. Joules are of all devices of
a kind while the training clock ran, watts those of one device."""
NO_CHECKPOINTS = "no checkpoints are asked for"
Row = dict[str, Any]


def step_time(paths: StudyPaths) -> None:
    """Write tables/step_time.csv: a row for every case that trains here; remove it where none does."""
    cases = read_cases(paths, read_plan(paths))
    trained = [case for case in cases if isinstance(case.workload, Training | External)]
    if not trained:
        paths.step_time.unlink(missing_ok=True)
        return
    measurements, names = read_measurements(paths), axis_names(case.axes for case in cases)
    rows = [_row(paths, case, measurements, names) for case in trained]
    write_csv(paths.step_time, [*COLUMNS, *(AXIS + name for name in names)], rows)


def _row(paths: StudyPaths, case: Case, measurements: pd.DataFrame, names: Sequence[str]) -> Row:
    found = [read_record(paths, case, number, PARTS.values()) for number in range(case.repeats)]
    records = [record for record in found if record is not None and record.outcome == "completed"]
    return {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "workload": case.workload.kind,
        "case_id": case.case_id,
        "repeats": case.repeats,
        "ranks": case.target.world_size,
        **_split(case, measurements, records),
        **_utilisation(case, measurements, records),
        **_slowest(completed_rows(measurements, case.case_id, "train.rank_time")),
        **_energy(case, measurements, records),
        **axis_columns(case.axes, names),
    }


def _split(case: Case, measurements: pd.DataFrame, records: Sequence[Record]) -> Row:
    """Shares of the run, and the productive fraction with its interval."""
    shares = [found for record in records if (found := _shares(record)) is not None]
    fractions = medians_by_repeat(measurements, case.case_id, "train.productive_fraction")
    interval = share_interval(fractions)
    row: Row = {f"{part}_share": median([s[part] for s in shares if part in s]) for part in PARTS}
    row |= {
        "measured": len(shares),
        "productive_fraction": median(fractions),
        "productive_low": interval.low,
        "productive_high": interval.high,
        "interval_method": interval.method,
        "profiled_exposed_share": _profiled(case, measurements),
    }
    if isinstance(case.workload, External):
        row["split_note"] = "the log of a command does not say where its steps' time goes"
    elif not records:
        row["split_note"] = "no repeat completed"
    elif said := dict.fromkeys(str(r.provenance["step_time"]) for r in records if r.provenance.get("step_time")):
        row["split_note"] = "; ".join(said)
    elif isinstance(case.workload, Training) and case.workload.checkpoint_interval_steps is None:
        row["split_note"] = NO_CHECKPOINTS
    elif row["checkpoint_stall_share"] is None:
        row["split_note"] = "no run came to a checkpoint"
    return row


def _shares(record: Record) -> dict[str, float] | None:
    """Each part's share of a run's steps and checkpoints; None where the steps were not split."""
    seconds: dict[str, float] = {}
    for part, metric in PARTS.items():
        samples = [value for m in record.measurements if m.metric == metric for value in m.samples]
        if samples:
            seconds[part] = sum(samples)
    whole = sum(seconds.values())
    return {part: value / whole for part, value in seconds.items()} if "compute" in seconds and whole > 0 else None


def _profiled(case: Case, measurements: pd.DataFrame) -> float | None:
    """Of a step: communication with no kernel of computation beside it, from profiles of the devices."""
    steps = medians_by_repeat(measurements, case.case_id, "train.step_time")
    exposed = medians_by_repeat(measurements, case.case_id, "train.profiled_exposed_communication_time")
    whole, part = median(steps), median(exposed)
    return None if part is None or not whole else part / whole


def _utilisation(case: Case, measurements: pd.DataFrame, records: Sequence[Record]) -> Row:
    """MFU and HFU, or in words why they are not defined, as the records say it."""
    metrics = {"model_tflops_per_second": "train.model_flops_per_second", "mfu": "train.mfu", "hfu": "train.hfu"}
    row: Row = {
        name: median(medians_by_repeat(measurements, case.case_id, metric)) for name, metric in metrics.items()
    }
    if row["mfu"] is None:
        said = dict.fromkeys(str(r.provenance["utilisation"]) for r in records if r.provenance.get("utilisation"))
        if isinstance(case.workload, External):
            said = {"Seatrial does not know the FLOPs of a command": None}
        row["utilisation_note"] = "; ".join(said) or ("no repeat completed" if not records else "not measured")
    return row


def _slowest(rows: Sequence[Labelled]) -> Row:
    """How much longer the slowest rank needs for its own work than the median rank, and which rank that is.

    The ratio is the median over repeats; the rank is there only where it is the same in most of them.
    """
    by_repeat: dict[int, dict[int, float]] = {}
    for row in rows:
        by_repeat.setdefault(row.repeat, {})[int(row.labels["rank"])] = row.median
    several = [ranks for ranks in by_repeat.values() if len(ranks) > 1]
    ratios = [max(ranks.values()) / middle for ranks in several if (middle := median(list(ranks.values())))]
    slowest = [max(ranks, key=lambda rank: ranks[rank]) for ranks in several]
    most = multimode(slowest)
    known = len(most) == 1 and 2 * slowest.count(most[0]) > len(slowest)
    return {"slowest_over_median": median(ratios), "slowest_rank": most[0] if known else None}


def _energy(case: Case, measurements: pd.DataFrame, records: Sequence[Record]) -> Row:
    """Energy while the training clock ran, of all accelerators and of all hosts' processors, and their power.

    Part of the devices is not all of them: where one has no counter, there is no sum.
    """
    target = case.target
    energy = [
        row
        for row in completed_rows(measurements, case.case_id, "telemetry.energy")
        if row.labels.get("scope") == "training"
    ]
    power = completed_rows(measurements, case.case_id, "telemetry.power")
    row: Row = {
        "accelerator_joules": _sum([r for r in energy if _is_accelerator(r.labels)], target.accelerators),
        "accelerator_watts": median([r.median for r in power if _is_accelerator(r.labels)]),
        "cpu_joules": _sum([r for r in energy if r.labels.get("device") == "cpu"], target.nodes),
        "cpu_watts": median([r.median for r in power if r.labels.get("device") == "cpu"]),
    }
    if row["accelerator_joules"] is None and row["cpu_joules"] is None:
        row["energy_note"] = _why_no_energy(case, bool(energy), bool(records))
    return row


def _sum(rows: Sequence[Labelled], devices: int) -> float | None:
    """The median over repeats of all devices' joules."""
    by_repeat: dict[int, list[float]] = {}
    for row in rows:
        by_repeat.setdefault(row.repeat, []).append(row.median)
    return median([sum(joules) for joules in by_repeat.values() if devices and len(joules) == devices])


def _why_no_energy(case: Case, some: bool, completed: bool) -> str:
    assert isinstance(case.workload, Training | External)
    if not completed:
        return "no repeat completed"
    if case.workload.telemetry_interval_seconds is None:
        return "sampling is switched off"
    return "not of all devices" if some else "no sensor answered"


def _is_accelerator(labels: Mapping[str, Any]) -> bool:
    return labels.get("device") not in ("cpu", "dram", None)

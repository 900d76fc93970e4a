"""The measurements of a run: times and bandwidths by size, as the probe collective has them.

Bandwidths are computed here from size and time. What is no maximum over ranks is labelled as such, so that it
stands beside nothing else unseen. What was not checked has metrics of its own, for a wrong result may be a
fast one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.nccl_tests.agreement import Refusal, refusal
from seatrial.nccl_tests.operations import DTYPES, bus_factor
from seatrial.nccl_tests.run import ProgramRun, Row, Side, Statistic, Unread
from seatrial.record import Measurement, measurement
from seatrial.units import GB

MICROSECONDS = 1e-6
NOT_STATED = "not stated"
UNCHECKED = "collective.unchecked_"
"""What the metrics of results that nobody checked begin with."""
Labels = dict[str, str | int | float | bool]


@dataclass(frozen=True)
class Measured:
    """Measurements of a run, and the rows that yield none."""

    measurements: tuple[Measurement, ...]
    refused: tuple[tuple[Refusal, Unread], ...]


def measured(
    run: ProgramRun,
    operation: str,
    ranks: int,
    statistic: Statistic | None,
    ceiling: tuple[float, str] | None = None,
    *,
    allow_unchecked: bool = False,
) -> Measured:
    """What the rows of a run say, each size once; several rows of one size (-N) are its samples.

    Sides that were not checked give collective.unchecked_time and so on, or with `allow_unchecked` the same metrics
    as others, labelled `checked: false`.

    `statistic`: what the times are over the processes, as the run says or as is known otherwise. `ceiling`: of the
    bus bandwidth in GB/s, with its basis.
    """
    samples: dict[tuple[tuple[str, str | int | float | bool], ...], list[float]] = defaultdict(list)
    refused = []
    for row in run.rows:
        for in_place, side in row.sides:
            problem = _refusal(run, row, side, operation, ranks)
            if problem is not None:
                where = "in place" if in_place else "out of place"
                words = f"{row.size} bytes, {where}, yield no number: {problem.words}"
                refused.append((problem, Unread(run.file, row.line, words)))
                continue
            labels = _labels(run, row, side, operation, ranks, in_place, statistic)
            times = side.iterations or (side.time.value,)
            samples[tuple(labels.items())] += [time * MICROSECONDS for time in times]
    found = [m for key, seconds in samples.items() for m in _of_size(dict(key), seconds, ceiling, allow_unchecked)]
    return Measured(tuple(found), tuple(refused))


def _refusal(run: ProgramRun, row: Row, side: Side, operation: str, ranks: int) -> Refusal | None:
    if run.cpu_time:
        return Refusal("unreadable", "its time is that of the host's calls (-C 1), not that of the operation")
    if row.type not in DTYPES:
        return Refusal("unreadable", f"type {row.type!r} is none that is known ({', '.join(DTYPES)})")
    if any(not time > 0 for time in side.iterations):
        return Refusal("unreadable", "an iteration took no time")
    if run.out_of_bounds and side.wrong is None and side.checked:
        return Refusal("wrong", "results were wrong, and nothing says in which rows")
    return refusal(row, side, operation, ranks)


def _labels(
    run: ProgramRun,
    row: Row,
    side: Side,
    operation: str,
    ranks: int,
    in_place: bool,
    statistic: Statistic | None,
) -> Labels:
    every = len(side.iterations) > 0
    averaged = int(run.settings.get("iterations", 0)) * int(run.settings.get("aggregated_iterations", 1))
    labels: Labels = {
        "operation": operation,
        "dtype": DTYPES[row.type],
        "size_bytes": row.size,
        "ranks": ranks,
        "in_place": in_place,
        "implementation": "nccl_tests",
        "over_ranks": "max" if every else statistic or NOT_STATED,
        "checked": side.checked,
    }
    if not every and averaged:
        labels["iterations_per_sample"] = averaged
    if row.redop is not None:
        labels["reduction"] = row.redop
    if row.root is not None:
        labels["root"] = row.root
    return labels


def _of_size(
    labels: Labels, seconds: Sequence[float], ceiling: tuple[float, str] | None, allow_unchecked: bool
) -> list[Measurement]:
    value, basis = ceiling if ceiling else (None, None)
    size, factor = int(labels["size_bytes"]), bus_factor(str(labels["operation"]), int(labels["ranks"]))
    algorithm = [size / s / GB for s in seconds]
    family = "collective." if labels["checked"] or allow_unchecked else UNCHECKED
    return [
        measurement(f"{family}time", seconds, labels),
        measurement(f"{family}algorithm_bandwidth", algorithm, labels),
        measurement(f"{family}bus_bandwidth", [a * factor for a in algorithm], labels, value, basis),
    ]

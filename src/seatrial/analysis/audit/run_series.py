"""From what logs say of steps to series of runs, in the form in which a study's records give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from seatrial.analysis.findings.observed import Part
from seatrial.analysis.findings.series import RunSeries
from seatrial.ingest.audit.facts import StepParts, StepTime, Trace, TrainingLog

SPLIT: tuple[Part, ...] = ("compute", "communication", "data_wait", "other")
FEWEST_STEPS = 2


class Told(NamedTuple):
    """A run's series, the steps that each of its values is of, and what must be said beside it."""

    series: RunSeries
    counts: tuple[int, ...]
    note: str = ""


def host_of(rank: int) -> str:
    """What a host is called that no log names; ranks of one such host are taken for hosts of their own."""
    return f"the host of rank {rank}"


def of_traces(traces: Sequence[Trace]) -> Told | None:
    """Profiles of one training's ranks, step by step; None where they have no step in common."""
    common = sorted(set.intersection(*({step.step for step in trace.steps} for trace in traces)))
    if not common:
        return None
    rows = [{step.step: step for step in trace.steps} for trace in traces]
    seconds = np.array([[row[step].seconds for row in rows] for step in common])
    parts: Mapping[Part, np.ndarray] = {
        part: np.array([[row[step].parts.get(part, 0.0) for row in rows] for step in common]).mean(axis=1)
        for part in SPLIT
    }
    waits = np.array([[row[step].parts.get("data_wait", 0.0) for row in rows] for step in common])
    exposed = np.array([[row[step].parts.get("communication", 0.0) for row in rows] for step in common])
    ranks = [trace.rank if trace.rank is not None else place for place, trace in enumerate(traces)]
    named = all(trace.host for trace in traces)
    hosts = tuple(
        trace.host if named and trace.host else host_of(r) for r, trace in zip(ranks, traces, strict=True)
    )
    series = RunSeries(
        step=seconds.max(axis=1),
        parts=parts,
        own=seconds - exposed if len(traces) > 1 else None,
        hosts=hosts,
        waits=waits,
    )
    dropped = max(len(trace.steps) for trace in traces) - len(common)
    note = f"{dropped} profiled steps are not in the profile of every rank" if dropped else ""
    return Told(series, (1,) * len(common), note)


def of_training(log: TrainingLog) -> Told | None:
    """A log's steps, each the mean of as many as lie between two of its lines; None where it times none.

    A value of the series is the time of all of them, so that what is summed is the training's time.
    """
    if not log.steps:
        return None
    timed, noted = _with_parts(log)
    counts = tuple(step.count for step in timed)
    whole = np.array([step.seconds * step.count for step in timed])
    series = RunSeries(step=whole, stalls=tuple(save.seconds for save in log.saves) if log.saves else None)
    if not noted:
        return Told(series, counts)
    parts = _parts(noted, whole, np.array(counts, dtype=float))
    own = _own(noted, np.array(counts, dtype=float))
    hosts = tuple(host_of(rank) for rank in sorted(noted[0].own_seconds))
    note = ""
    if len(timed) < len(log.steps):
        note = f"timers stand beside {len(timed)} of {len(log.steps)} lines; the others are left out"
    return Told(RunSeries(whole, parts, own, hosts, series.stalls), counts, note)


def _with_parts(log: TrainingLog) -> tuple[tuple[StepTime, ...], list[StepParts]]:
    """The steps whose time is split, with the split; all steps and nothing where fewer than two are.

    Where ranks are told apart in some of them, those.
    """
    by_step = {parts.step: parts for parts in log.parts}
    named = {step for step, parts in by_step.items() if parts.own_seconds}
    wanted = named if len(named) >= FEWEST_STEPS else set(by_step)
    ranks = {frozenset(by_step[step].own_seconds) for step in wanted} if wanted else set()
    timed = tuple(step for step in log.steps if step.step in wanted)
    if len(timed) < FEWEST_STEPS or (wanted is named and len(ranks) > 1):
        return log.steps, []
    return timed, [by_step[step.step] for step in timed]


def _parts(noted: Sequence[StepParts], whole: np.ndarray, counts: np.ndarray) -> dict[Part, np.ndarray]:
    """Seconds by part; what is told in every step, and as other what is left of the whole."""
    names = [part for part in SPLIT if all(part in parts.seconds for parts in noted)]
    found: dict[Part, np.ndarray] = {
        part: np.array([parts.seconds[part] for parts in noted]) * counts for part in names
    }
    found["other"] = np.maximum(0.0, whole - sum(found.values()))
    return found


def _own(noted: Sequence[StepParts], counts: np.ndarray) -> np.ndarray | None:
    ranks = sorted(noted[0].own_seconds)
    if len(ranks) < 2 or any(sorted(parts.own_seconds) != ranks for parts in noted):
        return None
    return np.array([[parts.own_seconds[rank] for rank in ranks] for parts in noted]) * counts[:, None]

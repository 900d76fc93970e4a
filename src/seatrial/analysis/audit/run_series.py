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


def of_traces(traces: Sequence[Trace]) -> list[Told]:
    """Profiles of one training's ranks, step by step; one series for every stretch that was profiled.

    A profiler that runs in cycles writes each as a file with steps of its own. Where some stretches have fewer
    ranks than others, those with most are taken.
    """
    told = [(one, stretch) for stretch in _stretches(traces) if (one := _of_ranks(stretch)) is not None]
    most = max((len(stretch) for _, stretch in told), default=0)
    kept = [one for one, stretch in told if len(stretch) == most]
    if not kept:
        return []
    said = f"{len(kept)} stretches were profiled" if len(kept) > 1 else ""
    left = sum(len(stretch) for stretch in _stretches(traces)) - most * len(kept)
    less = f"{left} profiles that have no step in common with those of the most ranks are left out" if left else ""
    return [kept[0]._replace(note="; ".join(filter(None, [kept[0].note, said, less]))), *kept[1:]]


def _stretches(traces: Sequence[Trace]) -> list[list[Trace]]:
    """Profiles that share steps, of each rank and device one; a second one of a rank is of another stretch."""
    found: list[list[Trace]] = []
    for trace in sorted(traces, key=lambda one: min((step.step for step in one.steps), default=0)):
        mine = {step.step for step in trace.steps}
        for stretch in found:
            common = set.intersection(*({step.step for step in one.steps} for one in stretch))
            again = trace.rank is not None and any(_same_place(one, trace) for one in stretch)
            if not again and mine & common:
                stretch.append(trace)
                break
        else:
            found.append([trace])
    for stretch in found:
        stretch.sort(key=traces.index)
    return found


def _same_place(one: Trace, other: Trace) -> bool:
    return (one.rank, one.basis) == (other.rank, other.basis)


def _of_ranks(traces: Sequence[Trace]) -> Told | None:
    """One stretch of all ranks; None where they have no step in common."""
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


def of_training(log: TrainingLog) -> list[Told]:
    """A log's steps, each the mean of as many as lie between two of its lines; one series for every stretch.

    A stretch ends where the steps' numbers go back. A value of a series is the time of all steps that it is of, so
    that what is summed is the training's time. Where timers of one stretch tell more than those of another, the
    stretches that tell most are taken.
    """
    stretches = sorted({step.stretch for step in log.steps})
    told = [_of_stretch(log, stretch) for stretch in stretches]
    most = max((_detail(one) for one in told), default=0)
    kept = [one for one in told if _detail(one) == most]
    left = sum(len(one.series.step) for one in told) - sum(len(one.series.step) for one in kept)
    if not left:
        return kept
    note = f"{left} lines of other stretches of the log have no such timers and are left out"
    return [kept[0]._replace(note="; ".join(filter(None, [kept[0].note, note]))), *kept[1:]]


def _detail(told: Told) -> int:
    return bool(told.series.parts) + (told.series.own is not None)


def _of_stretch(log: TrainingLog, stretch: int) -> Told:
    """The steps between two restarts, with the timers that were printed beside them."""
    steps = tuple(step for step in log.steps if step.stretch == stretch)
    timed, noted = _with_parts(steps, [parts for parts in log.parts if parts.stretch == stretch])
    counts = tuple(step.count for step in timed)
    whole = np.array([step.seconds * step.count for step in timed])
    saves = tuple(save.seconds for save in log.saves if save.stretch == stretch)
    series = RunSeries(step=whole, stalls=saves if log.saves else None)
    if not noted:
        return Told(series, counts)
    many = np.array(counts, dtype=float)
    own = _by_rank([parts.own_seconds for parts in noted], many)
    loading = None if own is None else _by_rank([parts.data_seconds for parts in noted], many)
    hosts = tuple(host_of(rank) for rank in sorted(noted[0].own_seconds))
    note = ""
    if len(timed) < len(steps):
        note = f"timers stand beside {len(timed)} of {len(steps)} lines; the others are left out"
    return Told(RunSeries(whole, _parts(noted, whole, many), own, hosts, series.stalls, loading), counts, note)


def _with_parts(
    steps: tuple[StepTime, ...], told: Sequence[StepParts]
) -> tuple[tuple[StepTime, ...], list[StepParts]]:
    """The steps whose time is split, with the split; all steps and nothing where fewer than two are.

    Where ranks are told apart in some of them, those.
    """
    by_step = {parts.step: parts for parts in told}
    named = {step for step, parts in by_step.items() if parts.own_seconds}
    wanted = named if len(named) >= FEWEST_STEPS else set(by_step)
    ranks = {frozenset(by_step[step].own_seconds) for step in wanted} if wanted else set()
    timed = tuple(step for step in steps if step.step in wanted)
    if len(timed) < FEWEST_STEPS or (wanted is named and len(ranks) > 1):
        return steps, []
    return timed, [by_step[step.step] for step in timed]


def _parts(noted: Sequence[StepParts], whole: np.ndarray, counts: np.ndarray) -> dict[Part, np.ndarray]:
    """Seconds by part; what is told in every step, and as other what is left of the whole."""
    names = [part for part in SPLIT if all(part in parts.seconds for parts in noted)]
    found: dict[Part, np.ndarray] = {
        part: np.array([parts.seconds[part] for parts in noted]) * counts for part in names
    }
    found["other"] = np.maximum(0.0, whole - sum(found.values()))
    return found


def _by_rank(told: Sequence[Mapping[int, float]], counts: np.ndarray) -> np.ndarray | None:
    """[steps, ranks]; None where the ranks are fewer than two or not the same in every step."""
    ranks = sorted(told[0])
    if len(ranks) < 2 or any(sorted(one) != ranks for one in told):
        return None
    return np.array([[one[rank] for rank in ranks] for one in told]) * counts[:, None]

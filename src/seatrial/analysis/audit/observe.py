"""From one workload's logs to what `diagnose` judges, and to what could not be known from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import median

import numpy as np

from seatrial.analysis.audit.activity import NOT_PRODUCTIVE, PROFILING, telemetry
from seatrial.analysis.audit.run_series import Told, of_traces, of_training
from seatrial.analysis.audit.workloads import Workload
from seatrial.analysis.findings.failed_node import OF_A_NODE
from seatrial.analysis.findings.observed import Estimate, Failure, Observed, Storage
from seatrial.analysis.findings.series import RunSeries, with_series
from seatrial.analysis.statistics.series import block_bootstrap_interval
from seatrial.config.findings import FindingRules
from seatrial.ingest.audit.facts import TrainingLog


def observe(workload: Workload, title: str, rules: FindingRules) -> Observed:
    """What the logs say of the workload; what they do not say is None."""
    profiled = of_traces([trace for _, trace in workload.traces])
    observed = Observed(
        where=title,
        title=f"logs in {title}",
        source="logs",
        runs=len(workload.trainings) or int(bool(workload.traces)),
        hosts=_hosts(workload),
        ranks=_ranks(workload),
        telemetry=telemetry(workload.devices),
        failures=tuple(  # the host of any other kind is where the message was printed
            Failure(f.kind, f.message, f.host if f.kind in OF_A_NODE else None, file)
            for file, f in workload.failures
        ),
        mfu=_mfu([log for _, log in workload.trainings]),
        storage=_storage([log for _, log in workload.trainings]),
        split_note=_split_note(workload, profiled),
    )
    return _timed(observed, [log for _, log in workload.trainings], profiled, rules)


def _timed(
    observed: Observed, logs: Sequence[TrainingLog], profiled: Sequence[Told], rules: FindingRules
) -> Observed:
    """Step times, shares, lateness: of the profiles where there are some, else of the logs.

    Where both are there, the profiles say what a step goes to, the logs how long it takes and how long checkpoints.
    """
    told = [one for log in logs for one in of_training(log)]
    if profiled:
        found = with_series(_noted(observed, profiled), _with_stalls(profiled, told), rules)
        whole = sum(_seconds(one) for one in told) or found.whole_seconds
        step = found.step_seconds if not told else _step_seconds(told, rules)
        return replace(
            found, profiled_exposed=found.shares.get("communication"), whole_seconds=whole, step_seconds=step
        )
    if told:
        found = with_series(_noted(observed, told), [one.series for one in told], rules)
        single = all(count == 1 for one in told for count in one.counts)
        return found if single else replace(found, step_seconds=_step_seconds(told, rules), noise=None)
    return _of_totals(observed, logs)


def _noted(observed: Observed, told: Sequence[Told]) -> Observed:
    """With what must be said of the split beside where it comes from."""
    return replace(observed, split_note="; ".join([observed.split_note, *(one.note for one in told if one.note)]))


def _with_stalls(profiled: Sequence[Told], told: Sequence[Told]) -> list[RunSeries]:
    """The profiles with the log's checkpoints, as long in them as they are in the whole training."""
    series = [one.series for one in profiled]
    stalls = [stall for one in told for stall in one.series.stalls or ()]
    training = sum(float(one.series.step.sum()) for one in told)
    if not stalls or training <= 0:
        return series
    scale = sum(float(one.step.sum()) for one in series) / training
    return [replace(series[0], stalls=tuple(stall * scale for stall in stalls)), *series[1:]]


def _seconds(told: Told) -> float:
    return float(told.series.step.sum()) + sum(told.series.stalls or ())


def _step_seconds(told: Sequence[Told], rules: FindingRules) -> Estimate:
    """Median over lines of the mean step between two lines; the first of every run is left out as warm-up."""
    means: list[float] = []
    for one in told:
        each = one.series.step / np.array(one.counts, dtype=float)
        means += each[rules.warm_up_steps :].tolist() if len(each) > rules.warm_up_steps else each.tolist()
    interval = block_bootstrap_interval(means)
    return Estimate(median(means), interval.low, interval.high, interval.method, len(means))


def _of_totals(observed: Observed, logs: Sequence[TrainingLog]) -> Observed:
    """Logs that state a training's time and steps only."""
    known = [(log.seconds, log.steps_done) for log in logs if log.seconds is not None and log.steps_done]
    if not known:
        return observed
    seconds = [whole / steps for whole, steps in known if steps]
    words = "none (time of the whole training over its steps)"
    return replace(
        observed,
        whole_seconds=sum(whole for whole, _ in known),
        step_seconds=Estimate(median(seconds), method=words, n=len(seconds)),
    )


def _split_note(workload: Workload, profiled: Sequence[Told]) -> str:
    """Where the split of the step comes from, or why there is none."""
    if workload.traces and not profiled:
        return "the profiles have no step in common"
    if workload.traces:
        basis = "; ".join(dict.fromkeys(trace.basis for _, trace in workload.traces))
        steps = sum(len(one.counts) for one in profiled)
        ranks = {(trace.rank, trace.basis) if trace.rank is not None else file for file, trace in workload.traces}
        return f"of {steps} profiled steps on {len(ranks)} ranks: {basis}"
    logs = [log for _, log in workload.trainings]
    if any(log.parts for log in logs):
        return "of the log's timers; communication of tensor parallelism counts as computing"
    if logs:
        names = ", ".join(dict.fromkeys(log.framework for log in logs))
        return f"the log of {names} does not say where a step's time goes; a profile (Kineto) does"
    if workload.devices:
        return f"telemetry alone does not split a step; {NOT_PRODUCTIVE}"
    return "no training's log and no profile is there"


def _hosts(workload: Workload) -> tuple[str, ...]:
    named = [trace.host for _, trace in workload.traces] + [series.host for _, series in workload.devices]
    return tuple(sorted({host for host in named if host}))


def _ranks(workload: Workload) -> int | None:
    sizes = {trace.world_size for _, trace in workload.traces if trace.world_size}
    if len(sizes) == 1:
        return sizes.pop()
    ranks = {len(parts.own_seconds) for _, log in workload.trainings for parts in log.parts if parts.own_seconds}
    return ranks.pop() if len(ranks) == 1 and not sizes else None


def _mfu(logs: Sequence[TrainingLog]) -> Estimate | None:
    """The framework's own figure, its first line left out; None where no log states it more than once."""
    found = [value for log in logs for value in log.mfu[1:]]
    if not found:
        return None
    interval = block_bootstrap_interval(found)
    return Estimate(median(found), interval.low, interval.high, interval.method, len(found))


def _storage(logs: Sequence[TrainingLog]) -> Storage | None:
    """The trainings' own checkpoints; None where no log times one."""
    saves = [save for log in logs for save in log.saves]
    if not saves:
        return None
    between = [
        (later.step - earlier.step) * median(step.seconds for step in log.steps)
        for log in logs
        for earlier, later in zip(log.saves, log.saves[1:], strict=False)
        if log.steps
        and earlier.step is not None
        and later.step is not None
        and later.step > earlier.step
        and later.stretch == earlier.stretch
    ]
    return Storage(
        interval_seconds=median(between) if between else None,
        stall_seconds=median(save.seconds for save in saves),
        note="the training's own messages; how many bytes a checkpoint has they do not say",
    )


def unknown(workload: Workload, observed: Observed) -> tuple[str, ...]:
    """What the logs do not say, each with what would."""
    said = []
    logs = [log for _, log in workload.trainings]
    if observed.productive is None:
        said.append(f"the productive fraction: {observed.split_note}")
    if "communication" not in observed.shares:
        said.append("exposed communication: no profile of the ranks and no timers of it are there")
    if "data_wait" not in observed.shares:
        said.append("waiting for data: no profile and no timer of the data loader is there")
    if "checkpoint_stall" not in observed.shares:
        mentioned = sum(log.unmeasured_saves for log in logs)
        words = f"{mentioned} are mentioned without their time" if mentioned else "no message of one with its time"
        said.append(f"the share of checkpoints: {words}")
    if observed.noise is None:
        said.append(_no_noise(logs))
    if observed.lateness is None:
        said.append(_no_stragglers(workload))
    if workload.devices and not any(series.quantity in PROFILING for _, series in workload.devices):
        said.append(
            f"how busy the devices were: {NOT_PRODUCTIVE}; DCGM's profiling counters (DCGM_FI_PROF_*) tell more"
        )
    return tuple(said)


def _no_noise(logs: Sequence[TrainingLog]) -> str:
    if any(step.count > 1 for log in logs for step in log.steps):
        return "stalls of single steps: the log has the mean of several steps on a line (log every step)"
    return "stalls of single steps: too few steps are timed by themselves"


def _no_stragglers(workload: Workload) -> str:
    spreads = [p.spread for _, log in workload.trainings for p in log.parts if p.spread]
    if spreads:
        low, high = (median(one) for one in zip(*spreads, strict=True))
        return (
            f"which rank is slow: the timers say only that ranks compute {low:.4g} to {high:.4g} s an iteration "
            "(median); --timing-log-option all names them"
        )
    return "stragglers: no profile or timer of each rank's own time is there"

"""The score of a result folder, as MLCommons reckons it (training_rules.adoc, "Benchmark Results").

A run counts where its log passes the compliance check of its round. Of N runs the fastest and the slowest are
dropped and the others averaged (the olympic mean); a run that does not count is the slowest. The mean is multiplied
by the committed scaling factor, or by the one that the reference convergence points give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mlperf_logging.benchmark_meta import get_allowed_benchmarks, get_result_file_counts

from seatrial.ingest.mlperf.result import ResultFolder, Run
from seatrial.ingest.mlperf.rules import ruleset_of
from seatrial.reference.convergence_points import ConvergenceCheck, check_convergence

DROPPED = {"unet3d": 4}
"""Runs dropped at each end, and runs that may fail; of every other benchmark one (result_summarizer)."""
FOLDER_ALIASES = {"mask": "maskrcnn"}
"""Names of result folders that the official summarizer takes for another's."""
FACTORS_DIFFER = 1e-6

FactorBasis = Literal["committed", "computed", "none"]


@dataclass(frozen=True)
class Score:
    """Minutes to train and what they are made of; None where it cannot be said, and `notes` say why."""

    minutes: float | None
    """Olympic mean x factor."""
    unscaled_minutes: float | None
    """The olympic mean, also of a folder that has no score for another reason than its runs."""
    factor: float | None
    factor_basis: FactorBasis
    runs: int
    """Logs found."""
    successful_runs: int
    """Logs that pass the compliance check."""
    min_minutes: float | None
    max_minutes: float | None
    global_batch_size: float | None
    samples_to_quality: float | None
    """Trimmed mean of samples or epochs, whichever the benchmark counts in."""
    energy_joules: float | None
    """Olympic mean of the runs' energies in the order of their times, x factor."""
    notes: tuple[str, ...]


def runs_demanded(benchmark: str, round_: str) -> int | None:
    """N of a benchmark in a round; None where the round does not have the benchmark."""
    name = FOLDER_ALIASES.get(benchmark, benchmark)
    if name not in get_allowed_benchmarks("training", ruleset_of(round_)):
        return None
    count: int = get_result_file_counts("training")[name]
    return count


def benchmark_of(folder: ResultFolder) -> str:
    """The benchmark that a folder's name stands for."""
    return FOLDER_ALIASES.get(folder.benchmark, folder.benchmark)


def score(folder: ResultFolder) -> Score:
    """Score one result folder. Never raises for what a folder holds: no score has its reason in `notes`."""
    dropped = DROPPED.get(benchmark_of(folder), 1)
    counted = sorted(_counted(folder.runs), key=lambda run: run.minutes or 0.0)
    failed = len(folder.runs) - len(counted)
    minutes = [run.minutes for run in counted if run.minutes is not None]
    mean = _olympic_mean(minutes, failed, dropped)
    check = _convergence(folder, dropped)
    factor, basis, remarks = _factor(folder, check)
    refusals = _refusals(folder, failed, dropped)
    energies = [run.energy_joules for run in counted]
    energy = None
    if folder.power and factor is not None and all(e is not None for e in energies):
        energy = _olympic_mean([e for e in energies if e is not None], failed, dropped)
    batches = {run.global_batch_size for run in folder.runs if run.global_batch_size is not None}
    return Score(
        minutes=None if refusals or mean is None or factor is None else mean * factor,
        unscaled_minutes=mean,
        factor=factor,
        factor_basis=basis,
        runs=len(folder.runs),
        successful_runs=len(counted),
        min_minutes=min(minutes, default=None),
        max_minutes=max(minutes, default=None),
        global_batch_size=batches.pop() if len(batches) == 1 else None,
        samples_to_quality=_to_quality(folder.runs, dropped),
        energy_joules=None if energy is None or factor is None else energy * factor,
        notes=(*refusals, *_failures(folder.runs), *remarks, *_energy_note(folder, energies), *folder.remarks),
    )


def _counted(runs: Sequence[Run]) -> list[Run]:
    return [run for run in runs if not run.problems and run.minutes is not None]


def _olympic_mean(ordered: Sequence[float], failed: int, dropped: int) -> float | None:
    """Mean without the `dropped` first and last of all runs; `failed` ones stand behind the last already."""
    if failed > dropped:
        return None
    kept = ordered[dropped : len(ordered) - (dropped - failed)]
    return sum(kept) / len(kept) if kept else None


def _refusals(folder: ResultFolder, failed: int, dropped: int) -> list[str]:
    """Why the folder has no score."""
    demanded = runs_demanded(folder.benchmark, folder.round)
    found = len(folder.runs)
    words = []
    if demanded is None:
        words.append(f"no score: round {folder.round} has no benchmark {folder.benchmark}")
    elif found != demanded:
        words.append(f"no score: {found} runs found, {demanded} are demanded")
    strangers = {run.benchmark for run in folder.runs if run.benchmark} - {folder.benchmark, benchmark_of(folder)}
    if strangers:
        words.append(f"no score: its logs are of {', '.join(sorted(strangers))}, not of {folder.benchmark}")
    if failed > dropped:
        words.append(f"no score: {failed} of {found} runs do not count, {dropped} may")
    if folder.scaling_problem:
        words.append(f"no score: scaling.json cannot be read ({folder.scaling_problem})")
    return words


def _failures(runs: Sequence[Run]) -> list[str]:
    """Each run that does not count, and why."""
    failed = [run for run in runs if run.problems or run.minutes is None]
    return [
        f"{run.path.rpartition('/')[2]} does not count: {', '.join(run.problems) or 'no run_start or no run_stop'}"
        for run in failed
    ]


def _convergence(folder: ResultFolder, dropped: int) -> ConvergenceCheck | None:
    """The check against the reference points, which the closed division alone has."""
    division = folder.system.division if folder.system else None
    division = division or next((run.division for run in folder.runs if run.division), None)
    if division != "closed":
        return None
    return check_convergence(folder.runs, ruleset_of(folder.round), dropped)


def _factor(folder: ResultFolder, check: ConvergenceCheck | None) -> tuple[float | None, FactorBasis, list[str]]:
    """The factor, where it comes from, and what is to be said of it."""
    if folder.scaling_problem:
        return None, "none", []
    if folder.scaling_factor is not None:
        committed = folder.scaling_factor
        if check is not None and check.passed and abs(check.factor - committed) > FACTORS_DIFFER:
            said = f"committed factor {committed:.6g}; the reference points give {check.factor:.6g} ({check.words})"
            return committed, "committed", [said]
        return committed, "committed", []
    if check is None:
        return 1.0, "none", []
    if not check.passed:
        return 1.0, "none", [check.words]
    if check.factor > 1.0:
        return check.factor, "computed", [f"factor computed: {check.words}"]
    return 1.0, "computed", []


def _to_quality(runs: Sequence[Run], dropped: int) -> float | None:
    """Trimmed mean of the ways to quality; None where more runs than are dropped did not get there."""
    reached = sorted(run.to_quality for run in runs if run.to_quality is not None)
    if len(runs) - len(reached) > dropped:
        return None
    kept = reached[dropped : len(runs) - dropped]
    return sum(kept) / len(kept) if kept else None


def _energy_note(folder: ResultFolder, energies: Sequence[float | None]) -> list[str]:
    missing = sum(energy is None for energy in energies)
    if not folder.power or not missing:
        return []
    return [f"no energy: {missing} of {len(energies)} runs that count have no usable power logs"]

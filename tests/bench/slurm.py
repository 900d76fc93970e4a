"""Submission beside snakemake-executor-plugin-slurm, on the same real Slurm with the same rule."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median

from measure import Result, at_most, publish
from slurm_runs import OURS, STOCK, Counted, Folder, Peer, Run

JOBS, MANY = 40, 200
BAR = 0.2
PAIRS = 9
"""So many that neither the least nor the greatest bounds the median at 95 %: measure.interval()."""
SECONDS = {JOBS: 30, MANY: 6}
"""How long each command takes where calls are counted: long enough for several looks at either number of jobs."""


def main() -> None:
    # the tests' own Slurm: their folders are no package
    tests = Path(__file__).parents[1]
    sys.path[:0] = [str(tests), str(tests / "slurm")]
    from private_slurm import slurm_of_nodes

    with tempfile.TemporaryDirectory(prefix="bench") as place, contextmanager(slurm_of_nodes)("uts") as slurm:
        work = Path(place)
        publish("slurm", [*_pairs(work, slurm), *_calls(work, slurm)])


def _pairs(work: Path, slurm: dict[str, str]) -> list[Result]:
    runs: dict[Peer, list[Run]] = {OURS: [], STOCK: []}
    for pair in range(PAIRS):
        for peer in (OURS, STOCK) if pair % 2 == 0 else (STOCK, OURS):
            runs[peer].append(Folder(work / f"{peer.name}{pair}", JOBS, slurm).run(peer))
            print(f"pair {pair}, {peer.name}: {_said(runs[peer][-1])}", flush=True)
    within = {peer: [sum(run.spent.values()) for run in runs[peer]] for peer in runs}
    whole = {peer: [run.cpu_s for run in runs[peer]] for peer in runs}
    late = {peer: [median(run.late_s) for run in runs[peer]] for peer in runs}
    what = f"submitit / stock {version('snakemake-executor-plugin-slurm')}, {JOBS} jobs"
    return [
        _ratio(f"submission and polling, CPU, {what}", within, BAR, lambda x: f"{1e3 * x / JOBS:.1f} ms a job"),
        _ratio("... with all that Snakemake does itself", whole, None, lambda x: f"{x:.1f} s"),
        _ratio("from the batch script to the command, wall", late, BAR, lambda x: f"{x:.2f} s"),
    ]


def _ratio(name: str, spent: dict[Peer, list[float]], bar: float | None, words: Callable[[float], str]) -> Result:
    ratios = [ours / stock for ours, stock in zip(spent[OURS], spent[STOCK], strict=True)]
    note = f"{words(median(spent[OURS]))} against {words(median(spent[STOCK]))}; {PAIRS} alternating pairs"
    return at_most(name, ratios, "x", bar, note)


def _calls(work: Path, slurm: dict[str, str]) -> list[Result]:
    """Questions to Slurm in each look at the jobs, and all calls of a run, for few and for many jobs."""
    looks, results = {}, []
    for jobs in (JOBS, MANY):
        counted = Counted(work / f"clients{jobs}", slurm)
        run = Folder(work / f"counted{jobs}", jobs, counted.slurm, SECONDS[jobs]).run(OURS)
        calls, looks[jobs] = [name for _, name in counted.calls()], counted.of_each_look()
        said = ", ".join(f"{name} {calls.count(name)}" for name in dict.fromkeys(calls))
        print(f"{jobs} jobs, calls counted: {_said(run)}; {said}; in each look {looks[jobs]}", flush=True)
        note = f"{said}; {len(looks[jobs])} looks in {run.wall_s:.0f} s"
        results.append(
            Result(f"scheduler calls of a run of {jobs} jobs", len(calls), "calls", None, None, [], note)
        )
    most = {jobs: max(found, default=0) for jobs, found in looks.items()}
    per_look = Result(
        f"questions to Slurm in one look, {MANY} jobs",
        most[MANY],
        "calls",
        most[JOBS],
        most[MANY] <= most[JOBS] if all(looks.values()) else None,  # without a look nothing is said
        [float(n) for n in looks[MANY]],
        f"the most in one look; with {JOBS} jobs {most[JOBS]}",
    )
    return [per_look, *results]


def _said(run: Run) -> str:
    spent = ", ".join(f"{what} {seconds:.3f}" for what, seconds in run.spent.items())
    late = f"commands {median(run.late_s):.2f} s after their batch scripts"
    return f"{run.cpu_s:.2f} CPU s (executor: {spent}), {run.wall_s:.0f} s, {late}"


if __name__ == "__main__":
    main()

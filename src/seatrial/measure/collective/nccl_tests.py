"""The collective measured by a test program of nccl-tests instead of torch.

On one node rank 0 starts the program once, over all the node's devices (-g), as a build without MPI needs it; what
a launcher left in the environment is taken away first, so that a build with MPI does not wait for the other ranks.
On several nodes the program has to be built with MPI, and every rank starts it over its own device: it finds the
others by what the launcher (srun --mpi=pmix, mpirun) left in the environment. Meanwhile the ranks tell each other
once a second how their programs are, so that one that fails ends all.

The maximum over ranks is asked for (-a 3), results are checked (-c 1), and where the program can, every iteration
is kept (-I 1 with -J). Source: https://github.com/NVIDIA/nccl-tests, src/common.cu.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seatrial.config.probe import Collective
from seatrial.config.target import Target
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.ceilings import collective_ceiling
from seatrial.measure.collective.programs import Ended, run_together
from seatrial.measure.collective.wire import Wire, wire
from seatrial.measure.context import RankContext
from seatrial.nccl_tests.document import read_document
from seatrial.nccl_tests.measured import measured
from seatrial.nccl_tests.operations import BINARIES, SPELT
from seatrial.nccl_tests.run import ProgramRun
from seatrial.nccl_tests.text import read_text
from seatrial.nccl_tests.trouble import failure_in
from seatrial.record import Measurement, measurement
from seatrial.units import SECONDS_PER_MINUTE

LAUNCHERS = ("PMI_", "PMIX_", "OMPI_", "PRTE_", "SLURM_", "HYDRA_", "HYDI_", "MPIEXEC_", "MPI_LOCAL", "PALS_")
"""Prefixes of what launchers leave in the environment of a rank."""
OF_MPI = b"MPI_Init"
"""In a program that was built with MPI."""
HELP_SECONDS = 30.0
SHARE_OF_LIMIT = 0.9
"""Of the repeat's time limit, after which a program is stopped: what is left is for the record."""


@dataclass(frozen=True)
class Program:
    """A test program and what it can do."""

    path: Path
    with_mpi: bool
    takes_maximum: bool
    """Can be asked for the maximum over ranks (-a 3); over one process it is that anyway."""
    keeps_iterations: bool
    """Writes JSON (-J) with every iteration's time (-I)."""
    writes_json: bool


def run(ctx: RankContext) -> None:
    """Let the test program measure all sizes, and keep what it found.

    Raises Unsupported where there is no such program, it cannot run on so many nodes, or ranks do not have one
    device each; MeasurementFailed where it fails, is stopped for its time limit, finds wrong results, or prints
    what contradicts itself.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Collective)
    program = usable_program(ctx.case.target, workload)
    ended = _run_together(ctx, workload, program, ctx.case.target.nodes > 1)
    if ctx.rank == 0:
        _keep(ctx, workload, program, ended)
    elif ended.code:
        _tell(ctx, ended)


def usable_program(target: Target, workload: Collective) -> Program:
    """The program that can measure the workload on the target, as far as this rank knows.

    Raises Unsupported where there is none, it cannot run on so many nodes, or ranks do not have a device each.
    """
    require_a_device_each(target)
    program = find_program(workload)
    if target.nodes > 1 and not program.with_mpi:
        raise Unsupported(
            f"{program.path} was built without MPI and drives the devices of one node only, target.nodes is "
            f"{target.nodes}; allowed: a build with `make MPI=1`, or implementation torch"
        )
    if target.nodes > 1 and not program.takes_maximum:
        raise Unsupported(
            f"{program.path} cannot take the maximum over ranks (it has no option -a, or did not answer to -h); "
            "allowed: nccl-tests of 2021 or later, or implementation torch"
        )
    return program


def require_a_device_each(target: Target) -> None:
    """Raise Unsupported where the target has no accelerators, or ranks that share or hold several of them."""
    if target.device != "cuda" or target.tasks_per_node != target.accelerators_per_node:
        raise Unsupported(
            f"nccl-tests measures one accelerator for each rank; target {target.name} has "
            f"{target.accelerators_per_node} accelerators and {target.tasks_per_node} tasks per node (device "
            f"{target.device}). Allowed: as many target.tasks_per_node as accelerators_per_node, or implementation "
            "torch"
        )


def find_program(workload: Collective) -> Program:
    """The program that measures the workload's operation, in the declared folder or on PATH.

    Raises Unsupported where there is none.
    """
    name = BINARIES[workload.operation]
    found = shutil.which(name, path=workload.nccl_tests_folder)
    if found is None:
        where = workload.nccl_tests_folder or f"PATH ({os.environ.get('PATH', '')})"
        raise Unsupported(
            f"no program {name} of nccl-tests in {where}; allowed: workload.nccl_tests_folder naming the folder of "
            "its binaries (build/), that folder on PATH, or implementation torch"
        )
    path = Path(found).resolve()
    usage = _usage(path)
    json_, iterations = "-J" in usage, "per_iter_timing" in usage
    return Program(path, OF_MPI in path.read_bytes(), "--average" in usage, json_ and iterations, json_)


def arguments(workload: Collective, program: Program, devices: int, document: Path) -> list[str]:
    """The words after the program's name; `devices`: those of one process."""
    smallest, largest = workload.size_bytes, workload.size_bytes
    steps: list[str] = []
    if workload.sizes is not None:
        smallest, largest = workload.sizes.smallest, workload.sizes.asked()[-1]
        steps = ["-f", str(workload.sizes.factor)]
    words = ["-b", str(smallest), "-e", str(largest), *steps, "-g", str(devices), "-t", "1"]
    words += ["-w", str(workload.warmup), "-n", str(workload.iterations), "-c", "1"]
    words += ["-a", "3"] if program.takes_maximum else []
    words += ["-d", SPELT[workload.dtype], "-o", "sum", "-T", str(int(workload.timeout_seconds) or 1)]
    if program.writes_json:
        words += ["-J", str(document)]
    return [*words, "-I", "1"] if program.keeps_iterations else words


def _usage(path: Path) -> str:
    """What the program says of its own options; nothing where it does not answer."""
    try:
        done = subprocess.run(
            [str(path), "-h"],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=HELP_SECONDS,
            check=False,
            env=_without_launcher(),
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", errors="replace")


def _without_launcher() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(LAUNCHERS)}


def _run_together(ctx: RankContext, workload: Collective, program: Program, several: bool) -> Ended:
    """Run the program on rank 0 alone or on every rank, until all are done or one fails."""
    document = ctx.beside("nccl-tests.json")
    if ctx.rank == 0:
        document.unlink(missing_ok=True)  # of an attempt before: nccl-tests never writes over a file
    words = [str(program.path), *arguments(workload, program, 1 if several else ctx.world_size, document)]
    environment = dict(os.environ) if several else _without_launcher()
    starts = several or ctx.rank == 0
    limit = workload.time_limit_minutes * SECONDS_PER_MINUTE * SHARE_OF_LIMIT
    return run_together(words, environment, _output(ctx), limit, starts=starts)


def _output(ctx: RankContext) -> Path:
    return ctx.beside("nccl-tests.log" if ctx.rank == 0 else f"nccl-tests.{ctx.rank}.log")


def _keep(ctx: RankContext, workload: Collective, program: Program, ended: Ended) -> None:
    """Put what the program found into the record; raise MeasurementFailed where it is no measurement."""
    output = _output(ctx)
    found = _read(ctx)
    elsewhere = ended.elsewhere
    ctx.facts["nccl_tests"] = {
        "program": str(program.path),
        "command": list(ended.words),
        "with_mpi": program.with_mpi,
        "output": output.name,
        "versions": {} if found is None else dict(found.versions),
        "over_ranks": "max",
    }
    if found is None and elsewhere:
        return  # the rank whose program failed says why
    ending = "timeout" if ended.late else "crashed"
    if found is None:
        raise MeasurementFailed(ending, f"{ended.in_words()} and printed no heading{_last_words(output)}")
    if found.ranks is not None and found.ranks != ctx.world_size:
        raise MeasurementFailed(
            "crashed",
            f"{program.path.name} ran on {found.ranks} rank(s), not {ctx.world_size}: the launcher told the "
            "processes nothing of each other. Allowed: one that speaks MPI (srun --mpi=pmix)",
        )
    bound = collective_ceiling(ctx.case.target, workload.operation, "nccl")
    got = measured(found, workload.operation, ctx.world_size, "max", bound)
    ctx.measurements += got.measurements
    ctx.measurements += _on_the_wire(got.measurements, wire(ctx.case.target, workload.operation, "nccl"))
    if elsewhere:
        return
    if found.failures:
        raise MeasurementFailed(found.failures[0].kind, found.failures[0].message)
    bad = [entry for why, entry in got.refused if why.kind != "empty"]
    if bad or found.out_of_bounds:
        words = bad[0].in_words() if bad else f"out of bounds values: {found.out_of_bounds}"
        raise MeasurementFailed("wrong_result", words)
    # with NCCL_TESTS_MIN_BW set it ends with 1 where that is not reached, though everything was measured
    done = ended.code == 0 or (ended.code == 1 and found.below_minimum)
    if not done or not found.concluded:
        raise MeasurementFailed(ending, f"{ended.in_words()} before it had measured all sizes{_last_words(output)}")
    if not got.measurements:
        raise Unsupported(f"{program.path.name} moved nothing at these sizes: they are too small for the ranks")


def _tell(ctx: RankContext, ended: Ended) -> None:
    """Raise MeasurementFailed with what a program of another rank than 0 said when it failed."""
    lines = _output(ctx).read_bytes().decode("utf-8", errors="replace").splitlines()
    said = next((failure for line in lines if (failure := failure_in(line)) is not None), None)
    if said is not None:
        raise MeasurementFailed(said.kind, said.message)
    raise MeasurementFailed("crashed", f"{ended.in_words()}{_last_words(_output(ctx))}")


def _read(ctx: RankContext) -> ProgramRun | None:
    """The run in what rank 0's program wrote: its JSON where it is whole, else its text."""
    text = _output(ctx).read_bytes().decode("utf-8", errors="replace")
    runs = read_text(text, _output(ctx).name).runs
    document = ctx.beside("nccl-tests.json")
    if document.exists():
        content = document.read_bytes().decode("utf-8", errors="replace")
        read = read_document(content, document.name)
        if read is not None and read[0].concluded:
            return read[0]
    return runs[-1] if runs else None


def _on_the_wire(found: Sequence[Measurement], carried: Wire | None) -> list[Measurement]:
    """What the bus bandwidths mean for each rank's NIC, where there are NICs between the ranks."""
    if carried is None:
        return []
    return [
        measurement(
            "collective.wire_bandwidth",
            [sample * carried.per_bus for sample in one.samples],
            dict(one.labels),
            carried.line_gbps,
            carried.basis,
        )
        for one in found
        if one.metric == "collective.bus_bandwidth"
    ]


def _last_words(output: Path) -> str:
    """The last line that the program printed, as the end of a sentence."""
    lines = output.read_bytes()[-2000:].decode("utf-8", errors="replace").split("\n")
    said = [line.strip() for line in lines if line.strip(" #\r")]
    return f"; its last words: {said[-1][:200]}" if said else "; it said nothing"

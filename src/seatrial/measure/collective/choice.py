"""Which implementation measures where the workload leaves it open: nccl-tests where every rank can, else torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from seatrial.case import Case
from seatrial.config.probe import Collective
from seatrial.errors import Unsupported
from seatrial.measure.collective.nccl_tests import usable_program
from seatrial.measure.context import RankContext

if TYPE_CHECKING:
    from torch.distributed import Store

OF_MPI_LAUNCHERS = ("PMI_", "PMIX_", "OMPI_")
"""Prefixes in the environment of a rank whose program finds the others by MPI."""
CAN = "can: "
KEY = "implementation"
NOT_LIMITED = "; most_seconds_per_size holds for torch only"


def settle_implementation(ctx: RankContext, store: Store) -> None:
    """Put what measures in the place of `auto` in the context's case, and why into the record's provenance.

    Call it on every rank before the process group is made, which depends on it: all come to the same choice.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Collective)
    if ctx.device.type != "cuda":
        used, why = "torch", "nccl-tests measures accelerators, and the ranks run on CPUs"
    elif workload.backend == "gloo":
        used, why = "torch", "backend gloo is asked for, and nccl-tests has NCCL or RCCL under it"
    else:
        used, why = _agreed(ctx, store)
    if used == "nccl_tests" and workload.most_seconds_per_size is not None:
        why += NOT_LIMITED
    ctx.case = ctx.case.model_copy(update={"workload": workload.model_copy(update={"implementation": used})})
    ctx.facts["implementation"] = {"asked": "auto", "used": used, "why": why}


def _agreed(ctx: RankContext, store: Store) -> tuple[str, str]:
    """The choice and its reason: rank 0 hears whether every rank can, and tells all."""
    store.set(f"{KEY}/{ctx.rank}", ability(ctx.case))
    if ctx.rank == 0:
        words = [store.get(f"{KEY}/{rank}").decode() for rank in range(ctx.world_size)]
        lacking = [f"rank {rank}: {said}" for rank, said in enumerate(words) if not said.startswith(CAN)]
        store.set(KEY, lacking[0] if lacking else words[0])
    said = store.get(KEY).decode()
    return ("nccl_tests", said.removeprefix(CAN)) if said.startswith(CAN) else ("torch", said)


def ability(case: Case) -> str:
    """CAN and the program where nccl-tests can measure the case from this rank, else why not."""
    workload = case.workload
    assert isinstance(workload, Collective)
    try:
        program = usable_program(case.target, workload)
    except Unsupported as problem:
        return str(problem).partition(" Allowed:")[0].partition("; allowed:")[0]
    if case.target.nodes > 1 and not any(name.startswith(OF_MPI_LAUNCHERS) for name in os.environ):
        return "no launcher left words for MPI in the environment (PMI_, PMIX_ or OMPI_): srun --mpi=pmix does"
    return f"{CAN}{program.path} is there"

"""Which piece of work a kind of workload is.

Nothing is imported before the work begins: a probe never loads transformers, and the session sets the target's
environment before torch is there.
"""

from __future__ import annotations

from collections.abc import Callable

from seatrial.config.ingested import HandedOver
from seatrial.errors import Unsupported
from seatrial.measure.context import RankContext


def _gemm(ctx: RankContext) -> None:
    from seatrial.measure.gemm import run

    run.run(ctx)


def _memory(ctx: RankContext) -> None:
    from seatrial.measure.memory import run

    run.run(ctx)


def _collective(ctx: RankContext) -> None:
    from seatrial.measure.collective import run

    run.run(ctx)


def _bisection(ctx: RankContext) -> None:
    from seatrial.measure.bisection import run

    run.run(ctx)


def _checkpoint(ctx: RankContext) -> None:
    from seatrial.measure.checkpoint import run

    run.run(ctx)


def _moe_alltoall(ctx: RankContext) -> None:
    from seatrial.measure.moe_alltoall import run

    run.run(ctx)


def _screen(ctx: RankContext) -> None:
    from seatrial.measure.screen import run

    run.run(ctx)


def _dataload(ctx: RankContext) -> None:
    from seatrial.train import dataload

    dataload.run(ctx)


def _llm_finetune(ctx: RankContext) -> None:
    from seatrial.train import llm_finetune

    llm_finetune.run(ctx)


def _diffusion(ctx: RankContext) -> None:
    from seatrial.train.diffusion import run

    run.run(ctx)


def _moe(ctx: RankContext) -> None:
    from seatrial.train.moe import run

    run.run(ctx)


def _hybrid_attention(ctx: RankContext) -> None:
    from seatrial.train.hybrid_attention import run

    run.run(ctx)


def _external(ctx: RankContext) -> None:
    from seatrial.train.external import run

    run.run(ctx)


def _handed_over(ctx: RankContext) -> None:
    workload = ctx.case.workload
    assert isinstance(workload, HandedOver)
    raise Unsupported(
        f"experiment {ctx.case.experiment} is made of logs that somebody hands over and nothing of it runs: "
        f"{workload.command} --study {ctx.case.study}"
    )


WORK: dict[str, Callable[[RankContext], None]] = {
    "gemm": _gemm,
    "memory": _memory,
    "collective": _collective,
    "bisection": _bisection,
    "moe_alltoall": _moe_alltoall,
    "checkpoint": _checkpoint,
    "dataload": _dataload,
    "screen": _screen,
    "llm_finetune": _llm_finetune,
    "diffusion": _diffusion,
    "moe": _moe,
    "hybrid_attention": _hybrid_attention,
    "external": _external,
    "mlperf_logs": _handed_over,
    "nccl_tests_logs": _handed_over,
    "fio_results": _handed_over,
    "mlperf_storage_results": _handed_over,
}
"""What runs on every rank, by `kind` of the workload's schema."""

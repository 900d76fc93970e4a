"""Which piece of work a kind of workload is. Imported on demand: a probe never loads transformers."""

from __future__ import annotations

from collections.abc import Callable

from seatrial.measure.context import RankContext


def work_of(kind: str) -> Callable[[RankContext], None]:
    """The function that runs a workload of this kind on one rank.

    Raises KeyError for a kind that the schemas do not know.
    """
    if kind == "gemm":
        from seatrial.measure import gemm

        return gemm.run
    if kind == "memory":
        from seatrial.measure import memory

        return memory.run
    if kind == "collective":
        from seatrial.measure import collective

        return collective.run
    if kind == "llm_finetune":
        from seatrial.train import llm_finetune

        return llm_finetune.run
    raise KeyError(kind)

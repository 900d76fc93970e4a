"""The closed union of all kinds of work."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from seatrial.config.ingested import FioResults, MlperfLogs, MlperfStorageResults, NcclTestsLogs
from seatrial.config.probe import Bisection, Checkpoint, Collective, Dataload, Gemm, Memory, MoeAlltoall, Screen
from seatrial.config.training import Diffusion, External, HybridAttention, LlmFinetune, Moe

AnyWorkload = Annotated[
    Gemm
    | Memory
    | Checkpoint
    | Collective
    | Bisection
    | MoeAlltoall
    | Dataload
    | Screen
    | LlmFinetune
    | Diffusion
    | Moe
    | HybridAttention
    | External
    | MlperfLogs
    | NcclTestsLogs
    | FioResults
    | MlperfStorageResults,
    Field(discriminator="kind"),
]

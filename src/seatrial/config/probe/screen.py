"""Parameters of the probe screen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import NonNegativeInt, PositiveInt, Threshold
from seatrial.config.probe.base import AcrossRanks, Dtype
from seatrial.config.probe.bisection import WORD_BYTES
from seatrial.config.probe.gemm import FP8_MULTIPLE, Gemm
from seatrial.errors import FieldMistake
from seatrial.units import MIB

SLOWER = Threshold(
    value=1.13,
    source="13 % slower than the typical member: between the slowest of 232 good nodes (7 to 9 % at 2 % spread and "
    "3 % noise, by simulation) and 20 %, the least slowness that is looked for",
)
"""What is slow where the workload does not say."""


LEAST_MEMBERS = 3
"""Of two that are slow together nobody can tell which one it is."""


class Screen(AcrossRanks):
    """Find slow nodes, devices and links by group runs: all nodes, halves, then suspects with known-good ones.

    With two hosts or more hosts are screened, on a single host its ranks. In a group run every member multiplies
    matrices, then exchanges a message with its neighbours in the group.
    """

    kind: Literal["screen"]
    warmup: NonNegativeInt = 1
    iterations: PositiveInt = 5
    """Of each group run; a member counts with the median of them."""
    size_bytes: Annotated[int, Field(ge=8, le=4096 * MIB, strict=True)] | None = None
    """One message to a neighbour, while as much comes back; None: 256 MiB on accelerators, 4 MiB on CPUs."""
    side: PositiveInt | None = None
    """Of the square matrices that every member multiplies; None: 8192 on accelerators, 512 on CPUs."""
    dtype: Dtype | None = None
    """None: bfloat16 on accelerators, float32 on CPUs."""
    products: NonNegativeInt = 10
    """Products in each iteration; 0: only the network is screened."""
    slower: Threshold = SLOWER
    """A group is slow where its slowest member, or pair of neighbours, takes so many times what is typical."""
    passes: PositiveInt = 2
    """Orders of all nodes that must be fast at the end; no two make the same nodes neighbours."""
    confirmations: Annotated[int, Field(ge=2, strict=True)] = 2
    """A node is bad that is slow with so many known-good partners, of at most 2 x confirmations - 1."""
    most_runs: PositiveInt = 300
    """Group runs at most; what is not cleared by then is not confirmed."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.size_bytes is not None and self.size_bytes % WORD_BYTES:
            raise FieldMistake(
                "a message is made of whole 32-bit words",
                field="size_bytes",
                value=self.size_bytes,
                allowed=f"a multiple of {WORD_BYTES}",
            )
        if self.slower.value <= 1:
            raise FieldMistake(
                "everything would be slow", field="slower.value", value=self.slower.value, allowed="more than 1"
            )
        if self.dtype == "fp8" and self.side is not None and self.side % FP8_MULTIPLE:
            raise FieldMistake(
                "fp8 products need sides that are multiples of 16",
                field="side",
                value=self.side,
                allowed=f"multiples of {FP8_MULTIPLE}",
            )
        return self

    def message_bytes(self, on_cpu: bool) -> int:
        """Bytes of one message."""
        return self.size_bytes or (4 if on_cpu else 256) * MIB

    def product(self, on_cpu: bool) -> Gemm:
        """The product that every member computes."""
        side = self.side or (512 if on_cpu else 8192)
        return Gemm(kind="gemm", m=side, n=side, k=side, dtype=self.dtype or ("float32" if on_cpu else "bfloat16"))

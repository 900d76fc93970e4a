"""Parameters of the probe collective."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, PositiveFloat
from seatrial.config.probe.base import ELEMENT_BYTES, AcrossRanks
from seatrial.errors import FieldMistake

Operation = Literal["all_reduce", "all_gather", "reduce_scatter", "all_to_all", "broadcast", "send_recv"]
SHARED_OUT = ("all_gather", "reduce_scatter", "all_to_all")
"""Operations whose size is the sum of equal parts, one for each rank."""
LEAST_ITERATIONS = 5
"""However slow a size is, so many of its iterations are timed (or `iterations`, where that is less)."""


class Sizes(Closed):
    """`smallest`, smallest x `factor`, ... up to `largest` bytes, one after the other in one case."""

    smallest: Annotated[int, Field(ge=4, strict=True)] = 8
    largest: Annotated[int, Field(ge=4, strict=True)]
    factor: Annotated[int, Field(ge=2, strict=True)] = 2

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.largest < self.smallest:
            raise FieldMistake(
                f"the largest size is below the smallest ({self.smallest})",
                field="largest",
                value=self.largest,
                allowed=f"bytes >= {self.smallest}",
            )
        return self

    def asked(self) -> list[int]:
        """Every size in bytes, ascending."""
        sizes = [self.smallest]
        while sizes[-1] * self.factor <= self.largest:
            sizes.append(sizes[-1] * self.factor)
        return sizes


class Collective(AcrossRanks):
    """A collective over all ranks, of one size or of many.

    Sizes count as nccl-tests does: all ranks' output together for all_gather, all ranks' input together for
    reduce_scatter, the buffer of one rank for the others. send_recv: every rank sends to the next one and
    receives from the one before, in a ring.
    """

    kind: Literal["collective"]
    implementation: Literal["auto", "torch", "nccl_tests"] = "auto"
    """What measures: torch.distributed, or the test programs of NVIDIA's nccl-tests (AMD's rccl-tests). auto: those
    on accelerators where every rank has the operation's program, else torch; the record says which and why."""
    nccl_tests_folder: str | None = None
    """Where the test programs lie; None: on PATH."""
    operation: Operation
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    size_bytes: Annotated[int, Field(ge=2, strict=True)] | None = None
    """One size; it must come out even. Exactly one of `size_bytes` and `sizes` is given."""
    sizes: Sizes | None = None
    """Many sizes; what does not come out even is rounded down as nccl-tests does, and labelled as what it is."""
    most_seconds_per_size: PositiveFloat | None = None
    """A size whose iterations would take longer gets fewer, but LEAST_ITERATIONS; its warm-up ends by then, too.
    Of torch: nccl-tests takes as many at every size, also where `auto` chooses it."""

    @model_validator(mode="after")
    def _one_or_many(self) -> Self:
        if (self.size_bytes is None) == (self.sizes is None):
            both = "both are" if self.sizes is not None else "neither is"
            raise FieldMistake(
                f"exactly one of size_bytes and sizes is needed; {both} given",
                field="size_bytes",
                value=self.size_bytes,
                allowed="bytes with sizes: null, or null with sizes: {smallest, largest, factor}",
            )
        element = ELEMENT_BYTES[self.dtype]
        if self.size_bytes is not None and self.size_bytes % element:
            raise ValueError(
                f"size_bytes ({self.size_bytes}) is not a multiple of {element}, the bytes of one {self.dtype}"
            )
        return self

    @model_validator(mode="after")
    def _a_program_chooses_nothing(self) -> Self:
        if self.implementation == "nccl_tests" and self.most_seconds_per_size is not None:
            raise FieldMistake(
                "nccl-tests takes the same number of iterations at every size",
                field="most_seconds_per_size",
                value=self.most_seconds_per_size,
                allowed="null with implementation nccl_tests",
            )
        return self

    def unit_bytes(self, ranks: int) -> int:
        """What every size is a multiple of: one element, for each rank where the size is shared out."""
        return ELEMENT_BYTES[self.dtype] * (ranks if self.operation in SHARED_OUT else 1)

    def real_sizes(self, ranks: int) -> dict[int, int]:
        """The sizes in bytes that are measured over `ranks` ranks, ascending, with what was asked for each.

        `sizes` are rounded down to whole units, but to one unit at least; what comes twice is measured once.
        Raises ValueError where `size_bytes` does not come out even.
        """
        unit = self.unit_bytes(ranks)
        if self.sizes is None:
            assert self.size_bytes is not None
            if self.size_bytes % unit:
                raise ValueError(
                    f"{self.operation} of {self.size_bytes} bytes does not divide into whole {self.dtype} elements "
                    f"for each of {ranks} ranks; allowed: multiples of {unit} bytes"
                )
            return {self.size_bytes: self.size_bytes}
        real: dict[int, int] = {}
        for asked in self.sizes.asked():
            real.setdefault(max(1, asked // unit) * unit, asked)
        return real

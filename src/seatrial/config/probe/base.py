"""What every kind of work and every probe declares."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt, Slug, TimeLimit

Dtype = Literal["float32", "tf32", "float16", "bfloat16", "fp8"]
ELEMENT_BYTES: dict[str, int] = {"float32": 4, "tf32": 4, "float16": 2, "bfloat16": 2, "fp8": 1}


class Preparation(Closed):
    """What `seatrial prepare` makes once for all cases that need it, in a folder named by its hash."""

    source: str
    name: Slug
    time_limit_minutes: TimeLimit = 30.0


class Workload(Closed):
    """What every kind of work declares."""

    version: Literal[1] = 1
    """Raised whenever what is measured changes, so that old and new records never share a case."""
    time_limit_minutes: TimeLimit = 10.0
    """A repeat may take no longer; the scheduler's limit, and the plan's upper bound."""

    def preparations(self) -> list[Preparation]:
        """What has to be prepared before it can run."""
        return []


class Probe(Workload):
    """A probe repeats one operation: untimed `warmup` iterations, then `iterations` timed ones."""

    warmup: NonNegativeInt = 5
    iterations: PositiveInt = 20


class Buffer(Probe):
    """A probe that moves buffers of `size_bytes`, whole elements of `dtype`."""

    size_bytes: Annotated[int, Field(ge=4, strict=True)]
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"

    @model_validator(mode="after")
    def _whole_elements(self) -> Self:
        element = ELEMENT_BYTES[self.dtype]
        if self.size_bytes % element:
            raise ValueError(
                f"size_bytes ({self.size_bytes}) is not a multiple of {element}, the bytes of one {self.dtype}"
            )
        return self


class AcrossRanks(Probe):
    """A probe whose ranks talk to each other."""

    backend: Literal["auto", "gloo", "nccl"] = "auto"
    """auto: nccl (RCCL on AMD) on accelerators, gloo on CPUs."""
    timeout_seconds: PositiveFloat = 120.0
    """A rank that waits longer for its peers fails instead of hanging."""

"""Parameters of the probes: gemm, memory, collective."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from seatrial.config.base import Closed, NonNegativeInt, PositiveFloat, PositiveInt

Dtype = Literal["float32", "tf32", "float16", "bfloat16"]


class Workload(Closed):
    """What every kind of work declares."""

    version: Literal[1] = 1
    """Raised whenever what is measured changes, so that old and new records never share a case."""
    time_limit_minutes: PositiveFloat = 10.0
    """A repeat may take no longer; the scheduler's limit, and the plan's upper bound."""


class Probe(Workload):
    """A probe repeats one operation: untimed `warmup` iterations, then `iterations` timed ones."""

    warmup: NonNegativeInt = 5
    iterations: PositiveInt = 20


class Gemm(Probe):
    """Matrix product C[m, n] = A[m, k] B[k, n] of normally distributed inputs."""

    kind: Literal["gemm"]
    m: PositiveInt
    n: PositiveInt
    k: PositiveInt
    dtype: Dtype = "float32"


class Memory(Probe):
    """Device-memory bandwidth: copy (a = b) or triad (a = b + s c) over arrays of `size_bytes` each."""

    kind: Literal["memory"]
    operation: Literal["copy", "triad"]
    size_bytes: PositiveInt
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


class Collective(Probe):
    """A collective over all ranks. `size_bytes` as nccl-tests counts it: the buffer per rank for all_reduce."""

    kind: Literal["collective"]
    operation: Literal["all_reduce"]
    size_bytes: Annotated[int, Field(ge=4, strict=True)]
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    backend: Literal["auto", "gloo", "nccl"] = "auto"
    """auto: nccl (RCCL on AMD) on accelerators, gloo on CPUs."""
    timeout_seconds: PositiveFloat = 120.0
    """A rank that waits longer for its peers fails instead of hanging."""

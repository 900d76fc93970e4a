"""Model and hardware FLOPs utilisation: what was computed per second over what the accelerators could at best.

MFU = F_sample x samples/s / (n x dense peak of the dtype), HFU the same with recomputation. Both are refused, in
words, where they are not defined; what was computed per second needs no peak and is stated all the same.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from seatrial.config.target import Target
from seatrial.record import Measurement, measurement
from seatrial.train.flops import FlopCount, Undefined
from seatrial.units import TERA


@dataclass(frozen=True)
class Peak:
    """Dense peak of one accelerator in TFLOP/s, and where the figure comes from."""

    tflops: float
    basis: str


@dataclass(frozen=True)
class Utilisation:
    """Fractions of the dense peak."""

    mfu: float
    hfu: float
    basis: str
    """Peak, its source, how the FLOPs were counted and the attention convention, in words."""


def dense_peak(target: Target, dtypes: str | Collection[str]) -> Peak | Undefined:
    """The peak that matrix products in `dtypes` are held against; Undefined, in words, where there is none.

    `dtypes` are the dtypes of the products: `bfloat16` under autocast, whatever dtype the weights are kept in.
    """
    names = {dtypes} if isinstance(dtypes, str) else set(dtypes)
    if len(names) != 1:
        mixed = " and ".join(sorted(names)) or "none"
        return Undefined(f"not well-defined for products in more than one dtype ({mixed}): the peaks differ")
    (dtype,) = names
    if target.device == "cpu" or target.accelerator is None:
        return Undefined(f"target {target.name} runs on CPUs, for which no peak is declared")
    accelerator = target.accelerator
    fact = next((fact for name, fact in accelerator.peak_tflops.items() if name == dtype), None)
    if fact is None or fact.value is None:
        why = "" if fact is None else f" ({fact.source})"
        return Undefined(f"no dense {dtype} peak is declared for {accelerator.name}{why}")
    return Peak(fact.value, f"dense {dtype} peak of {accelerator.name}: {fact.source}")


def devices(target: Target) -> int:
    """What a rate is divided by: the case's accelerators, or its ranks where it has none."""
    return target.accelerators if target.device != "cpu" else target.world_size


def model_tflops_per_second(flops: FlopCount, samples_per_second: float, target: Target) -> float:
    """Model FLOPs per second and accelerator (per rank on CPUs) in TFLOP/s. `samples_per_second`: of all ranks."""
    _check_rate(samples_per_second)
    return flops.model * samples_per_second / devices(target) / TERA


def utilisation(
    flops: FlopCount | Undefined | None,
    samples_per_second: float,
    target: Target,
    dtypes: str | Collection[str],
) -> Utilisation | Undefined:
    """MFU and HFU of all accelerators of `target`, or why they are not defined.

    `flops` None: a workload that states none. Raises ValueError for a rate that is not above 0.
    """
    _check_rate(samples_per_second)
    if flops is None:
        return Undefined("the workload does not state its FLOPs")
    if isinstance(flops, Undefined):
        return flops
    peak = dense_peak(target, dtypes)
    if isinstance(peak, Undefined):
        return peak
    available = devices(target) * peak.tflops * TERA
    return Utilisation(
        mfu=flops.model * samples_per_second / available,
        hfu=flops.hardware * samples_per_second / available,
        basis=f"{peak.basis}; {flops.basis}" if flops.basis else peak.basis,
    )


def utilisation_measurements(
    flops: FlopCount | Undefined | None,
    samples_per_second: Sequence[float],
    target: Target,
    dtypes: str | Collection[str],
) -> tuple[list[Measurement], str | None]:
    """`train.model_flops_per_second`, `train.mfu`, `train.hfu` as far as they are defined, and why not all are.

    One sample for each rate; a metric that is not defined has no measurement. The reason is None where all are.
    Raises ValueError for no rate or one that is not above 0.
    """
    if not samples_per_second:
        raise ValueError("no rate was measured")
    results = [utilisation(flops, rate, target, dtypes) for rate in samples_per_second]
    refused = next((r.reason for r in results if isinstance(r, Undefined)), None)
    if not isinstance(flops, FlopCount):
        return [], refused
    peak = dense_peak(target, dtypes)
    bound = (None, None) if isinstance(peak, Undefined) else (peak.tflops, peak.basis)
    rates = [model_tflops_per_second(flops, rate, target) for rate in samples_per_second]
    found = [measurement("train.model_flops_per_second", rates, None, *bound)]
    defined = [r for r in results if isinstance(r, Utilisation)]
    if defined:
        basis = defined[0].basis
        found.append(measurement("train.mfu", [r.mfu for r in defined], None, 1.0, basis))
        found.append(measurement("train.hfu", [r.hfu for r in defined], None, 1.0, basis))
    return found, refused


def _check_rate(samples_per_second: float) -> None:
    if not samples_per_second > 0:
        raise ValueError(f"samples_per_second is {samples_per_second}; allowed: a number above 0")

"""Copies between a device and its host, from and to pinned or pageable memory, and both directions at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe import Memory
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.memory.within import parts, whole_numbers

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Copies:
    """What is copied in one pass: pairs of (to, from), each on a stream of its own where there are two."""

    pairs: list[tuple[torch.Tensor, torch.Tensor]]
    streams: list[torch.cuda.Stream]
    """Empty for a single copy, which runs on the current stream."""


def check_device(device: torch.device) -> None:
    """Raise Unsupported where there is no link to measure."""
    if device.type == "cpu":
        raise Unsupported("copies between host and device need an accelerator; this target computes on its CPUs")


def copies(workload: Memory, device: torch.device, generator: torch.Generator) -> Copies:
    """Sources of random whole numbers and destinations full of NaN, on both sides as the operation needs them."""
    import torch

    pinned = workload.host_memory == "pinned"
    host, pairs = torch.device("cpu"), []
    if workload.operation != "device_to_host":
        numbers = torch.Generator(host).manual_seed(generator.initial_seed())
        source = whole_numbers(workload, host, numbers)
        source = source.pin_memory() if pinned else source
        pairs.append((torch.full_like(source, torch.nan, device=device), source))
    if workload.operation != "host_to_device":
        source = whole_numbers(workload, device, generator)
        there = torch.empty(source.shape, dtype=source.dtype, pin_memory=pinned)
        pairs.append((there.fill_(torch.nan), source))
    streams = [torch.cuda.Stream(device) for _ in pairs] if len(pairs) > 1 else []
    return Copies(pairs, streams)


def copy(on: Copies) -> None:
    """The timed operation. Copies from pinned memory are queued; from pageable memory the host waits for them."""
    import torch

    if not on.streams:
        ((to, source),) = on.pairs
        to.copy_(source, non_blocking=True)
        return
    current = torch.cuda.current_stream()
    for stream, (to, source) in zip(on.streams, on.pairs, strict=True):
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            to.copy_(source, non_blocking=True)
    for stream in on.streams:
        current.wait_stream(stream)


def check_copies(on: Copies) -> None:
    """Check every element of every destination. Raises MeasurementFailed (wrong_result)."""
    for to, source in on.pairs:
        wrong = sum(int((a.cpu() != b.cpu()).sum()) for a, b in zip(parts(to), parts(source), strict=True))
        if wrong:
            raise MeasurementFailed("wrong_result", f"copy: {wrong} of {to.numel()} values are wrong")

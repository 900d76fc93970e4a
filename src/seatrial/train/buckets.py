"""Averaging of gradients that hides behind the backward pass, for pure data parallelism.

As torch's DistributedDataParallel does it: parameters lie in buckets, in the order in which the backward pass comes
to them, and a bucket is sent as soon as all its gradients are there. What is left to wait for is timed as
communication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist

from seatrial.train.gradients import has_gradient, reduce_gradients
from seatrial.train.layout import Layout

FIRST_BYTES, BYTES = 1 << 20, 25 << 20
"""Sizes of the first bucket, sent early, and of the others (those of DistributedDataParallel)."""


@dataclass
class _Bucket:
    parameters: list[torch.nn.Parameter] = field(default_factory=list)
    size_bytes: int = 0
    missing: int = 0
    """Gradients that this backward pass has not come to yet."""
    flat: torch.Tensor | None = None
    work: dist.Work | None = None


class GradientMean:
    """Makes every gradient the mean over the ranks that see different data, as `reduce_gradients` does.

    Where ranks share parameters, layers or experts (fsdp, tp, ep) it is `reduce_gradients`: messages of several
    groups would be sent in an order that is not the same on all ranks.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], layout: Layout) -> None:
        self.layout, self._parameters = layout, parameters
        self.overlaps = layout.dp.size > 1 and layout.dp.size == layout.ranks.size
        self._buckets = _buckets(parameters) if self.overlaps else []
        self._sending = False
        self._next = 0
        for bucket in self._buckets:
            for parameter in bucket.parameters:
                parameter.register_post_accumulate_grad_hook(_Arrived(self, bucket))

    def last_backward(self) -> None:
        """The next backward pass is the last of this step: what it finishes is sent."""
        self._sending, self._next = self.overlaps, 0
        for bucket in self._buckets:
            bucket.missing = len(bucket.parameters)

    def finish(self) -> None:
        """Wait until every gradient is the mean."""
        if not self.overlaps:
            reduce_gradients(self._parameters, self.layout)
            return
        self._sending = False
        size = self.layout.dp.size
        with self.layout.phases("communication"):
            for bucket in self._buckets[self._next :]:  # what this rank's data did not use
                self._send(bucket)
            for bucket in self._buckets:
                assert bucket.flat is not None and bucket.work is not None
                bucket.work.wait()
                bucket.flat /= size
                parts = bucket.flat.split([p.numel() for p in bucket.parameters])
                for parameter, part in zip(bucket.parameters, parts, strict=True):
                    parameter.grad = part.view_as(parameter)
                bucket.flat = bucket.work = None

    def arrived(self, bucket: _Bucket) -> None:
        """One more gradient of `bucket` is there. Buckets are sent in their order, which is that of all ranks."""
        if not self._sending:
            return
        bucket.missing -= 1
        while self._next < len(self._buckets) and not self._buckets[self._next].missing:
            with self.layout.phases("communication"):
                self._send(self._buckets[self._next])
            self._next += 1

    def _send(self, bucket: _Bucket) -> None:
        gradients = [p.grad for p in bucket.parameters if has_gradient(p)]
        bucket.flat = torch.cat([g.reshape(-1) for g in gradients if g is not None])
        bucket.work = dist.all_reduce(bucket.flat, group=self.layout.dp.group, async_op=True)


class _Arrived:
    """The hook of one parameter."""

    def __init__(self, mean: GradientMean, bucket: _Bucket) -> None:
        self._mean, self._bucket = mean, bucket

    def __call__(self, parameter: torch.Tensor) -> None:
        self._mean.arrived(self._bucket)


def _buckets(parameters: Sequence[torch.nn.Parameter]) -> list[_Bucket]:
    """Parameters last to first, in buckets of one dtype; the first is small, so that it is sent early."""
    buckets: list[_Bucket] = []
    for parameter in reversed(parameters):
        limit = FIRST_BYTES if len(buckets) == 1 else BYTES
        fits = buckets and buckets[-1].size_bytes < limit
        if not fits or buckets[-1].parameters[0].dtype != parameter.dtype:
            buckets.append(_Bucket())
        buckets[-1].parameters.append(parameter)
        buckets[-1].size_bytes += parameter.numel() * parameter.element_size()
    return buckets

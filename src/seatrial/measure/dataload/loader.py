"""The pipeline itself: torch's DataLoader over samples in an endless random order, and what each worker fetched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from seatrial.config.probe.dataload import Dataload
from seatrial.measure.dataload.decoding import Tensors
from seatrial.measure.dataload.samples import Samples
from seatrial.measure.storage.counters import OwnReads


class Batch(NamedTuple):
    """One batch as it comes out of the pipeline."""

    numbers: torch.Tensor
    """[batch_size] which samples these are."""
    content: tuple[Any, ...]
    """Stacked tensors [batch_size, ...], or lists of tensors where samples differ in shape."""
    stored: int
    """Bytes of the samples as they are stored."""
    fetched: int | None
    """Of `stored`, what the kernel fetched from below the page cache while they were read; None: not counted."""


class Read(NamedTuple):
    """One sample on its way into a batch."""

    number: int
    content: Tensors
    stored: int
    fetched: int | None


class Reading(Dataset[Read]):
    """Samples by number, each with what had to be fetched for it.

    What was fetched beyond a sample (whole pages, read-ahead) counts for no other: a sample that lay in the page
    cache when it was read was timed as one from there, whoever brought it in.
    """

    def __init__(self, samples: Samples) -> None:
        self.samples = samples
        self._reads = OwnReads()

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> Read:
        stored, before = self.samples.stored_bytes(number), self._reads.so_far()
        content, after = self.samples.read(number), self._reads.so_far()
        fetched = None if before is None or after is None else min(after - before, stored)
        return Read(number, content, stored, fetched)


class EndlessOrder(Sampler[int]):
    """Numbers of samples without an end: every epoch a permutation of all, of which each rank takes its part."""

    def __init__(self, samples: int, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.samples, self.seed, self.rank, self.ranks = samples, seed, rank, ranks

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed)
        while True:
            yield from torch.randperm(self.samples, generator=generator)[self.rank :: self.ranks].tolist()


def together(reads: list[Read]) -> Batch:
    """A batch of samples; they are stacked where all have the same shapes."""
    shapes = {tuple((part.shape, part.dtype) for part in read.content) for read in reads}
    columns = zip(*(read.content for read in reads), strict=True) if len(shapes) == 1 else None
    content = (
        tuple(default_collate(list(column)) for column in columns)
        if columns is not None
        else tuple(list(read.content) for read in reads)
    )
    fetched = [read.fetched for read in reads if read.fetched is not None]
    return Batch(
        torch.tensor([read.number for read in reads]),
        content,
        sum(read.stored for read in reads),
        sum(fetched) if len(fetched) == len(reads) else None,
    )


def make_loader(workload: Dataload, samples: Samples, order: EndlessOrder, pin: bool) -> DataLoader[Any]:
    """The loader of one rank; it reads nothing before somebody iterates over it."""
    some = workload.workers > 0
    return DataLoader(
        Reading(samples),
        batch_size=workload.batch_size,
        sampler=order,
        num_workers=workload.workers,
        collate_fn=together,
        pin_memory=pin,
        timeout=workload.batch_timeout_seconds if some else 0,
        multiprocessing_context=workload.start_method if some else None,
        prefetch_factor=workload.prefetch if some else None,
    )


def sample_of(batch: Batch, place: int) -> Tensors:
    """One sample of a batch, on the CPU."""
    if batch.content and isinstance(batch.content[0], torch.Tensor):
        return tuple(column[place].cpu() for column in batch.content)
    return tuple(part.cpu() for part in batch.content[place])

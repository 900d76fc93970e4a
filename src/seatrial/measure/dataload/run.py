"""Probe dataload on one rank: batches taken as fast as they come, by nobody who trains on them.

All ranks read at the same time. A window takes as many batches as there are workers; the throughput of all ranks
is their samples over the slowest rank's time of the window, since a training step waits for every rank's batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import torch

from seatrial.config.metrics.dataload import dataload_metric
from seatrial.config.probe.dataload import Dataload, SyntheticFiles
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.dataload import evidence, synthetic
from seatrial.measure.dataload.loader import Batch, EndlessOrder, make_loader, sample_of
from seatrial.measure.dataload.samples import Samples, given_files
from seatrial.measure.room import require_room
from seatrial.measure.storage import page_cache
from seatrial.measure.storage.backing import Backing, backing_of
from seatrial.measure.timing import everyones, slowest_rank, synchronize, wait_for_all
from seatrial.record import measurement
from seatrial.units import GB

Opener = Callable[[RankContext, Any, ExitStack], Samples]
"""Opens the samples of a dataset's specification; what has to be removed afterwards goes on the stack."""


class Timed(NamedTuple):
    """What one rank saw: seconds to the first batch, seconds and stored bytes of each window, all timed batches."""

    first_batch: float
    seconds: list[float]
    stored: list[int]
    batches: list[Batch]
    seen: list[int]
    """The numbers of all samples, from the first batch on."""


def run(ctx: RankContext, openers: Mapping[str, Opener] | None = None) -> None:
    """Measure throughput, bandwidth and the time to the first batch of the workload's pipeline, under metrics that
    say where the bytes came from.

    `openers` open datasets by their `source`, beside those of this probe's own. Raises MeasurementFailed for
    files that are missing or cannot be written, and (wrong_result) for samples that are lost, doubled or changed
    on their way; Unsupported for pinned memory without an accelerator.
    """
    workload = ctx.case.workload
    assert isinstance(workload, Dataload)
    pin = _pin(ctx, workload)
    with ExitStack() as stack:
        samples = {**OPENERS, **(openers or {})}[workload.dataset.source](ctx, workload, stack)
        order = _order(ctx, workload, samples)
        first = samples.read(next(iter(order)))  # what cannot be decoded is said here, in this process
        _check_room(ctx, workload, sum(part.nbytes for part in first))
        if workload.cache == "drop":
            for path in samples.files:
                page_cache.drop(path)
        backing = backing_of(samples.files[0])
        wait_for_all(ctx)
        timed = _take(ctx, workload, samples, order, pin)
        _check(workload, samples, order, timed)
        _add(ctx, workload, timed, backing)


def _pin(ctx: RankContext, workload: Dataload) -> bool:
    if workload.pin and ctx.device.type == "cpu":
        raise Unsupported("pinned memory needs an accelerator; leave workload.pin out on a target without any")
    return ctx.device.type != "cpu" if workload.pin is None else workload.pin


def _order(ctx: RankContext, workload: Dataload, samples: Samples) -> EndlessOrder:
    """Of its own files a rank reads all; of those that everybody sees its part."""
    if isinstance(workload.dataset, SyntheticFiles):
        return EndlessOrder(len(samples), ctx.seed + ctx.rank)
    if len(samples) < ctx.world_size:
        raise MeasurementFailed(
            "crashed", f"{len(samples)} sample(s) are too few for {ctx.world_size} ranks; each needs one"
        )
    return EndlessOrder(len(samples), ctx.seed, ctx.rank, ctx.world_size)


def _check_room(ctx: RankContext, workload: Dataload, sample_bytes: int) -> None:
    held = workload.batch_size * (workload.window * workload.prefetch + 2)
    require_room(ctx, held * sample_bytes, f"{held} samples", "workload.batch_size, workers or prefetch", "host")


def _take(ctx: RankContext, workload: Dataload, samples: Samples, order: EndlessOrder, pin: bool) -> Timed:
    begin = time.perf_counter()
    batches = iter(make_loader(workload, samples, order, pin))
    first = next(batches)
    first_batch = time.perf_counter() - begin
    seen = [first.numbers]
    window = workload.window
    wait_for_all(ctx)
    # while the ranks waited, workers read ahead: what they had ready must be gone before the clock starts
    untimed = max(workload.warmup, workload.prefetch if workload.workers else 0)
    seen += [batch.numbers for batch in islice(batches, untimed * window)]
    seconds: list[float] = []
    stored: list[int] = []
    timed: list[Batch] = []
    for _ in range(workload.iterations):
        start = time.perf_counter()
        taken = [_to_device(batch, ctx.device) for batch in islice(batches, window)]
        synchronize(ctx.device)
        seconds.append(time.perf_counter() - start)
        stored.append(sum(batch.stored for batch in taken))
        timed = [
            *(batch._replace(content=()) for batch in timed),
            *taken,
        ]  # only the last batches keep their content
    seen += [batch.numbers for batch in timed]
    return Timed(first_batch, seconds, stored, timed, torch.cat(seen).tolist())


def _to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where a training step would take it."""
    if device.type == "cpu":
        return batch
    move = [
        column.to(device, non_blocking=True)
        if isinstance(column, torch.Tensor)
        else [part.to(device, non_blocking=True) for part in column]
        for column in batch.content
    ]
    return batch._replace(content=tuple(move))


def _check(workload: Dataload, samples: Samples, order: EndlessOrder, timed: Timed) -> None:
    """The samples that came are those that were asked for, in their order; the last batch's hold what they should.

    Raises MeasurementFailed (wrong_result).
    """
    asked = list(islice(order, len(timed.seen)))
    wrong = sum(one != other for one, other in zip(asked, timed.seen, strict=True))
    if wrong or len(timed.seen) % workload.batch_size:
        raise MeasurementFailed(
            "wrong_result", f"{wrong} of {len(asked)} samples are not those that were asked for"
        )
    last = timed.batches[-1]
    for place, number in enumerate(last.numbers.tolist()):
        found, direct = sample_of(last, place), samples.read(number)
        if len(found) != len(direct) or not all(map(torch.equal, found, direct)):
            raise MeasurementFailed("wrong_result", f"sample {number} was changed on its way through the pipeline")
        samples.check(number, direct)


def _add(ctx: RankContext, workload: Dataload, timed: Timed, backing: Backing) -> None:
    """Rank 0: the measurements of all ranks."""
    found = evidence.fetched_for(timed.batches)
    mine = {
        "reached": evidence.reached(backing, found),
        "words": backing.words,
        "share": None if found is None else found.fetched / found.stored,
        "seconds": timed.seconds,
        "stored": timed.stored,
        "first_batch": timed.first_batch,
    }
    slowest = slowest_rank(ctx, timed.seconds)
    ranks: list[dict[str, Any]] = everyones(ctx, mine)
    if ctx.rank != 0:
        return
    origin = evidence.least([rank["reached"] for rank in ranks])
    labels: dict[str, str | int | float | bool] = {
        "source": workload.dataset.source,
        "workers": workload.workers,
        "batch_size": workload.batch_size,
        "ranks": ctx.world_size,
        "reached": origin,
    }
    count = workload.window * workload.batch_size
    stored = [sum(sizes) for sizes in zip(*(rank["stored"] for rank in ranks), strict=True)]
    figures = {
        "throughput": [count * ctx.world_size / s for s in slowest],
        "bandwidth": [b / s / GB for b, s in zip(stored, slowest, strict=True)],
        "first_batch_time": [max(rank["first_batch"] for rank in ranks)],
    }
    for figure, values in figures.items():
        ctx.measurements.append(measurement(dataload_metric(origin, figure), values, labels))
    for number, rank in enumerate(ranks):
        own = {**labels, "rank": number}
        rates = [count / s for s in rank["seconds"]]
        ctx.measurements.append(measurement(dataload_metric(origin, "rank_throughput"), rates, own))
        if rank["share"] is not None:
            ctx.measurements.append(measurement("dataload.fetched_share", [rank["share"]], own))
    ctx.facts["dataload"] = {"places": sorted({rank["words"] for rank in ranks})}


def _synthetic(ctx: RankContext, workload: Dataload, stack: ExitStack) -> Samples:
    spec = workload.dataset
    assert isinstance(spec, SyntheticFiles)
    folder = _given_folder(ctx, spec) / f"{synthetic.PREFIX}{ctx.case.case_id}-{ctx.repeat}-{ctx.rank}"
    synthetic.remove(folder)  # of this very repeat, cut off before
    stack.callback(synthetic.remove, folder)
    return synthetic.write_samples(spec, ctx.seed * ctx.world_size + ctx.rank, folder, workload.cache == "drop")


def _given_folder(ctx: RankContext, spec: SyntheticFiles) -> Path:
    place = spec.path
    if spec.storage is not None:
        named = ctx.case.target.storage.get(spec.storage)
        place = named.path if named is not None else None
        if place is None:
            raise MeasurementFailed(
                "crashed", f"target {ctx.case.target.name} has no path for the storage {spec.storage!r}"
            )
    if place is None:
        return ctx.folder
    folder = Path(place).expanduser()
    if not folder.is_dir():
        raise MeasurementFailed(
            "crashed", f"{folder} is no folder that is there; name one in workload.dataset.path"
        )
    return folder


def _files(ctx: RankContext, workload: Dataload, stack: ExitStack) -> Samples:
    spec = workload.dataset
    assert spec.source == "files"
    return given_files(spec, workload.cache == "drop")


OPENERS: dict[str, Opener] = {"synthetic": _synthetic, "files": _files}

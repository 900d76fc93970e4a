"""Probe dataload: samples per second of the pipeline, every sample accounted for, and where its bytes came from."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ranks import case, run_ranks

from seatrial.config.metrics.dataload import FIGURES, PREFIX
from seatrial.config.probe.dataload import SyntheticFiles
from seatrial.errors import MeasurementFailed, UnreadableFile, Unsupported
from seatrial.measure.context import RankContext
from seatrial.measure.dataload import evidence, loader, run, samples, synthetic
from seatrial.measure.dataload.loader import Batch, EndlessOrder
from seatrial.measure.storage import page_cache
from seatrial.measure.storage.backing import Backing
from seatrial.record import Measurement
from seatrial.train import dataload as of_trainings

CPU = torch.device("cpu")


def dataload_case(dataset: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    made_up = {"source": "synthetic", "samples": 40, "sample_bytes": 4096}
    content = {"kind": "dataload", "dataset": dataset or made_up, "batch_size": 4, "warmup": 1, "iterations": 3}
    return {**content, **more}


def context(workload: dict[str, Any], folder: Path, **more: Any) -> RankContext:
    return RankContext(case(workload, **more), 0, 3, 0, 0, 1, CPU, folder)


def measured(ctx: RankContext) -> dict[str, Measurement]:
    """The measurements by figure, wherever this machine's bytes came from."""
    of_trainings.run(ctx)
    return {figure_of(m): m for m in ctx.measurements}


def figure_of(found: Measurement) -> str:
    """The figure's name without the place that its metric names; the place must be the label's."""
    name = found.metric.removeprefix("dataload.")
    prefix = PREFIX[found.labels["reached"]]  # type: ignore[index]
    assert name == "fetched_share" or (name.startswith(prefix) and name.removeprefix(prefix) in FIGURES)
    return name if name == "fetched_share" else name.removeprefix(prefix)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "dataset",
    [
        {"source": "synthetic", "samples": 12, "sample_bytes": 5000},
        {"source": "synthetic", "samples": 12, "sample_bytes": 5000, "samples_per_file": 5, "decode": "numpy"},
        {"source": "synthetic", "samples": 12, "image_side": 64, "decode": "jpeg"},
    ],
)
def test_samples_of_every_kind_come_through_and_leave_nothing(
    tmp_path: Path, dataset: dict[str, Any], workers: int
) -> None:
    found = measured(context(dataload_case(dataset, workers=workers), tmp_path))
    throughput = found["throughput"]
    assert len(throughput.samples) == 3 and min(throughput.samples) > 0
    assert throughput.labels["workers"] == workers and throughput.labels["source"] == "synthetic"
    assert throughput.samples == found["rank_throughput"].samples
    if "sample_bytes" in dataset:
        rates = zip(found["bandwidth"].samples, throughput.samples, strict=True)
        assert all(gbps * 1e9 == pytest.approx(rate * 5000) for gbps, rate in rates)
    assert list(tmp_path.iterdir()) == []


def test_throughput_is_samples_over_the_time_of_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each sample takes a second by a clock that only reading moves."""
    clock = [0.0]
    right = samples.FileSamples.read

    def read(self: samples.FileSamples, number: int) -> Any:
        clock[0] += 1.0
        return right(self, number)

    monkeypatch.setattr(samples.FileSamples, "read", read)
    monkeypatch.setattr(run, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    found = measured(context(dataload_case(batch_size=8), tmp_path))
    assert found["throughput"].samples == pytest.approx([1.0] * 3)
    assert found["first_batch_time"].samples == pytest.approx([8.0])


def test_what_workers_had_ready_before_the_clock_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two workers that take 20 ms for a sample make 100 a second, however long they could read ahead before."""
    import time

    right = samples.FileSamples.read

    def read(self: samples.FileSamples, number: int) -> Any:
        time.sleep(0.02)
        return right(self, number)

    monkeypatch.setattr(samples.FileSamples, "read", read)
    monkeypatch.setattr(run, "wait_for_all", lambda ctx: time.sleep(0.3))
    found = measured(context(dataload_case(workers=2, batch_size=2, warmup=0, prefetch=3, iterations=4), tmp_path))
    rates = found["throughput"].samples
    assert len(rates) / sum(1 / rate for rate in rates) < 130, "over all windows: one may catch up on another"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda batch: batch._replace(numbers=batch.numbers.flip(0)), "not those that were asked for"),
        (lambda batch: batch._replace(content=tuple(c ^ 1 for c in batch.content)), "changed on its way"),
    ],
)
def test_samples_that_are_mixed_up_or_changed_yield_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, words: str
) -> None:
    right = loader.together
    monkeypatch.setattr(loader, "together", lambda reads: spoil(right(reads)))
    ctx = context(dataload_case(), tmp_path)
    with pytest.raises(MeasurementFailed, match=words) as failed:
        of_trainings.run(ctx)
    assert failed.value.kind == "wrong_result" and ctx.measurements == []


def test_a_device_that_gives_back_other_bytes_yields_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = samples.read_part
    monkeypatch.setattr(samples, "read_part", lambda *place: b"\0" + right(*place)[1:])
    with pytest.raises(MeasurementFailed, match="is not what was written"):
        of_trainings.run(context(dataload_case(), tmp_path))
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None, max_examples=10)
@given(
    st.sampled_from(["none", "numpy", "jpeg"]), st.integers(1, 9), st.integers(256, 3000), st.integers(1, 4),
    st.integers(0, 99),
)  # fmt: skip
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, decode: str, count: int, size: int, per_file: int, seed: int
) -> None:
    sized = {"image_side": 16 + size % 90} if decode == "jpeg" else {"sample_bytes": size}
    spec = SyntheticFiles(source="synthetic", samples=count, samples_per_file=per_file, decode=decode, **sized)  # type: ignore[arg-type]
    folder = tmp_path_factory.mktemp("samples") / f"{synthetic.PREFIX}x"
    found = synthetic.write_samples(spec, seed, folder, drop=True)
    assert len(found) == count and len(found.files) == -(-count // per_file)
    for number in range(count):
        found.check(number, found.read(number))
        if decode != "jpeg":
            assert found.stored_bytes(number) == size
        if count > 1:
            with pytest.raises(MeasurementFailed, match="not what was written"):
                found.check(number, found.read((number + 1) % count))
    synthetic.remove(folder)
    assert not folder.exists()


@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 99))
def test_every_rank_goes_over_its_own_part_and_all_over_all(count: int, ranks: int, seed: int) -> None:
    from itertools import islice

    if count < ranks:
        return
    epochs = []
    for rank in range(ranks):
        part = len(range(rank, count, ranks))
        epochs.append(list(islice(EndlessOrder(count, seed, rank, ranks), 2 * part)))
    first = [number for rank, numbers in enumerate(epochs) for number in numbers[: len(range(rank, count, ranks))]]
    assert sorted(first) == list(range(count)), "an epoch is every sample once"
    again = [number for rank, numbers in enumerate(epochs) for number in numbers[len(range(rank, count, ranks)) :]]
    assert sorted(again) == list(range(count))


def test_what_was_fetched_beyond_a_sample_pays_for_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One read-ahead of 8 MiB and seven samples out of the page cache are an eighth from storage, not all of it."""
    for i in range(8):
        (tmp_path / f"{i}").write_bytes(b"x" * 1000)
    spec: Any = case(dataload_case({"source": "files", "path": str(tmp_path)})).workload
    reading = loader.Reading(samples.given_files(spec.dataset, drop=False))
    counts = iter([0, 8 * 2**20, *[8 * 2**20] * 14])
    monkeypatch.setattr(reading._reads, "so_far", lambda: next(counts))
    found = evidence.fetched_for([loader.together([reading[n] for n in range(4 * i, 4 * i + 4)]) for i in (0, 1)])
    assert found == (1000, 8000)


def test_without_a_count_nothing_is_known_of_what_was_fetched() -> None:
    counted, uncounted = (Batch(torch.tensor([0]), (), 100, fetched) for fetched in (90, None))
    assert evidence.fetched_for([counted, counted]) == (180, 200)
    assert evidence.fetched_for([counted, uncounted]) is None and evidence.fetched_for([]) is None


def test_a_worker_counts_its_own_reads_not_those_of_the_process_it_was_forked_from(tmp_path: Path) -> None:
    if loader.OwnReads().so_far() is None:
        pytest.skip("the kernel does not count what a process reads")
    file = tmp_path / "data"
    file.write_bytes(os.urandom(2**20))
    page_cache.drop(file)
    reads = loader.OwnReads()
    before = reads.so_far()
    file.read_bytes()
    assert before is not None and (reads.so_far() or 0) - before >= 2**20
    child = os.fork()
    if child == 0:
        os._exit(0 if reads.so_far() == 0 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize(
    ("kind", "file_system", "fetched", "reached"),
    [
        ("counted", "ext4", 95, "storage"),
        ("counted", "ext4", 10, "page_cache"),
        ("counted", "nfs4", 10, "unknown"),
        ("counted", "nfs4", 99, "storage"),
        ("unknown", "overlay", 10, "unknown"),
        ("memory", "tmpfs", 0, "memory_file_system"),
    ],
)
def test_where_bytes_came_from_is_what_the_counts_say(
    kind: Any, file_system: str, fetched: int, reached: str
) -> None:
    backing = Backing(kind, file_system, "somewhere")
    assert evidence.reached(backing, evidence.Fetched(fetched, 100)) == reached
    if kind != "memory":
        assert evidence.reached(backing, None) == "unknown"


def test_one_rank_that_read_its_cache_makes_all_of_it_a_reading_of_the_cache() -> None:
    assert evidence.least(["storage", "page_cache", "storage"]) == "page_cache"
    assert evidence.least(["unknown", "page_cache"]) == "unknown"


def test_files_that_stay_in_the_cache_are_told_from_files_that_do_not(tmp_path: Path) -> None:
    dataset = {"source": "synthetic", "samples": 16, "sample_bytes": 65536}
    if run.backing_of(tmp_path).kind != "counted" or loader.OwnReads().so_far() is None:
        pytest.skip("the kernel counts nothing of this folder's file system")
    kept = measured(context(dataload_case(dataset, cache="keep"), tmp_path))
    assert kept["throughput"].labels["reached"] == "page_cache"
    assert kept["fetched_share"].samples[0] < 0.1
    dropped = measured(context(dataload_case(dataset, cache="drop", workers=1), tmp_path))
    assert dropped["throughput"].labels["reached"] == "storage"
    assert dropped["fetched_share"].samples[0] == pytest.approx(1.0, abs=0.15)


def test_small_files_read_again_from_the_cache_are_none_of_storage(tmp_path: Path) -> None:
    """Pages of 4096 bytes are fetched for files of 1000: the first pass must not pay for the others."""
    if run.backing_of(tmp_path).kind != "counted" or loader.OwnReads().so_far() is None:
        pytest.skip("the kernel counts nothing of this folder's file system")
    for i in range(40):
        (tmp_path / f"{i}").write_bytes(os.urandom(1000))
        page_cache.drop(tmp_path / f"{i}")
    dataset = {"source": "files", "path": str(tmp_path)}
    ctx = context(dataload_case(dataset, cache="keep", warmup=0, iterations=29), tmp_path)
    found = measured(ctx)
    assert found["fetched_share"].samples[0] < 0.4, "three passes, of which the first fetched"
    assert found["throughput"].labels["reached"] == "page_cache"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no tmpfs here")
def test_a_memory_file_system_is_called_what_it_is() -> None:
    import tempfile

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        ctx = context(dataload_case(), Path(folder))
        found = measured(ctx)
    assert found["throughput"].labels["reached"] == "memory_file_system"
    of_storage = {"dataload.throughput", "dataload.rank_throughput", "dataload.bandwidth"}
    assert not of_storage & {m.metric for m in ctx.measurements}, "no criterion on storage may pass by them"
    assert found["bandwidth"].metric == "dataload.memory_bandwidth"


def test_files_of_somebody_else_may_differ_in_size(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "deep"
    folder.mkdir(parents=True)
    for i in range(6):
        (folder / f"{i}.bin").write_bytes(os.urandom(100 + 10 * i))
    (folder / "empty.bin").touch()
    (folder / "other.txt").write_text("not this one")
    dataset = {"source": "files", "path": str(tmp_path / "data"), "pattern": "*.bin"}
    for workers in (0, 1):
        found = measured(context(dataload_case(dataset, workers=workers), tmp_path))
        assert min(found["throughput"].samples) > 0


@pytest.mark.parametrize("decode", ["numpy", "jpeg"])
def test_files_that_cannot_be_decoded_are_named(tmp_path: Path, decode: str) -> None:
    (tmp_path / "broken").write_bytes(b"neither array nor image")
    dataset = {"source": "files", "path": str(tmp_path), "decode": decode}
    with pytest.raises(UnreadableFile, match=r"broken: no (array|image)"):
        of_trainings.run(context(dataload_case(dataset, workers=1), tmp_path))


def test_arrays_by_name_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for i in range(4):
        np.savez(tmp_path / f"{i}.npz", label=np.int64(i), image=np.full((2, 2), i, np.float32))
    spec = {"source": "files", "path": str(tmp_path), "decode": "numpy"}
    workload: Any = case(dataload_case(spec)).workload
    image, label = samples.given_files(workload.dataset, drop=False).read(2)
    assert label == 2 and image.tolist() == [[2, 2], [2, 2]]
    measured(context(dataload_case(spec, workers=1), tmp_path))


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ({"source": "files", "path": "/nowhere/at/all"}, r"/nowhere/at/all is no folder.*workload\.dataset\.path"),
        ({"source": "synthetic", "path": "/nowhere", "samples": 4, "sample_bytes": 256}, "/nowhere is no folder"),
        ({"source": "synthetic", "path": "/proc", "samples": 4, "sample_bytes": 256}, "/proc cannot be written"),
        (
            {"source": "synthetic", "samples": 2**30, "sample_bytes": 2**30},
            r"too full: each rank writes .* GB are free",
        ),
        (
            {"source": "synthetic", "storage": "scratch", "samples": 4, "sample_bytes": 256},
            "no path for the storage",
        ),
    ],
)
def test_places_that_cannot_be_used_are_named(tmp_path: Path, dataset: dict[str, Any], words: str) -> None:
    with pytest.raises(MeasurementFailed, match=words):
        of_trainings.run(context(dataload_case(dataset), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_and_too_few_samples_are_said(tmp_path: Path) -> None:
    spec = {"source": "files", "path": str(tmp_path)}
    with pytest.raises(MeasurementFailed, match="holds no file that is not empty"):
        of_trainings.run(context(dataload_case(spec), tmp_path))
    (tmp_path / "one").write_bytes(b"1")
    ctx = RankContext(case(dataload_case(spec), 2), 0, 3, 0, 0, 2, CPU, tmp_path)
    with pytest.raises(MeasurementFailed, match="too few for 2 ranks"):
        of_trainings.run(ctx)


def test_a_file_that_became_shorter_is_named(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"12345")
    place = samples.Place(0, 0, 9)
    with pytest.raises(UnreadableFile, match="ends 4 bytes before"):
        samples.FileSamples([tmp_path / "short"], [place], "none", drop=False).read(0)


def test_pinned_memory_needs_an_accelerator(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="pinned memory needs an accelerator"):
        of_trainings.run(context(dataload_case(pin=True), tmp_path))


def test_batches_that_do_not_fit_are_refused_before_they_are_read(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="batch_size, workers or prefetch") as failed:
        of_trainings.run(context(dataload_case(batch_size=2**40), tmp_path))
    assert failed.value.kind == "out_of_memory"


def test_a_worker_that_hangs_ends_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    right = samples.FileSamples.read
    me = os.getpid()

    def read(self: samples.FileSamples, number: int) -> Any:
        if os.getpid() != me:
            time.sleep(60)
        return right(self, number)

    monkeypatch.setattr(samples.FileSamples, "read", read)
    with pytest.raises(RuntimeError, match="timed out"):
        of_trainings.run(context(dataload_case(workers=1, batch_timeout_seconds=1.0), tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_ranks_read_at_once_and_the_slowest_decides(tmp_path: Path) -> None:
    ended = run_ranks(case(dataload_case(workers=1), 2), "second_rank_reads_slowly", tmp_path)
    assert ended.record is not None and ended.record.outcome == "completed", ended.errors
    found: dict[str, list[Measurement]] = {}
    for m in ended.record.measurements:
        found.setdefault(figure_of(m), []).append(m)
    (whole,) = found["throughput"]
    each = [m.samples for m in sorted(found["rank_throughput"], key=lambda m: m.labels["rank"])]
    assert whole.samples == pytest.approx([2 * min(pair) for pair in zip(*each, strict=True)])
    assert max(whole.samples) < 220, "the slow rank reads 100 samples a second at most"
    assert whole.labels["ranks"] == 2
    assert ended.record.provenance["dataload"]["places"]
    assert [p.name for p in (tmp_path / "records").iterdir()] == ["0.json"]


@pytest.mark.parametrize(
    ("dataset", "more", "words"),
    [
        ({"source": "synthetic", "samples": 4}, {}, "need a size"),
        ({"source": "synthetic", "samples": 4, "sample_bytes": 512, "decode": "jpeg"}, {}, "need a size"),
        ({"source": "synthetic", "samples": 4, "sample_bytes": 512, "image_side": 8}, {}, "another size"),
        ({"source": "synthetic", "samples": 4, "sample_bytes": 512, "path": "a", "storage": "b"}, {}, "two places"),
        (None, {"needed_samples_per_second": 3.0, "needed_by": "train"}, "stated twice"),
        (None, {"workers": -1}, "greater than or equal to 0"),
    ],
)
def test_pipelines_that_cannot_be_are_refused(
    dataset: dict[str, Any] | None, more: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        case(dataload_case(dataset, **more))

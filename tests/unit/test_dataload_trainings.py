"""Probe dataload over what our own trainings read: the same samples, read the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusion_cases import as_npy, sample, write_latents
from ranks import case
from safetensors.numpy import save_file
from test_dataload import context, dataload_case, measured

from seatrial.errors import UnreadableFile
from seatrial.measure.storage import page_cache
from seatrial.measure.storage.backing import backing_of
from seatrial.measure.storage.counters import OwnReads
from seatrial.paths import PREPARED_SUMMARY
from seatrial.train import dataload
from seatrial.train.sequences import EVALUATION_FILE, TRAIN_FILE

LENGTH, COUNT = 32, 20


def sequences(folder: Path, apart: bool) -> dict[str, Any]:
    """A prepared folder of COUNT sequences, and the dataset that names it."""
    tokens = np.arange(COUNT * LENGTH + 1, dtype=np.int32)
    content = {"tokens": tokens}
    if apart:
        content = {"inputs": tokens[:-1].reshape(COUNT, LENGTH), "targets": tokens[1:].reshape(COUNT, LENGTH)}
    for file in (TRAIN_FILE, EVALUATION_FILE):
        save_file({name: np.ascontiguousarray(part) for name, part in content.items()}, folder / file)
    (folder / PREPARED_SUMMARY).write_text(json.dumps({}))
    return {"source": "sequences", "path": str(folder), "sequence_length": LENGTH}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("workers", [0, 1])
def test_sequences_come_as_the_training_takes_them(tmp_path: Path, apart: bool, workers: int) -> None:
    dataset = sequences(tmp_path, apart)
    ctx = context(dataload_case(dataset, workers=workers), tmp_path)
    found = measured(ctx)
    rates = zip(found["bandwidth"].samples, found["throughput"].samples, strict=True)
    stored = 4 * LENGTH * (2 if apart else 1)
    assert all(gbps * 1e9 == pytest.approx(rate * stored) for gbps, rate in rates)
    workload: Any = ctx.case.workload
    inputs, targets = dataload._sequences(ctx, workload, None).read(3)  # type: ignore[arg-type]
    assert inputs.dtype == torch.int64 and inputs.tolist() == list(range(3 * LENGTH, 4 * LENGTH))
    assert targets.tolist() == [n + 1 for n in inputs.tolist()]


def test_a_folder_that_was_not_prepared_is_named(tmp_path: Path) -> None:
    dataset = {"source": "sequences", "path": str(tmp_path), "sequence_length": LENGTH}
    with pytest.raises(UnreadableFile, match="not a prepared dataset"):
        measured(context(dataload_case(dataset), tmp_path))


def test_latents_come_with_their_captions(tmp_path: Path) -> None:
    folder = write_latents(tmp_path / "latents", [sample(number) for number in range(12)])
    dataset = {"source": "latents", "path": str(folder)}
    for workers in (0, 1):
        found = measured(context(dataload_case(dataset, workers=workers), tmp_path))
        assert min(found["throughput"].samples) > 0
    workload: Any = case(dataload_case(dataset)).workload
    samples = dataload._latents(None, workload, None)  # type: ignore[arg-type]
    parts = samples.read(5)
    assert len(samples) == 12 and len(parts) == 4
    assert samples.stored_bytes(5) == sum(2 * part.numel() for part in parts)


@pytest.mark.parametrize("source", ["sequences", "latents"])
@pytest.mark.parametrize("workers", [0, 1])
def test_mapped_samples_leave_the_page_cache_once_they_are_read(tmp_path: Path, source: str, workers: int) -> None:
    """Every read of three passes over a small file is fetched again with drop; with keep hardly any."""
    if backing_of(tmp_path).kind != "counted" or OwnReads().so_far() is None:
        pytest.skip("the kernel counts nothing of this folder's file system")
    if source == "sequences":
        dataset = sequences(tmp_path, apart=False)
    else:
        rows = [{**sample(n), "t5_encodings": as_npy(torch.rand(64, 256))} for n in range(COUNT)]
        dataset = {"source": source, "path": str(write_latents(tmp_path / "latents", rows))}
    for file in tmp_path.rglob("*"):
        if file.is_file():
            page_cache.drop(file)
    for cache, reached in (("drop", "storage"), ("keep", "page_cache")):
        found = measured(context(dataload_case(dataset, workers=workers, cache=cache, iterations=12), tmp_path))
        share = found["fetched_share"].samples[0]
        assert found["throughput"].labels["reached"] == reached, share
        assert share > 0.95 if cache == "drop" else share < 0.3


def test_nothing_but_the_file_is_forgotten(tmp_path: Path) -> None:
    """Advice on memory that is no file's would empty it."""
    file = tmp_path / "data"
    file.write_bytes(b"x" * 8192)
    own = torch.arange(100_000)
    with page_cache.MappedFile(file).uncached([(own.data_ptr(), own.nbytes)]):
        pass
    assert torch.equal(own, torch.arange(100_000))

"""Probe dataload over what our own trainings read: the same samples, read the same way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusion_cases import sample, write_latents
from ranks import case
from safetensors.numpy import save_file
from test_dataload import context, dataload_case, measured

from seatrial.errors import UnreadableFile
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

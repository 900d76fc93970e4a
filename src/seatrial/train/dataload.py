"""Probe dataload over what our own trainings read: sequences of tokens, and latents with encoded captions.

The probe itself lies in `measure`, which knows nothing of trainings; their readers lie here. Each sample is read
as the training reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from seatrial.config.probe.dataload import Dataload, PreparedLatents, PreparedSequences
from seatrial.measure.context import RankContext
from seatrial.measure.dataload import run as probe
from seatrial.measure.dataload.decoding import Tensors
from seatrial.measure.storage.page_cache import MappedFile
from seatrial.train.diffusion.latents import LatentFolder
from seatrial.train.sequences import TRAIN_FILE, Sequences, prepared


def run(ctx: RankContext) -> None:
    """Measure the workload's pipeline. Raises as the probe does, and UnreadableFile for data that are none."""
    probe.run(ctx, {"sequences": _sequences, "latents": _latents})


@dataclass(frozen=True)
class SequenceSamples:
    """The training sequences of a prepared folder."""

    files: Sequence[Path]
    sequences: Sequences
    mapped: MappedFile | None
    """Where the pages of a sequence leave the page cache once it is read."""

    def __len__(self) -> int:
        return len(self.sequences)

    def read(self, number: int) -> Tensors:
        """Inputs and targets, int64 [sequence_length]."""
        rows = self.sequences.inputs[number], self.sequences.targets[number]
        with (
            nullcontext()
            if self.mapped is None
            else self.mapped.uncached([(row.data_ptr(), row.nbytes) for row in rows])
        ):
            inputs, targets = self.sequences.at(torch.tensor([number]), torch.device("cpu"))
        return inputs[0], targets[0]

    def stored_bytes(self, number: int) -> int:
        """Of tokens those of the sequence; of inputs and targets that lie apart both."""
        inputs, targets = self.sequences.inputs, self.sequences.targets
        apart = inputs.untyped_storage().data_ptr() != targets.untyped_storage().data_ptr()
        return inputs[number].nbytes * (2 if apart else 1)

    def check(self, number: int, found: Tensors) -> None:
        """A sequence that is not predicted token by token is as good as any."""


@dataclass(frozen=True)
class LatentSamples:
    """The samples of a folder of preprocessed latents; workers open it for themselves."""

    files: Sequence[Path]
    folder: LatentFolder
    sample_bytes: int
    """Of the four arrays of one sample, without their headers."""
    mapped: Mapping[Path, MappedFile]
    """Files of which the pages of a sample leave the page cache once it is read."""

    def __len__(self) -> int:
        return len(self.folder)

    def read(self, number: int) -> Tensors:
        """Mean, logarithm of the variance, T5's and CLIP's encodings, bfloat16."""
        file, places = self.folder.places(number) if self.mapped else (None, [])
        with nullcontext() if file is None else self.mapped[file].uncached(places):
            found = self.folder.read([number])
        return found.mean[0], found.logvar[0], found.t5[0], found.clip[0]

    def stored_bytes(self, number: int) -> int:
        return self.sample_bytes

    def check(self, number: int, found: Tensors) -> None:
        """Nothing is known of what somebody else wrote."""


def _sequences(ctx: RankContext, workload: Dataload, stack: ExitStack) -> SequenceSamples:
    spec = workload.dataset
    assert isinstance(spec, PreparedSequences)
    folder = Path(spec.path).expanduser()
    train, _, _ = prepared(folder, spec.sequence_length)
    file = folder / TRAIN_FILE
    return SequenceSamples([file], train, MappedFile(file) if workload.cache == "drop" else None)


def _latents(ctx: RankContext, workload: Dataload, stack: ExitStack) -> LatentSamples:
    spec = workload.dataset
    assert isinstance(spec, PreparedLatents)
    folder = LatentFolder(Path(spec.path).expanduser())
    first = folder.read([0])
    size = sum(part.nbytes for part in (first.mean, first.logvar, first.t5, first.clip))
    mapped = {file: MappedFile(file) for file in folder.files} if workload.cache == "drop" else {}
    for file in mapped.values():
        file.drop_all()
    return LatentSamples(folder.files, folder, size, mapped)

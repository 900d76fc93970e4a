"""Samples made up from a seed and their number, written to files and removed again: what is read can be checked.

Random bytes can be neither compressed nor found twice. Images are smooth with a little noise, since a decoder's
work depends on them: about what photographs of the same size take.
"""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seatrial.config.probe.dataload import SyntheticFiles
from seatrial.errors import MeasurementFailed
from seatrial.measure.dataload.decoding import Tensors, pillow
from seatrial.measure.dataload.samples import FileSamples, Place
from seatrial.units import GB, format_figure

PREFIX = "seatrial-dataload-"
PATCH, NOISE, QUALITY = 16, 6.0, 90
"""An image: pixels of a patch that blends into its neighbours, noise of so many of 256 levels, JPEG quality."""
JPEG_TOLERANCE = 12.0
"""Mean difference of a decoded image from what was encoded, in grey levels; two different images differ by 60."""
ROOM = 1.1
"""Free space that is asked for, of what is written."""


@dataclass(frozen=True)
class SyntheticSamples(FileSamples):
    """Samples of which it is known what they hold."""

    spec: SyntheticFiles
    seed: int

    def check(self, number: int, found: Tensors) -> None:
        expected = array_of(self.spec, self.seed, number)
        (tensor,) = found
        got = tensor.numpy()
        if self.spec.decode == "jpeg":
            right = got.shape == expected.shape and _difference(got, expected) <= JPEG_TOLERANCE
        else:
            right = np.array_equal(got, expected)
        if not right:
            raise MeasurementFailed("wrong_result", f"sample {number} is not what was written to {self.files[0]}")


def array_of(spec: SyntheticFiles, seed: int, number: int) -> np.ndarray:
    """What sample `number` holds once it is decoded: uint8 [n], or pixels [side, side, 3]."""
    drawn = np.random.Generator(np.random.Philox(key=[seed, number]))
    if spec.decode == "jpeg":
        assert spec.image_side is not None
        return _image(drawn, spec.image_side)
    assert spec.sample_bytes is not None
    header = len(encoded(spec, np.zeros(0, np.uint8))) if spec.decode == "numpy" else 0
    return drawn.integers(0, 256, spec.sample_bytes - header, dtype=np.uint8)


def encoded(spec: SyntheticFiles, array: np.ndarray) -> bytes:
    """The bytes of a sample as they are stored."""
    if spec.decode == "none":
        return array.tobytes()
    written = io.BytesIO()
    if spec.decode == "numpy":
        np.save(written, array, allow_pickle=False)
    else:
        pillow().fromarray(array).save(written, "JPEG", quality=QUALITY)
    return written.getvalue()


def write_samples(spec: SyntheticFiles, seed: int, folder: Path, drop: bool) -> SyntheticSamples:
    """Write all samples into `folder`, out to the device.

    Raises MeasurementFailed where the folder cannot be written or has no room, Unsupported without Pillow.
    """
    try:
        folder.mkdir(parents=True, exist_ok=False)
        _check_room(spec, seed, folder)
        files, places = _write(spec, seed, folder)
    except OSError as problem:
        raise MeasurementFailed("crashed", f"{folder.parent} cannot be written: {problem.strerror}") from problem
    return SyntheticSamples(files, places, spec.decode, drop, spec, seed)


def remove(folder: Path) -> None:
    """Remove a folder of samples with all it holds."""
    if folder.name.startswith(PREFIX):
        shutil.rmtree(folder, ignore_errors=True)


def _check_room(spec: SyntheticFiles, seed: int, folder: Path) -> None:
    needed = spec.samples * (spec.sample_bytes or len(encoded(spec, array_of(spec, seed, 0)))) * ROOM
    free = shutil.disk_usage(folder).free
    if needed > free:
        wanted, there = format_figure(needed / GB), format_figure(free / GB)
        raise MeasurementFailed(
            "crashed",
            f"{folder.parent} is too full: each rank writes {wanted} GB and {there} GB are free; "
            "lower workload.dataset.samples or their size",
        )


def _write(spec: SyntheticFiles, seed: int, folder: Path) -> tuple[Sequence[Path], Sequence[Place]]:
    files: list[Path] = []
    places: list[Place] = []
    for first in range(0, spec.samples, spec.samples_per_file):
        path, offset = folder / f"{len(files):08d}", 0
        with path.open("wb") as out:
            for number in range(first, min(first + spec.samples_per_file, spec.samples)):
                content = encoded(spec, array_of(spec, seed, number))
                out.write(content)
                places.append(Place(len(files), offset, len(content)))
                offset += len(content)
            out.flush()
            os.fsync(out.fileno())
        files.append(path)
    return files, places


def _image(drawn: np.random.Generator, side: int) -> np.ndarray:
    """Random patches, blended into each other, and noise."""
    count = -(-side // PATCH) + 1
    patches = drawn.integers(0, 256, (count, count, 3)).astype(np.float32)
    at = np.arange(side, dtype=np.float32) / PATCH
    low, part = at.astype(int), at % 1
    rows = patches[low] * (1 - part)[:, None, None] + patches[low + 1] * part[:, None, None]
    smooth = rows[:, low] * (1 - part)[None, :, None] + rows[:, low + 1] * part[None, :, None]
    noisy = smooth + NOISE * drawn.standard_normal(smooth.shape, dtype=np.float32)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float32) - other).mean())

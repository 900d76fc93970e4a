"""Preprocessed latents and captions, as MLPerf's flux1 reference leaves them: folders of Arrow files."""

from __future__ import annotations

import bisect
import hashlib
import io
import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from seatrial.errors import UnreadableFile

COLUMNS = ("mean", "logvar", "t5_encodings", "clip_encodings")
TIMESTEP = "timestep"
LISTING = "state.json"
"""Where `datasets` says which files a saved data set has, in their order."""


class Latents(NamedTuple):
    """Samples of a batch, bfloat16 on the CPU."""

    mean: torch.Tensor
    """[n, channels, height, width] of the autoencoder's latents, like `logvar`."""
    logvar: torch.Tensor
    t5: torch.Tensor
    """[n, tokens, joint_attention_dim]"""
    clip: torch.Tensor
    """[n, pooled_projection_dim]"""
    timestep: torch.Tensor | None
    """int64 [n], where the file states one."""


class LatentFolder:
    """The samples of a folder, read where they lie (memory-mapped): opening costs nothing, whatever their size."""

    def __init__(self, folder: Path) -> None:
        """Raises UnreadableFile where the folder holds no such files or a file lacks a column."""
        self.folder, self.files = folder, _files(folder)
        self._batches: list[Any] = []
        self._file_of: list[Path] = []
        for file in self.files:
            batches = _batches(file)
            self._batches += batches
            self._file_of += [file] * len(batches)
        self._ends: list[int] = []
        for batch in self._batches:
            self._ends.append((self._ends[-1] if self._ends else 0) + batch.num_rows)
        if not len(self):
            raise UnreadableFile(folder, "its Arrow files hold no samples")
        self._timed = all(TIMESTEP in batch.schema.names for batch in self._batches)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def read(self, numbers: list[int]) -> Latents:
        """The samples with these numbers. Raises UnreadableFile for arrays that are none or differ in shape."""
        rows = [self._row(number) for number in numbers]
        columns = []
        for name in COLUMNS:
            arrays = [self._array(batch, row, name) for batch, row in rows]
            if len({array.shape for array in arrays}) > 1:
                raise UnreadableFile(self.folder, f"samples differ in the shape of {name}")
            columns.append(torch.stack(arrays))
        times = [batch.column(TIMESTEP)[row].as_py() for batch, row in rows] if self._timed else None
        mean, logvar, t5, clip = columns
        return Latents(mean, logvar, t5, clip, None if times is None else torch.tensor(times, dtype=torch.int64))

    def places(self, number: int) -> tuple[Path, list[tuple[int, int]]]:
        """The file of a sample, and of each of its arrays the address in this process's memory and the bytes."""
        index = bisect.bisect_right(self._ends, number)
        batch, row = self._row(number)
        return self._file_of[index], [_place(batch.column(name), row) for name in COLUMNS]

    def facts(self) -> dict[str, object]:
        """What it is, for record and log: the data themselves are too large to be hashed."""
        listing = "".join(f"{file.name} {file.stat().st_size}\n" for file in self.files)
        return {
            "origin": f"{self.folder} (hash of the names and sizes of its {len(self.files)} files)",
            "sha256": hashlib.sha256(listing.encode()).hexdigest(),
            "samples": len(self),
        }

    def _row(self, number: int) -> tuple[Any, int]:
        index = bisect.bisect_right(self._ends, number)
        before = self._ends[index - 1] if index else 0
        return self._batches[index], number - before

    def _array(self, batch: Any, row: int, name: str) -> torch.Tensor:
        try:
            words = np.load(io.BytesIO(batch.column(name)[row].as_py()), allow_pickle=False)
        except (ValueError, EOFError, TypeError) as problem:
            raise UnreadableFile(self.folder, f"{name} of a sample is no .npy array: {problem}") from problem
        return as_bfloat16(words, self.folder, name)


def _place(column: Any, row: int) -> tuple[int, int]:
    """Address and bytes of an entry of a column of binary values (Arrow's layout: where each begins, then all)."""
    import pyarrow as pa

    _, begins, values = column.buffers()
    ends = np.frombuffer(begins, np.int64 if pa.types.is_large_binary(column.type) else np.int32)
    first, end = ends[column.offset + row : column.offset + row + 2].tolist()
    return values.address + first, end - first


def as_bfloat16(words: np.ndarray, source: Path, name: str) -> torch.Tensor:
    """bfloat16 kept as uint16; floating-point numbers are rounded to it. Raises UnreadableFile for other types."""
    if words.dtype == np.uint16:
        return torch.from_numpy(words).view(torch.bfloat16)
    if words.dtype in (np.float16, np.float32, np.float64):
        return torch.from_numpy(words).to(torch.bfloat16)
    raise UnreadableFile(source, f"{name} is {words.dtype}, not bfloat16 as uint16 or floating point")


def no_caption(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The encodings of no caption, T5 [tokens, dim] and CLIP [dim], from t5_empty.npy and clip_empty.npy."""
    both = []
    for name in ("t5_empty", "clip_empty"):
        file = folder / f"{name}.npy"
        try:
            both.append(as_bfloat16(np.load(file, allow_pickle=False), file, name)[0])
        except (OSError, ValueError, EOFError) as problem:
            raise UnreadableFile(file, str(problem)) from problem
    return both[0], both[1]


def _files(folder: Path) -> list[Path]:
    listing = folder / LISTING
    try:
        if listing.exists():
            stated = json.loads(listing.read_text(encoding="utf-8"))["_data_files"]
            return [folder / entry["filename"] for entry in stated]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise UnreadableFile(listing, f"it does not list the data's files: {problem!r}") from problem
    files = sorted(folder.glob("*.arrow"))
    if not files:
        raise UnreadableFile(folder, "no Arrow files (*.arrow, as `datasets` saves them) are there")
    return files


def _batches(file: Path) -> list[Any]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as stream:
            batches = stream.read_all().to_batches()
            names = stream.schema.names
    except (OSError, pa.ArrowInvalid) as problem:
        raise UnreadableFile(file, f"no Arrow stream: {problem}") from problem
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableFile(file, f"columns {', '.join(missing)} are missing; there are {', '.join(names)}")
    return list(batches)

"""Sequences to learn and to evaluate on: tokens, and what is to be predicted after each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from seatrial.errors import UnreadableFile
from seatrial.paths import PREPARED_SUMMARY
from seatrial.train.packing import windows

TRAIN_FILE, EVALUATION_FILE = "train.safetensors", "evaluation.safetensors"
"""Of a prepared dataset. They hold int32 `tokens` [n L + 1], or `inputs` and `targets` [n, L] each."""


@dataclass(frozen=True)
class Sequences:
    """`inputs` and `targets` [n, L], whole numbers of any size; targets of -100 are not predicted."""

    inputs: torch.Tensor
    targets: torch.Tensor

    @classmethod
    def of_windows(cls, windows: torch.Tensor) -> Sequences:
        """Windows [n, L + 1], every token but the first to be predicted."""
        return cls(windows[:, :-1], windows[:, 1:])

    def __len__(self) -> int:
        return len(self.inputs)

    def at(self, positions: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and targets [len(positions), L] of int64 on `device`."""
        inputs, targets = self.inputs[positions], self.targets[positions]
        return inputs.to(device, torch.int64), targets.to(device, torch.int64)


def prepared(folder: Path, length: int) -> tuple[Sequences, Sequences, dict[str, Any]]:
    """A prepared dataset's sequences to train and to evaluate on, mapped into memory, and its summary.

    Raises UnreadableFile where the folder is not what `seatrial prepare` leaves.
    """
    from safetensors import SafetensorError, safe_open

    found = []
    for name in (TRAIN_FILE, EVALUATION_FILE):
        path = folder / name
        try:
            with safe_open(path, "pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as problem:
            raise UnreadableFile(path, f"not a prepared dataset: {problem}") from problem
        if "tokens" in tensors:
            found.append(Sequences.of_windows(windows(tensors["tokens"], length)))
        else:
            found.append(Sequences(tensors["inputs"], tensors["targets"]))
    summary = json.loads((folder / PREPARED_SUMMARY).read_text(encoding="utf-8"))
    return found[0], found[1], summary

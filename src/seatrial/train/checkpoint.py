"""Checkpoints of one training: all that is needed to go on as if nothing had happened."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any, Protocol

import torch

from seatrial.errors import UnreadableFile
from seatrial.mllog import TrainingLog
from seatrial.paths import written_aside
from seatrial.train.history import History
from seatrial.train.ranks import Ranks


class Stateful(Protocol):
    """A task whose training state can be saved; the same on every rank."""

    def state(self) -> dict[str, Any]:
        """Trained parameters and optimiser state."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        ...


class Checkpoint:
    """The one checkpoint file of a repeat, written by rank 0 and read by all ranks (on a shared file system).

    It is replaced as a whole, so that there is always a complete one, and it names the run that it belongs to.
    """

    def __init__(self, path: Path, run: dict[str, Any], task: Stateful, ranks: Ranks) -> None:
        self.path, self.run, self.task, self.ranks = path, run, task, ranks
        self.log: TrainingLog | None = None
        """The log whose length goes into the checkpoint; set on rank 0 once it is open."""
        self.resumed = 0
        """How often this run was taken up from a checkpoint."""
        self.log_length = 0

    def save(self, history: History) -> None:
        """Write parameters, optimiser, random states of all ranks, and the history with its clock."""
        random_states = self.ranks.gathered(_random_state())
        if self.ranks.first:
            content = {
                "run": self.run,
                "resumed": self.resumed,
                "task": self.task.state(),
                "history": history.state(),
                "random_states": random_states,
                "log_length": self.log.length if self.log is not None else 0,
            }
            with written_aside(self.path) as aside:
                torch.save(content, aside)
        self.ranks.barrier()

    def restore(self, history: History) -> bool:
        """Take the run up from its checkpoint, if there is one; whether there was.

        Raises UnreadableFile where the file is damaged or of another run.
        """
        # Rank 0 looks and the others follow, so that all do the same while a file system catches up.
        if not self.ranks.agree(float(self.path.exists())):
            return False
        if not zipfile.is_zipfile(self.path):
            raise UnreadableFile(self.path, "not a checkpoint; delete it to start afresh")
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError) as problem:
            raise UnreadableFile(self.path, f"not a checkpoint ({problem}); delete it to start afresh") from problem
        if content["run"] != self.run:
            raise UnreadableFile(
                self.path, f"it belongs to {content['run']}, not to {self.run}; delete it to start afresh"
            )
        self.task.restore(content["task"])
        history.restore(content["history"])
        _set_random_state(content["random_states"][self.ranks.rank])
        self.resumed = content["resumed"] + 1
        self.log_length = content["log_length"]
        return True

    def delete(self) -> None:
        """Remove the file; the run has ended and will not be taken up."""
        if self.ranks.first:
            self.path.unlink(missing_ok=True)


def _random_state() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states


def _set_random_state(states: dict[str, torch.Tensor]) -> None:
    torch.set_rng_state(states["cpu"])
    if "cuda" in states:
        torch.cuda.set_rng_state(states["cuda"])

"""Checkpoints of one training: all that is needed to go on as if nothing had happened.

`<repeat>.checkpoint/step-N/` holds what torch.distributed.checkpoint writes, every rank its own shards, and
`history.pt`, which rank 0 writes last: a folder without it is half written and is never read.
"""

from __future__ import annotations

import pickle
import shutil
import zipfile
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp

from seatrial.errors import UnreadableFile
from seatrial.mllog import TrainingLog
from seatrial.paths import written_aside
from seatrial.train.history import History
from seatrial.train.learner import Learner

COMPLETE = "history.pt"
ADVICE = "delete it to start afresh"


class Checkpoints:
    """The checkpoints of a repeat, on a file system that all ranks see; the last complete one is kept.

    Asynchronous ones are staged while the training stands still and written while it goes on, over a process group
    of their own: on the training's own group their messages and the training's would wait for each other.
    """

    def __init__(
        self, folder: Path, run: dict[str, Any], learner: Learner, mode: Literal["synchronous", "asynchronous"]
    ) -> None:
        self.folder, self.run, self.learner = folder, run, learner
        self.ranks = learner.layout.ranks
        self.log: TrainingLog | None = None
        """The log whose length goes into the checkpoint; set on rank 0 once it is open."""
        self.resumed = 0
        """How often this run was taken up from a checkpoint."""
        self.log_length = 0
        self.extra: dict[str, Any] = {}
        """What else rank 0 wants to find again, as plain values."""
        self._asynchronous = mode == "asynchronous"
        alone = self.ranks.size == 1
        self._group = None if alone or not self._asynchronous else dist.new_group(backend="gloo")
        self._flying: tuple[Future[Any], Path, dict[str, Any]] | None = None

    def save(self, history: History) -> None:
        """Save parameters, optimiser, random states of all ranks, and the history with its clock.

        Returns once the state may change again. Raises what the write before this one met.
        """
        self.finish()
        place = self.folder / f"step-{history.step}"
        content = self._content(history)
        state = self._state()
        alone = self.ranks.size == 1
        if self.ranks.first:
            # What an earlier attempt left half written must not be mixed with this one.
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        self.ranks.barrier()
        if self._asynchronous:
            future = dcp.async_save(state, checkpoint_id=place, process_group=self._group, no_dist=alone)
            assert isinstance(future, Future)
            self._flying = future, place, content
        else:
            dcp.save(state, checkpoint_id=place, no_dist=alone)
            self._complete(place, content)

    def finish(self) -> None:
        """Wait for the checkpoint that is being written, if any."""
        if self._flying is None:
            return
        future, place, content = self._flying
        self._flying = None
        future.result()
        self._complete(place, content)

    def restore(self, history: History) -> bool:
        """Take the run up from its last complete checkpoint, if there is one; whether there was.

        Raises UnreadableFile where it is damaged or of another run.
        """
        # Rank 0 looks and the others follow, so that all do the same while a file system catches up.
        step = self.ranks.agree(_last_complete(self.folder) if self.ranks.first else -1)
        if step < 0:
            return False
        place = self.folder / f"step-{int(step)}"
        content = self._read(place / COMPLETE)
        state = self._state()
        try:
            dcp.load(state, checkpoint_id=place, no_dist=self.ranks.size == 1)
        except (dcp.api.CheckpointException, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as problem:
            raise UnreadableFile(place, f"not a checkpoint ({problem}); {ADVICE}") from problem
        self._take_up(state)
        lengths = content["splits_steps"] if self.ranks.first else []
        history.restore(content["history"], list(content["splits"].split(lengths)) if lengths else [])
        self.resumed, self.log_length = content["resumed"] + 1, content["log_length"]
        self.extra = content["extra"]
        return True

    def delete(self) -> None:
        """Remove all; the run has ended and will not be taken up."""
        if self._flying is not None:
            # Its outcome no longer matters, but its threads must not write into what is removed.
            future, _, _ = self._flying
            self._flying = None
            future.exception()
        if self.ranks.first:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _content(self, history: History) -> dict[str, Any]:
        splits = history.rank_splits
        return {
            "run": self.run,
            "resumed": self.resumed,
            "history": history.state(),
            "splits": torch.cat(splits) if splits else torch.empty(0),
            "splits_steps": [len(part) for part in splits],
            "log_length": self.log.length if self.log is not None else 0,
            "extra": self.extra,
        }

    def _complete(self, place: Path, content: dict[str, Any]) -> None:
        """Every rank has written; say so, and remove older ones."""
        if not self.ranks.first:
            return
        with written_aside(place / COMPLETE) as aside:
            torch.save(content, aside)
        for other in self.folder.glob("step-*"):
            if other != place:
                shutil.rmtree(other, ignore_errors=True)

    def _read(self, path: Path) -> dict[str, Any]:
        if not zipfile.is_zipfile(path):
            raise UnreadableFile(path, f"not a checkpoint; {ADVICE}")
        try:
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as problem:
            raise UnreadableFile(path, f"not a checkpoint ({problem}); {ADVICE}") from problem
        if content["run"] != self.run:
            raise UnreadableFile(path, f"it belongs to {content['run']}, not to {self.run}; {ADVICE}")
        return content

    def _state(self) -> dict[str, Any]:
        """All tensors by name; what is the same on several ranks has the same name there and is written once."""
        learner, rank = self.learner, self.ranks.rank
        state: dict[str, Any] = {f"random.{rank}.{n}": s for n, s in _random_state().items()}
        state |= {f"objective.{rank}.{n}": t for n, t in learner.objective.state().items()}
        for name, parameter in zip(learner.names, learner.parameters, strict=True):
            full = name + self._part(parameter)
            state[f"model.{full}"] = parameter.detach()
            for key, value in self._moments(parameter).items():
                state[f"optimizer.{full}.{key}"] = value
        return state

    def _part(self, parameter: torch.nn.Parameter) -> str:
        """Tells apart what ranks hold under one name."""
        layout = self.learner.layout
        part = f"@tp{layout.tp.rank}" if getattr(parameter, "tp_sharded", False) else ""
        return part + (f"@ep{layout.ep.rank}" if getattr(parameter, "expert", False) else "")

    def _moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        """AdamW's state of a parameter; as it stands before the first step where there was none."""
        kept = self.learner.optimizer.state[parameter]
        if not kept:
            kept["step"] = torch.zeros((), device=self.learner.layout.device if _fused(self.learner) else "cpu")
            kept["exp_avg"] = torch.zeros_like(parameter)
            kept["exp_avg_sq"] = torch.zeros_like(parameter)
        return {key: kept[key] for key in ("step", "exp_avg", "exp_avg_sq")}

    def _take_up(self, state: dict[str, Any]) -> None:
        """What was not filled in place is set: random states, and what the objective keeps."""
        rank = self.ranks.rank
        own = f"objective.{rank}."
        self.learner.objective.restore({k.removeprefix(own): v for k, v in state.items() if k.startswith(own)})
        torch.set_rng_state(state[f"random.{rank}.cpu"])
        if f"random.{rank}.cuda" in state:
            torch.cuda.set_rng_state(state[f"random.{rank}.cuda"])


def _fused(learner: Learner) -> bool:
    return bool(learner.optimizer.defaults["fused"])


def _last_complete(folder: Path) -> int:
    """The step of the last complete checkpoint; -1 where there is none."""
    steps = [p.parent.name.removeprefix("step-") for p in folder.glob(f"step-*/{COMPLETE}")]
    return max((int(step) for step in steps if step.isdigit()), default=-1)


def _random_state() -> dict[str, torch.Tensor]:
    states = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_initialized():
        states["cuda"] = torch.cuda.get_rng_state()
    return states

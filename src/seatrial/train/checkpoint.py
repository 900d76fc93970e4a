"""Checkpoints of one training: all that is needed to go on as if nothing had happened.

`<repeat>.checkpoint/step-N/` holds what torch.distributed.checkpoint writes, every rank its own shards, and
`history.pt`, which rank 0 writes once all ranks have written: a folder without it is half written and is never
read. `resumed` beside the folders counts how often the run was taken up.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import shutil
import threading
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.staging import DefaultStager, StagingOptions

from seatrial.errors import EXIT_FAULT, SeatrialError, UnreadableFile
from seatrial.mllog import TrainingLog
from seatrial.paths import write_text, written_aside
from seatrial.train.history import History
from seatrial.train.learner import Learner
from seatrial.train.saved_shapes import as_long_as_saved

log = logging.getLogger(__name__)

COMPLETE = "history.pt"
COUNT = "resumed"
ADVICE = "delete it to start afresh"


class CheckpointFailed(SeatrialError):
    """A checkpoint that could not be written; the one before it is still there."""

    exit_code = EXIT_FAULT


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
        """What else was kept, as `collect_extra` gave it; set by `restore`."""
        self.collect_extra: Callable[[], dict[str, Any]] = dict
        """What else is to be kept, as plain values, the same for all ranks; all ranks call it at every save."""
        self._alone = self.ranks.size == 1
        # A single process is what is meant; the threads that write leave no moment to silence it around a call.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled, unavailable or uninitialized")
        self._stager, self._group = None, None
        if mode == "asynchronous":
            on_device = learner.layout.device.type == "cuda"
            self._stager = DefaultStager(StagingOptions(on_device, False, False, on_device))
            self._group = None if self._alone else dist.new_group(backend="gloo")
        self._flying: tuple[Future[Any], Path] | None = None
        self._last = -1

    def save(self, history: History) -> None:
        """Save parameters, optimiser, random states of all ranks, and the history with its clock.

        Returns once the state may change again. Raises CheckpointFailed for what this write met, or the one before.
        """
        self.finish()
        if history.step == self._last:
            return
        place = self.folder / f"step-{history.step}"
        started = time.perf_counter()
        with _told_in_words(place):
            if self.ranks.first:
                # What an earlier attempt left half written must not be mixed with this one.
                shutil.rmtree(place, ignore_errors=True)
                place.mkdir(parents=True)
            self.ranks.barrier()
            writer = _Writer(place, self._content(history), started, history.saved, self._stager is not None)
            if self._stager is None:
                dcp.save(self._state(), storage_writer=writer, no_dist=self._alone)
            else:
                try:
                    future = dcp.async_save(
                        self._state(), storage_writer=writer, async_stager=self._stager,
                        process_group=self._group, no_dist=self._alone,
                    )  # fmt: skip
                finally:
                    writer.goes_on()
                assert isinstance(future, Future)
                self._flying = future, place
        self._last = history.step

    def finish(self) -> None:
        """Wait for the checkpoint that is being written, if any. Raises CheckpointFailed for what its write met."""
        if self._flying is None:
            return
        (future, place), self._flying = self._flying, None
        with _told_in_words(place):
            future.result()

    def restore(self, history: History) -> bool:
        """Take the run up from its last complete checkpoint, if there is one; whether there was.

        Raises UnreadableFile where it is damaged or of another run.
        """
        # Rank 0 looks and the others follow, so that all do the same while a file system catches up.
        step = int(self.ranks.agree(_last_complete(self.folder) if self.ranks.first else -1))
        if step < 0:
            return False
        place = self.folder / f"step-{step}"
        content = self._read(place / COMPLETE)
        reader = dcp.FileSystemReader(place)
        try:
            state = as_long_as_saved(self._state(), reader.read_metadata())
            dcp.load(state, storage_reader=reader, no_dist=self._alone)
        except (dcp.api.CheckpointException, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as problem:
            raise UnreadableFile(place, f"not a checkpoint ({_in_words(problem)}); {ADVICE}") from problem
        self._take_up(state)
        lengths = content["splits_steps"] if self.ranks.first else []
        history.restore(content["history"], list(content["splits"].split(lengths)) if lengths else [])
        history.add_checkpoint(content["stall"])
        if self.ranks.first:
            history.saved(content["size"])
        self.log_length, self.extra = content["log_length"], content["extra"]
        self.resumed = self._count()
        self._last = step
        return True

    def delete(self) -> None:
        """Remove all; the run has ended and will not be taken up."""
        if self._flying is not None:
            # Its threads must not write into what is removed; whether they succeeded changes nothing any more.
            try:
                self.finish()
            except CheckpointFailed as problem:
                log.warning("%s", problem)
        if self._stager is not None:
            self._stager.close()
        if self.ranks.first:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _count(self) -> int:
        """Once more taken up; also where an attempt before this one died before its first checkpoint."""
        path = self.folder / COUNT
        count = 0
        if self.ranks.first:
            text = path.read_text(encoding="ascii") if path.exists() else "0"
            if not text.strip().isdecimal():
                raise UnreadableFile(path, f"holds {text[:20]!r}, not a count; {ADVICE}")
            count = int(text) + 1
            write_text(path, f"{count}\n")
        return int(self.ranks.agree(count))

    def _content(self, history: History) -> dict[str, Any]:
        splits = history.rank_splits
        return {
            "run": self.run,
            "history": history.state(),
            "splits": torch.cat(splits) if splits else torch.empty(0),
            "splits_steps": [len(part) for part in splits],
            "log_length": self.log.length if self.log is not None else 0,
            "extra": self.collect_extra(),
        }

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


class _Writer(dcp.FileSystemWriter):
    """Says that the checkpoint is complete when every rank has written, and removes older ones only then."""

    def __init__(
        self, place: Path, content: dict[str, Any], started: float, saved: Callable[[int], None], beside: bool
    ) -> None:
        """`saved` is told the bytes, on rank 0; `beside`: the training goes on while this writes."""
        super().__init__(place)
        self._place, self._content, self._started, self._beside = place, content, started, beside
        self._saved = saved
        self._goes_on = threading.Event()
        self._stall = 0.0

    def goes_on(self) -> None:
        """The training, which stood still until now, goes on."""
        self._stall = time.perf_counter() - self._started
        self._goes_on.set()

    def finish(self, metadata: Any, results: Any) -> None:
        """On rank 0 alone; what it raises is raised on every rank."""
        super().finish(metadata, results)
        if self._beside:
            self._goes_on.wait()  # a small checkpoint may be written before the thread that trains has gone on
            stall = self._stall
        else:
            stall = time.perf_counter() - self._started
        size = sum(one.size_in_bytes for of_rank in results for one in of_rank)
        with written_aside(self._place / COMPLETE) as aside:
            torch.save({**self._content, "stall": stall, "size": size}, aside)
            with aside.open("rb+") as file:
                os.fsync(file.fileno())
        self._saved(size)
        for other in self._place.parent.glob("step-*"):
            if other != self._place:
                shutil.rmtree(other, ignore_errors=True)


@contextlib.contextmanager
def _told_in_words(place: Path) -> Iterator[None]:
    """CheckpointFailed for what files or torch.distributed.checkpoint (no Exception but a BaseException) raise."""
    try:
        yield
    except (dcp.api.CheckpointException, OSError) as problem:
        raise CheckpointFailed(f"{place}: the checkpoint could not be written ({_in_words(problem)})") from problem


def _in_words(problem: BaseException) -> str:
    """Which ranks met what, without their stacks."""
    if not isinstance(problem, dcp.api.CheckpointException):
        return f"{type(problem).__name__}: {problem}"
    met = sorted(problem.failures.items())
    return "; ".join(f"rank {rank}: {type(error).__name__}: {error}" for rank, (error, _) in met)


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

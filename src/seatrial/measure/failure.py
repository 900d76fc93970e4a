"""What a rank's exception means for the repeat: outcome, kind and words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

from seatrial.errors import MeasurementFailed, SeatrialError, Unsupported

LOST_PEER = (
    "connection closed by peer",
    "connection reset by peer",
    "broken pipe",
    "connection refused",
    "socket closed",
    "ncclremoteerror",
    "remote process exited",
)
"""How gloo, NCCL and the store say that the other end of a connection is gone."""
TIMED_OUT = ("timed out", "timeout")
OUT_OF_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")
LONGEST_MESSAGE = 2000


@dataclass(frozen=True)
class Failure:
    """Why a rank could not go on. `kind` is one of errors.ERROR_KINDS."""

    outcome: Literal["failed", "unsupported"]
    kind: str
    message: str
    rank: int

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Failure:
        return cls(**json.loads(text))


def failure_of(problem: Exception, rank: int) -> Failure:
    """The failure that `problem`, raised on `rank`, amounts to.

    What the workload says in words keeps its words and kind; a lack of memory and an expired wait are told
    from other crashes by type, and by text where torch raises a plain RuntimeError.
    """
    if isinstance(problem, MeasurementFailed):
        return Failure("failed", problem.kind, str(problem), rank)
    if isinstance(problem, Unsupported):
        # The outcome says what happened; no kind of error fits a machine that lacks a feature better.
        return Failure("unsupported", "crashed", str(problem), rank)
    words = f"{type(problem).__name__}: {problem}"[:LONGEST_MESSAGE]
    if isinstance(problem, SeatrialError):
        return Failure("failed", "crashed", str(problem), rank)
    if _lacks_memory(problem):
        return Failure("failed", "out_of_memory", words, rank)
    if isinstance(problem, TimeoutError) or (isinstance(problem, RuntimeError) and _says(problem, TIMED_OUT)):
        return Failure("failed", "timeout", words, rank)
    return Failure("failed", "crashed", words, rank)


def is_lost_peer(problem: Exception) -> bool:
    """Whether `problem` is torch.distributed's word for a peer whose connection broke.

    torch.distributed raises RuntimeError or a subclass; an OSError of the workload's own is not meant.
    """
    return isinstance(problem, RuntimeError) and _says(problem, LOST_PEER)


def _lacks_memory(problem: Exception) -> bool:
    # torch.OutOfMemoryError is a RuntimeError whose text says "out of memory"; on CPU it is plain.
    return isinstance(problem, MemoryError) or (isinstance(problem, RuntimeError) and _says(problem, OUT_OF_MEMORY))


def _says(problem: Exception, phrases: tuple[str, ...]) -> bool:
    text = str(problem).lower()
    return any(phrase in text for phrase in phrases)

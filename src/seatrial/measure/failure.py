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


class MissingRanks(MeasurementFailed):
    """Ranks that did not come in time; the rank that noticed is not the one that failed."""

    def __init__(self, message: str) -> None:
        super().__init__("timeout", message)


@dataclass(frozen=True)
class Failure:
    """Why a rank could not go on. `kind` is one of errors.ERROR_KINDS; `rank` None: whose fault is not known."""

    outcome: Literal["failed", "unsupported"]
    kind: str
    message: str
    rank: int | None

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
    if isinstance(problem, MissingRanks):
        return Failure("failed", problem.kind, str(problem), None)
    if isinstance(problem, MeasurementFailed):
        return Failure("failed", problem.kind, str(problem), rank)
    if isinstance(problem, Unsupported):
        # The outcome says what happened; no kind of error fits a machine that lacks a feature better.
        return Failure("unsupported", "unsupported", str(problem), rank)
    words = in_words(problem)
    if isinstance(problem, SeatrialError):
        return Failure("failed", "crashed", str(problem), rank)
    if _lacks_memory(problem):
        return Failure("failed", "out_of_memory", words, rank)
    if isinstance(problem, TimeoutError):
        return Failure("failed", "timeout", words, rank)
    if isinstance(problem, RuntimeError) and _says(problem, TIMED_OUT):
        # torch.distributed: the rank that waited is not the one that did not come.
        return Failure("failed", "timeout", f"rank {rank} waited in vain: {words}", None)
    return Failure("failed", "crashed", words, rank)


def in_words(problem: Exception) -> str:
    """Type and message of `problem`, without the stack that torch's C++ part appends to some messages."""
    text = str(problem).partition("\nException raised from ")[0]
    return f"{type(problem).__name__}: {text}"[:LONGEST_MESSAGE].rstrip()


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

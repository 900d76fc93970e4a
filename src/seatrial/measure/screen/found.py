"""What a screening works with: its rules, its group runs, and what it found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, median

from seatrial.config.probe.screen import Screen
from seatrial.measure.screen.chains import Link
from seatrial.measure.screen.reading import GroupRun, Piece, Reading


@dataclass(frozen=True)
class Rules:
    """What counts as slow, and how much is asked of an accusation; see config.probe.Screen."""

    slower: float
    passes: int
    confirmations: int
    most_runs: int

    @classmethod
    def of(cls, workload: Screen) -> Rules:
        return cls(workload.slower.value, workload.passes, workload.confirmations, workload.most_runs)


@dataclass(frozen=True)
class Ran:
    """A group run with its reading, and its number from 0."""

    number: int
    run: GroupRun
    reading: Reading


@dataclass(frozen=True)
class Accused:
    """A member or a pair that was confirmed slow, by the runs `by`, held against the run `control`."""

    members: tuple[int, ...]
    pieces: tuple[Piece, ...]
    ratio: float
    """The least slowness that confirmed it, of its slowest piece."""
    by: tuple[Ran, ...]
    control: Ran


@dataclass(frozen=True)
class Control:
    """Members that are fast with each other, and what is typical of them: the median of each piece."""

    ran: Ran
    typical: Mapping[Piece, float]

    @property
    def members(self) -> tuple[int, ...]:
        return self.ran.run.members


@dataclass(frozen=True)
class Beside:
    """A pair held against a control: its runs and its slowness by piece; `slow` has those in which it is slow."""

    members: tuple[int, int]
    runs: tuple[Ran, ...]
    ratios: Mapping[Piece, float]
    slow: Mapping[Piece, float]


@dataclass
class Screening:
    """The result. Who is in neither `good`, `bad` nor `suspects` was in no fast group."""

    members: int
    threshold: float
    """What counted as slow: what was asked for, or more where the runs repeat each other too badly for that."""
    noise: float = 0.0
    """Standard deviation of the logarithm of one reading, from the runs of all members; 0: not known."""
    runs: list[Ran] = field(default_factory=list)
    good: set[int] = field(default_factory=set)
    """Members of a fast group that were not confirmed slow."""
    bad: dict[int, Accused] = field(default_factory=dict)
    links: dict[Link, Accused] = field(default_factory=dict)
    suspects: set[int] = field(default_factory=set)
    """Where a search ended but nothing could be confirmed."""
    not_told: dict[int, float] = field(default_factory=dict)
    """Members of fast groups that are slower than was asked for, by how much, while less than `threshold` cannot be
    told from noise: neither good nor bad."""
    unexplained: int = 0
    """Passes that stayed slow although nobody was confirmed slow."""
    finished: bool = False
    """False: `most_runs` were spent before all was cleared."""


def accused_by(members: tuple[int, ...], slow: Sequence[Beside], control: Control) -> Accused:
    pieces = tuple(sorted({piece for beside in slow for piece in beside.slow}))
    ratio = min(max(beside.slow.values()) for beside in slow)
    return Accused(members, pieces, ratio, tuple(ran for beside in slow for ran in beside.runs), control.ran)


def noise_between(runs: Sequence[Ran]) -> float:
    """Standard deviation of the logarithm of a member's reading, as two runs of all members differ; 0 for one run.

    Of each member its products, and the faster of its exchanges, which one slow neighbour does not slow down. The
    median difference is taken, so that slow members change nothing: 0.6745 sqrt(2) standard deviations.
    """
    if len(runs) < 2:
        return 0.0
    # of three, a slow one in the middle slows all exchanges of one order: their exchanges tell no noise
    before, after = (_of_members(ran, exchanges_of=4) for ran in runs[:2])
    found = [
        median([abs(math.log(after[piece][m] / seconds)) for m, seconds in of_piece.items()])
        for piece, of_piece in before.items()
    ]
    return max(found, default=0.0) / (0.6745 * math.sqrt(2))


def slowness_of(runs: Sequence[Ran], typical: Mapping[Piece, float] | None = None) -> dict[int, float]:
    """How many times as long as is typical each member took, of its slower piece: the geometric mean over `runs`.

    Held against `typical`, or where that is None against what is typical of each run.
    """
    logs: dict[tuple[int, Piece], list[float]] = {}
    for ran in runs:
        usual = typical or ran.reading.typical
        for piece, of_piece in _of_members(ran, exchanges_of=2).items():
            for member, seconds in of_piece.items():
                logs.setdefault((member, piece), []).append(math.log(seconds / usual[piece]))
    found: dict[int, float] = {}
    for (member, _), own in logs.items():
        found[member] = max(math.exp(fmean(own)), found.get(member, 0.0))
    return found


def _of_members(ran: Ran, exchanges_of: int) -> dict[Piece, dict[int, float]]:
    """Seconds of each member's products and, of `exchanges_of` members or more, of the faster of its exchanges."""
    members, reading = ran.run.members, ran.reading
    faster: dict[int, float] = {}
    for pair, seconds in zip(pairwise(members), reading.exchange, strict=True):
        for member in pair:
            faster[member] = min(seconds, faster.get(member, seconds))
    found: dict[Piece, dict[int, float]] = {}
    if reading.compute:
        found["compute"] = dict(zip(members, reading.compute, strict=True))
    if len(members) >= exchanges_of:
        found["exchange"] = faster
    return found

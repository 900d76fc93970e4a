"""A group run and what it showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Piece = Literal["compute", "exchange"]
PIECES: tuple[Piece, ...] = ("compute", "exchange")
Step = Literal["whole", "rest", "halving", "control", "pair", "node"]
"""Why a group runs: all nodes; those not cleared; a part, to find the first slow one; known-good nodes; the
pair at which the search ended; a suspect with a known-good node."""
TYPICAL_QUANTILE = 0.25
"""One slow node slows two exchanges: while up to a third of the members are slow, the lower quartile is not."""


@dataclass(frozen=True)
class GroupRun:
    """Members that are to run together, each next to its neighbours."""

    step: Step
    members: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """Seconds of one group run: of each member's products, and of each exchange of two neighbours, in order.

    Each is the median over the iterations, of the slowest rank. `compute` is empty where nothing was multiplied.
    """

    compute: Sequence[float]
    exchange: Sequence[float]

    def seconds(self, piece: Piece) -> Sequence[float]:
        return self.compute if piece == "compute" else self.exchange

    @property
    def typical(self) -> dict[Piece, float]:
        """The lower quartile of each piece that was measured: one of its values, none in between."""
        return {piece: _lower_quartile(self.seconds(piece)) for piece in PIECES if len(self.seconds(piece))}

    def ratios(self, typical: Mapping[Piece, float]) -> dict[Piece, float]:
        """The slowest of each piece over what is typical: the slowest decides what a group is."""
        return {
            piece: max(self.seconds(piece)) / typical[piece]
            for piece in PIECES
            if len(self.seconds(piece)) and piece in typical
        }

    @property
    def slowest(self) -> dict[Piece, float]:
        """Seconds of the slowest, by piece."""
        return {piece: max(self.seconds(piece)) for piece in PIECES if len(self.seconds(piece))}


def _lower_quartile(values: Sequence[float]) -> float:
    return sorted(values)[int(TYPICAL_QUANTILE * (len(values) - 1))]

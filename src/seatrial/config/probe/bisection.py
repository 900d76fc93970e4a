"""Parameters of the probe bisection."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import NonNegativeInt, PositiveInt
from seatrial.config.probe.base import AcrossRanks
from seatrial.errors import FieldMistake
from seatrial.units import MIB

Cut = Literal["host_order", "shift", "switch", "rack", "rail"]
NEEDS_TOPOLOGY: tuple[Cut, ...] = ("switch", "rack")
WORD_BYTES = 4
"""Messages are whole 32-bit words."""


class Bisection(AcrossRanks):
    """Bandwidth between two halves of the ranks, all pairs at once and in both directions, and of single pairs.

    With two hosts or more the halves are made of whole hosts, and rank j of one sends to rank j of the other; on a
    single host they are made of ranks. Where their number is odd, one sits out.
    """

    kind: Literal["bisection"]
    warmup: NonNegativeInt = 2
    iterations: PositiveInt = 10
    size_bytes: Annotated[int, Field(ge=8, le=4096 * MIB, strict=True)] = 256 * MIB
    """One message: what a rank sends to its peer, while as much comes back."""
    matchings: NonNegativeInt = 30
    """Different random perfect matchings, at each scale: every one where there are no more, (N - 1)!! of N hosts;
    from 29 on the 10th percentile of those not measured has a bound."""
    cuts: list[Cut] = ["host_order", "shift"]
    """Halves that are given: by the order of hosts (first with last), by a shift of half their number, by switch
    and by rack (of target.scale_out.topology), by rail (lower local ranks against upper ones)."""
    scales: list[Annotated[int, Field(ge=2, strict=True)]] = []
    """Numbers of hosts (on a single host: of ranks) to measure besides all of them."""
    pairwise: list[Literal["rounds", "alone"]] = ["rounds"]
    """Every pair by itself: in rounds of disjoint pairs, as a tournament has them, or one pair at a time."""
    most_rounds: PositiveInt = 127
    """Rounds at most, so that above 128 hosts not every pair is measured but every host in equally many."""
    between: Literal["hosts", "ranks"] = "hosts"
    """The pairs of `pairwise`: of hosts, by the first rank of each, or of all ranks."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.size_bytes % WORD_BYTES:
            raise FieldMistake(
                "a message is made of whole 32-bit words",
                field="size_bytes",
                value=self.size_bytes,
                allowed=f"a multiple of {WORD_BYTES}",
            )
        for name in ("cuts", "scales", "pairwise"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise FieldMistake("a value is there twice", field=name, value=values, allowed="each value once")
        if not (self.matchings or self.cuts or self.pairwise):
            raise FieldMistake(
                "nothing is left to measure", field="matchings", value=0, allowed="1 or more, or cuts, or pairwise"
            )
        return self

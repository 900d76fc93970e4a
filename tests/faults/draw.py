"""What a fault is: drawn at run time, told so that a failing run can be repeated."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Sequence
from typing import TypeVar

Drawn = TypeVar("Drawn")
SEED = "SEATRIAL_FAULT_SEED"


class Draw:
    """Random places and rates. Another seed every time, unless SEATRIAL_FAULT_SEED names one; draws are printed."""

    def __init__(self, seed: int | None = None) -> None:
        chosen = os.environ.get(SEED)
        self.seed = seed if seed is not None else int(chosen) if chosen else time.time_ns() % 2**32
        self._random = random.Random(self.seed)
        print(f"{SEED}={self.seed}")

    def node(self, nodes: Sequence[str]) -> str:
        """One of `nodes`."""
        return _told("node", self._random.choice(nodes))

    def pair(self, nodes: Sequence[str]) -> tuple[str, str]:
        """Two different ones of `nodes`, in their order."""
        first, second = sorted(self._random.sample(range(len(nodes)), 2))
        return _told("pair", (nodes[first], nodes[second]))

    def mbit(self, low: int, high: int) -> int:
        """A link rate in Mbit/s (1e6 bits), low and high included."""
        return _told("Mbit/s", self._random.randint(low, high))

    def bytes_per_second(self, low: float, high: float) -> int:
        """A disk rate in bytes per second between `low` and `high`."""
        return _told("bytes/s", round(self._random.uniform(low, high)))

    def share(self, low: float, high: float) -> float:
        """A number between `low` and `high`, to three digits: a part of a processor."""
        return _told("share", round(self._random.uniform(low, high), 3))

    def seconds(self, low: float, high: float) -> float:
        """A time in seconds between `low` and `high`, to a tenth of a millisecond."""
        return _told("seconds", round(self._random.uniform(low, high), 4))

    def seed_of_another(self) -> int:
        """A seed for something that draws for itself while it runs."""
        return _told("seed", self._random.randrange(2**32))


def _told(what: str, drawn: Drawn) -> Drawn:
    print(f"drawn: {what} {drawn}")
    return drawn

"""Bytes of dispatch and combine, by what is counted.

T tokens of a rank, k choices each, h elements of b bytes (and scales) per row: a row for every choice is what
all_to_all_single carries. A dispatcher that sends a token once to each rank, or once to each node, carries less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seatrial.config.probe.moe_alltoall import SCALE_BLOCK, MoeAlltoall

if TYPE_CHECKING:
    import numpy as np

ELEMENT_BYTES = {"float32": 4, "bfloat16": 2, "fp8": 1}
SCALE_BYTES = 4
CHOICE_BYTES = 8
"""Of each choice: the expert's number (int32) and its weight (float32)."""
DIRECTIONS = ("dispatch", "combine")


@dataclass(frozen=True)
class RowBytes:
    """Bytes of a token's row (elements and scales) and of a choice's number and weight."""

    token: int
    choice: int

    @property
    def row(self) -> int:
        """Bytes of a row that stands for one choice."""
        return self.token + self.choice


def row_bytes(workload: MoeAlltoall, direction: str) -> RowBytes:
    """What a row of `direction` weighs; combine carries no numbers and weights."""
    if direction == "combine":
        return RowBytes(workload.hidden_size * ELEMENT_BYTES[workload.combine_dtype], 0)
    scales = workload.hidden_size // SCALE_BLOCK * SCALE_BYTES if workload.dispatch_dtype == "fp8" else 0
    return RowBytes(workload.hidden_size * ELEMENT_BYTES[workload.dispatch_dtype] + scales, CHOICE_BYTES)


def expected_distinct(groups: int, experts: int, top_k: int) -> float:
    """Groups (nodes or ranks) that a token's uniform choices reach: M (1 - C(E - E/M, k) / C(E, k)).

    `experts` must be divisible by `groups`.
    """
    outside = math.comb(experts - experts // groups, top_k)
    return groups * (1 - outside / math.comb(experts, top_k))


def distinct_groups(choices: np.ndarray, per_group: int) -> np.ndarray:
    """[tokens]: groups of `per_group` experts that each token's `choices` [tokens, k] reach; -1 is none."""
    import numpy as np

    groups = np.sort(np.where(choices < 0, -1, choices // per_group), axis=1)
    first = (groups[:, :1] >= 0).sum(axis=1)
    return np.asarray(first + ((np.diff(groups, axis=1) > 0) & (groups[:, 1:] >= 0)).sum(axis=1))


def reaches(choices: np.ndarray, per_group: int, group: int) -> np.ndarray:
    """[tokens]: whether a token's choices reach `group`."""
    import numpy as np

    return np.asarray(((choices // per_group == group) & (choices >= 0)).any(axis=1))


def wire(rows: np.ndarray) -> np.ndarray:
    """Of rows [iterations, sources, destinations] those between ranks, none to itself."""
    return between_groups(rows, 1)


def between_groups(rows: np.ndarray, per_group: int) -> np.ndarray:
    """Of rows [iterations, sources, destinations] those that leave their group of `per_group` ranks."""
    import numpy as np

    group = np.arange(rows.shape[1]) // per_group
    return np.asarray(rows * (group[:, None] != group[None, :]))


def busiest(rows: np.ndarray) -> np.ndarray:
    """The greater of out and in, of the busiest rank: [iterations]."""
    import numpy as np

    return np.asarray(np.maximum(rows.sum(axis=2), rows.sum(axis=1)).max(axis=1))


def imbalance(rows: np.ndarray) -> np.ndarray:
    """Rows that the busiest rank receives over the mean rank's, its own included: [iterations]."""
    received = rows.sum(axis=1)
    factor: np.ndarray = received.max(axis=1) / received.mean(axis=1)
    return factor

"""A share of simulated studies as a line of the table."""

from __future__ import annotations

import math

import numpy as np
from measure import Result
from numpy.typing import NDArray

STUDIES = 4000
"""Simulated studies of every line."""
SURE = 3.0
"""Standard errors that a share may lie beyond its bar by chance: with 2 of them some of 80 lines would."""
BLOCKS = 8
"""The studies in as many parts: how far the share scatters is in the file."""
SEED = 20261123


def at_most(name: str, hits: NDArray[np.bool_], bar: float, note: str = "") -> Result:
    """A share in % that may be `bar` at most."""
    share, error = _share(hits)
    return _result(name, hits, bar, share - SURE * error <= bar, note)


def at_least(name: str, hits: NDArray[np.bool_], bar: float | None, note: str = "") -> Result:
    """A share in % that shall be `bar` at least; None: only said."""
    share, error = _share(hits)
    return _result(name, hits, bar, None if bar is None else share + SURE * error >= bar, note)


def _result(name: str, hits: NDArray[np.bool_], bar: float | None, holds: bool | None, note: str) -> Result:
    share, error = _share(hits)
    words = f"{len(hits)} studies, +-{SURE * error:.1f}" + (f"; {note}" if note else "")
    parts = [100 * float(part.mean()) for part in np.array_split(hits, BLOCKS)]
    return Result(name, share, "%", bar, None if holds is None else bool(holds), parts, words)


def _share(hits: NDArray[np.bool_]) -> tuple[float, float]:
    """The share in %, and its standard error."""
    share = float(hits.mean())
    return 100 * share, 100 * math.sqrt(share * (1 - share) / len(hits))

"""Numbers as nccl-tests prints them, with the precision that they were printed with."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from seatrial.nccl_tests.run import Figure

NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,4})?\Z", re.ASCII)
NOT_FINITE = re.compile(r"[+-]?(?:nan|inf|infinity)\Z", re.IGNORECASE)
UNCHECKED = "N/A"
BEYOND_BOUNDS = "*"
"""After an error that is greater than allowed, in the layouts that print errors instead of counts."""


def is_number(token: str) -> bool:
    """Whether a token stands in a column of numbers: a number, nan, inf or N/A."""
    bare = token.removesuffix(BEYOND_BOUNDS)
    return bare == UNCHECKED or NUMBER.match(bare) is not None or NOT_FINITE.match(bare) is not None


def figure(token: str) -> Figure:
    """A printed number; not finite where it was printed as nan or inf, or is no number at all."""
    if NUMBER.match(token) is None:
        return Figure(math.nan, 0.0)
    exponent = Decimal(token).as_tuple().exponent
    assert isinstance(exponent, int)
    if abs(exponent) > 300:
        return Figure(math.nan, 0.0)
    return Figure(float(token), 0.5 * 10.0**exponent)

"""SplitMix64 over tensors: random bits that are a function of a counter, the same on every device and in any order.

Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators (OOPSLA 2014), with the constants of Stafford's
variant 13. Words are int64, whose sums and products wrap around as unsigned ones do.
"""

from __future__ import annotations

import torch

WORD_BITS = 64


def _signed(word: int) -> int:
    return word - (1 << WORD_BITS) if word >= 1 << (WORD_BITS - 1) else word


GOLDEN = _signed(0x9E3779B97F4A7C15)
"""What the generator's counter grows by from one number to the next."""
_FACTORS = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)


def mixed(x: torch.Tensor) -> torch.Tensor:
    """The generator's output for counters `x` (int64, any shape): every bit depends on every bit."""
    x = (x ^ _shifted(x, 30)) * _FACTORS[0]
    x = (x ^ _shifted(x, 27)) * _FACTORS[1]
    return x ^ _shifted(x, 31)


def top_bits(x: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` (1 to 63) highest bits of `x`, as a whole number that is not negative."""
    return _shifted(x, WORD_BITS - count)


def _shifted(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical shift to the right: torch's keeps the sign."""
    return (x >> bits) & ((1 << (WORD_BITS - bits)) - 1)

"""What bytes that were read or written reached or came from, as far as this machine's counters show it."""

from __future__ import annotations

from typing import Literal

Origin = Literal["storage", "page_cache", "memory_file_system", "unknown"]
LEAST_FIRST: tuple[Origin, ...] = ("memory_file_system", "unknown", "page_cache", "storage")
"""What gives the least reason to speak of storage first."""
ENOUGH = 0.9
"""Share of the bytes that must have moved. Files hold nothing that can be compressed or is there twice."""

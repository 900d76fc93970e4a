"""Parameters of the probe memory."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.probe.base import ELEMENT_BYTES, Probe
from seatrial.errors import FieldMistake
from seatrial.units import MIB

HOST_COPIES = {"host_to_device": 1, "device_to_host": 1, "bidirectional": 2}
"""Operations between a device and its host, and the copies of `size_bytes` in one pass."""
ARRAYS_HELD = {"copy": 2, "triad": 3, "read": 1, **HOST_COPIES}
"""Arrays of `size_bytes` in the memory of the device; copies to and from a host have as many there."""
LEAST_ARRAY = 256 * MIB
"""Bytes of an array whose size is not given: at least."""


class Memory(Probe):
    """Bandwidth of a device's memory, or of its way to the host, over arrays of `size_bytes` each.

    copy (a = b), triad (a = b + s c) and read (the sum of b) stay within the memory of the device.
    """

    kind: Literal["memory"]
    size_bytes: Annotated[int, Field(ge=4, strict=True)] | None = None
    """None: within the device 4 times the last-level caches that the ranks find, at least LEAST_ARRAY."""
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    operation: Literal["copy", "triad", "read", "host_to_device", "device_to_host", "bidirectional"]
    """bidirectional: both copies at once."""
    host_memory: Literal["pinned", "pageable"] = "pinned"
    """Copies from and to pageable memory go through buffers of the driver, piece by piece."""

    @model_validator(mode="after")
    def _both_ways_at_once(self) -> Self:
        if self.operation == "bidirectional" and self.host_memory != "pinned":
            raise FieldMistake(
                "pageable copies hold up the host: both directions never run at once",
                field="host_memory",
                value=self.host_memory,
                allowed="pinned",
            )
        return self

    @model_validator(mode="after")
    def _whole_elements(self) -> Self:
        element = ELEMENT_BYTES[self.dtype]
        if self.array_bytes % element:
            raise ValueError(
                f"size_bytes ({self.size_bytes}) is not a multiple of {element}, the bytes of one {self.dtype}"
            )
        return self

    @property
    def array_bytes(self) -> int:
        """Bytes of each array; where the ranks decide, the least that it can be."""
        return LEAST_ARRAY if self.size_bytes is None else self.size_bytes

    @property
    def host_copy(self) -> bool:
        """Whether it goes between a device and its host."""
        return self.operation in HOST_COPIES

    @property
    def arrays_held(self) -> int:
        """Arrays of `size_bytes` in the device's memory, and of a host copy as many in the host's."""
        return ARRAYS_HELD[self.operation]

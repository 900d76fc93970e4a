"""Parameters of the probe memory."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from seatrial.config.probe.base import Buffer
from seatrial.errors import FieldMistake

HOST_COPIES = ("host_to_device", "device_to_host", "bidirectional")
"""Operations between a device and its host; the others stay within the device's memory."""


class Memory(Buffer):
    """Bandwidth of a device's memory, or of its way to the host, over arrays of `size_bytes` each.

    copy (a = b), triad (a = b + s c) and read (the sum of b) stay within the memory of the device.
    """

    kind: Literal["memory"]
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

    @property
    def host_copy(self) -> bool:
        """Whether it goes between a device and its host."""
        return self.operation in HOST_COPIES

"""Parameters of the probe memory."""

from __future__ import annotations

from typing import Literal

from seatrial.config.probe.base import Buffer


class Memory(Buffer):
    """Device-memory bandwidth: copy (a = b) or triad (a = b + s c) over arrays of `size_bytes` each."""

    kind: Literal["memory"]
    operation: Literal["copy", "triad"]

"""Seatrial: sea trials for AI training clusters."""

__version__ = "0.1.0"

"""Somebody else's training: a command that Seatrial starts, watches, reads and stops."""

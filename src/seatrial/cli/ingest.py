"""`seatrial ingest`: the logs of others as records of a study."""

from __future__ import annotations

import argparse


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ingest` and its formats."""

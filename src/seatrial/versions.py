"""One version of Seatrial for a study: that of its rules, of the Snakemake that runs them, and of every rank.

Records of different versions are not of the same work, and what one writes the other may not read. The rules say
which version they belong to; the process that runs them tells those that it starts, on whatever node.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import seatrial
from seatrial.errors import EXIT_USAGE, ConfigError

VARIABLE = "SEATRIAL_VERSION"
"""In the environment of what a Snakemake starts: its version, and where that is installed."""


def here() -> str:
    """The version of this process and where it is installed, as `0.1.0 in FOLDER on HOST`."""
    return f"{seatrial.__version__} in {Path(seatrial.__file__).parent} on {socket.gethostname()}"


def one_version(of_rules: str, folder: str) -> None:
    """The rules in `folder` were written for version `of_rules`: check that it runs here, and tell what is started.

    Another one is printed as one error and ends Snakemake with exit code 2, before anything is planned.
    """
    if of_rules != seatrial.__version__:
        print(
            f"seatrial: the rules in {folder} are those of Seatrial {of_rules}, installed is {here()}: deploy the "
            f"workflow of {seatrial.__version__}, or install {of_rules}",
            file=sys.stderr,
            flush=True,
        )
        sys.exit(EXIT_USAGE)
    os.environ[VARIABLE] = here()


def check_version() -> None:
    """Raise ConfigError where Snakemake, which has started this process, is of another version."""
    told = os.environ.get(VARIABLE, "")
    if told and told.split()[0] != seatrial.__version__:
        raise ConfigError(
            f"this node has another version of Seatrial than the Snakemake that runs the study: {here()}",
            key=VARIABLE,
            value=told,
            allowed=f"the same version on all nodes and where Snakemake runs, here {told.split()[0]}",
        )

"""`seatrial init`: a new folder for studies."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.errors import EXIT_OK
from seatrial.study_folder import PARTS


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `init`."""
    parser = commands.add_parser("init", help="lay out a new folder for studies; overwrites nothing")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--only", choices=PARTS, help="only this part of it")
    parser.set_defaults(run=_init)


def _init(arguments: argparse.Namespace) -> int:
    from seatrial.study_folder import lay_out

    written = lay_out(arguments.folder, arguments.only)
    print(f"{arguments.folder}: {len(written)} files")
    if arguments.only is None:
        print(f"next: cd {arguments.folder} && snakemake --profile local --config study=first")
    return EXIT_OK

"""`seatrial init` and `seatrial schema`: a new folder for studies, and what its files may say."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.errors import EXIT_OK
from seatrial.study_folder import PARTS


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `init` and `schema`."""
    init = commands.add_parser("init", help="lay out a new folder for studies; overwrites nothing")
    init.add_argument("folder", type=Path, metavar="DIR")
    init.add_argument("--only", choices=PARTS, help="only this part of it")
    init.set_defaults(run=_init)

    schema = commands.add_parser("schema", help="write JSON Schemas of all configuration files, for editors")
    schema.add_argument(
        "folder", type=Path, nargs="?", default=Path("schema"), metavar="DIR", help="default: schema"
    )
    schema.add_argument(
        "--markdown", action="store_true", help="print the reference of configuration instead; write nothing"
    )
    schema.set_defaults(run=_schema)


def _init(arguments: argparse.Namespace) -> int:
    from seatrial.study_folder import lay_out

    written = lay_out(arguments.folder, arguments.only)
    print(f"{arguments.folder}: {len(written)} files")
    if arguments.only is None:
        print(f"next: cd {arguments.folder} && snakemake --profile local --config study=first")
    return EXIT_OK


def _schema(arguments: argparse.Namespace) -> int:
    if arguments.markdown:
        from seatrial.schema.reference import markdown

        print(markdown(), end="")
        return EXIT_OK
    from seatrial.schema.editor import write_documents

    print(f"{arguments.folder}: {len(write_documents(arguments.folder))} schemas")
    return EXIT_OK

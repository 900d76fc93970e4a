"""`seatrial reference`: import, show, scaling and update of the published results."""

from __future__ import annotations

import argparse
from pathlib import Path

from seatrial.errors import EXIT_OK


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `reference` and its own commands."""
    parser = commands.add_parser("reference", help="the published MLPerf Training results")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_import(actions)


def _add_import(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "import", help="score a folder of MLPerf Training results as MLCommons does; a row per result"
    )
    parser.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="checkout of training_results_vX.Y, a submitter's or one result folder, or a tar archive of any",
    )
    parser.add_argument("--round", dest="round_", metavar="vX.Y", help="where the folder's names do not tell")
    parser.add_argument("--output", type=Path, required=True, metavar="RESULTS.csv")
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="processes; default: all cores")
    parser.set_defaults(run=_import)


def _import(arguments: argparse.Namespace) -> int:
    from seatrial.reference.importing import import_results

    for line in import_results(arguments.folder, arguments.output, arguments.round_, arguments.workers):
        print(line)
    return EXIT_OK

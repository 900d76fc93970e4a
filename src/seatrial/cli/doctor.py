"""`seatrial doctor`: what this machine or cluster lacks for a study, and what to do about it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seatrial.cli.rules import read_rules

WIDEST = 180


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `doctor`."""
    parser = commands.add_parser(
        "doctor",
        help="what this machine or cluster lacks for a study, and what to do; exit code 1 where something lacks",
    )
    parser.add_argument(
        "words", nargs="*", metavar="KEY=VALUE", help="as of `seatrial plan`; none: this machine by itself"
    )
    parser.add_argument("--conf", type=Path, help="configuration folder (default: conf, else the package's own)")
    parser.add_argument("--results", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    parser.add_argument(
        "--submitit-folder",
        type=Path,
        default=Path(".snakemake/submitit"),
        metavar="DIR",
        help="the executor's folder",
    )
    parser.add_argument(
        "--nodes", type=_whole, default=2, metavar="N", help="look on so many nodes with srun (default 2; 0: none)"
    )
    parser.add_argument(
        "--seconds", type=_seconds, default=20.0, metavar="S", help="how long each program may take to answer (20)"
    )
    parser.add_argument(
        "--write-mb",
        type=_whole,
        default=64,
        metavar="MB",
        help="MB written to each folder and removed (default 64)",
    )
    parser.add_argument("--limits", type=Path, metavar="LIMITS.yaml", help="rules of thumb other than the usual")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    from seatrial.doctor.examine import Settings, examine, exit_code
    from seatrial.doctor.limits import Limits
    from seatrial.doctor.text import as_json, plain_lines, print_table

    plan = None
    limits = read_rules(arguments.limits, Limits, "--limits")
    if arguments.words:
        from seatrial.plan import make_plan
        from seatrial.study_folder import conf_folder

        plan = make_plan(arguments.words, arguments.conf or conf_folder(Path()))
    checks = examine(
        plan,
        Settings(
            results=arguments.results,
            submitit=arguments.submitit_folder,
            nodes=arguments.nodes,
            seconds=arguments.seconds,
            write_mb=arguments.write_mb,
            limits=limits,
        ),
    )
    if arguments.json:
        print(as_json(checks))
    elif sys.stdout.isatty():
        from rich.console import Console

        console = Console(highlight=False)
        console.width = min(console.width, WIDEST)
        print_table(checks, console)
    else:
        print("\n".join(plain_lines(checks)))
    return exit_code(checks)


def _whole(text: str) -> int:
    """A whole number of 0 or more."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _seconds(text: str) -> float:
    """More than no time, and a number."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds

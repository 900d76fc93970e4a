"""`seatrial audit FOLDER`: findings from logs that are there already; it runs nothing and leaves FOLDER alone."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.cli.rules import read_rules
from seatrial.errors import EXIT_OK, ConfigError

if TYPE_CHECKING:
    Actions = argparse._SubParsersAction[argparse.ArgumentParser]

WIDEST = 160


def add_commands(commands: Actions) -> None:
    """Add `audit`."""
    parser = commands.add_parser(
        "audit", help="findings from logs that a team already has: telemetry, profiles, trainings; runs nothing"
    )
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", help="the logs; a folder below it is a workload of its own"
    )
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="write the audit as JSON as well")
    parser.add_argument(
        "--rules",
        type=Path,
        metavar="RULES.yaml",
        help="rules of thumb other than the usual, as a study's `findings`",
    )
    parser.set_defaults(run=_audit)


def _audit(arguments: argparse.Namespace) -> int:
    from rich.console import Console

    from seatrial.analysis.audit.audit import audit, document
    from seatrial.config.findings import FindingRules
    from seatrial.paths import write_text
    from seatrial.report.audit import print_audit

    rules = read_rules(arguments.rules, FindingRules, "--rules")
    found = audit(arguments.folder, rules)
    if arguments.output is not None:
        text = json.dumps(document(found), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        try:
            write_text(arguments.output, text)
        except OSError as problem:
            raise ConfigError(
                f"the audit cannot be written: {problem.strerror}", key="--output", value=str(arguments.output)
            ) from None
    console = Console(highlight=False)
    console.width = min(console.width, WIDEST)
    print_audit(found, console)
    return EXIT_OK

"""The command line: the only place that parses arguments, prints and sets exit codes.

0: done, or all criteria pass; 1: a criterion fails; 2: wrong usage or configuration; 3: not yet known;
4: an internal fault.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from seatrial import __version__
from seatrial.cli import audit, bundle, doctor, ingest, reference, stages, status, study_folder
from seatrial.errors import EXIT_FAULT, EXIT_OK, EXIT_USAGE, SeatrialError
from seatrial.unwritable import NO_WRITING


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; every error meant for the user is words on standard error, without a traceback."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except SeatrialError as problem:
        print(f"seatrial {parsed.command}: {problem}", file=sys.stderr)
        return problem.exit_code
    except BrokenPipeError:
        # the reader (head, less) went away: not a fault; keep the interpreter from flushing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return 130
    except OSError as problem:
        if problem.errno not in NO_WRITING:
            return _fault(parsed.command)
        # a full disk below the output itself, too: the interpreter must not flush it again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        where = f": {problem.filename}" if problem.filename else ""
        print(f"seatrial {parsed.command}: {problem.strerror}{where}", file=sys.stderr)
        return EXIT_USAGE
    except Exception:  # noqa: BLE001 - Python's own exit code for a fault is 1, which means "a criterion fails"
        return _fault(parsed.command)
    return code


def _fault(command: str) -> int:
    traceback.print_exc()
    print(f"seatrial {command}: this is a fault in seatrial; please report it", file=sys.stderr)
    return EXIT_FAULT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="seatrial", description="Sea trials for AI training clusters.")
    parser.add_argument("--version", action="version", version=f"seatrial {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (study_folder, stages, status, doctor, audit, bundle, reference, ingest):
        group.add_commands(commands)
    return parser

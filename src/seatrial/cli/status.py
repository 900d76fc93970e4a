"""`seatrial status`: how a study stands, also while it runs."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from seatrial.errors import EXIT_OK, ConfigError


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command, with its function under `run`."""
    parser = commands.add_parser(
        "status", help="say what has become of every repeat, what runs where and when all may have run"
    )
    parser.add_argument("folder", type=Path, metavar="results/STUDY")
    parser.add_argument("--json", action="store_true", help="all repeats, as one JSON object")
    parser.add_argument(
        "--watch",
        type=_seconds,
        nargs="?",
        const=30.0,
        metavar="SECONDS",
        help="say it again every SECONDS (30) until nobody works on the study",
    )
    parser.set_defaults(run=_status)


def _seconds(text: str) -> float:
    """Seconds, at least 1."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds from 1 to 86400 (the folder stands first: seatrial status "
            "results/STUDY --watch)"
        )
    return seconds


def _check_folder(folder: Path) -> None:
    """Raise ConfigError where no study lies in the folder."""
    if (folder / "study.json").exists():
        return
    there = [study.parent for study in sorted(folder.glob("*/study.json"))[:5]]
    raise ConfigError(
        "no study lies here: there is no study.json" if folder.is_dir() else "there is no such folder",
        key="folder",
        value=str(folder),
        allowed=f"a folder with a study.json: {', '.join(map(str, there)) or 'results/STUDY'}",
    )


def _status(arguments: argparse.Namespace) -> int:
    import datetime as dt

    from seatrial.paths import StudyPaths
    from seatrial.status.standing import standing
    from seatrial.status.text import status_lines

    _check_folder(arguments.folder)
    while True:
        found = standing(StudyPaths(arguments.folder), dt.datetime.now(dt.UTC))
        text = json.dumps(found.to_json(), indent=1) if arguments.json else "\n".join(status_lines(found))
        print(text, flush=True)
        if arguments.watch is None or found.holder is None:
            return EXIT_OK
        time.sleep(arguments.watch)

"""What every format of `seatrial ingest` shares: the study that the records go to, and what the user is told."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import ConfigError

if TYPE_CHECKING:
    from seatrial.paths import StudyPaths
    from seatrial.planned import Plan

MOST_UNREAD = 20
"""Remarks that are printed; more are counted."""


def add_study_arguments(parser: argparse.ArgumentParser, kind: str) -> None:
    """--study, --conf, --results and --override; `kind` is that of the workload that the results stand for."""
    parser.add_argument(
        "--study",
        required=True,
        metavar="S",
        help=f"conf/study/S.yaml, whose experiments of kind {kind} say what the logs must be; "
        "where there is none, a study is made from the folder itself",
    )
    parser.add_argument("--conf", type=Path, default=Path("conf"), help="configuration folder (default: conf)")
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="studies go to DIR/S (default: results)",
    )
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a word for the study's plan, as in `seatrial plan` (target=..., any Hydra override); may be repeated",
    )


def check_name(name: str) -> None:
    """Raise ConfigError where `name` is no name for a study."""
    from pydantic import TypeAdapter, ValidationError

    from seatrial.config.base import Slug

    try:
        TypeAdapter(Slug).validate_python(name)
    except ValidationError:
        allowed = "lower-case letters, digits, _ and -, at most 64"
        raise ConfigError("no name for a study", key="--study", value=name, allowed=allowed) from None


def study_file(arguments: argparse.Namespace) -> Path:
    """Where the study would be declared."""
    file: Path = arguments.conf / "study" / f"{arguments.study}.yaml"
    return file


def declared_plan(arguments: argparse.Namespace) -> Plan | None:
    """The study of this name in the configuration, planned and checked; None where there is none."""
    if not study_file(arguments).is_file():
        if arguments.override:
            raise ConfigError(
                "an override needs a study that it changes",
                file=arguments.conf / "study",
                key="--override",
                value=arguments.override[0],
                allowed=f"a study {arguments.study}.yaml there",
            )
        return None
    from seatrial.checks import check_plan
    from seatrial.plan import make_plan

    plan = make_plan([f"study={arguments.study}", *arguments.override], arguments.conf)
    check_plan(plan)
    return plan


def refuse_inside(folder: Path, paths: StudyPaths) -> None:
    """Raise ConfigError where the study's folder lies in the one that is read."""
    if folder.is_dir() and paths.root.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            "the folder that is read is never written to",
            key="--results",
            value=str(paths.root.parent),
            allowed=f"a folder outside {folder}",
        )


def remarks(found: Iterable[tuple[str, str]]) -> Iterator[str]:
    """What could not be read, a line each: place and problem."""
    entries = list(found)
    if entries:
        yield f"remarks on what was read ({len(entries)}):"
    for place, problem in entries[:MOST_UNREAD]:
        yield f"  {place}: {problem}"
    if len(entries) > MOST_UNREAD:
        yield f"  and {len(entries) - MOST_UNREAD} more"


def next_stages(paths: StudyPaths) -> str:
    """The commands that follow."""
    root = shlex.quote(str(paths.root))
    return "next: " + " && ".join(f"seatrial {stage} {root}" for stage in ("collect", "analyse", "report"))

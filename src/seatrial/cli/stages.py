"""The stages of a study: plan, prepare, measure, collect, analyse, report, verdict."""

from __future__ import annotations

import argparse
import atexit
import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

from seatrial.errors import EXIT_OK, EXIT_UNKNOWN

if TYPE_CHECKING:
    from seatrial.case import Case


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the commands of the stages, each with its function under `run`."""
    plan = commands.add_parser(
        "plan", help="print what a study would run, how much it takes and what it costs; runs nothing"
    )
    plan.add_argument("words", nargs="*", metavar="KEY=VALUE", help="study=..., target=..., any Hydra override")
    plan.add_argument("--conf", type=Path, help="configuration folder (default: conf, else the package's own)")
    plan.add_argument("--write", type=Path, metavar="DIR", help="write study.json and the cases to results DIR")
    plan.set_defaults(run=_plan)

    prepare = commands.add_parser("prepare", help="prepare what a case needs: a base model, data")
    prepare.add_argument("case", type=Path, metavar="CASE.json")
    prepare.add_argument("--id", metavar="ID", help="which of the case's preparations; default: its only one")
    prepare.add_argument("--output", type=Path, required=True, metavar="DIR")
    prepare.set_defaults(run=_prepare)

    measure = commands.add_parser("measure", help="run one repeat of a case; the same command on every rank")
    measure.add_argument("case", type=Path, metavar="CASE.json")
    measure.add_argument("--repeat", type=_repeat, default=0, help="which repeat (sets the seed); default 0")
    measure.add_argument("--output", type=Path, required=True, metavar="RECORD.json")
    measure.add_argument(
        "--prepared",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="what was prepared for the case; as often as it needs, in the order of its preparations",
    )
    measure.set_defaults(run=_measure)

    for name, run, words in (
        ("collect", _collect, "gather records and attempts into tables"),
        ("analyse", _analyse, "time to quality, comparison and verdicts from the tables"),
        ("report", _report, "figures and report.html from the tables"),
        ("figures", _figures, "draw the figures again from the tables; nothing else is touched"),
        ("verdict", _verdict, "print the verdict; exit code 0 pass, 1 fail, 3 not yet known"),
    ):
        stage = commands.add_parser(name, help=words)
        stage.add_argument("folder", type=Path, metavar="results/STUDY")
        stage.set_defaults(run=run)
        if name == "analyse":
            stage.add_argument(
                "--against",
                type=Path,
                metavar="results/EARLIER",
                help="compare every metric with those of an earlier study, like with like",
            )


def _plan(arguments: argparse.Namespace) -> int:
    from seatrial.checks import check_plan
    from seatrial.paths import StudyPaths
    from seatrial.plan import make_plan
    from seatrial.plan_text import print_plan
    from seatrial.study_folder import conf_folder

    plan = make_plan(arguments.words, arguments.conf or conf_folder(Path()))
    check_plan(plan)
    if arguments.write is None:
        print_plan(plan)
        plan.refuse_if_too_large()
        return EXIT_OK
    plan.refuse_if_too_large()
    plan.write(StudyPaths(arguments.write))
    return EXIT_OK


def _prepare(arguments: argparse.Namespace) -> int:
    from seatrial.case import Case
    from seatrial.prepare import prepare_case
    from seatrial.versions import check_version

    check_version()
    prepare_case(Case.read(arguments.case), arguments.id, arguments.output)
    return EXIT_OK


def _measure(arguments: argparse.Namespace) -> int:
    from seatrial.versions import check_version

    check_version()
    from seatrial.case import Case
    from seatrial.measure.session import run_repeat
    from seatrial.train.kinds import WORK

    case = Case.read(arguments.case)
    _check_measure(case, arguments)
    run_repeat(case, arguments.repeat, arguments.output, WORK[case.workload.kind], prepared=arguments.prepared)
    return EXIT_OK


def _repeat(text: str) -> int:
    """A repeat's number, from 0."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number


def _check_measure(case: Case, arguments: argparse.Namespace) -> None:
    """What would make a repeat useless is refused before it starts."""
    from seatrial.errors import ConfigError

    if len(case.prepared_ids) != len(arguments.prepared):
        ids = " ".join(f"`seatrial prepare {arguments.case} --id {i} --output DIR`" for i in case.prepared_ids)
        raise ConfigError(
            f"this case needs {len(case.prepared_ids)} prepared folder(s)",
            file=arguments.case,
            key="--prepared",
            value=" ".join(map(str, arguments.prepared)) or None,
            allowed=f"the folder(s) that {ids} made" if ids else "none",
        )
    try:
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ConfigError(
            f"the record cannot be written: {problem.strerror}", key="--output", value=str(arguments.output)
        ) from None


def _collect(arguments: argparse.Namespace) -> int:
    _for_a_million_measurements()
    from seatrial.analysis.collect import collect, outcome_lines
    from seatrial.paths import StudyPaths

    for line in outcome_lines(collect(StudyPaths(arguments.folder))):
        print(line)
    return EXIT_OK


def _analyse(arguments: argparse.Namespace) -> int:
    from seatrial.analysis.once import reading_once

    _for_a_million_measurements()
    # around the imports too: a tenth of their time is looking for cycles that are not there
    with reading_once():
        from seatrial.analysis.analyse import analyse
        from seatrial.paths import StudyPaths

        for line in analyse(StudyPaths(arguments.folder), arguments.against):
            print(line)
    return EXIT_OK


def _report(arguments: argparse.Namespace) -> int:
    from seatrial.analysis.once import reading_once

    _for_a_million_measurements()
    with reading_once():  # as in `_analyse`
        from seatrial.paths import StudyPaths
        from seatrial.report.page import report

        report(StudyPaths(arguments.folder))
    return EXIT_OK


def _for_a_million_measurements() -> None:
    """What spares a stage of a large study a second; before numpy is imported."""
    # numpy asks for huge pages, which take longer to clear than to fill
    os.environ.setdefault("NUMPY_MADVISE_HUGEPAGE", "0")
    # at its end Python looks through all objects for cycles
    atexit.register(gc.freeze)


def _figures(arguments: argparse.Namespace) -> int:
    from seatrial.paths import StudyPaths
    from seatrial.report.figure_files import figures

    paths = StudyPaths(arguments.folder)
    found = figures(paths)
    print(f"{paths.figures}: {len(found)} figures, each as SVG, PDF and PNG with its values as CSV")
    return EXIT_OK


def _verdict(arguments: argparse.Namespace) -> int:
    from seatrial.analysis.follows import not_following
    from seatrial.analysis.inputs import read_plan
    from seatrial.analysis.once import reading_once
    from seatrial.analysis.verdicts import exit_code, read_verdicts, verdict_lines
    from seatrial.paths import StudyPaths

    paths = StudyPaths(arguments.folder)
    with reading_once():
        problem = not_following(paths)
        if problem is not None:
            print(f"verdict of {read_plan(paths).study.name}: not known. {problem}")
            return EXIT_UNKNOWN
        for line in verdict_lines(paths):
            print(line)
        return exit_code(read_verdicts(paths))

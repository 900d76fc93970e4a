"""`seatrial reference`: import, show, scaling and update of the published results."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seatrial.errors import EXIT_OK

if TYPE_CHECKING:
    import pandas as pd

    from seatrial.reference.published import Tables

    Actions = argparse._SubParsersAction[argparse.ArgumentParser]


def add_commands(commands: Actions) -> None:
    """Add `reference` and its own commands."""
    parser = commands.add_parser("reference", help="the published MLPerf Training results")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_show(actions)
    _add_scaling(actions)
    _add_import(actions)
    _add_update(actions)
    _add_points(actions)


def _add_show(actions: Actions) -> None:
    parser = actions.add_parser(
        "show", help="the like-for-like median of published results, or why there is none, with all behind it"
    )
    _add_selection(parser)
    parser.add_argument("--family", required=True, help="accelerator family with its form factor, such as H100-SXM")
    parser.add_argument("--accelerators", required=True, type=_count, metavar="N", help="how many, in all")
    parser.add_argument("--exclude-submitter", metavar="S", help="leave out this submitter's results")
    parser.set_defaults(run=_show)


def _add_scaling(actions: Actions) -> None:
    parser = actions.add_parser(
        "scaling",
        help="time against number of accelerators: exponent, R2 and every submission's residual by family",
    )
    _add_selection(parser)
    parser.add_argument("--family", help="this accelerator family only")
    parser.add_argument("--figure", type=Path, metavar="FILE.svg", help="write the figure of time against count")
    parser.set_defaults(run=_scaling)


def _add_points(actions: Actions) -> None:
    parser = actions.add_parser(
        "points", help="reference convergence points from a study of own trainings with many seeds, as JSON"
    )
    parser.add_argument("folder", type=Path, metavar="results/STUDY")
    parser.add_argument("--source", required=True, metavar="WORDS", help="which runs: machine, date")
    parser.set_defaults(run=_points)


def _add_selection(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("benchmark", metavar="BENCHMARK", help="such as llama2_70b_lora; old names mean the new")
    parser.add_argument("--round", dest="round_", required=True, metavar="vX.Y")
    parser.add_argument("--division", default="closed", help="closed (default) or open")
    parser.add_argument(
        "--table",
        dest="tables",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="RESULTS.csv",
        help="more results, as `seatrial reference import` writes them; unverified ones stay apart",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_import(actions: Actions) -> None:
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
    parser.add_argument("--workers", type=_workers, metavar="N", help="processes; default: all cores")
    parser.add_argument(
        "--retrieved", type=_day, metavar="YYYY-MM-DD", help="the day the folder was fetched, for citations"
    )
    parser.add_argument(
        "--published",
        action="store_true",
        help="the folder is a copy of MLCommons' own results repository: its results count as published",
    )
    parser.set_defaults(run=_import)


def _add_update(actions: Actions) -> None:
    parser = actions.add_parser("update", help="fetch a round's results with git, and score them as `import` does")
    parser.add_argument("--round", dest="round_", required=True, metavar="vX.Y")
    parser.add_argument("--output", type=Path, required=True, metavar="RESULTS.csv")
    parser.add_argument(
        "--url",
        help="the repository's address, with {round} in it; default: MLCommons' own, the published one",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the checkout here; default: removed")
    parser.set_defaults(run=_update)


def _workers(text: str) -> int:
    """A number of processes."""
    return _whole(text, 1)


def _day(text: str) -> dt.date:
    """A day in the form YYYY-MM-DD."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day in the form YYYY-MM-DD") from None


def _count(text: str) -> int:
    """A number of accelerators; 0 has no equivalent, but is a number."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    """A whole number of `least` or more."""
    try:
        number = int(text)
    except ValueError:
        number = None
    if number is None or number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of {least} or more")
    return number


def _show(arguments: argparse.Namespace) -> int:
    from seatrial.reference.equivalent import find_reference
    from seatrial.reference.facts import reference_facts
    from seatrial.reference.selection import check_family, check_submitter
    from seatrial.reference.text import print_reference

    tables = _tables(arguments)
    table = tables.table
    check_family(arguments.family, table)
    if arguments.exclude_submitter is not None:
        check_submitter(arguments.exclude_submitter, table)
    reference = find_reference(
        _benchmark(arguments.benchmark, table),
        arguments.round_,
        arguments.family,
        arguments.accelerators,
        exclude_submitter=arguments.exclude_submitter,
        division=arguments.division,
        table=table,
    )
    unverified = [r for r in tables.unverified if reference.is_like(r)]
    if arguments.json:
        _print_json(reference_facts(reference, unverified))
    else:
        print_reference(reference, unverified)
    return EXIT_OK


def _scaling(arguments: argparse.Namespace) -> int:
    from seatrial.reference.facts import scaling_facts
    from seatrial.reference.scaling import find_scaling
    from seatrial.reference.text import print_scaling

    table = _tables(arguments).table
    scaling = find_scaling(
        _benchmark(arguments.benchmark, table),
        arguments.round_,
        arguments.family,
        division=arguments.division,
        table=table,
    )
    if arguments.figure is not None:
        from seatrial.report.scaling_figure import write_scaling_figure

        write_scaling_figure(scaling, arguments.figure)
    if arguments.json:
        _print_json(scaling_facts(scaling))
    else:
        print_scaling(scaling)
    return EXIT_OK


def _tables(arguments: argparse.Namespace) -> Tables:
    """The shipped results with the files of --table; what was left out of these, or replaced, is said on stderr."""
    from seatrial.reference.published import add_tables

    tables = add_tables(arguments.tables)
    for line in tables.remarks:
        print(f"seatrial reference: {line}", file=sys.stderr)
    return tables


def _benchmark(text: str, table: pd.DataFrame) -> str:
    """The newest name of the benchmark that is meant; the text itself where that is not clear."""
    from seatrial.reference.names import benchmark_named, canonical_benchmark

    return canonical_benchmark(benchmark_named(text, table["benchmark"]) or text)


def _print_json(facts: dict[str, Any]) -> None:
    print(json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False))


def _import(arguments: argparse.Namespace) -> int:
    from seatrial.reference.importing import import_results

    for line in import_results(
        arguments.folder,
        arguments.output,
        arguments.round_,
        arguments.workers,
        arguments.retrieved,
        published=arguments.published,
    ):
        print(line)
    return EXIT_OK


def _update(arguments: argparse.Namespace) -> int:
    from seatrial.reference.update import URL_TEMPLATE, update

    url = URL_TEMPLATE if arguments.url is None else arguments.url
    for line in update(arguments.round_, arguments.output, url=url, keep=arguments.keep):
        print(line)
    return EXIT_OK


def _points(arguments: argparse.Namespace) -> int:
    from seatrial.analysis.convergence import points_of
    from seatrial.paths import StudyPaths

    print(json.dumps(points_of(StudyPaths(arguments.folder), arguments.source), indent=1, sort_keys=True))
    return EXIT_OK

"""`seatrial ingest`: the logs of others as records of a study."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from seatrial.cli.ingest_results import add_formats
from seatrial.cli.ingest_study import (
    add_study_arguments,
    check_name,
    declared_plan,
    next_stages,
    refuse_inside,
    remarks,
    study_file,
)
from seatrial.errors import EXIT_OK, UnreadableFile

if TYPE_CHECKING:
    from seatrial.ingest.mlperf.filing import Filed
    from seatrial.ingest.mlperf.records import Factor
    from seatrial.ingest.mlperf.result import Reading, ResultFolder, System


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `ingest` and its formats."""
    parser = commands.add_parser("ingest", help="turn the logs of others into records of a study")
    formats = parser.add_subparsers(dest="format", required=True, metavar="FORMAT")
    add_formats(formats)
    mlperf = formats.add_parser(
        "mlperf", help="MLPerf Training result logs, one's own or a vendor's: a record for each log"
    )
    mlperf.add_argument(
        "folder",
        type=Path,
        metavar="FOLDER",
        help="one result folder, a submitter's folder or a checkout, or a tar archive of any; never written to",
    )
    add_study_arguments(mlperf, "mlperf_logs")
    mlperf.add_argument("--round", dest="round_", metavar="vX.Y", help="where the folder's names do not tell")
    mlperf.add_argument("--system", metavar="ID", help="which system, where the folder holds several")
    mlperf.set_defaults(run=_mlperf)


def _mlperf(arguments: argparse.Namespace) -> int:
    from seatrial.ingest.mlperf.filing import file_records
    from seatrial.ingest.mlperf.handed_over import match_cases, one_system, study_of
    from seatrial.ingest.mlperf.read import read_results
    from seatrial.paths import StudyPaths
    from seatrial.study_lock import held

    check_name(arguments.study)
    declared = declared_plan(arguments)
    paths = StudyPaths(arguments.results / (declared.study.name if declared else arguments.study))
    refuse_inside(arguments.folder, paths)
    reading = read_results(arguments.folder, arguments.round_)
    if not reading.folders:
        raise UnreadableFile(arguments.folder, "no result_*.txt in it that can be read")
    several = declared is not None and arguments.system is None
    chosen = list(reading.folders) if several else one_system(reading.folders, arguments.system)
    _refuse_unread_logs(arguments.folder, reading, chosen)
    plan = declared or study_of(arguments.study, chosen, _family_of, _words(arguments))
    matches = match_cases(plan, chosen, _family_of)
    with held(paths.lock):
        filed = file_records(paths, plan, matches, arguments.folder, _factor)
    made = "" if declared else f"no {study_file(arguments)}: the study is made from the folder itself"
    for line in [made, *_told(filed), *remarks((u.path, u.problem) for u in reading.unread), next_stages(paths)]:
        if line:
            print(line)
    return EXIT_OK


def _words(arguments: argparse.Namespace) -> list[str]:
    """What a study made from a folder is planned with; no path of this machine in it."""
    words = ["seatrial", "ingest", "mlperf", arguments.folder.resolve().name, "--study", arguments.study]
    return [*words, "--system", arguments.system] if arguments.system else words


def _refuse_unread_logs(source: Path, reading: Reading, chosen: Sequence[ResultFolder]) -> None:
    """A log that is there but cannot be read is no missing repeat: somebody has to look at it first."""
    folders = {folder.path for folder in chosen}
    for unread in reading.unread:
        path = PurePosixPath(unread.path)
        if path.match("result_*.txt") and str(path.parent) in folders:
            raise UnreadableFile(source / unread.path, unread.problem)


def _family_of(system: System) -> str | None:
    from seatrial.reference.families import accelerator_family

    if system.accelerators is None:
        return None
    return accelerator_family(system.accelerator_model, system.accelerators, system.name or "")


def _factor(folder: ResultFolder) -> Factor:
    """The factor of the folder's score; none where the reference convergence points do not pass it."""
    from seatrial.ingest.mlperf.records import Factor
    from seatrial.reference.scoring import score

    found = score(folder)
    if folder.scaling_problem is not None:
        return Factor(None, f"scaling.json cannot be read: {folder.scaling_problem}")
    if found.factor_basis == "committed":
        return Factor(found.factor, "scaling.json, as handed over")
    words = "; ".join(note for note in found.notes if "convergence points" in note or "factor" in note)
    if found.factor_basis == "computed":
        return Factor(found.factor, words or "computed: not faster than the reference convergence points")
    return Factor(None, words or "none: the reference convergence points are of the closed division")


def _told(filed: Sequence[Filed]) -> Iterator[str]:
    """What became of the logs, a line for each result folder and for what a reader must know of it."""
    for one in filed:
        case, records = one.match.case, one.records
        kinds = Counter(record.error.kind if record.error else "completed" for record in records)
        done = kinds.pop("completed", 0)
        failed = "".join(f", {count} failed ({kind.replace('_', ' ')})" for kind, count in sorted(kinds.items()))
        yield f"{case.experiment} case {case.case_id}: {done} of {len(records)} logs completed{failed}"
        factor = records[0].provenance["ingested"]["scaling_factor"]
        value = "none" if factor["value"] is None else f"{factor['value']:.6g}"
        yield f"  scaling factor {value}: {factor['basis']}"
        yield from (f"  {note}" for note in one.match.notes)

"""`seatrial ingest nccl-tests|fio|mlperf-storage`: what these tools wrote, as records of a study."""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

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
    from seatrial.config.ingested import HandedOver
    from seatrial.ingest.files import Remark
    from seatrial.ingest.filing import Filed
    from seatrial.ingest.storage.result import Results, StorageResult
    from seatrial.paths import StudyPaths
    from seatrial.planned import Plan


def add_formats(formats: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the formats whose results are single files or lie in one folder."""
    nccl_tests = formats.add_parser(
        "nccl-tests", help="output of nccl-tests or rccl-tests, text or JSON (-J): a record for each run"
    )
    nccl_tests.add_argument("path", type=Path, metavar="PATH", help="a log or a folder of logs; never written to")
    add_study_arguments(nccl_tests, "nccl_tests_logs")
    nccl_tests.add_argument("--ranks", type=int, metavar="N", help="only runs on so many ranks")
    nccl_tests.set_defaults(run=_nccl_tests)
    fio = formats.add_parser("fio", help="what fio wrote with --output-format=json: a record for each file")
    fio.add_argument("path", type=Path, metavar="PATH", help="a file or a folder of files; never written to")
    add_study_arguments(fio, "fio_results")
    fio.set_defaults(run=_fio)
    mlperf = formats.add_parser(
        "mlperf-storage", help="results of MLPerf Storage: a record for each run's summary.json"
    )
    mlperf.add_argument("path", type=Path, metavar="PATH", help="a results folder; never written to")
    add_study_arguments(mlperf, "mlperf_storage_results")
    mlperf.set_defaults(run=_mlperf_storage)


def _nccl_tests(arguments: argparse.Namespace) -> int:
    from seatrial.ingest.filing import Filed
    from seatrial.ingest.nccl_tests.read import read_runs
    from seatrial.ingest.nccl_tests.records import record_of
    from seatrial.ingest.nccl_tests.study import match_runs, of_ranks, study_from_runs

    declared, paths = _study(arguments)
    reading = read_runs(arguments.path)
    if not reading.runs:
        raise UnreadableFile(arguments.path, _nothing("run of nccl-tests", reading.remarks))
    runs = list(reading.runs) if arguments.ranks is None else of_ranks(reading.runs, arguments.ranks)
    plan = declared or study_from_runs(arguments.study, runs, _words(arguments))
    filed = [
        Filed(record_of(match.case, match.repeat, match.item), match.item.source)
        for match in match_runs(plan, runs)
    ]
    refused = [
        (words.partition(": ")[0], words.partition(": ")[2])
        for one in filed
        for words in one.record.provenance["ingested"]["refused"]
    ]
    return _file(arguments, declared, paths, plan, filed, [*_places(reading.remarks), *refused])


def _fio(arguments: argparse.Namespace) -> int:
    from seatrial.config.ingested import FioResults
    from seatrial.ingest.storage.read import read_fio_results
    from seatrial.ingest.storage.study import study_from_fio

    declared, paths = _study(arguments)
    return _storage(arguments, declared, paths, FioResults, read_fio_results(arguments.path), study_from_fio)


def _mlperf_storage(arguments: argparse.Namespace) -> int:
    from seatrial.config.ingested import MlperfStorageResults
    from seatrial.ingest.storage.read import read_mlperf_storage_results
    from seatrial.ingest.storage.study import study_from_mlperf_storage

    declared, paths = _study(arguments)
    found = read_mlperf_storage_results(arguments.path)
    return _storage(arguments, declared, paths, MlperfStorageResults, found, study_from_mlperf_storage)


def _storage(
    arguments: argparse.Namespace,
    declared: Plan | None,
    paths: StudyPaths,
    kind: type[HandedOver],
    found: Results,
    make_study: Callable[[str, Sequence[StorageResult], Sequence[str]], Plan],
) -> int:
    from seatrial.ingest.filing import Filed
    from seatrial.ingest.storage.records import record_of
    from seatrial.ingest.storage.study import match_storage

    if not found.results:
        raise UnreadableFile(arguments.path, _nothing("result", found.remarks))
    plan = declared or make_study(arguments.study, found.results, _words(arguments))
    filed = [
        Filed(record_of(match.case, match.repeat, match.item), match.item.source)
        for match in match_storage(plan, kind, found.results)
    ]
    return _file(arguments, declared, paths, plan, filed, _places(found.remarks))


def _study(arguments: argparse.Namespace) -> tuple[Plan | None, StudyPaths]:
    """The declared study, if there is one, and where its records go."""
    from seatrial.paths import StudyPaths

    check_name(arguments.study)
    declared = declared_plan(arguments)
    paths = StudyPaths(arguments.results / (declared.study.name if declared else arguments.study))
    refuse_inside(arguments.path, paths)
    return declared, paths


def _file(
    arguments: argparse.Namespace,
    declared: Plan | None,
    paths: StudyPaths,
    plan: Plan,
    filed: Sequence[Filed],
    unread: Sequence[tuple[str, str]],
) -> int:
    """Write the records and say what became of them."""
    from seatrial.ingest.filing import write_filed
    from seatrial.study_lock import held

    with held(paths.lock):
        write_filed(paths, plan, filed, str(arguments.path))
    if declared is None:
        print(f"no {study_file(arguments)}: the study is made from the results themselves")
    for line in [*_told(plan, filed), *remarks(unread), next_stages(paths)]:
        print(line)
    return EXIT_OK


def _told(plan: Plan, filed: Sequence[Filed]) -> Iterator[str]:
    """What became of the results, a line for each case, and why some are no result."""
    of_case: dict[str, list[Filed]] = defaultdict(list)
    for one in filed:
        of_case[one.record.case_id].append(one)
    for case in plan.cases:
        records = [one.record for one in of_case.get(case.case_id, [])]
        kinds = Counter(record.error.kind if record.error else "completed" for record in records)
        done = kinds.pop("completed", 0)
        failed = "".join(f", {count} {kind.replace('_', ' ')}" for kind, count in sorted(kinds.items()))
        missing = case.repeats - len(records)
        less = f", {missing} of {case.repeats} repeats missing" if missing else ""
        yield f"{case.experiment} case {case.case_id}: {done} of {len(records)} results completed{failed}{less}"
        yield from (f"  repeat {record.repeat}: {record.error.message}" for record in records if record.error)


def _words(arguments: argparse.Namespace) -> list[str]:
    """What a study made from results is planned with; no path of this machine in it."""
    words = ["seatrial", "ingest", arguments.format, arguments.path.resolve().name, "--study", arguments.study]
    ranks = getattr(arguments, "ranks", None)
    return words if ranks is None else [*words, "--ranks", str(ranks)]


def _nothing(what: str, found: Sequence[Remark]) -> str:
    """That there is nothing to read, with the first reasons."""
    reasons = "; ".join(f"{remark.place}: {remark.problem}" for remark in found[:3])
    return f"no {what} in it that can be read" + (f" ({reasons})" if reasons else "")


def _places(found: Sequence[Remark]) -> list[tuple[str, str]]:
    return [(remark.place, remark.problem) for remark in found]

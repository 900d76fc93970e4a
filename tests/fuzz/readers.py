"""Every reader of files that others may have written, as a function of bytes.

A reader may refuse what it is given with one of our errors (ALLOWED), and with nothing else. `folder` is scratch
space of the caller; a reader writes the bytes there under the name that the file would have.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from snakemake_interface_common.exceptions import WorkflowError

from seatrial.errors import SeatrialError

Reader = Callable[[bytes, Path], None]
ALLOWED = (SeatrialError, WorkflowError)
"""The executor stands alone: its word for SeatrialError is Snakemake's WorkflowError."""


def read(name: str, content: bytes, folder: Path | None = None) -> bool:
    """Give `content` to a reader; whether it was taken. Whatever is raised and not ALLOWED is a fault."""
    with tempfile.TemporaryDirectory(prefix="seatrial-fuzz-") as scratch:
        try:
            {**READERS, "planted": planted}[name](content, folder or Path(scratch))
        except ALLOWED as problem:
            assert str(problem).strip(), "an error without words"
            return False
    return True


def _file(content: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _text(content: bytes) -> str:
    return content.decode("utf-8", errors="replace")


def record(content: bytes, folder: Path) -> None:
    from seatrial.record import Record

    Record.read(_file(content, folder, "0.json")).write(folder / "1.json")


def series(content: bytes, folder: Path) -> None:
    """The Parquet file beside a record without a digest that would tell."""
    from seatrial.record import Record

    _file(RECORD_WITH_SERIES.encode(), folder, "0.json")
    _file(content, folder, "0.series.parquet")
    Record.read(folder / "0.json")


def case(content: bytes, folder: Path) -> None:
    from seatrial.case import Case

    Case.read(_file(content, folder, "case.json"))


def mllog(content: bytes, folder: Path) -> None:
    from seatrial.mllog import read_lines

    list(read_lines(_file(content, folder, "result_0.txt")))


def mlperf_log(content: bytes, folder: Path) -> None:
    from seatrial.ingest.mlperf.readers import read_run

    read_run(io.BytesIO(content), "result_0.txt", "v5.1", True)


def mlperf_system(content: bytes, folder: Path) -> None:
    from seatrial.ingest.mlperf.system import NotReadable, read_json, scaling_factor, system_of

    try:
        said = read_json(content)
        system_of(said)
        scaling_factor(said)
    except NotReadable:  # what the tree's reader notes beside the file
        return


def mlperf_power(content: bytes, folder: Path) -> None:
    from seatrial.ingest.mlperf.power import node_power, switch_power

    node_power(io.BytesIO(content))
    switch_power(io.BytesIO(content))


def mlperf_archive(content: bytes, folder: Path) -> None:
    from seatrial.ingest.mlperf.read import read_results

    read_results(_file(content, folder, "results.tar.gz"), "v5.1")


def nccl_tests(content: bytes, folder: Path) -> None:
    from seatrial.ingest.nccl_tests.read import read_runs
    from seatrial.ingest.nccl_tests.records import record_of
    from seatrial.ingest.nccl_tests.study import match_runs, study_from_runs

    runs = read_runs(_file(content, folder, "all_reduce.log")).runs
    if runs:
        for match in match_runs(study_from_runs("fuzz", runs, ["fuzz"]), runs):
            record_of(match.case, match.repeat, match.item).write(folder / "record.json")


def fio(content: bytes, folder: Path) -> None:
    from seatrial.config.ingested import FioResults
    from seatrial.ingest.storage.read import read_fio_results
    from seatrial.ingest.storage.records import record_of
    from seatrial.ingest.storage.study import match_storage, study_from_fio

    found = read_fio_results(_file(content, folder, "fio.json")).results
    if found:
        for match in match_storage(study_from_fio("fuzz", found, ["fuzz"]), FioResults, found):
            record_of(match.case, match.repeat, match.item).write(folder / "record.json")


def mlperf_storage(content: bytes, folder: Path) -> None:
    """The bytes before a zero byte are the summary, those behind it the metadata."""
    from seatrial.config.ingested import MlperfStorageResults
    from seatrial.ingest.storage.read import read_mlperf_storage_results
    from seatrial.ingest.storage.records import record_of
    from seatrial.ingest.storage.study import match_storage, study_from_mlperf_storage

    summary, _, metadata = content.partition(b"\0")
    run = folder / "results" / "checkpointing" / "llama3-8b"
    _file(summary, run, "summary.json")
    _file(metadata or summary, run, "checkpointing_metadata.json")
    found = read_mlperf_storage_results(folder / "results").results
    if found:
        plan = study_from_mlperf_storage("fuzz", found, ["fuzz"])
        for match in match_storage(plan, MlperfStorageResults, found):
            record_of(match.case, match.repeat, match.item).write(folder / "record.json")


def audit(content: bytes, folder: Path) -> None:
    from seatrial.analysis.audit.audit import audit as audited
    from seatrial.analysis.audit.audit import document
    from seatrial.config.findings import FindingRules

    _file(content, folder / "logs", "rank0.log")
    json.dumps(document(audited(folder / "logs", FindingRules())), ensure_ascii=False, allow_nan=False).encode()


def routing(content: bytes, folder: Path) -> None:
    """The first byte says which kind of file it is."""
    from seatrial.config.probe.moe_alltoall import ReplayLoad
    from seatrial.measure.moe_alltoall.trace import KINDS, read_trace

    kind = KINDS[(content[0] if content else 0) % len(KINDS)]
    path = _file(content[1:], folder, f"routing{kind}")
    read_trace(ReplayLoad.model_validate({"kind": "replay", "file": str(path)}))


def bundle(content: bytes, folder: Path) -> None:
    from seatrial.bundle.verify import verify_bundle

    verify_bundle(_file(content, folder, "study.tar.zst"))


def _plain_file(tar: tarfile.TarFile, member: tarfile.TarInfo, inside: Path) -> None:
    """Written below `inside` if it is a plain file that stays there (Python 3.11.2 has no filter for it)."""
    path = (inside / member.name).resolve()
    content = tar.extractfile(member) if member.isfile() else None
    if content is not None and path.is_relative_to(inside.resolve()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read())


def bundle_files(content: bytes, folder: Path) -> None:
    """What is in a sound archive: the files of a tar, packed as a bundle is."""
    from seatrial.bundle.archive import pack
    from seatrial.bundle.verify import verify_bundle

    inside = folder / "inside"
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            for member in tar:
                _plain_file(tar, member, inside)
    except (tarfile.TarError, OSError, ValueError, EOFError):
        return
    if inside.is_dir():
        pack(inside, folder / "study.tar.zst")
        verify_bundle(folder / "study.tar.zst")


def overrides(content: bytes, folder: Path) -> None:
    """A word for each line, as on the command line, on to the plan that they make of a small study."""
    from seatrial.plan import make_plan
    from seatrial.wiring import words_of

    words = words_of({"study": "first", "overrides": _text(content).split("\n")[:20]})
    make_plan(words, CONF)


def study(content: bytes, folder: Path) -> None:
    """A study's own YAML file, beside the shipped groups."""
    from seatrial.plan import make_plan

    _file(content, folder / "conf", "study/fuzz.yaml")
    for name in ("config.yaml", "target", "workload", "accelerator", "economics"):
        (folder / "conf" / name).symlink_to(CONF / name)
    plan = make_plan(["study=fuzz"], folder / "conf")
    plan.refuse_if_too_large()


def rules(content: bytes, folder: Path) -> None:
    from seatrial.cli.rules import read_rules
    from seatrial.config.findings import FindingRules

    read_rules(_file(content, folder, "rules.yaml"), FindingRules, "--rules")


def accelerators(content: bytes, folder: Path) -> None:
    from seatrial.config.local import match

    _file(content, folder, "gpu.yaml")
    match("NVIDIA H200", folder)


def topology(content: bytes, folder: Path) -> None:
    from seatrial.measure.topology import read_topology

    read_topology(str(_file(content, folder, "topology.conf")))


def published(content: bytes, folder: Path) -> None:
    from seatrial.reference.published import add_tables

    add_tables([_file(content, folder, "published.csv")])


def study_files(content: bytes, folder: Path) -> None:
    """What lies in a study's folder beside its records: counts of reruns, attempts, lock, kept records."""
    from seatrial.analysis.attempts import cause, read_attempts
    from seatrial.analysis.kept import load
    from seatrial.paths import StudyPaths
    from seatrial.reruns import ended_badly, read_reruns
    from seatrial.study_lock import read_holder

    path = _file(content, folder, "any.json")
    str(read_holder(path))
    cause(read_attempts(path), path)
    ended_badly(path)
    paths = StudyPaths(folder)
    _file(content, folder, str(paths.kept_records.relative_to(folder)))
    load(paths)
    read_reruns(path)


def job_notes(content: bytes, folder: Path) -> None:
    """How a study stands, as `seatrial status` tells it, by the ledger, a rank's report and Slurm's answers.

    They stand in this order, with a zero byte between them; where there is none, each is the whole.
    """
    from seatrial.paths import StudyPaths
    from seatrial.status import jobs, standing
    from seatrial.status.nodes import read_reasons
    from seatrial.status.text import status_lines

    ledger, report, queue = content.split(b"\0", 2) if content.count(b"\0") > 1 else 3 * [content]
    plan, case = _planned_study()
    root = folder / "results" / "s"
    _file(ledger + b"\n", folder, "submissions/ledger.jsonl")
    _file(report, folder, "jobs/7_0_rank.json")
    _file(
        json.dumps({**json.loads(RECORD_WITH_SERIES), **COMPLETED}).encode(), root, f"records/{case.case_id}/1.json"
    )
    holder = {"process": 1, "host": "h", "since": "t", "folder": str(folder), "submissions": "submissions"}
    _file(json.dumps(holder).encode(), root, ".lock")
    answers = {
        (jobs, "_queue"): lambda seconds: (jobs.read_queue(_text(queue)), None),
        (standing, "out_of_service"): lambda partitions, seconds: (read_reasons(_text(queue)), None),
        (standing, "read_plan"): lambda paths: plan,
        (standing, "read_cases"): lambda paths, plan: [case],
    }
    with ExitStack() as stack:
        for (module, name), answer in answers.items():
            stack.enter_context(mock.patch.object(module, name, answer))
        found = standing.standing(StudyPaths(root), dt.datetime(2026, 1, 2, tzinfo=dt.UTC))
    assert found.counts["completed"] == 1
    "\n".join(status_lines(found)).encode()
    json.dumps(found.to_json()).encode()


@cache
def _planned_study() -> tuple[Any, Any]:
    """A plan of three repeats of one case."""
    from seatrial.case import Case

    case = Case.model_validate(
        {
            "case_id": "0123456789abcdef",
            "study": "s",
            "experiment": "e",
            "repeats": 3,
            "base_seed": 1,
            "workload": {"kind": "gemm", "m": 8, "n": 8, "k": 8},
            "target": {
                "name": "t", "description": "a laptop", "nodes": 1, "accelerators_per_node": 0, "tasks_per_node": 1,
                "device": "cpu",
            },
        }
    )  # fmt: skip
    return SimpleNamespace(study=SimpleNamespace(name="s")), case


def executor_files(content: bytes, folder: Path) -> None:
    """The same as the executor reads them itself."""
    from snakemake_executor_plugin_submitit.attempts import append_attempt
    from snakemake_executor_plugin_submitit.failed_nodes import FailedNodes
    from snakemake_executor_plugin_submitit.ledger import Ledger
    from snakemake_executor_plugin_submitit.outcomes import Outcome
    from snakemake_executor_plugin_submitit.ranks import failing_rank, read_reports

    _file(content, folder, "7_0_rank.json")
    failing_rank(read_reports(folder, "7", 1))
    attempts = _file(content, folder, "a.attempts.json")
    append_attempt(
        attempts, Outcome("FAILED"), cluster="local", external_jobid="1", name="n", submitted_at="t", rule="r",
        wildcards={}, outputs=[],
    )  # fmt: skip
    _file(content, folder, "failed_nodes.json")
    FailedNodes(folder, 1.0, lambda words: None)._known()
    _file(content, folder, "ledger.jsonl")
    ledger = Ledger(folder, "fuzz")
    try:
        ledger.read("k")
    finally:
        ledger.close()


def slurm_answers(content: bytes, folder: Path) -> None:
    """What sacct, squeue and sinfo print."""
    from snakemake_executor_plugin_submitit.status import expand_nodes, read_sacct, read_sinfo, read_squeue

    text = _text(content)
    read_sacct(text)
    read_squeue(text)
    read_sinfo(text)
    expand_nodes(text)


def restarts(content: bytes, folder: Path) -> None:
    """What the executor has counted of a job."""
    from snakemake_executor_plugin_submitit.outcomes import Outcome
    from snakemake_executor_plugin_submitit.restarts import Restarts

    _file(content, folder / "restarts", "k.json")
    counted = Restarts(folder, 1, 2, False, lambda words: None)
    counted.timeouts_left("k", 1)
    counted.decide("k", Outcome("TIMEOUT"), True, 1)
    counted.decide("k", Outcome("NODE_FAIL"), True, 1)
    Restarts(folder, 1, 2, False, lambda words: None).forget("k")


def fence(content: bytes, folder: Path) -> None:
    """A job's token in the ledger; behind a zero byte, the report of its rank."""
    from snakemake_executor_plugin_submitit.fencing import Fence

    token, _, report = content.partition(b"\0")
    _file(token, folder / "ledger", "k.json")
    _file(report, folder / "jobs" / "7", "7_0_rank.json")
    said = Fence("k", folder / "jobs" / "7", "7", "t", 0, 0).superseded()
    assert said is None or said.strip()


def figure_index(content: bytes, folder: Path) -> None:
    from seatrial.figure_index import labels_of, read_index, write_index

    path = _file(content, folder, "index.json")
    entries = read_index(path)
    write_index(folder / "again.json", entries)
    assert read_index(folder / "again.json") == entries
    labels_of(path)(SimpleNamespace(name="a"))


def driver_tools(content: bytes, folder: Path) -> None:
    """What the tools of accelerators' drivers answer."""
    from seatrial.config.devices import ToolFailed, amd_smi_names, nvidia_names, rocm_smi_names

    for names_in in (nvidia_names, amd_smi_names, rocm_smi_names):
        try:
            assert all(isinstance(name, str) for name in names_in(_text(content)))
        except ToolFailed as problem:  # a note on that machine
            assert str(problem).strip()


def node_answers(content: bytes, folder: Path) -> None:
    """What srun prints for the doctor, on to what is said of each node."""
    from seatrial.doctor.limits import Limits
    from seatrial.doctor.machine import machine_checks
    from seatrial.doctor.needs import Needs
    from seatrial.doctor.nodes import OnNodes, _clocks, _same_software, _shared, read_answers

    facts = read_answers(_text(content))
    if facts:
        found = OnNodes(facts, 0.0, 1.0)
        for one in facts:
            machine_checks(one, Needs(), Limits())
        _clocks(found, Limits())
        _same_software(found, facts[0])
        _shared(found, {"/d": "/d"}, Needs(read=("/r",)))


def external_lines(content: bytes, folder: Path) -> None:
    """What somebody's training prints while it runs."""
    from seatrial.train.external.lines import Lines
    from seatrial.train.external.mllog_lines import MllogReader
    from seatrial.train.external.readings import Readings
    from seatrial.train.external.torchtitan_lines import TorchtitanReader

    workload = _external()
    mine, theirs = Readings(), Readings()
    readers = MllogReader(mine), TorchtitanReader(theirs, 8, 0.0)
    lines = Lines()
    for line in (*lines.feed(content), *lines.finish()):
        for reader in readers:
            reader.take(line, 1.0)
    for readings in (mine, theirs):
        readings.measurements(workload)
        readings.quality(workload)


@cache
def _external() -> SimpleNamespace:
    from seatrial.config.training.external import External

    found: SimpleNamespace = External.model_validate(
        {
            "kind": "external",
            "command": ["true"],
            "format": "mllog",
            "quality": {"metric": "accuracy", "target": 0.75, "direction": "higher"},
            "time_limit_minutes": 1.0,
        }
    )
    return found


def planted(content: bytes, folder: Path) -> None:
    """No reader: what the fuzzing has to find."""
    if content[:2] == b"{[":
        raise KeyError("planted")


CONF = Path(__file__).resolve().parents[2] / "conf"
RECORD_WITH_SERIES = json.dumps(
    {
        "study": "s", "case_id": "0123456789abcdef", "repeat": 0, "seed": 1, "workload": "gemm", "target": "t",
        "outcome": "completed", "started_at": "2026-01-01T00:00:00Z", "finished_at": "2026-01-01T00:01:00Z",
        "measurements": [{
            "metric": "gemm.throughput", "unit": "TFLOP/s", "direction": "higher", "samples": [],
            "samples_file": "0.series.parquet", "series": 0, "series_samples": 2,
        }],
    }
)  # fmt: skip
COMPLETED = {"repeat": 1, "seed": 2, "measurements": []}
"""Of a record: that it is the one of the second repeat, and holds no series."""
READERS: dict[str, Reader] = {
    function.__name__: function
    for function in (
        record, series, case, mllog, mlperf_log, mlperf_system, mlperf_power, mlperf_archive, nccl_tests, fio,
        mlperf_storage, audit, routing, bundle, bundle_files, overrides, study, rules, accelerators, topology,
        published, study_files, job_notes, executor_files, slurm_answers, external_lines,
        restarts, fence, figure_index, driver_tools, node_answers,
    )
}  # fmt: skip

"""The tables of every kind of probe, written where a study has one."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.analysis.probes.bisection import bisection_tables
from seatrial.analysis.probes.checkpoint import checkpoint
from seatrial.analysis.probes.collective import collective
from seatrial.analysis.probes.dataload import dataload
from seatrial.analysis.probes.devices import devices
from seatrial.analysis.probes.gemm import gemm_tables
from seatrial.analysis.probes.moe_alltoall import moe_alltoall
from seatrial.analysis.probes.screen import screening
from seatrial.analysis.probes.storage_results import storage_results
from seatrial.case import Case
from seatrial.paths import PROBE_TABLES, StudyPaths

Writer = Callable[[StudyPaths, Sequence[Case]], None]

WRITERS: dict[str, Writer] = {
    "bisection": bisection_tables,
    "collective": collective,
    "nccl_tests_logs": collective,
    "checkpoint": checkpoint,
    "moe_alltoall": moe_alltoall,
    "gemm": gemm_tables,
    "memory": devices,
    "dataload": dataload,
    "screen": screening,
    "fio_results": storage_results,
    "mlperf_storage_results": storage_results,
}
"""Kind of probe -> what writes its PROBE_TABLES from the study's tables; given the study's cases of that kind."""


def probe_tables(paths: StudyPaths) -> None:
    """Write the tables of the probes that the study has, and remove those of probes that it has not.

    Raises UnreadableFile where `collect` has not run.
    """
    cases = read_cases(paths, read_plan(paths))
    written: set[str] = set()
    for kind, write in WRITERS.items():
        of_kind = [case for case in cases if case.workload.kind == kind]
        if of_kind:
            write(paths, of_kind)
            written |= set(PROBE_TABLES[kind])
    for name in {name for kind in WRITERS for name in PROBE_TABLES[kind]} - written:
        paths.probe_table(name).unlink(missing_ok=True)

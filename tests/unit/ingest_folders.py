"""Result folders of MLPerf logs, in memory and on disk, for the tests of `seatrial ingest mlperf`."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlperf_folders import RunPlan, SubmitterFolder, log_file, runs_of

from seatrial.ingest.mlperf.filing import file_records
from seatrial.ingest.mlperf.handed_over import match_cases, one_system, study_of
from seatrial.ingest.mlperf.read import read_results
from seatrial.ingest.mlperf.records import Factor, record_of
from seatrial.ingest.mlperf.result import Evaluation, ResultFolder, Run, System
from seatrial.paths import StudyPaths
from seatrial.record import Record

START = 1_759_276_800_000.0
MINUTE = 60_000.0
SYSTEM = System(
    "Harbour Systems", "closed", "onprem", "harbour", 1, 8, "NVIDIA B200", "PyTorch", {"submitter": "x"}
)
ONE = Factor(1.0, "computed")


def run(**changes: Any) -> Run:
    """A run of llama2_70b_lora that took 10 minutes and met its target at the second of two evaluations."""
    content: dict[str, Any] = {
        "path": "results/hs-8xb200/llama2_70b_lora/result_0.txt",
        "benchmark": "llama2_70b_lora",
        "division": "closed",
        "problems": (),
        "status": "success",
        "started_ms": START,
        "stopped_ms": START + 10 * MINUTE,
        "converged": True,
        "to_quality": 3072.0,
        "global_batch_size": 8.0,
        "convergence_problem": None,
        "seeds": (4711, 12),
        "evaluations": (
            Evaluation(START + 8 * MINUTE, 2688.0, 0.930),
            Evaluation(START + 9.9 * MINUTE, 3072.0, 0.924),
        ),
        "throughputs": (5.9, 6.0),
        "broken_lines": 0,
    }
    return Run(**(content | changes))


def folder(runs: tuple[Run, ...] = (), **changes: Any) -> ResultFolder:
    content: dict[str, Any] = {
        "round": "v5.1",
        "path": "results/hs-8xb200/llama2_70b_lora",
        "submitter_folder": "Harbour_Systems",
        "system_id": "hs-8xb200",
        "benchmark": "llama2_70b_lora",
        "system": SYSTEM,
        "scaling_factor": None,
        "scaling_problem": None,
        "power": False,
        "remarks": (),
        "runs": runs or (run(),),
    }
    return ResultFolder(**(content | changes))


def b200(system: System) -> str | None:
    return "B200" if "B200" in (system.accelerator_model or "") else None


def record(found: Run, factor: Factor = ONE, **of_folder: Any) -> Record:
    whole = folder((found,), **of_folder)
    case = study_of("trial", [whole], b200, []).cases[0]
    return record_of(case, 0, whole, found, "ab" * 32, factor)


def figures(of: Record) -> dict[str, list[float]]:
    return {m.metric: m.samples for m in of.measurements}


BAD: Mapping[str, dict[str, Any]] = {
    "completed": {},
    "aborted": {"status": "aborted", "reaches_target": False},
    "short": {"reaches_target": False},
    "cut": {"status": None},
    "refused": {"without": ("lora_rank",)},
    "late": {"init_minutes": 31.0},
}
KINDS = {
    "completed": None,
    "aborted": "target_not_reached",
    "short": "target_not_reached",
    "cut": "crashed",
    "refused": "wrong_result",
    "late": "wrong_result",
}


def handed_over(
    root: Path, fates: list[str], others: Mapping[str, bytes] | None = None, minutes: float | None = None
) -> Path:
    """The folder of one submitter with one result of llama2_70b_lora on 8 B200; a fate for each of its logs."""
    at = SubmitterFolder(root / "training_results_v5.1" / "Harbour_Systems", "Harbour Systems")
    plan = RunPlan(100, "llama2_70b_lora", terse=True, minutes=minutes)
    plans = runs_of(plan, len(fates), spread=False)
    logs = [
        log_file(replace(p, **BAD[fate]), f"result_{i}.txt")
        for i, (p, fate) in enumerate(zip(plans, fates, strict=True))
    ]
    at.results(at.system("hs-8xb200"), "llama2_70b_lora", logs, others)
    return at.root


def filed(source: Path, results: Path, factor: Factor = ONE) -> tuple[StudyPaths, list[Record]]:
    folders = one_system(read_results(source).folders, None)
    plan = study_of("trial", folders, b200, [])
    paths = StudyPaths(results / "trial")
    (one,) = file_records(paths, plan, match_cases(plan, folders, b200), source, lambda _: factor)
    return paths, list(one.records)


def content(root: Path) -> dict[str, str]:
    return {
        str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in root.rglob("*") if p.is_file()
    }


def table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file."""
    with path.open(encoding="utf-8") as handle:
        return list(csv.DictReader(handle))

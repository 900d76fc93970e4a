"""Start ranks as a launcher does, each a process of its own on this machine, and collect what became of them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seatrial.case import Case, case_id
from seatrial.config.target import Target
from seatrial.record import Record

PROGRAM = Path(__file__).with_name("rank_program.py")
LAUNCHERS = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass
class Ended:
    """How the ranks of a repeat ended: exit codes and standard error by rank, the seconds it took, the record."""

    codes: list[int]
    output: list[str]
    errors: list[str]
    seconds: float
    record: Record | None


def target(ranks: int = 1, **more: Any) -> Target:
    """A CPU target of one node with `ranks` tasks."""
    content = {
        "name": "bench",
        "description": "ranks on this machine",
        "nodes": 1,
        "accelerators_per_node": 0,
        "tasks_per_node": ranks,
        "device": "cpu",
    }
    return Target.model_validate({**content, **more})


def case(workload: dict[str, Any], ranks: int = 1, **more: Any) -> Case:
    """A case of `workload` on `ranks` ranks of this machine; `more` goes into its target."""
    on = target(ranks, **more)
    content = {"study": "try", "experiment": "probe", "repeats": 1, "base_seed": 3, "case_id": "x"}
    draft = Case.model_validate({**content, "workload": workload, "target": on})
    return draft.model_copy(update={"case_id": case_id("probe", draft.workload, on, draft.base_seed)})


def collective(**more: Any) -> dict[str, Any]:
    """A small all_reduce whose ranks wait no longer than 20 s for each other."""
    content = {"kind": "collective", "operation": "all_reduce", "size_bytes": 4096, "warmup": 1, "iterations": 3}
    return {**content, "timeout_seconds": 20.0, **more}


def bare_environment(**more: str) -> dict[str, str]:
    """This process's environment without a launcher's words."""
    kept = {k: v for k, v in os.environ.items() if k not in LAUNCHERS and not k.startswith("SLURM_")}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run_ranks(
    what: Case, work: str, folder: Path, started: list[int] | None = None, within: float = 60, **more: str
) -> Ended:
    """Run `work` of rank_program.py for `what` on all its ranks (or those `started`); none outlives `within` s."""
    size = what.target.world_size
    started = list(range(size)) if started is None else started
    case_file, record = folder / "case.json", folder / "records" / "0.json"
    what.write(case_file)
    shared = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), **more}
    begin = time.monotonic()
    processes = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), str(case_file), str(record), work],
            env=bare_environment(**{"RANK": str(rank), "LOCAL_RANK": str(rank), **shared}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in started
    ]
    try:
        said = [p.communicate(timeout=max(1.0, within - (time.monotonic() - begin))) for p in processes]
    finally:
        for process in processes:
            process.kill()
    return Ended(
        codes=[p.returncode for p in processes],
        output=[out for out, _ in said],
        errors=[err for _, err in said],
        seconds=time.monotonic() - begin,
        record=Record.read(record) if record.exists() else None,
    )

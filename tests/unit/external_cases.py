"""Commands that stand for somebody else's training: real processes that write real log lines."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from typing import Any

import torch
from ranks import case

from seatrial.case import Case
from seatrial.errors import MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.train.external import run

MLPERF_RUN = """
    import sys, time
    from mlperf_logging import mllog

    status, losses, pause = sys.argv[1], [float(word) for word in sys.argv[2].split(",")], float(sys.argv[3])
    logger = mllog.get_mllogger()
    print("starting up")
    logger.event("submission_benchmark", "llama2_70b_lora")
    logger.event("seed", int(sys.argv[4]))
    logger.start("init_start")
    logger.end("init_stop")
    logger.start("run_start")
    for number, loss in enumerate(losses):
        time.sleep(pause)
        where = {"samples_count": 8 * number}
        logger.event("tracked_stats", {"throughput": 100.0 + number, "train_loss": loss}, metadata=where)
        logger.start("eval_start", metadata=where)
        time.sleep(pause)
        logger.event("eval_accuracy", loss, metadata=where)
        logger.end("eval_stop", metadata=where)
    logger.end("run_stop", metadata={"status": status, "samples_count": 8 * len(losses)})
"""
"""Arguments: status of run_stop, losses, seconds of every training and every evaluation, seed."""
TITAN_RUN = """
    import sys, time

    def say(words):
        print("[rank0]:[titan] 2025-06-04 08:51:48,074 - root - INFO - " + words, flush=True)

    say("Training starts at step 1")
    for step in (1, 10, 20):
        time.sleep(0.25)
        say(f"\\x1b[31mstep: {step:2}  \\x1b[32mloss: {9 - step / 10:8.5f}  "
            f"\\x1b[38;2;180;60;0mgrad_norm:  1.4604  \\x1b[36mmemory:  1.21GiB(0.86%)  "
            f"\\x1b[34mtps: {5000 + step:,}  \\x1b[35mmfu: 0.04%\\x1b[39m")
        say(f"\\x1b[33mvalidate step: {step:2}  \\x1b[32mloss: {8 - step / 10:7.4f}  "
            f"\\x1b[36mmemory:  1.21GiB(0.86%)  \\x1b[34mtps: 12,001\\x1b[39m")
    say("Training completed")
"""


def program(folder: Path, text: str, name: str = "program.py") -> list[str]:
    """A command that runs `text` as a Python program."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return [sys.executable, str(path)]


def external(command: list[str], **more: Any) -> dict[str, Any]:
    """A workload that runs `command`."""
    return {
        "kind": "external",
        "command": command,
        "format": "mllog",
        "time_limit_minutes": 1.0,
        "telemetry_interval_seconds": None,
        **more,
    }


def goal(target: float, metric: str = "eval_loss", direction: str = "lower") -> dict[str, Any]:
    return {"metric": metric, "target": target, "direction": direction}


def mlperf_run(folder: Path, status: str, losses: str, pause: float = 0.05, **more: Any) -> dict[str, Any]:
    """A workload whose command trains by MLPERF_RUN."""
    return external([*program(folder, MLPERF_RUN), status, losses, str(pause), "{seed}"], **more)


def attempt(workload: dict[str, Any], folder: Path, **more: Any) -> tuple[RankContext, MeasurementFailed | None]:
    """Run `workload` on one rank in this process; what it measured, and how it failed if it did."""
    what: Case = case(workload, **more)
    ctx = RankContext(
        case=what, repeat=0, seed=7, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=folder / "records",
    )  # fmt: skip
    ctx.folder.mkdir(parents=True, exist_ok=True)
    try:
        run.run(ctx)
    except MeasurementFailed as problem:
        return ctx, problem
    return ctx, None


def samples(ctx: RankContext, metric: str) -> list[float]:
    """All samples of a metric, in order."""
    return [value for m in ctx.measurements if m.metric == metric for value in m.samples]

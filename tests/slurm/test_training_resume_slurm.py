"""A training whose job is stopped on a real Slurm, and started again by the executor: it is the same training."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest
from test_study_slurm import _stop, _wait_for, overridden, run, site, start

from seatrial.record import Record

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(900)]
__all__ = ["site"]  # a fixture, found by its name
ONE_TRAINING = (
    "~experiments.gemm",
    "~experiments.memory",
    "~experiments.all_reduce",
    "criteria=[]",
    "target.nodes=2",
    "target.tasks_per_node=1",
    "experiments.finetune.repeats=1",
    # of a base model that has learnt little, in a tenth of the time: the target is that of about 40 steps
    "experiments.finetune.workload.model.steps=60",
    "experiments.finetune.workload.quality.target=4.72",
)
EVERY_FIVE = "experiments.finetune.workload.checkpoint_interval_steps=5"


def record(folder: Path) -> Record:
    (path,) = folder.glob("demo/records/*/0.json")
    return Record.read(path)


def jobs(environment: dict[str, str]) -> list[str]:
    """The ids of the measurement's jobs that run now."""
    words = ["squeue", "-h", "-r", "-t", "RUNNING", "-o", "%i"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def stop(signal: str, folder: Path, environment: dict[str, str]) -> None:
    """Kill the ranks (to `scancel --signal=KILL` Slurm would say CANCELLED), or warn their job."""
    if signal == "KILL":
        for process in psutil.process_iter(["cmdline", "cwd"]):
            if "measure" in (process.info["cmdline"] or []) and process.info["cwd"] == str(folder):
                process.kill()
    else:
        (job,) = jobs(environment)
        subprocess.run(["scancel", f"--signal={signal}", job], env=environment, timeout=60, check=True)


def trained_for(folder: Path, evaluations: int) -> bool:
    logs = list(folder.glob("demo/records/*/0.mllog"))
    return any(log.read_text().count("block_stop") >= evaluations for log in logs)


@pytest.mark.parametrize(
    ("signal", "overrides"),
    [
        # dies at once, and goes on from the last checkpoint of its interval
        ("KILL", [EVERY_FIVE]),
        # is warned, as before a preemption or at a time limit, and saves where it stands
        ("TERM", []),
    ],
)
def test_training_whose_job_is_stopped_goes_on_when_it_is_started_again(site, signal, overrides):
    folder, environment = site
    words = overridden(*ONE_TRAINING, *overrides)
    cut = folder / "results"
    with (folder / "out").open("w") as log:
        process = start(site, words, log)
        try:
            _wait_for(lambda: trained_for(cut, 2) or process.poll() is not None, 400)
            stop(signal, folder, environment)
            code = process.wait(timeout=400)
        finally:
            _stop(process)
    out = (folder / "out").read_text()
    assert code == 0, out[-4000:]
    stopped = record(cut)
    assert (stopped.outcome, stopped.resumed) == ("completed", 1), out[-4000:]
    (log,) = cut.glob("demo/records/*/0.mllog")
    assert log.read_text().count('"run_stop"') == 1

    (cut / "demo" / "records").rename(folder / "stopped")
    code, out = run(site, *words, timeout=400)
    assert code == 0, out[-4000:]
    whole = record(cut)
    assert whole.resumed == 0
    assert stopped.quality.crossing["samples"] == whole.quality.crossing["samples"]
    assert stopped.quality.after["value"] == whole.quality.after["value"]

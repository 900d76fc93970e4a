"""A real study with secrets in its environment, in a folder whose name a shell would run: neither gets far."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from seatrial.bundle.archive import unpack

BIN = Path(sys.executable).parent
SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-secret",
    "HF_TOKEN": "hf_planted0123456789planted",
    "WANDB_API_KEY": "planted-wandb-key",
    "DATABASE_PASSWORD": "planted-password",
    "SLURM_JWT": "planted-jwt",
    "NCCL_BOOTSTRAP_PASSWORD": "planted-nccl-password",
    "NCCL_NETWORK_ADDRESS": "https://user:planted-in-url@host/path",
    "GIT_ASKPASS_TOKEN": "planted-git-token",
}
FOLDER = 'it\'s "here" `touch PWNED` $(touch PWNED); & x'


TRAINER = """
import json, os, sys
from mlperf_logging import mllog
folder, repeat = sys.argv[1:]
secrets = {name: os.environ[name] for name in NAMES if name in os.environ}
logger = mllog.get_mllogger()
logger.start("run_start")
logger.event("eval_accuracy", 1.0, metadata={"samples_count": 8})
logger.event("started_with", secrets["WANDB_API_KEY"], metadata=secrets)
logger.end("run_stop", metadata={"status": "success"})
open(f"{folder}/settings.json", "w").write(json.dumps(secrets))
for name, value in secrets.items():
    print(f"{name}={value}", flush=True)
sys.exit(3 if repeat == "1" else 0)
"""
"""Somebody else's training that shows its environment: in its log lines, in a file of its own, and as it fails."""


def external(program: Path) -> str:
    """The override that adds it to a study, with a repeat that fails."""
    program.write_text(TRAINER.replace("NAMES", repr(list(SECRETS))))
    command = json.dumps([sys.executable, str(program), "{folder}", "{repeat}"])
    workload = f"{{kind: external, command: {command}, format: mllog, time_limit_minutes: 2}}"
    return f"+experiments.vendor={{repeats: 2, workload: {workload}}}"


@pytest.mark.timeout(280)
def test_no_secret_of_the_environment_is_written_anywhere_but_by_the_program_that_prints_it(
    project: Path, tmp_path: Path
) -> None:
    overrides = [
        "~experiments.memory", "~experiments.all_reduce", "~experiments.finetune", "~experiments.gemm.sweep",
        "experiments.gemm.workload.m=32", "experiments.gemm.repeats=1", "criteria=[]",
        "title='{seed} $(touch PWNED) `touch PWNED` ; touch PWNED'", external(tmp_path / "trainer.py"),
    ]  # fmt: skip
    results = tmp_path / FOLDER
    results.mkdir()
    environment = {**os.environ, **SECRETS, "NCCL_DEBUG": "WARN"}
    words = ["snakemake", "--profile", "local", "--config", "study=demo", f"overrides={json.dumps(overrides)}"]
    done = subprocess.run(
        [str(BIN / words[0]), *words[1:], f"results={results}"],
        cwd=project, capture_output=True, text=True, timeout=250, env=environment, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    study = results / "demo"
    records = [json.loads(path.read_text()) for path in sorted(study.glob("records/*/*.json"))]
    for said in (record["provenance"]["environment"] for record in records):
        assert said["NCCL_DEBUG"] == "WARN", "what changes a measurement is kept"
        assert said["NCCL_NETWORK_ADDRESS"] == "https://***@host/path"
    (failed,) = [record["error"]["message"] for record in records if record["error"]]
    assert "the command ended with exit code 3" in failed and "HF_TOKEN=[masked: HF_TOKEN]" in failed
    assert (study / "report.html").is_file()
    archive = tmp_path / "demo.tar.zst"
    bundled = subprocess.run(
        [str(BIN / "seatrial"), "bundle", str(study), "--output", str(archive)],
        capture_output=True, text=True, timeout=100, env=environment, check=False,
    )  # fmt: skip
    assert bundled.returncode == 0, bundled.stderr
    (tmp_path / "unpacked").mkdir()
    assert unpack(archive, tmp_path / "unpacked") is None
    shutil.rmtree(project / "conf")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 50
    found = {
        path
        for path in files
        if any(value.encode() in path.read_bytes() for value in (*SECRETS.values(), "planted"))
    }
    # what a program writes by itself stays as it is where the study lies, and nowhere else
    own = {
        path
        for name in ("*.external.0.log", "*.external/settings.json")
        for path in study.glob(f"records/*/{name}")
    }
    assert (found, len(own)) == (own, 4)
    assert "planted" not in done.stdout + done.stderr + bundled.stdout + bundled.stderr
    assert not list(tmp_path.rglob("PWNED"))

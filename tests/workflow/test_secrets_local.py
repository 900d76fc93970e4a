"""A real study with secrets in its environment, in a folder whose name a shell would run: neither gets anywhere."""

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


@pytest.mark.timeout(280)
def test_no_secret_of_the_environment_is_written_anywhere(project: Path, tmp_path: Path) -> None:
    overrides = [
        "~experiments.memory", "~experiments.all_reduce", "~experiments.finetune", "~experiments.gemm.sweep",
        "experiments.gemm.workload.m=32", "experiments.gemm.repeats=1", "criteria=[]",
        "title='{seed} $(touch PWNED) `touch PWNED` ; touch PWNED'",
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
    (record,) = study.glob("records/*/0.json")
    said = json.loads(record.read_text())["provenance"]["environment"]
    assert said["NCCL_DEBUG"] == "WARN", "what changes a measurement is kept"
    assert said["NCCL_NETWORK_ADDRESS"] == "https://***@host/path"
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
    files = [path for place in (tmp_path, project) for path in place.rglob("*") if path.is_file()]
    assert len(files) > 50
    found = [
        (str(path.relative_to(tmp_path)), value)
        for path in files
        for value in (*SECRETS.values(), "planted")
        if value.encode() in path.read_bytes()
    ]
    assert found == []
    assert "planted" not in done.stdout + done.stderr + bundled.stdout + bundled.stderr
    assert not list(tmp_path.rglob("PWNED"))

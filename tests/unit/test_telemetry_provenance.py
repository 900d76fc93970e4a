"""What a record says of where it came from, and what it must never say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranks import target

from seatrial.telemetry import provenance as telemetry

SECRETS = [
    "HF_TOKEN",
    "AWS_SECRET_ACCESS_KEY",
    "WANDB_API_KEY",
    "SLURM_JWT",
    "NCCL_TOKEN",
    "TORCH_PASSWORD",
    "HOME",
]


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_stay_out(name: str) -> None:
    environ = {name: "hush", "NCCL_DEBUG": "INFO", "SLURM_JOB_ID": "7"}
    assert telemetry.environment_facts(environ) == {"NCCL_DEBUG": "INFO"}
    assert telemetry.slurm_facts(environ) == {"SLURM_JOB_ID": "7"}


@given(st.dictionaries(st.text("ABCNLGOTKEH_", min_size=1), st.text()))
def test_only_listed_names_are_read(environ: dict[str, str]) -> None:
    for name in telemetry.environment_facts(environ):
        assert name in telemetry.NAMES or name.startswith(telemetry.PREFIXES)
        assert "TOKEN" not in name


def checkout(folder: Path) -> Path:
    """A git checkout with a package in it."""
    package = folder / "src" / "pkg"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.invalid"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *words], check=True, timeout=30, capture_output=True)
    return package


def test_commit_of_a_checkout_and_whether_it_was_changed(tmp_path: Path) -> None:
    package = checkout(tmp_path)
    clean = telemetry.git_facts(package)
    assert clean is not None and len(clean["commit"]) == 40 and clean["dirty"] is False
    (package / "__init__.py").write_text("x = 1\n")
    changed = telemetry.git_facts(package)
    assert changed is not None and changed["dirty"] is True


def test_package_inside_a_foreign_checkout_has_no_commit(tmp_path: Path) -> None:
    checkout(tmp_path)
    installed = tmp_path / ".venv" / "pkg"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert telemetry.git_facts(installed) is None


def test_folder_outside_any_checkout_has_no_commit(tmp_path: Path) -> None:
    assert telemetry.git_facts(tmp_path) is None


def test_driver_is_what_the_kernel_loaded(tmp_path: Path) -> None:
    assert telemetry.driver_version(tmp_path) is None
    amd = tmp_path / "sys/module/amdgpu/version"
    amd.parent.mkdir(parents=True)
    amd.write_text("6.12.12\n")
    assert telemetry.driver_version(tmp_path) == "amdgpu 6.12.12"
    nvidia = tmp_path / "proc/driver/nvidia/version"
    nvidia.parent.mkdir(parents=True)
    for line in (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC version: x\n",
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  550.54.15  Release Build\n",
    ):
        nvidia.write_text(line)
        assert telemetry.driver_version(tmp_path) == "nvidia 550.54.15"


def test_cpu_model_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text("processor : 0\nmodel name\t: EPYC 9654\n")
    assert telemetry.cpu_model(tmp_path) == "EPYC 9654"


def test_container_of_the_target_and_the_one_around_us() -> None:
    assert telemetry.container_facts(target(), {}) is None
    image = {"container": {"runtime": "pyxis", "image": "nvcr.io#nvidia/pytorch:25.09-py3"}}
    found = telemetry.container_facts(target(launcher=image), {"APPTAINER_CONTAINER": "/images/a.sif"})
    assert found == {"runtime": "pyxis", "image": "nvcr.io#nvidia/pytorch:25.09-py3", "inside": "/images/a.sif"}


def test_provenance_never_imports_torch() -> None:
    program = (
        "import sys; from seatrial.telemetry.provenance import git_facts, version_facts; "
        "git_facts(); print(version_facts()); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "python" in done.stdout

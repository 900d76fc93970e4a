"""Where and with what a repeat ran: hosts, Slurm, git, versions, devices, driver, environment, container.

Only names on the allow lists are read from the environment, so that no secret ever reaches a record.
"""

from __future__ import annotations

import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

from seatrial.config.secrets import names_a_secret, without_secrets
from seatrial.config.target import Target

PREFIXES = ("NCCL_", "RCCL_", "GLOO_", "OMP_", "MKL_", "KMP_", "TORCH_", "PYTORCH_", "UCX_", "FI_", "HSA_")
NAMES = (
    "CUDA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "CUBLAS_WORKSPACE_CONFIG",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "TOKENIZERS_PARALLELISM",
)
SLURM_NAMES = (
    "SLURM_CLUSTER_NAME",
    "SLURM_CPUS_ON_NODE",
    "SLURM_CPUS_PER_TASK",
    "SLURM_GPUS_ON_NODE",
    "SLURM_ARRAY_JOB_ID",
    "SLURM_ARRAY_TASK_ID",
    "SLURM_JOB_ID",
    "SLURM_JOB_NAME",
    "SLURM_JOB_NODELIST",
    "SLURM_JOB_NUM_NODES",
    "SLURM_JOB_PARTITION",
    "SLURM_JOB_QOS",
    "SLURM_MEM_PER_NODE",
    "SLURM_NTASKS",
    "SLURM_RESTART_COUNT",
    "SLURM_STEP_ID",
    "SLURM_STEP_NODELIST",
    "SLURM_STEP_NUM_TASKS",
    "SLURM_TASKS_PER_NODE",
    "SLURM_TOPOLOGY_ADDR",
)
VERSIONED = ("seatrial", "numpy", "pydantic", "transformers", "peft", "tokenizers", "safetensors")
GIT_TIMEOUT_SECONDS = 10


def slurm_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """The allocation by Slurm's own names; empty outside Slurm."""
    return {name: environ[name] for name in SLURM_NAMES if name in environ}


def environment_facts(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that can change a measurement; nothing whose name smells of a secret, no value that is one."""
    return {
        name: without_secrets(environ[name])
        for name in sorted(environ)
        if (name in NAMES or name.startswith(PREFIXES)) and not names_a_secret(name)
    }


def container_facts(target: Target, environ: Mapping[str, str]) -> dict[str, str] | None:
    """The container that the target asks for and the one the process finds itself in, or None for neither."""
    facts = {}
    if target.launcher.container is not None:
        facts = {"runtime": target.launcher.container.runtime, "image": target.launcher.container.image}
    inside = environ.get("APPTAINER_CONTAINER") or environ.get("SINGULARITY_CONTAINER")
    if inside:
        facts["inside"] = inside
    return facts or None


def git_facts(package: Path | None = None) -> dict[str, Any] | None:
    """Commit of the checkout that the package runs from, and whether tracked files differ from it.

    None where the package is installed without its checkout, or git is absent or does not answer in time.
    """
    folder = package or Path(__file__).resolve().parent.parent
    # An installed package may lie in the folder of an unrelated checkout; only a tracked one counts.
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": bool(changes)}


def version_facts(torch: ModuleType | None = None) -> dict[str, str]:
    """Versions of Python and of the packages that were imported; with `torch` its own, CUDA's and NCCL's."""
    versions = {"python": platform.python_version()}
    for name in VERSIONED:
        if name in sys.modules:
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    if torch is not None:
        versions["torch"] = str(torch.__version__)
        if torch.version.cuda:
            versions["cuda"] = str(torch.version.cuda)
        if torch.version.hip:
            versions["hip"] = str(torch.version.hip)
        if torch.cuda.is_available() and torch.distributed.is_nccl_available():
            versions["nccl"] = ".".join(str(part) for part in torch.cuda.nccl.version())
    return versions


def driver_version(root: Path = Path("/")) -> str | None:
    """The accelerator driver that the kernel has loaded (NVIDIA's or AMD's), or None."""
    nvidia = _text(root / "proc/driver/nvidia/version")
    if nvidia:
        found = re.search(r"Kernel Module(?: for \S+)?\s+(\S+)", nvidia)
        return f"nvidia {found.group(1)}" if found else nvidia.splitlines()[0]
    amd = _text(root / "sys/module/amdgpu/version")
    return f"amdgpu {amd.strip()}" if amd else None


def cpu_model(root: Path = Path("/")) -> str | None:
    """The processor's name as the kernel gives it, or None."""
    found = re.search(r"^model name\s*:\s*(.+)$", _text(root / "proc/cpuinfo") or "", re.MULTILINE)
    return found.group(1).strip() if found else platform.processor() or None


def provenance(
    target: Target, case_id: str, ranks: list[dict[str, Any]], torch: ModuleType | None = None
) -> dict[str, Any]:
    """The record's provenance. `ranks` are what every rank said of itself: host, device, threads (by rank)."""
    environ = os.environ
    return {
        "case_id": case_id,
        "hosts": [rank["host"] for rank in ranks],
        "devices": [rank.get("device") for rank in ranks],
        "threads": [rank.get("threads") for rank in ranks],
        "slurm": slurm_facts(environ),
        "git": git_facts(),
        "versions": version_facts(torch),
        "driver": driver_version(),
        "cpu": cpu_model(),
        "kernel": platform.release(),
        "environment": environment_facts(environ),
        "container": container_facts(target, environ),
    }


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=GIT_TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None

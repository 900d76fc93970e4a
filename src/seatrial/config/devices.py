"""The accelerators of this machine, found by their drivers' tools; never by torch, which takes seconds to import.

NVIDIA's are found by nvidia-smi, AMD's by amd-smi or rocm-smi (these two by their documented output: no AMD machine
was at hand to try them on).
"""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

TOOL_SECONDS = 30.0
"""A driver's tool that takes longer is taken to hang."""
KFD_NODES = Path("/sys/class/kfd/kfd/topology/nodes")
TORCH_BACKEND = {"nvidia": "cuda", "amd": "hip"}


class ToolFailed(Exception):
    """A driver's tool that is there and does not answer."""


def usable_accelerators() -> tuple[tuple[str, list[str]] | None, list[str]]:
    """Vendor and names of the accelerators that this process and its torch can use, and notes on the others."""
    notes: list[str] = []
    useless: set[str] = set()
    for vendor, tool, ask in TOOLS:
        if shutil.which(tool) is None or vendor in useless:
            continue
        try:
            names = _visible(ask(), vendor)
        except ToolFailed as problem:
            notes.append(f"{tool} is installed but failed, so its accelerators are not used: {problem}")
            continue
        if names and not _torch_can(vendor):
            notes.append(
                f"{len(names)} x {names[0]} not used: the installed torch is built without {TORCH_BACKEND[vendor]}"
            )
            useless.add(vendor)
        elif names:
            return (vendor, names), notes
    amd_tool = any(shutil.which(tool) for vendor, tool, _ in TOOLS if vendor == "amd")
    if not amd_tool and _kfd_accelerators():
        notes.append("the kernel shows AMD accelerators, but neither amd-smi nor rocm-smi is installed: not used")
    return None, notes


def _output(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=TOOL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ToolFailed(f"no answer within {TOOL_SECONDS:g} s") from None
    except OSError as problem:
        raise ToolFailed(str(problem)) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise ToolFailed(said[-1] if said else f"exit code {done.returncode}")
    return done.stdout


def _nvidia() -> list[str]:
    return nvidia_names(_output("nvidia-smi", "--query-gpu=name", "--format=csv,noheader"))


def _amd_smi() -> list[str]:
    return amd_smi_names(_output("amd-smi", "static", "--asic", "--json"))


def _rocm_smi() -> list[str]:
    return rocm_smi_names(_output("rocm-smi", "--showproductname", "--json"))


def nvidia_names(text: str) -> list[str]:
    """The accelerators in an answer of nvidia-smi. Raises ToolFailed where it is none."""
    try:
        return [row[0].strip() for row in csv.reader(text.splitlines()) if row and row[0].strip()]
    except csv.Error as problem:
        raise ToolFailed(f"its answer is not CSV ({problem})") from None


def amd_smi_names(text: str) -> list[str]:
    """The accelerators in an answer of amd-smi. Raises ToolFailed where it is none."""
    answer = _json(text)
    entries = answer.get("gpu_data", []) if isinstance(answer, dict) else answer
    if not isinstance(entries, list):
        raise ToolFailed("its answer holds no list of accelerators")
    asics = [e["asic"] for e in entries if isinstance(e, dict) and isinstance(e.get("asic"), dict)]
    return [str(asic.get("market_name", "AMD accelerator")) for asic in asics]


def rocm_smi_names(text: str) -> list[str]:
    """The accelerators in an answer of rocm-smi. Raises ToolFailed where it is none."""
    cards = _json(text)
    if not isinstance(cards, dict):
        raise ToolFailed("its answer is not a mapping of cards")
    names = []
    for key, card in sorted((k, c) for k, c in cards.items() if re.fullmatch(r"card\d+", k)):
        if not isinstance(card, dict):
            raise ToolFailed(f"its answer says nothing of {key}")
        lower = {k.lower(): v for k, v in card.items()}  # `Card series` became `Card Series`
        names.append(str(lower.get("card series", "AMD accelerator")))
    return names


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ToolFailed(f"its answer is not JSON ({problem})") from None


TOOLS: tuple[tuple[str, str, Callable[[], list[str]]], ...] = (
    ("nvidia", "nvidia-smi", _nvidia),
    ("amd", "amd-smi", _amd_smi),
    ("amd", "rocm-smi", _rocm_smi),
)
"""Vendor, its driver's tool and the question put to it, in the order in which they are tried."""


def _visible(names: list[str], vendor: str) -> list[str]:
    """The accelerators that the environment leaves visible; ids other than numbers count, in order."""
    variables = {"nvidia": ("CUDA_VISIBLE_DEVICES",), "amd": ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")}
    for variable in variables[vendor]:
        if variable not in os.environ:
            continue
        chosen: list[str] = []
        for word in (w.strip() for w in os.environ[variable].split(",")):
            index = int(word) if word.isdecimal() else len(chosen)
            if not word or word.startswith("-") or index >= len(names):
                break  # CUDA ignores whatever follows an invalid id
            chosen.append(names[index])
        names = chosen
    return names


def _torch_can(vendor: str) -> bool:
    """Whether the installed torch was built for the vendor, read from its version file without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return True
    version = Path(spec.origin).parent / "version.py"
    if not version.is_file():
        return True
    text = version.read_text(encoding="utf-8")
    line = re.search(rf"^{TORCH_BACKEND[vendor]}\b[^=]*=\s*(\S+)", text, re.MULTILINE)
    return line is None or line.group(1) != "None"


def _kfd_accelerators() -> int:
    """AMD devices with compute units that the kernel shows."""
    count = 0
    for properties in sorted(KFD_NODES.glob("*/properties")):
        count += re.search(r"^simd_count [1-9]", properties.read_text(encoding="utf-8"), re.MULTILINE) is not None
    return count

"""`python -m seatrial.doctor.part NAME ...`: what may hang or crash, each in a process that can be given up.

A driver's tool, torch on a broken driver and a folder on a dead file server never answer; JSON on standard output.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

from seatrial.doctor.facts import Folder, Torch

MB = 1_000_000
MARKER_SECONDS = 5.0
"""A file system may show what another node wrote a little later."""


def main(words: list[str]) -> int:
    """Run the part that `words` name and print what it found."""
    name, *rest = words
    found: Any
    if name == "devices":
        found = devices()
    elif name == "torch":
        found = asdict(torch_and_devices())
    else:
        path, write_mb, marker = rest
        found = asdict(folder(path, int(write_mb), marker))
    print(json.dumps(found))
    return 0


def devices() -> dict[str, Any]:
    """The accelerators that the driver's tools name and torch can use, as a study planned here would find them."""
    from seatrial.config.devices import usable_accelerators

    found, notes = usable_accelerators()
    vendor, names = found if found is not None else (None, [])
    return {"vendor": vendor, "names": names, "notes": notes}


def torch_and_devices() -> Torch:
    """Import torch and add two numbers on every device: a build without kernels for it fails only then."""
    try:
        import torch
    except (ImportError, OSError) as problem:
        return Torch(problem=f"torch cannot be imported: {problem}")
    facts: dict[str, Any] = {
        "version": str(torch.__version__),
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
    }
    facts["has_nccl"] = torch.distributed.is_available() and torch.distributed.is_nccl_available()
    if facts["has_nccl"]:
        with suppress(AttributeError, RuntimeError):
            facts["nccl"] = ".".join(str(part) for part in torch.cuda.nccl.version())
    facts["driver"], facts["driver_cuda"] = _driver()
    names: list[str] = []
    try:
        for index in range(torch.cuda.device_count()):
            if float(torch.ones(2, device=f"cuda:{index}").sum()) != 2.0:
                return Torch(**facts, devices=names, problem=f"cuda:{index} cannot add: 1 + 1 was not 2")
            names.append(torch.cuda.get_device_name(index))
    except (RuntimeError, AssertionError) as problem:
        return Torch(**facts, devices=names, problem=str(problem).splitlines()[0])
    return Torch(**facts, devices=names)


def _driver() -> tuple[str | None, str | None]:
    """NVIDIA's driver and the newest CUDA that it knows, as NVML says; None where there is none."""
    pynvml = importlib.import_module("pynvml")

    try:
        pynvml.nvmlInit()
        number = int(pynvml.nvmlSystemGetCudaDriverVersion_v2())
        return str(pynvml.nvmlSystemGetDriverVersion()), f"{number // 1000}.{number % 1000 // 10}"
    except pynvml.NVMLError:
        return None, None


def folder(path: str, write_mb: int, marker: str) -> Folder:
    """Look at a folder; with `write_mb` write so many MB to one file, sync it, and remove it again."""
    place = Path(path)
    if not place.exists():
        above = next((p for p in place.absolute().parents if p.exists()), None)
        if above is None or not write_mb or not above.is_dir():
            return Folder(path, made_in=None if above is None else str(above))
        found = _written(above, write_mb)
        return Folder(path, made_in=str(above), free=shutil.disk_usage(above).free, **found)
    facts: dict[str, Any] = {
        "exists": True,
        "is_folder": place.is_dir(),
        "readable": os.access(place, os.R_OK),
        "marked": _finds(place / marker) if marker else None,
    }
    if place.is_dir():
        facts["free"] = shutil.disk_usage(place).free
        facts |= _written(place, write_mb) if write_mb else {"writable": os.access(place, os.W_OK | os.X_OK)}
    return Folder(path, **facts)


def _finds(file: Path) -> bool:
    end = time.monotonic() + MARKER_SECONDS
    while not file.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True


def _written(place: Path, write_mb: int) -> dict[str, Any]:
    """Whether a file can be written here, and how fast; what cannot be compressed, or a file system would."""
    file = place / f".seatrial-doctor-{uuid4().hex}"
    block = os.urandom(MB)
    try:
        began = time.perf_counter()
        with file.open("xb") as handle:
            # without a name it is gone when this process is, however it ends
            file.unlink()
            for _ in range(write_mb):
                handle.write(block)
            handle.flush()
            os.fsync(handle.fileno())
        seconds = time.perf_counter() - began
    except OSError as problem:
        return {"writable": False, "problem": problem.strerror or str(problem)}
    return {"writable": True, "speed": write_mb / seconds}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

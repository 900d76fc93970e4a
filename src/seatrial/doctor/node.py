"""`python -m seatrial.doctor.node ASKED`: what this machine is, as one line of JSON; on nodes `srun` starts it."""

from __future__ import annotations

import json
import platform
import re
import resource
import shutil
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial import __version__
from seatrial.doctor.command import Answer, ask, there
from seatrial.doctor.facts import Asked, Folder, NodeFacts, Torch

MARK = "seatrial-doctor:"
"""Before the JSON: other programs (a prolog, a module system) write to standard output too."""
TORCH_SECONDS = 180.0
"""Importing torch from a cold network file system takes minutes at worst."""
SHARED_MEMORY = Path("/dev/shm")
INFINIBAND = Path("/sys/class/infiniband")


def gather(asked: Asked, root: Path = Path("/")) -> NodeFacts:
    """What this machine is. Nothing here waits longer than it may; `root` is where /sys and /proc lie."""
    synchronised, clock_saw = clock(asked.seconds)
    ports, gbit = infiniband(root / INFINIBAND.relative_to("/"))
    shm = root / SHARED_MEMORY.relative_to("/")
    return NodeFacts(
        host=socket.gethostname(),
        python=platform.python_version(),
        seatrial=__version__,
        at=time.time(),
        locked_memory=_limit(resource.RLIMIT_MEMLOCK),
        open_files=_limit(resource.RLIMIT_NOFILE),
        shared_memory=shutil.disk_usage(shm).total if shm.is_dir() else None,
        clock_synchronised=synchronised,
        clock_saw=clock_saw,
        driver=_driver(root),
        infiniband=ports,
        infiniband_gbit=gbit,
        **_devices(asked.seconds),
        torch=_torch(max(asked.seconds, TORCH_SECONDS)) if asked.torch else None,
        folders=[_folder(path, asked.write_mb, asked) for path in asked.written]
        + [_folder(path, 0, asked) for path in asked.read],
        programs={name: there(name) for name in asked.programs},
    )


def part(*words: str, seconds: float) -> tuple[Mapping[str, Any] | None, str]:
    """What a part of the doctor says in a process of its own, or None and why not."""
    answer = ask([sys.executable, "-m", "seatrial.doctor.part", *words], seconds)
    if not answer.fine:
        return None, answer.problem.replace(sys.executable, words[0]) or answer.why
    try:
        found: Mapping[str, Any] = json.loads(answer.out.splitlines()[-1])
    except (json.JSONDecodeError, IndexError):
        return None, "it said nothing that can be read"
    return found, ""


def clock(seconds: float) -> tuple[bool | None, str]:
    """Whether the clock is kept right by a service, and who says so; None: nobody could be asked."""
    asked: list[Answer] = []
    if there("chronyc"):
        asked.append(answer := ask(["chronyc", "-n", "tracking"], seconds))
        if answer.fine:
            leap = re.search(r"^Leap status\s*:\s*(.+)$", answer.out, re.MULTILINE)
            offset = re.search(r"^System time\s*:\s*(.+)$", answer.out, re.MULTILINE)
            said = leap.group(1).strip() if leap else ""
            return said == "Normal", f"chronyc: {said or 'no leap status'}; {offset.group(1) if offset else ''}"
    if there("timedatectl"):
        asked.append(answer := ask(["timedatectl", "show", "--property=NTPSynchronized", "--value"], seconds))
        if answer.fine and answer.out.strip() in ("yes", "no"):
            return answer.out.strip() == "yes", f"timedatectl: synchronised {answer.out.strip()}"
    said = "; ".join(f"{answer.words[0]}: {answer.why}" for answer in asked)
    return None, said or "neither chronyc nor timedatectl is here"


def infiniband(folder: Path) -> tuple[list[str], float]:
    """Every port below /sys/class/infiniband in words, and the Gb/s of the active ones together."""
    lines, gbit = [], 0.0
    for port in sorted(folder.glob("*/ports/*")):
        state, rate = _text(port / "state"), _text(port / "rate")
        lines.append(f"{port.parent.parent.name} port {port.name} {state.partition(': ')[2] or state}, {rate}")
        found = re.match(r"([\d.]+)\s*Gb/sec", rate)
        if state.endswith("ACTIVE") and found:
            gbit += float(found.group(1))
    return lines, gbit


def _devices(seconds: float) -> dict[str, Any]:
    found, problem = part("devices", seconds=seconds)
    if found is None:
        return {"device_problem": problem}
    return {"vendor": found["vendor"], "devices": found["names"], "device_notes": found["notes"]}


def _torch(seconds: float) -> Torch:
    found, problem = part("torch", seconds=seconds)
    return Torch(problem=problem) if found is None else Torch(**found)


def _folder(path: str, write_mb: int, asked: Asked) -> Folder:
    found, problem = part("folder", path, str(write_mb), asked.marker, seconds=asked.seconds)
    return Folder(path, problem=problem) if found is None else Folder(**found)


def _limit(which: int) -> int | None:
    soft, _ = resource.getrlimit(which)
    return None if soft == resource.RLIM_INFINITY else soft


def _driver(root: Path) -> str | None:
    from seatrial.telemetry.provenance import driver_version

    return driver_version(root)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return "unknown"


def main(words: list[str]) -> int:
    """Print what this machine is."""
    # a job's standard input and working folder may be anything: nothing here reads them
    print(MARK + gather(Asked.from_json(words[0])).to_json(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

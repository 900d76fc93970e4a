"""The machine at hand as a target: what can be detected without torch, and the catalogue's facts about it."""

from __future__ import annotations

import copy
import fnmatch
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seatrial.config.devices import usable_accelerators
from seatrial.config.yaml_file import read_yaml
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.units import MIB

AUTO = "auto"
DETECTABLE = (
    "device",
    "accelerators_per_node",
    "tasks_per_node",
    "accelerator",
    "scale_up",
    "node.cpus",
    "node.memory_mb",
)
"""Keys of a target that may read `auto`."""
CGROUP = Path("/sys/fs/cgroup")


def detect() -> dict[str, Any]:
    """What this machine is: `device`, `accelerators_per_node`, `tasks_per_node`, `accelerator` (the driver's name
    of it, or None), `vendor`, `cpus` and `memory_mb` that this process may use, and `notes` on what was left out.

    A driver's tool that fails, or accelerators that the installed torch cannot use, leave a CPU machine and a note.
    """
    found, notes = usable_accelerators()
    vendor, names = found if found is not None else (None, [])
    models = sorted(set(names))
    if len(models) > 1:
        notes.append(f"accelerators of different models ({', '.join(models)}): no facts are taken for them")
    return {
        "device": "cuda" if names else "cpu",
        "accelerators_per_node": len(names),
        "tasks_per_node": max(1, len(names)),
        "accelerator": models[0] if len(models) == 1 else None,
        "vendor": vendor,
        "cpus": usable_cpus(),
        "memory_mb": usable_memory_mb(),
        "notes": notes,
    }


def fill(raw_target: Mapping[str, Any], catalogue: Path) -> dict[str, Any]:
    """`raw_target` with every `auto` replaced by what is detected; a target without `auto` as it is.

    `catalogue` is the folder of the accelerators' files; the one whose `device_names` match the detected name gives
    the facts. What the target sets itself stays, and the rest follows from it.
    Raises ConfigError for an `auto` at a key that nothing can detect, UnreadableFile for a broken catalogue file.
    """
    target: dict[str, Any] = copy.deepcopy(dict(raw_target))
    automatic = _automatic_keys(target)
    for key in automatic:
        if key not in DETECTABLE:
            raise ConfigError(
                "nothing here can be detected",
                key=f"target.{key}",
                value=AUTO,
                allowed=f"a value of its own; auto may stand at: {', '.join(DETECTABLE)}",
            )
    if not automatic:
        return target
    machine = detect()
    if target.get("device") == AUTO:
        target["device"] = machine["device"]
    on_accelerators = target.get("device") != "cpu"
    if target.get("accelerators_per_node") == AUTO:
        target["accelerators_per_node"] = machine["accelerators_per_node"] if on_accelerators else 0
    if target.get("tasks_per_node") == AUTO:
        target["tasks_per_node"] = (target.get("accelerators_per_node") or 1) if on_accelerators else 1
    facts = _facts(machine, catalogue) if on_accelerators else {}
    for key in ("accelerator", "scale_up"):
        if target.get(key) == AUTO:
            target[key] = facts.get(key)
    node = target.get("node") or {}
    for key in ("cpus", "memory_mb"):
        if node.get(key) == AUTO:
            node[key] = machine[key]
    target["notes"] = [*(target.get("notes") or []), *machine["notes"]]
    return target


def match(device_name: str, catalogue: Path) -> dict[str, Any] | None:
    """The catalogue file, read, whose `device_names` match the driver's name of an accelerator; None: not listed.

    Raises UnreadableFile where a file of the folder is no catalogue entry, ConfigError where two match.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(catalogue.glob("*.yaml")):
        entry = _catalogue_entry(path)
        patterns = entry["accelerator"].get("device_names") or []
        if any(fnmatch.fnmatch(device_name.lower(), str(p).lower()) for p in patterns):
            found[path.name] = entry
    if len(found) > 1:
        raise ConfigError(
            "two catalogue files claim the same accelerator",
            file=catalogue,
            key="accelerator.device_names",
            value=device_name,
            allowed=f"one file for each device name; matching: {', '.join(found)}",
        )
    return next(iter(found.values()), None)


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity, bounded by the control group's quota."""
    try:
        count = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        count = os.cpu_count() or 1
    quota = _words(CGROUP / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit() and quota[1].isdigit():
        count = min(count, max(1, int(quota[0]) // int(quota[1])))
    return count


def usable_memory_mb() -> int:
    """Memory that this process may use, in Slurm's MB (1024 x 1024 bytes): bounded by the control group's limit."""
    size = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in (CGROUP / "memory.max", CGROUP / "memory" / "memory.limit_in_bytes"):
        words = _words(limit)
        if words and words[0].isdigit():
            size = min(size, int(words[0]))
    return size // MIB


def _automatic_keys(value: Mapping[str, Any], prefix: str = "") -> list[str]:
    keys = []
    for name, item in value.items():
        if isinstance(item, Mapping):
            keys += _automatic_keys(item, f"{prefix}{name}.")
        elif item == AUTO:
            keys.append(f"{prefix}{name}")
    return keys


def _facts(machine: Mapping[str, Any], catalogue: Path) -> dict[str, Any]:
    """`accelerator` and, where there are several, `scale_up` of the detected accelerator."""
    name = machine["accelerator"]
    if name is None:
        return {}
    entry = match(name, catalogue)
    if entry is None:
        machine["notes"].append(f"{name} is not in the catalogue of accelerators: no peaks are known for it")
        return {"accelerator": {"name": name, "vendor": machine["vendor"]}}
    facts = {"accelerator": entry["accelerator"]}
    if machine["accelerators_per_node"] > 1 and entry.get("scale_up"):
        facts["scale_up"] = entry["scale_up"]
        machine["notes"].append("scale_up is the catalogue's for this accelerator; the links were not looked at")
    return facts


def _catalogue_entry(path: Path) -> dict[str, Any]:
    entry = read_yaml(path)
    if not isinstance(entry, dict) or not isinstance(entry.get("accelerator"), dict):
        raise UnreadableFile(path, "no mapping `accelerator` in it")
    return entry


def _words(path: Path) -> list[str]:
    """The words of a small kernel file; none where it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").split()
    except OSError:
        return []

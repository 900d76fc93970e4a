"""The targets of a procurement's proposals, filled in when a study is planned.

A proposal names a target of the catalogue, and the analysis never reads the configuration: so study.json is given
the whole target, as it is given the price list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from seatrial.config import local
from seatrial.config.yaml_file import read_yaml
from seatrial.errors import ConfigError, UnreadableFile

Entries = Mapping[str, Mapping[str, Any]]
PLACE = "economics.procurement.proposals"


def fill(raw_study: dict[str, Any], conf: Path, targets: Callable[[], Entries]) -> None:
    """Replace every proposal's `target` that is a name, or null, by that target, and set its `accelerator`.

    `targets` gives every composed target of `conf` by name, and is only asked where it is needed.
    Raises ConfigError for a name that the catalogue has not, UnreadableFile for a broken accelerator's file.
    """
    procurement = (raw_study.get("economics") or {}).get("procurement")
    proposals = procurement.get("proposals") if isinstance(procurement, dict) else None
    if not isinstance(proposals, dict):
        return
    known = (
        targets()
        if any(isinstance(p, dict) and isinstance(p.get("target"), str) for p in proposals.values())
        else {}
    )
    for name, proposal in proposals.items():
        if not isinstance(proposal, dict):
            continue
        key = f"{PLACE}.{name}"
        chosen = proposal.get("target")
        if chosen is None:
            proposal["target"] = dict(raw_study.get("target") or {})
        elif isinstance(chosen, str):
            proposal["target"] = _target(chosen, f"{key}.target", known, conf)
        if isinstance(proposal.get("accelerator"), str) and isinstance(proposal["target"], dict):
            accelerator = _accelerator(proposal["accelerator"], f"{key}.accelerator", conf / "accelerator")
            proposal["target"] = {**proposal["target"], "accelerator": accelerator}


def _target(name: str, key: str, known: Entries, conf: Path) -> dict[str, Any]:
    if name not in known:
        raise ConfigError(
            "there is no target of this name", file=conf / "target", key=key, value=name, allowed=sorted(known)
        )
    return local.fill(known[name], conf / "accelerator")


def _accelerator(name: str, key: str, folder: Path) -> dict[str, Any]:
    """The facts of an accelerator, without the links that it usually has: those are the target's."""
    path = folder / f"{name}.yaml"
    names = sorted(p.stem for p in folder.glob("*.yaml"))
    if name not in names:
        raise ConfigError("there is no accelerator of this name", file=folder, key=key, value=name, allowed=names)
    entry = read_yaml(path)
    if not isinstance(entry, dict) or not isinstance(entry.get("accelerator"), dict):
        raise UnreadableFile(path, "not a mapping with the key accelerator")
    return dict(entry["accelerator"])

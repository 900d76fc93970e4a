"""Folders that a probe reads or writes: looked for where the target is this machine, elsewhere only warned about.

A cluster is often planned from a login node or a laptop, which need not mount what its nodes do.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seatrial.asked_once import Once
from seatrial.case import Case
from seatrial.config.probe import Checkpoint, Dataload
from seatrial.config.target import Target
from seatrial.errors import ConfigError
from seatrial.planned import Plan

HERE = "local"
"""The target that is the machine at hand (conf/target/local.yaml)."""


def check_folders(plan: Plan, case: Case, once: Once) -> None:
    """Raise ConfigError for a probe's folder that is not there, where the target is this machine."""
    for key, name in _absent([case], once):
        if _is_here(case.target):
            raise ConfigError(
                "there is no such folder",
                file=plan.file_of(key),
                key=key,
                value=name,
                allowed="a folder that exists",
            )


def folders_to_look_for(plan: Plan) -> list[str]:
    """A line for each folder of a probe that this machine does not have and the target's nodes must."""
    elsewhere = [case for case in plan.cases if not _is_here(case.target)]
    whose = f"every node of target {plan.study.target.name}"
    return [
        f"warning: {key}={name} is no folder on this machine; {whose} must have it"
        for key, name in dict.fromkeys(_absent(elsewhere, Once()))
    ]


def _is_here(target: Target) -> bool:
    return target.name == HERE and target.nodes == 1


def _absent(cases: Iterable[Case], once: Once) -> list[tuple[str, str]]:
    named = [folder for case in cases for folder in folders_of(case)]
    return [(key, name) for key, name in named if not once(_is_folder, name)]


def _is_folder(name: str) -> bool:
    return Path(name).expanduser().is_dir()


def folders_of(case: Case) -> list[tuple[str, str]]:
    """Keys and paths of the folders that a case's probe needs; a storage without a path is refused elsewhere."""
    work, place = case.workload, f"experiments.{case.experiment}.workload"
    if isinstance(work, Checkpoint):
        return _named(case.target, f"{place}.path", work.path, work.storage)
    if isinstance(work, Dataload):
        spec = work.dataset
        return _named(case.target, f"{place}.dataset.path", spec.path, getattr(spec, "storage", None))
    return []


def _named(target: Target, key: str, path: str | None, storage: str | None) -> list[tuple[str, str]]:
    if path is not None:
        return [(key, path)]
    known = target.storage.get(storage or "")
    return [] if known is None or known.path is None else [(f"target.storage.{storage}.path", known.path)]

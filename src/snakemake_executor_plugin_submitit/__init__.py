"""Snakemake executor plugin that runs jobs through submitit: on Slurm, on this machine, or in this process.

The names that Snakemake looks for are loaded when they are asked for, so that a rank, which unpickles
`payload.RankCommand` from this package, does not import Snakemake's interfaces: start-up time counts on every
rank of every job.
"""

from typing import Any

__all__ = ["Executor", "ExecutorSettings", "common_settings"]

_HOMES = {"Executor": "executor", "ExecutorSettings": "settings", "common_settings": "settings"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)

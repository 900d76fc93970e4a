"""Which rank this process is: read from the launcher's variables, or a single rank in a bare shell."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from seatrial.config.target import Target
from seatrial.errors import ConfigError

LAUNCH_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
FIRST_STEP_PORT = 15000
"""Ports derived from a Slurm step lie in the 14,000 from here: registered ports, below the ephemeral ones."""


@dataclass(frozen=True)
class Launch:
    """The place of this process among the ranks of a repeat."""

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    address: str = "127.0.0.1"
    """Where rank 0 listens."""
    port: int = 0


def read_launch(environ: Mapping[str, str]) -> Launch:
    """The launch that `environ` describes.

    RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT come first; inside an `srun` step without them
    Slurm's own variables; with neither, a single rank. Raises ConfigError for a half-told or impossible launch.
    """
    told = [name for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE") if name in environ]
    if told:
        launch = _from_launch_variables(environ)
    elif "SLURM_PROCID" in environ and {"SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"} & environ.keys():
        launch = _from_slurm_step(environ)
    else:
        return Launch()
    if not 0 <= launch.rank < launch.world_size:
        raise ConfigError(
            "the launcher gave an impossible rank",
            key="RANK",
            value=launch.rank,
            allowed=f"0 to {launch.world_size - 1}, as WORLD_SIZE is {launch.world_size}",
        )
    return launch


def check_world_size(launch: Launch, target: Target) -> None:
    """Raise ConfigError where the launcher started another number of ranks than the case's target has."""
    if launch.world_size != target.world_size:
        raise ConfigError(
            f"the case needs {target.world_size} rank(s) but {launch.world_size} started; start it as "
            f"srun --nodes={target.nodes} --ntasks-per-node={target.tasks_per_node} seatrial measure ...",
            key="WORLD_SIZE",
            value=launch.world_size,
            allowed=f"{target.world_size} (target.nodes {target.nodes} x "
            f"target.tasks_per_node {target.tasks_per_node})",
        )


def host_name(environ: Mapping[str, str]) -> str:
    """The node's name as Slurm calls it, else the machine's; several test nodes may share one machine."""
    return environ.get("SLURMD_NODENAME") or socket.gethostname()


def first_host(nodelist: str) -> str:
    """The first host of a Slurm node list: 'gpu[03-05,9],cpu1' -> 'gpu03'. Raises ConfigError for no list."""
    match = re.match(r"(?:[^,\[\]]|\[[^\[\]]*\])+", nodelist.strip())
    if match is None:
        raise ConfigError("not a Slurm node list", key="SLURM_JOB_NODELIST", value=nodelist, allowed="node[01-04]")
    return re.sub(r"\[([^\],-]*)[^\]]*\]", r"\1", match.group())


def _from_launch_variables(environ: Mapping[str, str]) -> Launch:
    world_size = _integer(environ, "WORLD_SIZE")
    needed = LAUNCH_VARIABLES if world_size > 1 else LAUNCH_VARIABLES[:3]
    missing = [name for name in needed if not environ.get(name)]
    if missing:
        raise ConfigError(
            f"the launcher set {', '.join(n for n in needed if n not in missing)} but not {', '.join(missing)}",
            key=missing[0],
            allowed="all of " + ", ".join(needed) + ", or none of them for a single rank",
        )
    return Launch(
        rank=_integer(environ, "RANK"),
        local_rank=_integer(environ, "LOCAL_RANK"),
        world_size=world_size,
        address=environ.get("MASTER_ADDR", "127.0.0.1"),
        port=_integer(environ, "MASTER_PORT") if world_size > 1 else 0,
    )


def _from_slurm_step(environ: Mapping[str, str]) -> Launch:
    size = "SLURM_STEP_NUM_TASKS" if "SLURM_STEP_NUM_TASKS" in environ else "SLURM_NTASKS"
    nodelist = environ.get("SLURM_STEP_NODELIST") or environ.get("SLURM_JOB_NODELIST", "")
    world_size = _integer(environ, size)
    step = _integer(environ, "SLURM_JOB_ID") * 31 + _integer(environ, "SLURM_STEP_ID", 0)
    return Launch(
        rank=_integer(environ, "SLURM_PROCID"),
        local_rank=_integer(environ, "SLURM_LOCALID"),
        world_size=world_size,
        address=environ.get("MASTER_ADDR") or (first_host(nodelist) if world_size > 1 else "127.0.0.1"),
        port=_integer(environ, "MASTER_PORT", FIRST_STEP_PORT + step % 14000),
    )


def _integer(environ: Mapping[str, str], name: str, default: int | None = None) -> int:
    text = environ.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d+", text.strip(), flags=re.ASCII):
        raise ConfigError(
            f"{name}, set by the launcher, is not a whole number", key=name, value=text, allowed="0, 1, 2, ..."
        )
    return int(text)

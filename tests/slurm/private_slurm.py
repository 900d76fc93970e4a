"""Private Slurms on this machine: started once for all tests that want them, stopped whatever happens."""

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from faults import Cluster, disks, links, processors

CLUSTER = Path(__file__).parent / "cluster"
COMMANDS = ("munged", "mariadbd", "mariadb-admin", "slurmdbd", "slurmctld", "slurmd", "sbatch", "srun", "sacct")
NODES, CPUS, GPUS, MEM_MB = 4, 4, 2, 16000
DISKS, DISK_BYTES = ("results", "work"), 32 << 20


def _leave_out(why: str) -> None:
    """Skip, in one line that says how to get it; fail where a Slurm is required."""
    if os.environ.get("SEATRIAL_REQUIRE_SLURM") == "1":
        pytest.fail(f"SEATRIAL_REQUIRE_SLURM=1, but {why}", pytrace=False)
    pytest.skip(why)


def _free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on, below those that jobs take."""
    # not the same for two that look at once; between looking and listening another may still take one
    for first in random.sample(range(17000, 19900, count), k=2900 // count):
        try:
            for port in range(first, first + count):
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("", port))
        except OSError:
            continue
        return first
    raise RuntimeError("no free ports for a private Slurm")


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[dict[str, str]]:
    """Environment for Slurm's commands on a private cluster of 4 nodes with 4 CPUs, 2 fake GPUs and 16000 MB each.

    SLURM_CONF, PATH and SLURM_BASE; everything else is the caller's environment. Partitions main and high.
    """
    yield from slurm_of_nodes("uts")


@pytest.fixture(scope="session")
def slurm_network_cluster() -> Iterator[Cluster]:
    """Another such cluster, whose nodes have a network namespace each: eth0 on a bridge, MTU 1500.

    Its ranks must be told GLOO_SOCKET_IFNAME=eth0.
    """
    if os.geteuid() == 0 and (why := links.why_not()) is not None:
        _leave_out(why)
    for environment in slurm_of_nodes("net"):
        yield Cluster.read(environment)


def slurm_of_nodes(isolate: str) -> Iterator[dict[str, str]]:
    """Start a cluster, yield its environment, stop it. `isolate`: what each node has of its own, `uts` or `net`."""
    path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
    missing = [command for command in COMMANDS if shutil.which(command, path=path) is None]
    if missing:
        _leave_out(f"Slurm's daemons are not installed ({missing[0]} is missing): `make slurm` installs them")
    if os.geteuid() != 0:
        _leave_out("a private Slurm needs root: run the tests as root, after `make slurm`")
    base = _start(isolate)
    try:
        hidden = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "SACCT_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        yield {**inherited, "PATH": path, "SLURM_CONF": f"{base}/etc/slurm.conf", "SLURM_BASE": base}
    finally:
        _stop(base)


def _start(isolate: str) -> str:
    """Start the daemons and return their folder; twice more where they did not come up.

    slurmdbd was once seen not to answer within 30 s on a busy machine, and to find its port taken. What is tested
    here is the executor, not Slurm's start, and all attempts are told where the last fails too.
    """
    told = []
    for _ in range(3):
        base = tempfile.mkdtemp(prefix="slurm", dir="/tmp")  # short: Unix sockets have at most 107 bytes
        _mount_disks(base)
        options = {"nodes": NODES, "cpus": CPUS, "gpus": GPUS, "mem": MEM_MB, "port": _free_ports(NODES + 3)}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        up = subprocess.run(
            [CLUSTER / "slurm-up", "--base", base, "--isolate", isolate, *words],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        if up.returncode == 0:
            return base
        told.append(up.stderr)
        _stop(base)
    return pytest.fail("the private Slurm did not start:\n" + "\n".join(told), pytrace=False)


def _mount_disks(base: str) -> None:
    """File systems that a test may fill: nodes see what was mounted before they started, and nothing later."""
    for name in DISKS:
        place = Path(base, "disks", name)
        place.mkdir(parents=True)
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(place)]
        subprocess.run(words, capture_output=True, timeout=30, check=False)  # a test sees whether it is there


def _stop(base: str) -> None:
    down = [str(CLUSTER / "slurm-down"), "--base", base]
    subprocess.run(down, capture_output=True, timeout=120, check=False)
    for name in DISKS:
        subprocess.run(["umount", "-l", f"{base}/disks/{name}"], capture_output=True, timeout=30, check=False)
    shutil.rmtree(base, ignore_errors=True)


@pytest.fixture
def disks_to_fill(slurm_cluster: dict[str, str]) -> Iterator[tuple[Path, Path]]:
    """Two file systems of DISK_BYTES each that all nodes of the test Slurm share; empty again afterwards."""
    places = [Path(slurm_cluster["SLURM_BASE"], "disks", name) for name in DISKS]
    if not all(place.is_mount() for place in places):
        _leave_out("nothing can be mounted here")
    yield places[0], places[1]
    for place in places:
        for path in place.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


@pytest.fixture
def disk_can_be_throttled(tmp_path: Path) -> None:
    """Leave the test out, in words, where the disk below tmp_path cannot be throttled."""
    if (why := disks.why_not(tmp_path)) is not None:
        _leave_out(why)


@pytest.fixture
def processors_can_be_throttled() -> None:
    """Leave the test out, in words, where nodes cannot be given a part of a processor."""
    if (why := processors.why_not()) is not None:
        _leave_out(why)

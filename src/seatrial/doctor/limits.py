"""The rules of thumb of `seatrial doctor`: each a figure with its source, each of them to be overridden."""

from __future__ import annotations

from seatrial.config.base import Closed, Threshold


class Limits(Closed):
    """What is enough. `--limits FILE.yaml` replaces any of them."""

    shared_memory_gib: Threshold = Threshold(
        value=1.0,
        source="NCCL's user guide, troubleshooting, shared memory: containers are started with --shm-size=1g",
    )
    """GiB of /dev/shm that NCCL's and the data loaders' processes of a node need at least."""
    open_files: Threshold = Threshold(
        value=4096,
        source="our choice: sockets to peers and the pipes of data loaders pass the usual 1024 with many ranks",
    )
    """Files that a process may have open."""
    clock_seconds: Threshold = Threshold(
        value=1.0,
        source="our choice: logs of several nodes are read side by side by the second; munge refuses from 300 s",
    )
    """How far apart two nodes' clocks may be."""
    write_mb_per_s: Threshold = Threshold(
        value=20.0,
        source="our choice: below it writing records and logs takes time of its own; it measures no storage system",
    )
    """MB/s of one file that is written and synced."""
    free_gb: Threshold = Threshold(
        value=1.0,
        source="our choice: records, tables, figures and logs of a small study; what probes write is counted apart",
    )
    """GB that are free where the study writes."""

"""The private Slurms of the tests in this folder."""

from private_slurm import (
    disk_can_be_throttled,
    disks_to_fill,
    processors_can_be_throttled,
    slurm_cluster,
    slurm_network_cluster,
)

__all__ = [
    "disk_can_be_throttled",
    "disks_to_fill",
    "processors_can_be_throttled",
    "slurm_cluster",
    "slurm_network_cluster",
]

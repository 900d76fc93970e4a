"""Faults put in for real into the nodes of a private Slurm: links and disks made slow, and mended on leaving.

Each fault is a context manager over a Cluster, in a module for its kind (`links`, `disks`) whose `why_not` says in
words why this machine cannot have it. What is broken, where and how badly is drawn at run time (Draw), so that
nothing that reads the results can know it.
"""

from faults.cluster import Cluster
from faults.disks import throttled_disk
from faults.draw import Draw
from faults.links import all_links, payload_rate, throttled_link, throttled_pair

__all__ = [
    "Cluster",
    "Draw",
    "all_links",
    "payload_rate",
    "throttled_disk",
    "throttled_link",
    "throttled_pair",
]

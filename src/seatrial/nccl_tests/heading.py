"""The lines of a run that begin with `#`: settings, devices, footer."""

from __future__ import annotations

import re

SETTINGS = re.compile(
    r"nThreads?:? (?P<nthreads>\d+) nGpus:? (?P<ngpus>\d+) (?:nRanks:? \d+ )?minBytes:? (?P<minimum_bytes>\d+) "
    r"maxBytes:? (?P<maximum_bytes>\d+) step: (?P<step>\S+) (?:warmup iters|warmupIters): (?P<warmup_iters>\d+) "
    r"iters: (?P<iterations>\d+)(?: agg iters: (?P<aggregated_iterations>\d+))? validation: (?P<validation>\d+)"
    r"(?: graph: (?P<graph>\d+))?(?: unalign: (?P<unalign>-?\d+))?"
)
DEVICE = re.compile(
    r"Rank +(?P<rank>\d+)(?: Group +(?P<group>\d+))?(?: Pid +\d+)? on +(?P<host>\S+) device +(?P<index>\d+) "
    r"\[[^\]]*\] ?(?P<name>.*)"
)
VERSION = re.compile(r"nccl-tests version (?P<tests>\S+)(?P<rest>.*)")
LIBRARY = re.compile(r"nccl-(headers|library)=(\d+)")
OUT_OF_BOUNDS = re.compile(r"Out of bounds values *: *(?P<count>-?\d+)(?P<verdict>.*)")
AVERAGE = re.compile(r"Avg bus bandwidth *: *(?P<value>\S+)(?P<verdict>.*)")
STARTING = re.compile(r"Collective test starting: (?P<program>\S+)")
CONCLUDED = re.compile(r"Collective test concluded: \S+")
WRITING = re.compile(r"Writing JSON output to (?P<file>.+)")
ERROR = re.compile(r"error: (?P<message>.+)")
UNITS = re.compile(r"\(B\) +\(elements\)")
SIDES = re.compile(r"(?:out-of-place|in-place)\b")
NOTES = re.compile(
    r"(?:Using devices|Blocking Enabled|Parallel Init Enabled|Per-Iteration Report|Reducing maxBytes|"
    r"GPU memory usage|skipping json output|Errors with asterisks|Using \S+ format|NCCL_VERSION_CODE|nccl-tests)"
)
"""Lines that say nothing that a record needs."""
RCCL = re.compile(r"(?:rccl|nccl)-tests: [Vv]ersion (?P<tests>.+)")
"""Begins without `#`."""
LIBRARY_SAYS = re.compile(r"(?:NCCL|RCCL) version *:? *(?P<version>\d[\w.+-]*)")
"""Printed by the library itself where NCCL_DEBUG asks for it, without `#`."""
ARGUMENT = re.compile(r"(?:^|\s)(?:-a|--av[erage]*)(?:\s+|=)?(?P<number>[0-3])(?=\s|$)")
"""-a of a command line: what is made of the processes' times."""
DATATYPE = re.compile(r"(?:^|\s)(?:-d|--da[taype]*)(?:\s+|=)?(?P<type>[a-z][a-z0-9]*)(?=\s|$)")
"""-d of a command line."""


def nccl_version(code: str) -> str:
    """'22606' -> '2.26.6': NCCL_VERSION_CODE, as NCCL counts since 2.9 (10000 x major) and before (1000 x)."""
    number = int(code)
    major = 10_000 if number >= 10_000 else 1_000
    return f"{number // major}.{number % major // 100}.{number % 100}"

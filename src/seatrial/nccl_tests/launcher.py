"""What launchers put before each line of output: which process it is from."""

from __future__ import annotations

import re

LABELS = (
    # Open MPI: `[1,0]<stdout>:`, `[host:12345,1]<stderr>:`, `[prterun-host-1@1,0]<stdout>: `, after a time or not
    re.compile(
        r" *(?:\w{3} \w{3} [ \d]\d [\d:]{8} \d{4})?(?P<label>\[[^\[\]]*,\d+\])<(?:stdout|stderr|stddiag)>: ?"
    ),
    # srun --label: ` 0: `
    re.compile(r" *(?P<label>\d{1,7}):(?: |$)"),
    # Intel MPI and MPICH, -l: `[0] `
    re.compile(r"(?P<label>\[\d{1,7}\]) "),
    # pdsh and the like: `node01: `; a failure begins with its host and a colon too, so only before what rows and
    # headings begin with
    re.compile(r"(?P<label>[A-Za-z][\w.-]*): (?=[#\s])"),
)
NCCL = re.compile(
    r"(?:\[\d{4}-\d\d-\d\d [\d:.]+\] )?"
    r"[A-Za-z][\w.-]*:\d+:\d+ \[[^\]]*\] (?:\S+:\d+ )?NCCL (?P<level>[A-Z]+)\b(?P<rest>.*)"
)
"""A line of NCCL_DEBUG. NCCL writes it into the middle of a row, which goes on afterwards."""


def without_label(line: str) -> tuple[str, str]:
    """The label of a line (empty: none), and the line without it."""
    for pattern in LABELS:
        found = pattern.match(line)
        if found is not None:
            return found["label"], line[found.end() :]
    return "", line

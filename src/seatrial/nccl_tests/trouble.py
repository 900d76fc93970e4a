"""Lines that say that a run failed, by the test program itself or by what launched it."""

from __future__ import annotations

import re

from seatrial.nccl_tests.run import Failure

LONGEST = 300
TEST = re.compile(r"Test (?:NCCL|CUDA|MPI)? ?(?:failure|timeout)")
"""NCCLCHECK, CUDACHECK and TESTCHECK of src/common.h, and the program's own time-out."""
LAUNCHER = (
    ("timeout", re.compile(r"DUE TO TIME LIMIT")),
    ("node_fail", re.compile(r"DUE TO NODE FAILURE|Node failure on")),
    ("preempted", re.compile(r"DUE TO PREEMPTION")),
    ("out_of_memory", re.compile(r"oom[-_]kill|Out Of Memory|OUT_OF_MEMORY")),
    ("cancelled", re.compile(r"\*\*\* (?:JOB|STEP) \S+ .*CANCELLED AT")),
    (
        "crashed",
        re.compile(
            r"^(?:srun|slurmstepd): error: .*(?:[Ee]xited with|Killed|Segmentation|Aborted|core dumped)"
            r"|mpirun noticed that process|exited on signal|BAD TERMINATION|Segmentation fault"
            r"|Invalid number of GPUs|MPI_ABORT was invoked|error while loading shared libraries"
        ),
    ),
)


def failure_in(line: str) -> Failure | None:
    """What a line says went wrong, or None."""
    words = " ".join(line.split())[:LONGEST]
    if TEST.search(line):
        if "timeout" in line:
            return Failure("timeout", words)
        return Failure("out_of_memory" if "out of memory" in line.lower() else "crashed", words)
    for kind, pattern in LAUNCHER:
        if pattern.search(line):
            return Failure(kind, words)
    return None

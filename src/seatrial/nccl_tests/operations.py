"""The operations of nccl-tests: their binaries, and what turns algorithm bandwidth into bus bandwidth.

Factors: https://github.com/NVIDIA/nccl-tests/blob/master/doc/PERFORMANCE.md and `GetBw` of each test.
"""

from __future__ import annotations

import re

BINARIES = {
    "all_reduce": "all_reduce_perf",
    "all_gather": "all_gather_perf",
    "reduce_scatter": "reduce_scatter_perf",
    "all_to_all": "alltoall_perf",
    "broadcast": "broadcast_perf",
    "send_recv": "sendrecv_perf",
    "reduce": "reduce_perf",
    "gather": "gather_perf",
    "scatter": "scatter_perf",
}
"""Operation -> the program that measures it."""
OPERATIONS = {binary: operation for operation, binary in BINARIES.items()}
DTYPES = {
    "float": "float32",
    "double": "float64",
    "half": "float16",
    "bfloat16": "bfloat16",
    "int8": "int8",
    "uint8": "uint8",
    "int32": "int32",
    "uint32": "uint32",
    "int64": "int64",
    "uint64": "uint64",
    "f8e4m3": "float8_e4m3",
    "f8e5m2": "float8_e5m2",
    "char": "int8",
    "int": "int32",
}
"""A type as nccl-tests spells it -> as torch does. `char` and `int` are those of NCCL 1."""
SPELT = {"int8": "int8", "int32": "int32"} | {ours: theirs for theirs, ours in reversed(DTYPES.items())}
"""A dtype as torch spells it -> what nccl-tests takes with -d."""
NAMED = re.compile(r"(?<![A-Za-z0-9])([a-z]+(?:_[a-z]+)*_perf)(?![A-Za-z0-9_])")


def bus_factor(operation: str, ranks: int) -> float:
    """Bus bandwidth over algorithm bandwidth for `ranks` ranks.

    Raises ValueError for an operation that nccl-tests has not.
    """
    if operation == "all_reduce":
        return 2 * (ranks - 1) / ranks
    if operation in ("all_gather", "reduce_scatter", "all_to_all", "gather", "scatter"):
        return (ranks - 1) / ranks
    if operation in ("broadcast", "reduce", "send_recv"):
        return 1.0
    raise ValueError(f"no bus factor for {operation!r}; allowed: {', '.join(BINARIES)}")


def binary_in(text: str) -> str | None:
    """The last test program that a line or a file's name speaks of (`all_reduce_perf`), or None."""
    found = NAMED.findall(text)
    return found[-1] if found else None


def arguments_in(command: str) -> str:
    """What stands after the last test program of a command."""
    found = list(NAMED.finditer(command))
    return command[found[-1].end() :] if found else ""


def operation_in_name(name: str) -> str | None:
    """The operation that a file's name (`alltoall-n4.log`) speaks of; None where it is none or several."""
    words = re.sub(r"[^a-z]", "", name.lower())
    known = {binary.removesuffix("_perf").replace("_", ""): operation for operation, binary in BINARIES.items()}
    found = {word for word in known if word in words}
    # `reduce` and `scatter` are parts of longer names
    longest = {word for word in found if not any(word != other and word in other for other in found)}
    return known[longest.pop()] if len(longest) == 1 else None

"""The probes beside the loop that anyone would write in torch: the same work in turns, in one call.

A part of it is a module with `results() -> list[Result]`, which takes five minutes at most.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import probes_collective
import probes_gemm
import probes_moe
from measure import Result, publish

PARTS: tuple[Callable[[], list[Result]], ...] = (
    probes_collective.results,
    probes_moe.results,
    probes_gemm.results,
)


def main() -> None:
    publish("probes", [result for part in PARTS for result in part()])


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)
    main()

"""How often verdicts are wrong and intervals hold, in simulated studies with the spread of published runs.

A study's true median lies exactly on its bound: there a pass and a fail are each wrong, and each may come in one
study of twenty (confidence 95 %); the rest must be inconclusive. Verdicts are those of the judging code itself.
A share holds where it does not lie beyond the bar by more than three of its standard errors.
"""

from __future__ import annotations

import logging
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import judge_intervals
import judge_verdicts
from measure import publish


def main() -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as both:
        parts = [both.submit(part) for part in (judge_verdicts.results, judge_intervals.results)]
        publish("judge", [result for part in parts for result in part.result()])
    print(f"{time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.WARNING)
    main()

"""What Snakemake's jobs ask the scheduler for, by the executor's resource names.

Snakemake calls every function of every job, and ten thousand jobs of a study mostly ask for the same: what is the
same for all of them is a value, and only what differs, or grows with the attempt, is a function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from seatrial.case import Case
from seatrial.config.probe import Preparation
from seatrial.config.target import Target
from seatrial.scheduling import asked, scheduling, time_limit

MANY_ATTEMPTS = 50
"""More than anybody allows: what is the same at the first attempt and at this one does not grow."""
Asked = dict[str, int | str | None]


def measure_resources(cases: Mapping[str, Case]) -> dict[str, Any]:
    """What a repeat of each case (by id) asks for: only what some case states, as Snakemake knows no absent one.

    A function is asked with Snakemake's wildcards (`case`) and the attempt.
    """
    first, last = _distinct(cases.values(), 1), _distinct(cases.values(), MANY_ATTEMPTS)
    names = sorted({name for one in first for name, value in one.items() if value is not None})
    found: dict[str, Any] = {}
    for name in names:
        values = {one[name] for one in (*first, *last)}
        found[name] = values.pop() if len(values) == 1 else _of_case(cases, name)
    return found


def _distinct(cases: Iterable[Case], attempt: int) -> list[Asked]:
    """What is asked for at an attempt, once for all cases that share target and time limit."""
    alike = {(id(case.target), case.workload.time_limit_minutes): case for case in cases}
    return [asked(case, attempt) for case in alike.values()]


def _of_case(cases: Mapping[str, Case], name: str) -> Callable[..., int | str]:
    # Snakemake tells the attempt to whoever names it: a later one may ask for more
    def wanted(wildcards: Any, attempt: int = 1) -> int | str:
        value = asked(cases[wildcards.case], attempt)[name]
        return "" if value is None else value

    return wanted


def prepare_resources(target: Target, prepared: Mapping[str, Preparation]) -> dict[str, Any]:
    """One task on one node of the study's target, for as long as each preparation (by id) may take."""

    def runtime(wildcards: Any, attempt: int = 1) -> int:
        return time_limit(prepared[wildcards.prepared].time_limit_minutes, target, attempt)

    def memory(wildcards: Any, attempt: int = 1) -> int | str:
        return scheduling(target, attempt)["mem_mb"] or ""

    stated = {name: value for name, value in scheduling(target).items() if value is not None}
    growing = {"runtime": runtime, **({"mem_mb": memory} if "mem_mb" in stated else {})}
    return {"nodes": 1, "tasks_per_node": 1, **stated, **growing}

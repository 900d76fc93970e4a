"""Everything the doctor looks at, in the order in which people mend it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from seatrial.checks import check_case, check_plan
from seatrial.doctor.check import Check, Topic
from seatrial.doctor.containers import containers_checks
from seatrial.doctor.facts import Asked, NodeFacts
from seatrial.doctor.folders import files_checks, folders_checks
from seatrial.doctor.limits import Limits
from seatrial.doctor.machine import machine_checks
from seatrial.doctor.models import models_checks
from seatrial.doctor.needs import Needs, needs_of
from seatrial.doctor.node import gather
from seatrial.doctor.nodes import nodes_checks
from seatrial.doctor.slurm import Slurm, look, requests_check
from seatrial.doctor.software import software_checks
from seatrial.errors import EXIT_FAIL, EXIT_OK, ConfigError
from seatrial.planned import Plan

STUDY = Topic("study")


@dataclass(frozen=True)
class Settings:
    """How the doctor looks."""

    results: Path = Path("results")
    submitit: Path = Path(".snakemake/submitit")
    """The executor's own default."""
    nodes: int = 2
    """On how many nodes `srun` starts a look; two tell whether folders are shared. 0: none."""
    seconds: float = 20.0
    """For each answer of another program."""
    write_mb: int = 64
    limits: Limits = field(default_factory=Limits)


def examine(plan: Plan | None, settings: Settings) -> list[Check]:
    """Look at this machine, at Slurm and at its nodes, for a plan or for none. Leaves nothing behind."""
    needs = Needs() if plan is None else needs_of(plan, settings.results, settings.submitit)
    if plan is None:
        results = str(settings.results.absolute())
        needs = Needs(written=(results,), made=(results,))
    checks = [] if plan is None else study_checks(plan)
    checks += software_checks(needs)
    slurm = look(needs, settings.seconds)
    checks += slurm.checks
    if slurm.answers and not needs.here:
        checks += requests_check(slurm, needs, settings.seconds)
    facts = gather(_asked(needs, slurm, settings))
    if runs_here(needs, slurm):
        checks += machine_checks(facts, needs, settings.limits)
    checks += containers_checks(needs, slurm, settings.seconds)
    checks += folders_checks(facts.folders, needs, settings.limits) + files_checks(facts.folders, needs)
    checks += [] if plan is None else models_checks(plan)
    return checks + _of_nodes(needs, slurm, facts, settings)


def runs_here(needs: Needs, slurm: Slurm) -> bool:
    """Whether this very machine is what the study runs on: of a cluster's login node devices say nothing."""
    return needs.runs and (needs.here or (needs.nodes == 1 and not slurm.answers))


def exit_code(checks: Sequence[Check]) -> int:
    """1 where something lacks, else 0: warnings and what was not checked are in the table."""
    return EXIT_FAIL if any(check.standing == "lacks" for check in checks) else EXIT_OK


def study_checks(plan: Plan) -> list[Check]:
    """What planning itself refuses: the first thing of each case, then of criteria and references."""
    found: dict[str, ConfigError] = {}
    for case in plan.cases:
        _note(found, partial(check_case, plan, case))
    _note(found, partial(check_plan, plan))
    if not found:
        saw = f"{len(plan.cases)} case(s), {plan.repeats} repeat(s): what can be checked beforehand is there"
        return [STUDY.ok(plan.study.name, saw)]
    return [_refused(problem) for problem in found.values()]


def _note(found: dict[str, ConfigError], look_at: Callable[[], None]) -> None:
    """Keep a refusal, the same one of several cases once."""
    try:
        look_at()
    except ConfigError as problem:
        found.setdefault(str(problem), problem)


def _refused(problem: ConfigError) -> Check:
    name = problem.key or "study"
    value = "" if problem.value is None else f": {problem.value}"
    do = f"allowed: {problem.allowed}" if problem.allowed else "change it in the study or on the command line"
    place = f" (in {problem.file})" if problem.file is not None else ""
    return STUDY.lacks(name, f"{problem.problem}{value}", f"{do}{place}")


def _asked(needs: Needs, slurm: Slurm, settings: Settings) -> Asked:
    here = runs_here(needs, slurm)
    return Asked(
        written=needs.written,
        read=needs.read,
        programs=[name for name, _ in needs.programs] if here else [],
        # of a study that runs on CPUs torch's import would tell nothing
        torch=here and (not needs.targets or needs.on_accelerators is not None),
        write_mb=settings.write_mb,
        seconds=settings.seconds,
    )


def _of_nodes(needs: Needs, slurm: Slurm, facts: NodeFacts, settings: Settings) -> list[Check]:
    return nodes_checks(needs, slurm, facts, settings.limits, settings.nodes, settings.seconds, settings.write_mb)

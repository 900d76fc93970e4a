"""What can be known to be useless before anything runs: an allocation is dear, a plan is cheap."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.metrics import METRICS
from seatrial.config.probe import AcrossRanks
from seatrial.config.study import Criterion
from seatrial.config.training import Training
from seatrial.errors import ConfigError
from seatrial.planned import Plan
from seatrial.reference.check import check_references
from seatrial.training_checks import check_training


def check_plan(plan: Plan) -> None:
    """Raise ConfigError for what no run can mend: files, modules, ranks, criteria, references.

    Paths must be visible from where the study is planned: the project's folder is on the ranks' file system.
    """
    for case in plan.cases:
        if isinstance(case.workload, Training):
            check_training(plan, case, case.workload)
        if isinstance(case.workload, AcrossRanks) and case.target.world_size < 2:
            _refuse_lone_rank(plan, case)
    for number, criterion in enumerate(plan.study.criteria):
        _check_criterion(plan, criterion, f"criteria.{number}")
    check_references(plan.study, plan.file_of)


def _refuse_lone_rank(plan: Plan, case: Case) -> None:
    raise ConfigError(
        f"{case.workload.kind} needs two ranks or more",
        file=plan.file_of("target.tasks_per_node"),
        key="target.tasks_per_node",
        value=case.target.tasks_per_node,
        allowed=f"nodes x tasks_per_node >= 2, in experiments.{case.experiment} by an axis target.tasks_per_node",
    )


def _check_criterion(plan: Plan, criterion: Criterion, key: str) -> None:
    """A criterion must select something that the study measures."""
    # pandas comes with it: a plan without criteria shall not pay for that
    from seatrial.analysis.selection import case_facts, produces

    if criterion.metric not in METRICS:
        return  # of the comparison: its rows are known only once it is made
    cases = [case for case in plan.cases if produces(case, criterion.metric)]
    if not cases:
        raise ConfigError(
            "no experiment of this study measures this metric",
            file=plan.file_of(f"{key}.metric"),
            key=f"{key}.metric",
            value=criterion.metric,
            allowed=[m for m in METRICS if any(produces(case, m) for case in plan.cases)],
        )
    facts = [case_facts(case) for case in cases]
    for name, value in criterion.where.items():
        values = {str(fact[name]) for fact in facts if name in fact}
        place = f"{key}.where.{name}"
        if name in ("experiment", "workload", "target", "case_id") and str(value) not in values:
            raise ConfigError(
                "the criterion selects nothing", file=plan.file_of(place), key=place, value=value, allowed=values
            )
        if not values and name not in LABELS:
            known = {n for fact in facts for n in fact if "." not in n} | LABELS
            raise ConfigError(
                "the criterion selects by something that is not known",
                file=plan.file_of(place),
                key=place,
                value=name,
                allowed=known,
            )


LABELS = {
    *("rank", "device", "dtype", "operation", "size_bytes", "m", "n", "k", "step", "pair", "layer", "backend"),
    *("quality", "over", "direction", "scope", "reason"),
}
"""Labels that a measurement may carry beside what its case says."""

"""What can be known to be useless before anything runs: an allocation is dear, a plan is cheap."""

from __future__ import annotations

from seatrial.case import Case
from seatrial.config.criterion import Criterion
from seatrial.config.metrics import METRICS
from seatrial.config.probe import Probe
from seatrial.config.training import Training
from seatrial.errors import ConfigError
from seatrial.planned import Plan
from seatrial.probe_checks import check_probe
from seatrial.reference.check import check_references
from seatrial.tool_checks import check_tools
from seatrial.training_checks import check_training


def check_plan(plan: Plan) -> None:
    """Raise ConfigError for what no run can mend: files, modules, ranks, criteria, references.

    Paths must be visible from where the study is planned: the project's folder is on the ranks' file system.
    """
    for case in plan.cases:
        check_case(plan, case)
    for number, criterion in enumerate(plan.study.criteria):
        _check_criterion(plan, criterion, f"criteria.{number}")
    check_references(plan.study, plan.file_of)


def check_case(plan: Plan, case: Case) -> None:
    """Raise ConfigError for what no run of this case can mend."""
    if isinstance(case.workload, Training):
        check_training(plan, case, case.workload)
    if isinstance(case.workload, Probe):
        check_probe(plan, case, case.workload)
    check_tools(plan, case)


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
    *("cut", "matching", "scale", "hosts", "how"),
    *("host_memory", "cold_cache", "source", "workers", "batch_size", "ranks"),
    *("quality", "over", "direction", "scope", "reason", "reached", "file_system"),
    *("in_place", "checked", "over_ranks", "implementation", "iterations_per_sample", "reduction", "root"),
    *("tool", "job", "group", "evidence", "direct", "pattern", "block_size", "ioengine", "iodepth"),
    *("suite", "processes", "samples", "load"),
}
"""Labels that a measurement may carry beside what its case says."""

"""What can be known to be useless before anything runs: an allocation is dear, a plan is cheap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from seatrial.asked_once import Once
from seatrial.case import Case
from seatrial.config.criterion import Criterion
from seatrial.config.metrics import METRICS
from seatrial.config.probe import Probe
from seatrial.config.training import Training
from seatrial.errors import ConfigError
from seatrial.folder_checks import HERE
from seatrial.planned import Plan
from seatrial.probe_checks import check_probe
from seatrial.reference.check import check_references
from seatrial.tool_checks import check_tools
from seatrial.training_checks import check_training


def check_plan(plan: Plan) -> None:
    """Raise ConfigError for what no run can mend: files, modules, ranks, criteria, references.

    Paths must be visible from where the study is planned: the project's folder is on the ranks' file system.
    """
    once = Once()
    for case in plan.cases:
        check_case(plan, case, once)
    for number, criterion in enumerate(plan.study.criteria):
        _check_criterion(plan, criterion, f"criteria.{number}")
    check_references(plan.study, plan.file_of)


def check_case(plan: Plan, case: Case, once: Once | None = None) -> None:
    """Raise ConfigError for what no run of this case can mend; the key is the axis where one has set it.

    `once` holds what was asked for other cases of the same check.
    """
    try:
        _check_case(plan, case, Once() if once is None else once)
    except ConfigError as mistake:
        if plan.origins is None or mistake.key is None:
            raise
        origins = plan.origins.swept(_keys_of_axes(case))
        key = origins.place(mistake.key)
        raise mistake if key == mistake.key else mistake.at(key, origins.of(key)) from None


def _keys_of_axes(case: Case) -> dict[str, str]:
    """The keys that a case's axes set, each with the key of the axis in the study."""
    place = f"experiments.{case.experiment}"
    return {
        name if name.startswith("target.") else f"{place}.{name}": f"{place}.sweep.axes.{name}"
        for name in case.axes
    }


def _check_case(plan: Plan, case: Case, once: Once) -> None:
    if case.target.name == HERE and case.target.nodes > 1:
        raise ConfigError(
            "this machine is one node",
            file=plan.file_of("target.nodes"),
            key="target.nodes",
            value=case.target.nodes,
            allowed=f"1, or a target of several nodes: target={HERE} is the machine at hand",
        )
    if isinstance(case.workload, Training):
        check_training(plan, case, case.workload, once)
    if isinstance(case.workload, Probe):
        check_probe(plan, case, case.workload, once)
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
        if not any(name in fact for fact in facts):
            if name not in LABELS:
                _refuse_unknown(plan, f"{key}.where.{name}", name, facts)
        elif not _may_select({name: value}, facts):
            place = f"{key}.where.{name}"
            raise ConfigError(
                "the criterion selects nothing",
                file=plan.file_of(place),
                key=place,
                value=value,
                allowed={str(fact[name]) for fact in facts if name in fact},
            )
    if not _may_select(criterion.where, facts):
        raise ConfigError(
            "the criterion selects nothing: no case is all of it at once",
            file=plan.file_of(f"{key}.where"),
            key=f"{key}.where",
            value=criterion.where,
            allowed="what one case that measures the metric is",
        )


def _may_select(where: Mapping[str, Any], facts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a case may be what `where` asks for."""
    return any(all(_may_be(name, value, fact) for name, value in where.items()) for fact in facts)


def _may_be(name: str, value: object, fact: Mapping[str, Any]) -> bool:
    """Whether a case, or a measurement of it, may have this `value` under `name`."""
    from seatrial.analysis.selection import may_match

    if name in LABELS:
        # not the bare name: an axis may end in it
        name = f"workload.{name}"
        if name.rpartition(".")[2] not in LABELS_OF_THE_WORKLOAD or name not in fact:
            return True  # known only once it is measured
    return name in fact and may_match({name: value}, fact, None)


def _refuse_unknown(plan: Plan, place: str, name: str, facts: Sequence[Mapping[str, Any]]) -> NoReturn:
    raise ConfigError(
        "the criterion selects by something that is not known",
        file=plan.file_of(place),
        key=place,
        value=name,
        allowed={known for fact in facts for known in fact if "." not in known} | LABELS,
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
LABELS_OF_THE_WORKLOAD = {"dtype", "operation", "m", "n", "k", "cold_cache", "host_memory"}
"""Those of LABELS that are the workload's parameter of the same name, wherever it has one."""

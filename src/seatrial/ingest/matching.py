"""Which repeat of which case a result stands for; and the study that results make by themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import ValidationError

from seatrial.case import Case, case_id
from seatrial.config.base import first_mistake
from seatrial.config.ingested import HandedOver
from seatrial.config.study import Experiment, Study
from seatrial.config.target import Target
from seatrial.errors import ConfigError, UnreadableFile
from seatrial.planned import Plan

Item = TypeVar("Item")
Difference = tuple[str, object, object]
"""Key, what the result is, what the case declares."""


@dataclass(frozen=True)
class Match(Generic[Item]):
    """A result and the repeat that it stands for."""

    case: Case
    repeat: int
    item: Item


def match_results(
    plan: Plan,
    kind: type[HandedOver],
    items: Sequence[Item],
    differences: Callable[[Item, Case], list[Difference]],
    named: Callable[[Item], str],
) -> list[Match[Item]]:
    """Each result with its case of `kind`; several of one case are its repeats, in their order.

    Raises ConfigError where the plan has no case of that kind, a result is not what any of them declares or is
    what several declare, or a case has fewer repeats than results.
    """
    cases = [case for case in plan.cases if isinstance(case.workload, kind)]
    name = str(kind.model_fields["kind"].annotation).split("'")[1]
    if not cases:
        raise ConfigError(
            f"the study has no experiment of kind {name}, so these results are none of its repeats",
            file=plan.file_of("experiments"),
            key="experiments",
            value=plan.study.name,
            allowed=f"a study with a workload {name}, or another --study, made from the results themselves",
        )
    of_case: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        of_case[_case_of(item, cases, differences, named).case_id].append(item)
    matches = []
    for case in cases:
        found = of_case[case.case_id]
        if len(found) > case.repeats:
            raise ConfigError(
                f"{len(found)} results for {case.repeats} repeats of a case: which of them count would be a choice",
                file=plan.file_of(f"experiments.{case.experiment}.repeats"),
                key=f"experiments.{case.experiment}.repeats",
                value=case.repeats,
                allowed=f"at least {len(found)}",
            )
        matches += [Match(case, number, item) for number, item in enumerate(found)]
    return matches


def _case_of(
    item: Item,
    cases: Sequence[Case],
    differences: Callable[[Item, Case], list[Difference]],
    named: Callable[[Item], str],
) -> Case:
    differing = [(case, differences(item, case)) for case in cases]
    fitting = [case for case, found in differing if not found]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise ConfigError(
            "this result fits several cases of the study",
            file=named(item),
            key="experiments",
            value=", ".join(case.experiment for case in fitting),
            allowed="one case that it fits",
        )
    nearest, found = min(differing, key=lambda pair: len(pair[1]))
    key, is_, _ = found[0]
    words = "; ".join(f"{k}: it is {f!r}, declared is {d!r}" for k, f, d in found)
    raise ConfigError(
        f"this result is not what the study declares (experiment {nearest.experiment}): {words}",
        file=named(item),
        key=key,
        value=is_,
        allowed=", ".join(dict.fromkeys(str(d[2]) for _, ds in differing for d in ds if d[0] == key)),
    )


@contextmanager
def in_words(place: str) -> Iterator[None]:
    """What the file `place` says and no study or record can hold is that file's mistake: UnreadableFile."""
    try:
        yield
    except ValidationError as problem:
        raise UnreadableFile(place, first_mistake(problem)) from None


def study_of(
    name: str, title: str, target: Target, experiments: Mapping[str, Experiment], words: Sequence[str]
) -> Plan:
    """The study that results make by themselves, without criteria; `words` are what it is planned with."""
    return plan_of(
        Study(
            name=name,
            title=title,
            description="Results handed over, not measured by Seatrial. The study was made from the results "
            "themselves: what they ran on is what they say.",
            target=target,
            experiments=dict(experiments),
        ),
        words,
    )


def plan_of(study: Study, words: Sequence[str]) -> Plan:
    """One case for each experiment of a study that sweeps nothing."""
    cases = tuple(
        Case(
            case_id=case_id(key, experiment.workload, study.target, study.base_seed),
            study=study.name,
            experiment=key,
            repeats=experiment.repeats,
            base_seed=study.base_seed,
            workload=experiment.workload,
            target=study.target,
        )
        for key, experiment in study.experiments.items()
    )
    return Plan(study=study, cases=cases, words=tuple(words))

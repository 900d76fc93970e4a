"""What can be known to be useless before anything runs: an allocation is dear, a plan is cheap."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

from seatrial.case import Case
from seatrial.config.metrics import METRICS
from seatrial.config.probe import Collective
from seatrial.config.study import Criterion
from seatrial.config.training import (
    AnyModel,
    ConfiguredModel,
    HubDataset,
    LlmFinetune,
    PackagedModel,
    PretrainedModel,
    StdlibDataset,
    TextDataset,
    Training,
)
from seatrial.errors import ConfigError
from seatrial.planned import Plan
from seatrial.reference.check import check_references


def check_plan(plan: Plan) -> None:
    """Raise ConfigError for what no run can mend: files, modules, ranks, criteria, references.

    Paths must be visible from where the study is planned: the project's folder is on the ranks' file system.
    """
    for case in plan.cases:
        if isinstance(case.workload, Training):
            _check_parallelism(plan, case, case.workload)
        if isinstance(case.workload, LlmFinetune):
            _check_finetune(plan, case, case.workload)
        if isinstance(case.workload, Collective) and case.target.world_size < 2:
            _refuse_lone_rank(plan, case)
    for number, criterion in enumerate(plan.study.criteria):
        _check_criterion(plan, criterion, f"criteria.{number}")
    check_references(plan.study, plan.file_of)


def _check_parallelism(plan: Plan, case: Case, workload: Training) -> None:
    """The ranks must come out even."""
    try:
        workload.parallelism.copies(case.target.world_size)
    except ValueError as problem:
        place = f"experiments.{case.experiment}.workload.parallelism"
        stated = {"dp": workload.parallelism.dp} if workload.parallelism.dp is not None else {}
        stated |= {n: size for n in ("fsdp", "tp", "ep") if (size := getattr(workload.parallelism, n)) > 1}
        key = f"{place}.{next(iter(stated))}"
        raise ConfigError(
            f"the parallelism does not fit the target: {problem}",
            file=plan.file_of(key),
            key=key,
            value=", ".join(f"{name} {size}" for name, size in stated.items()),
            allowed=f"sizes whose product is {case.target.world_size}, the ranks of the case",
        ) from problem


def _check_finetune(plan: Plan, case: Case, workload: LlmFinetune) -> None:
    place = f"experiments.{case.experiment}.workload"
    _check_model(plan, f"{place}.model", workload.model)
    _check_dataset(plan, f"{place}.dataset", workload.dataset)
    # Ranks of one tp group see the same data.
    data_ranks = case.target.world_size // workload.parallelism.tp
    if workload.evaluation_sequences < data_ranks:
        key = f"{place}.evaluation_sequences"
        raise ConfigError(
            "fewer evaluation sequences than ranks with different data",
            file=plan.file_of(key),
            key=key,
            value=workload.evaluation_sequences,
            allowed=f"at least {data_ranks}, the ranks of the case that see different data",
        )


def _check_model(plan: Plan, place: str, model: AnyModel) -> None:
    if isinstance(model, PretrainedModel | ConfiguredModel) and model.name is not None and _is_path(model.name):
        _must_exist(plan, f"{place}.name", model.name)
    if isinstance(model, PretrainedModel) and model.gguf_file is not None and _is_path(model.name):
        _must_exist(plan, f"{place}.gguf_file", str(Path(model.name) / model.gguf_file))
    if isinstance(model, ConfiguredModel) and model.tokenizer is not None and _is_path(model.tokenizer):
        _must_exist(plan, f"{place}.tokenizer", model.tokenizer)
    if isinstance(model, PackagedModel):
        try:
            model.folder()
        except ConfigError as problem:
            key = f"{place}.{str(problem.key).rpartition('.')[2]}"
            raise ConfigError(
                problem.problem, file=plan.file_of(key), key=key, value=problem.value, allowed=problem.allowed
            ) from problem


def _check_dataset(plan: Plan, place: str, dataset: StdlibDataset | TextDataset | HubDataset) -> None:
    if isinstance(dataset, StdlibDataset):
        for key in ("modules", "evaluation_modules"):
            for name in getattr(dataset, key):
                _check_module(plan, f"{place}.{key}", name)
    elif isinstance(dataset, TextDataset):
        for key in ("train", "evaluation"):
            for name in getattr(dataset, key):
                _must_exist(plan, f"{place}.{key}", name)
    elif dataset.source == "folder":
        _must_exist(plan, f"{place}.name", dataset.name)


def _is_path(name: str) -> bool:
    """Whether a model's name can only be a folder, and none of the hub's."""
    return name.startswith(("/", "./", "../", "~"))


def _must_exist(plan: Plan, key: str, name: str) -> None:
    if not Path(name).expanduser().exists():
        raise ConfigError(
            "there is no such file", file=plan.file_of(key), key=key, value=name, allowed="a path that exists"
        )


def _check_module(plan: Plan, key: str, name: str) -> None:
    library = Path(sysconfig.get_paths()["stdlib"])
    path = library.joinpath(*name.split("."))
    if not path.with_suffix(".py").is_file() and not (path / "__init__.py").is_file():
        raise ConfigError(
            "Python's standard library has no source of this module",
            file=plan.file_of(key),
            key=key,
            value=name,
            allowed={p.stem for p in library.glob("*.py")} & set(sys.stdlib_module_names),
        )


def _refuse_lone_rank(plan: Plan, case: Case) -> None:
    raise ConfigError(
        "a collective needs two ranks or more",
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

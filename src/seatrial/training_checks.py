"""What can be known of a training before it runs: its data, its model, its ranks and its batch."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Literal

from seatrial.asked_once import Once
from seatrial.case import Case
from seatrial.config.training import (
    AnyModel,
    ConfiguredModel,
    Diffusion,
    HubDataset,
    HybridAttention,
    LlmFinetune,
    Moe,
    PackagedModel,
    PreparedDigits,
    PretrainedModel,
    StdlibDataset,
    TextDataset,
    Training,
)
from seatrial.config.training.diffusion import DIGITS, PreprocessedLatents
from seatrial.errors import ConfigError
from seatrial.planned import Plan

AnyDataset = StdlibDataset | TextDataset | HubDataset | PreparedDigits | PreprocessedLatents


def check_training(plan: Plan, case: Case, workload: Training, once: Once) -> None:
    """Raise ConfigError for a training that can never do what is asked of it on the case's ranks."""
    place = f"experiments.{case.experiment}.workload"
    _check_parallelism(plan, case, workload)
    if isinstance(workload, LlmFinetune):
        model, key = workload.model, f"{place}.model"
        once.of(model, key, lambda: _check_model(plan, key, model, once))
    if isinstance(workload, LlmFinetune | Moe | Diffusion):
        _check_dataset(plan, f"{place}.dataset", workload.dataset, once)
    # Ranks of one tp group see the same data.
    data_ranks = case.target.world_size // workload.parallelism.tp
    _check_evaluation(plan, place, workload, data_ranks)
    _check_batch(plan, place, workload, data_ranks, once)


def _check_parallelism(plan: Plan, case: Case, workload: Training) -> None:
    """The ranks must come out even."""
    try:
        workload.parallelism.copies(case.target.world_size)
    except ValueError as problem:
        place = f"experiments.{case.experiment}.workload.parallelism"
        stated = {"dp": workload.parallelism.dp} if workload.parallelism.dp is not None else {}
        stated |= {n: size for n in ("fsdp", "tp", "ep") if (size := getattr(workload.parallelism, n)) > 1}
        key = f"{place}.{next(iter(stated))}"
        raise plan.mistake(
            key,
            f"the parallelism does not fit the target: {problem}",
            ", ".join(f"{name} {size}" for name, size in stated.items()),
            f"sizes whose product is {case.target.world_size}, the ranks of the case",
        ) from problem


def _check_evaluation(plan: Plan, place: str, workload: Training, data_ranks: int) -> None:
    """Every rank with data of its own must have something to evaluate."""
    counts: dict[str, int] = {}
    if isinstance(workload, LlmFinetune | Moe):
        counts["evaluation_sequences"] = workload.evaluation_sequences
    elif isinstance(workload, Diffusion):
        counts["evaluation_samples"] = workload.evaluation_samples
    elif isinstance(workload, HybridAttention):
        counts["retrieval.evaluation_sequences"] = workload.retrieval.evaluation_sequences
        counts["retrieval.probe_sequences"] = workload.retrieval.probe_sequences
    for name, count in counts.items():
        if count < data_ranks:
            key = f"{place}.{name}"
            raise plan.mistake(
                key,
                f"fewer {name.rpartition('.')[2].replace('_', ' ')} than ranks with different data",
                count,
                f"at least {data_ranks}, the ranks of the case that see different data",
            )


def _check_batch(plan: Plan, place: str, workload: Training, data_ranks: int, once: Once) -> None:
    """A step must not go over a sample twice; where only the ranks can count the samples, they check it."""
    most = _most_samples(workload, once)
    batch = workload.batch_size * workload.gradient_accumulation * data_ranks
    if most is not None and batch > most:
        key = f"{place}.batch_size"
        raise plan.mistake(
            key,
            f"the global batch of {batch} ({workload.batch_size} x {workload.gradient_accumulation} micro-batches "
            f"x {data_ranks} ranks with different data) is more than the training samples there are",
            workload.batch_size,
            f"a global batch of at most {most}, the samples of its dataset",
        )


def _most_samples(workload: Training, once: Once) -> int | None:
    """The training samples there are at most; None where only the ranks can count them."""
    if isinstance(workload, HybridAttention):
        return workload.retrieval.training_sequences
    if isinstance(workload, Diffusion) and isinstance(workload.dataset, PreparedDigits):
        return DIGITS - workload.dataset.held_out
    if isinstance(workload, LlmFinetune | Moe):
        if isinstance(workload.dataset, HubDataset):
            return workload.dataset.train_sequences
        dataset = workload.dataset
        return once.of(dataset, _most_tokens, lambda: _most_tokens(dataset, once)) // workload.sequence_length
    return None


def _most_tokens(dataset: StdlibDataset | TextDataset, once: Once) -> int:
    """A token is a byte or more, and each document has one at its end."""
    return sum(once(_bytes, path) + 1 for path in _text_files(dataset, once))


def _bytes(path: Path) -> int:
    return path.stat().st_size


def _text_files(dataset: StdlibDataset | TextDataset, once: Once) -> list[Path]:
    """What it trains on."""
    if isinstance(dataset, TextDataset):
        return [Path(name).expanduser() for name in dataset.train]
    return [source for name in dataset.modules if (source := once(_module_source, name)) is not None]


def _check_model(plan: Plan, place: str, model: AnyModel, once: Once) -> None:
    if isinstance(model, PretrainedModel | ConfiguredModel) and model.name is not None and is_path(model.name):
        _must_exist(plan, f"{place}.name", model.name, once)
    if isinstance(model, PretrainedModel) and model.gguf_file is not None and is_path(model.name):
        _must_exist(plan, f"{place}.gguf_file", str(Path(model.name) / model.gguf_file), once)
    if isinstance(model, ConfiguredModel) and model.tokenizer is not None and is_path(model.tokenizer):
        _must_exist(plan, f"{place}.tokenizer", model.tokenizer, once)
    if isinstance(model, PackagedModel):
        try:
            model.folder()
        except ConfigError as problem:
            key = f"{place}.{str(problem.key).rpartition('.')[2]}"
            raise plan.mistake(key, problem.problem, problem.value, problem.allowed) from problem


def _check_dataset(plan: Plan, place: str, dataset: AnyDataset, once: Once) -> None:
    once.of(dataset, place, lambda: _check_sources(plan, place, dataset, once))


def _check_sources(plan: Plan, place: str, dataset: AnyDataset, once: Once) -> None:
    """Modules, files and folders: points that share the dataset share the answer, others those of its files."""
    if isinstance(dataset, StdlibDataset):
        for key in ("modules", "evaluation_modules"):
            for name in getattr(dataset, key):
                _check_module(plan, f"{place}.{key}", name, once)
    elif isinstance(dataset, TextDataset):
        for key in ("train", "evaluation"):
            for name in getattr(dataset, key):
                _must_exist(plan, f"{place}.{key}", name, once, "file")
    elif isinstance(dataset, PreprocessedLatents):
        for key in ("train", "evaluation", "empty_encodings"):
            folder = getattr(dataset, key)
            if folder is not None:
                _must_exist(plan, f"{place}.{key}", folder, once, "folder")
    elif isinstance(dataset, HubDataset) and dataset.source == "folder":
        _must_exist(plan, f"{place}.name", dataset.name, once)


def is_path(name: str) -> bool:
    """Whether a model's name can only be a folder, and none of the hub's."""
    return name.startswith(("/", "./", "../", "~"))


def _must_exist(
    plan: Plan, key: str, name: str, once: Once, kind: Literal["file", "folder", "path"] = "path"
) -> None:
    if not once(_is_there, name, kind):
        what = "file" if kind == "path" else kind
        raise plan.mistake(
            key,
            f"there is no such {what}",
            name,
            f"a {kind} that exists",
        )


def _is_there(name: str, kind: Literal["file", "folder", "path"]) -> bool:
    path = Path(name).expanduser()
    return {"file": path.is_file, "folder": path.is_dir, "path": path.exists}[kind]()


def _check_module(plan: Plan, key: str, name: str, once: Once) -> None:
    if once(_module_source, name) is None:
        raise plan.mistake(
            key,
            "Python's standard library has no source of this module",
            name,
            {p.stem for p in _library().glob("*.py")} & set(sys.stdlib_module_names),
        )


def _module_source(name: str) -> Path | None:
    stem = _library().joinpath(*name.split("."))
    return next((p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.is_file()), None)


def _library() -> Path:
    return Path(sysconfig.get_paths()["stdlib"])

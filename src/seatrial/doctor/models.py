"""Models and data sets of the Hugging Face hub: whether the cache has them, for nodes that may have no network."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from seatrial.config.training import ConfiguredModel, HubDataset, PretrainedModel
from seatrial.doctor.check import Check, Topic
from seatrial.planned import Plan
from seatrial.training_checks import is_path

TOPIC = Topic("models")
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")


def models_checks(plan: Plan) -> list[Check]:
    """A check for each model and data set that the plan takes from the hub."""
    wanted = list(dict.fromkeys(_wanted(plan)))
    if not wanted:
        return []
    # it takes long to start, and few studies need it
    from huggingface_hub.constants import HF_HUB_CACHE

    return [_in_cache(Path(HF_HUB_CACHE), kind, name) for kind, name in wanted]


def _wanted(plan: Plan) -> Iterable[tuple[str, str]]:
    """(models or datasets, name) of whatever is on the hub."""
    for case in plan.running:
        model, dataset = getattr(case.workload, "model", None), getattr(case.workload, "dataset", None)
        if isinstance(model, PretrainedModel | ConfiguredModel) and model.name and not _is_folder(model.name):
            yield "models", model.name
        tokenizer = model.tokenizer if isinstance(model, ConfiguredModel) else None
        if tokenizer and tokenizer != "bytes" and not _is_folder(tokenizer):
            yield "models", tokenizer
        if isinstance(dataset, HubDataset) and dataset.source == "hub":
            yield "datasets", dataset.name


def _is_folder(name: str) -> bool:
    return is_path(name) or Path(name).is_dir()


def _in_cache(cache: Path, kind: str, name: str) -> Check:
    """The cache's own layout: models--ORG--NAME/snapshots/REVISION/FILES."""
    folder = cache / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    files = sum(1 for path in folder.glob("*/**/*") if path.exists() and not path.is_dir())
    if files:
        return TOPIC.ok(name, f"{files} file(s) of it in {cache}")
    word = {"models": "", "datasets": "--repo-type dataset "}[kind]
    do = f"`hf download {word}{name}` where there is a network; ranks look in HF_HOME, which all nodes must see"
    saw = f"not in the cache {cache}"
    if any(os.environ.get(variable, "").lower() in ("1", "true", "yes", "on") for variable in OFFLINE):
        return TOPIC.lacks(name, f"{saw}, and {OFFLINE[0]} or its like forbids to fetch it", do)
    return TOPIC.warning(name, f"{saw}: the first rank fetches it, which nodes without a network cannot", do)

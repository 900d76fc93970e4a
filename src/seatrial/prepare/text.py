"""Makes sequences of a Hugging Face dataset: tokenised and packed once, so that ranks only map them into memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seatrial.config.training import HubDataset, PreparedModel, PreparedText
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.prepare.folder import prepared_aside
from seatrial.train import causal_lm
from seatrial.train.corpus import documentation
from seatrial.train.prediction import NOT_PREDICTED
from seatrial.train.sequences import EVALUATION_FILE, TRAIN_FILE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

BATCH_ROWS = 1000
"""Rows that are tokenised together."""
SAVED = ("dataset_dict.json", "state.json")
"""A folder with one of these was written by `save_to_disk`."""


def prepare_text(spec: PreparedText, folder: Path) -> None:
    """Leave in `folder` the sequences of `spec`, to train on and to evaluate on, and a summary.

    The files are those of `train.sequences`. The folder is made aside and renamed. Raises MeasurementFailed
    (crashed) with the library's words where the dataset cannot be loaded, (wrong_result) where it holds too few
    sequences or rows of another length; ConfigError for columns that it does not have.
    """
    started = time.perf_counter()
    import datasets
    from safetensors.numpy import save_file

    datasets.disable_progress_bars()
    dataset = spec.dataset
    tokenizer = None if spec.tokenizer is None else _tokenizer(spec)
    uses = {
        "train": (TRAIN_FILE, dataset.split, dataset.train_sequences),
        "evaluation": (EVALUATION_FILE, dataset.evaluation_split, spec.evaluation_sequences),
    }
    facts, arrays = {}, {}
    for use, (file, split, most) in uses.items():
        rows = _rows(dataset, split)
        if tokenizer is None:
            arrays[file], read = _given(rows, spec.sequence_length, most)
        else:
            arrays[file], read = _tokenised(rows, dataset, tokenizer, spec.sequence_length, most)
        facts[use] = {
            "origin": f"{dataset.source} {dataset.name}, {split}, {_which(dataset)}",
            "sha256": _hash(arrays[file]),
            "rows": read,
            "sequences": _count(arrays[file], spec.sequence_length),
        }
    _check(spec, facts)
    summary = {
        "spec": spec.model_dump(mode="json"),
        "revision": dataset.revision,
        "datasets": facts,
        "library": f"datasets {datasets.__version__}",
        "seconds": round(time.perf_counter() - started, 3),
    }
    with prepared_aside(folder, summary) as aside:
        for file, content in arrays.items():
            save_file(content, aside / file)


def _which(dataset: HubDataset) -> str:
    revision = "revision not stated" if dataset.revision is None else f"revision {dataset.revision}"
    return revision if dataset.subset is None else f"subset {dataset.subset}, {revision}"


def _tokenizer(spec: PreparedText) -> PreTrainedTokenizerBase:
    assert spec.tokenizer is not None
    if isinstance(spec.tokenizer, PreparedModel):
        from seatrial.prepare.language_model import train_tokenizer

        # As the model's own preparation learns it, from the same text: neither has to wait for the other.
        return train_tokenizer(documentation(), spec.tokenizer.shape)
    return causal_lm.tokenizer(spec.tokenizer, None)


def _rows(dataset: HubDataset, split: str) -> Iterable[Mapping[str, Any]]:
    """The rows of a split, in the dataset's order, read as they are asked for."""
    import datasets

    folder = Path(dataset.name).expanduser()
    try:
        if dataset.source == "folder" and any((folder / name).is_file() for name in SAVED):
            loaded = datasets.load_from_disk(str(folder))
            return loaded[split] if isinstance(loaded, datasets.DatasetDict) else loaded
        # Of a dataset of which only a part is wanted, only that part is fetched.
        return datasets.load_dataset(
            str(folder) if dataset.source == "folder" else dataset.name,
            dataset.subset,
            revision=dataset.revision,
            data_files=dataset.data_files,
            split=split,
            streaming=dataset.train_sequences is not None,
        )
    except (OSError, ValueError, KeyError, datasets.exceptions.DatasetsError) as problem:
        message = f"split {split} of the dataset {dataset.name!r} cannot be loaded: {problem}"
        raise MeasurementFailed("crashed", message) from problem


def _column(row: Mapping[str, Any], name: str, key: str) -> Any:
    if name not in row:
        raise ConfigError("the dataset has no such column", key=key, value=name, allowed=set(row))
    return row[name]


def _tokenised(
    rows: Iterable[Mapping[str, Any]],
    dataset: HubDataset,
    tokenizer: PreTrainedTokenizerBase,
    length: int,
    most: int | None,
) -> tuple[dict[str, np.ndarray], int]:
    """All documents, an end-of-text token after each, as one stream of whole windows; and the rows read."""
    key = "workload.dataset.text_columns"
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    limit = None if most is None else most * length + 1
    parts: list[np.ndarray] = []
    tokens = read = 0
    for batch in _batches(rows):
        texts = [dataset.separator.join(str(_column(r, c, key)) for c in dataset.text_columns) for r in batch]
        ids = tokenizer(texts, add_special_tokens=False, verbose=False)["input_ids"]
        part = np.fromiter((token for document in ids for token in (*document, *end)), dtype=np.int32)
        parts.append(part)
        tokens, read = tokens + len(part), read + len(batch)
        if limit is not None and tokens >= limit:
            break
    stream = np.concatenate(parts) if parts else np.empty(0, np.int32)
    whole = max(0, (len(stream) - 1) // length)
    if most is not None:
        whole = min(whole, most)
    return {"tokens": stream[: whole * length + 1]}, read


def _given(rows: Iterable[Mapping[str, Any]], length: int, most: int | None) -> tuple[dict[str, np.ndarray], int]:
    """Rows that are sequences already: what is predicted after each token is the next one's label."""
    inputs: list[np.ndarray] = []
    targets: list[np.ndarray] = []
    for row in rows:
        if most is not None and len(inputs) == most:
            break
        ids = _column(row, "input_ids", "workload.dataset.packed")
        labels = row.get("labels", ids)
        if len(ids) != length or len(labels) != length:
            raise MeasurementFailed(
                "wrong_result",
                f"a row of the packed dataset has {len(ids)} input_ids and {len(labels)} labels, "
                f"not sequence_length = {length}",
            )
        inputs.append(np.asarray(ids, dtype=np.int32))
        targets.append(np.asarray([*labels[1:], NOT_PREDICTED], dtype=np.int32))
    empty = np.empty((0, length), np.int32)
    content = {"inputs": inputs, "targets": targets}
    return {name: np.stack(value) if value else empty for name, value in content.items()}, len(inputs)


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    batch = []
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH_ROWS:
            yield batch
            batch = []
    if batch:
        yield batch


def _hash(arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _count(arrays: Mapping[str, np.ndarray], length: int) -> int:
    return len(arrays["inputs"]) if "inputs" in arrays else (len(arrays["tokens"]) - 1) // length


def _check(spec: PreparedText, facts: Mapping[str, Mapping[str, Any]]) -> None:
    for use, least in (("train", 1), ("evaluation", spec.evaluation_sequences)):
        if facts[use]["sequences"] < least:
            raise MeasurementFailed(
                "wrong_result",
                f"{facts[use]['origin']}: {facts[use]['rows']} rows fill {facts[use]['sequences']} sequences of "
                f"{spec.sequence_length}; {least} are needed",
            )

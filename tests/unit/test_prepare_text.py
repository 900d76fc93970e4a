"""Datasets by name or folder, tokenised and packed once, then mapped into memory by the ranks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
import torch
from pydantic import ValidationError
from test_train_llm_parallel import small
from train_cases import case, finetune, prepared_spec

from seatrial.config.training import LlmFinetune, PreparedText
from seatrial.errors import ConfigError, MeasurementFailed
from seatrial.measure.context import RankContext
from seatrial.prepare import prepare_case
from seatrial.prepare.language_model import prepare_model
from seatrial.prepare.text import prepare_text
from seatrial.train import llm_finetune, sequences
from seatrial.train.causal_lm import byte_tokenizer
from seatrial.train.prediction import NOT_PREDICTED

DOCUMENTS = [f"document {number}: " + "the sea is calm. " * 8 for number in range(40)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of JSON lines, two splits by the files' names."""
    found = tmp_path / "sea"
    found.mkdir()
    for split, documents in (("train", DOCUMENTS), ("validation", DOCUMENTS[:7])):
        lines = [json.dumps({"title": f"no {n}", "text": text}) for n, text in enumerate(documents)]
        (found / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return found


def of(name: Path, **more: Any) -> dict[str, Any]:
    return {"source": "folder", "name": str(name), **more}


def spec(dataset: dict[str, Any], **more: Any) -> PreparedText:
    found = LlmFinetune.model_validate(small(dataset=dataset, **more)).prepared_text()
    assert found is not None
    return found


def prepared(dataset: dict[str, Any], folder: Path, **more: Any) -> tuple[Any, Any, dict[str, Any]]:
    prepare_text(spec(dataset, **more), folder)
    return sequences.prepared(folder, more.get("sequence_length", 32))


def decoded(found: sequences.Sequences) -> bytes:
    """The text that is to be predicted, ends of documents as newlines."""
    tokenizer = byte_tokenizer()
    return tokenizer.decode(found.targets.flatten().tolist()).replace("<|endoftext|>", "\n").encode()


def test_documents_become_sequences_of_the_models_tokens_in_their_order(folder: Path, tmp_path: Path) -> None:
    learnt, shown, summary = prepared(of(folder), tmp_path / "out")
    whole = "\n".join(DOCUMENTS) + "\n"
    assert whole[1:].startswith(decoded(learnt).decode())
    assert len(learnt) == (len(whole) - 1) // 32
    assert learnt.inputs.dtype == torch.int32
    assert len(shown) == 5, "the first evaluation_sequences, as MLPerf takes them"
    assert whole[1:].startswith(decoded(shown).decode())
    facts = summary["datasets"]["train"]
    assert (facts["rows"], facts["sequences"], len(facts["sha256"])) == (40, len(learnt), 64)
    assert facts["sha256"] != summary["datasets"]["evaluation"]["sha256"]


def test_columns_are_joined_and_only_what_is_wanted_is_read(folder: Path, tmp_path: Path) -> None:
    dataset = of(folder, text_columns=["title", "text"], separator=" | ", train_sequences=3)
    learnt, _, _ = prepared(dataset, tmp_path / "out")
    assert len(learnt) == 3
    assert decoded(learnt).startswith(b"o 0 | document 0: the sea")
    with pytest.raises(ConfigError, match="did you mean 'text'"):
        prepared(of(folder, text_columns=["texts"]), tmp_path / "out2")


def test_the_same_dataset_gives_the_same_hash_and_another_another(folder: Path, tmp_path: Path) -> None:
    first = prepared(of(folder), tmp_path / "a")[2]["datasets"]
    again = prepared(of(folder), tmp_path / "b")[2]["datasets"]
    other = prepared(of(folder, separator="", text_columns=["text", "title"]), tmp_path / "c")[2]["datasets"]
    assert first == again
    assert other["train"]["sha256"] != first["train"]["sha256"]


def packed_rows(folder: Path, length: int = 32) -> None:
    """As MLPerf's GovReport: whole rows, and labels that leave a prompt out in the evaluation split."""
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, 256, (20, length), generator=generator)
    train = datasets.Dataset.from_dict({"input_ids": ids[:12].tolist(), "labels": ids[:12].tolist()})
    labels = ids[12:].clone()
    labels[:, : length // 2] = -100
    evaluation = datasets.Dataset.from_dict({"input_ids": ids[12:].tolist(), "labels": labels.tolist()})
    folder.mkdir()
    train.to_parquet(folder / "train-00000-of-00001.parquet")
    evaluation.to_parquet(folder / "validation-00000-of-00001.parquet")


def test_packed_rows_are_taken_as_they_are_and_only_labelled_tokens_are_predicted(tmp_path: Path) -> None:
    packed_rows(tmp_path / "packed")
    dataset = of(tmp_path / "packed", packed=True)
    learnt, shown, _ = prepared(dataset, tmp_path / "out")
    assert (len(learnt), len(shown)) == (12, 5)
    assert learnt.targets[:, :-1].equal(learnt.inputs[:, 1:])
    assert (learnt.targets[:, -1] == NOT_PREDICTED).all()
    # A label belongs to its own token, which is predicted from the one before.
    assert (shown.targets[:, :15] == NOT_PREDICTED).all()
    assert shown.targets[:, 15:-1].equal(shown.inputs[:, 16:])
    with pytest.raises(MeasurementFailed, match=r"32 input_ids .* not sequence_length = 16"):
        prepared(dataset, tmp_path / "short", sequence_length=16)


def test_loss_is_over_the_labelled_tokens_and_the_mean_over_sequences(tmp_path: Path) -> None:
    """Against the library's own loss, a sequence at a time, which is how MLPerf's reference evaluates."""
    packed_rows(tmp_path / "packed")
    workload = LlmFinetune.model_validate(small(dataset=of(tmp_path / "packed", packed=True), max_steps=2))
    prepare_text(workload.prepared_text(), tmp_path / "out")  # type: ignore[arg-type]
    what = case(workload.model_dump(mode="json"))
    ctx = RankContext(
        case=what, repeat=0, seed=5, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=tmp_path / "run", prepared=[tmp_path / "out"],
    )  # fmt: skip
    with pytest.raises(MeasurementFailed, match="not the target"):
        llm_finetune.run(ctx)
    ours = next(m.samples[0] for m in ctx.measurements if m.metric == "train.evaluation_loss")

    from gloo_ranks import layout

    torch.manual_seed(5)
    objective = llm_finetune._build(ctx, workload, layout())
    rows = datasets.load_dataset(str(tmp_path / "packed"), split="validation").with_format("torch")
    with torch.no_grad():
        theirs = [
            objective.model(input_ids=row["input_ids"][None], labels=row["labels"][None]).loss.item()
            for row in rows.select(range(5))
        ]
    assert ours == pytest.approx(sum(theirs) / len(theirs), rel=1e-6)
    assert ctx.facts["datasets"]["train"]["rows"] == 12


def test_a_models_own_tokenizer_is_used_also_where_the_model_is_prepared(folder: Path, tmp_path: Path) -> None:
    workload = finetune(dataset=of(folder), quality={"metric": "evaluation_loss", "target": 0.1}, max_steps=1,
                        evaluation_interval_steps=1, evaluation_sequences=4)  # fmt: skip
    what = case(workload)
    assert [s.source for s in what.preparations] == ["prepared", "text"]
    prepare_model(prepared_spec(), tmp_path / "model")
    prepare_case(what, what.prepared_ids[1], tmp_path / "text")
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    learnt, _, _ = sequences.prepared(tmp_path / "text", 32)
    expected = [t for d in DOCUMENTS[:3] for t in (*tokenizer(d)["input_ids"], tokenizer.eos_token_id)]
    assert learnt.inputs.flatten().tolist()[: len(expected) - 40] == expected[: len(expected) - 40]


def test_what_cannot_be_prepared_fails_in_words_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match="split tests of the dataset"):
        prepared(of(folder, evaluation_split="tests"), tmp_path / "out")
    with pytest.raises(MeasurementFailed, match="99999 are needed"):
        prepared(of(folder), tmp_path / "out", evaluation_sequences=99_999)
    assert not (tmp_path / "out").exists()
    with pytest.raises(ValidationError, match="same split"):
        spec(of(folder, evaluation_split="train"))


def test_sequences_of_another_models_tokens_are_refused(folder: Path, tmp_path: Path) -> None:
    prepare_text(spec(of(folder)), tmp_path / "out")
    model = small()["model"]
    model = {**model, "architecture": {**model["architecture"], "vocab_size": 100}}
    what = case(small(model=model, dataset=of(folder)))
    ctx = RankContext(
        case=what, repeat=0, seed=5, rank=0, local_rank=0, world_size=1, device=torch.device("cpu"),
        folder=tmp_path / "run", prepared=[tmp_path / "out"],
    )  # fmt: skip
    with pytest.raises(ConfigError, match="another model's"):
        llm_finetune.run(ctx)


def test_reading_prepared_sequences_maps_them_and_imports_no_datasets(folder: Path, tmp_path: Path) -> None:
    prepare_text(spec(of(folder)), tmp_path / "out")
    program = (
        "import sys; from pathlib import Path; from seatrial.train import sequences\n"
        f"found = sequences.prepared(Path({str(tmp_path / 'out')!r}), 32)[0]\n"
        "import torch; found.at(torch.arange(2), torch.device('cpu'))\n"
        f"print({str(tmp_path / 'out')!r} in open('/proc/self/maps').read() if sys.platform == 'linux' else True)\n"
        "print(sorted({'datasets', 'pandas', 'pyarrow'} & set(sys.modules)))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert said.stdout == "True\n[]\n"

"""Text that is always there, and how it becomes sequences."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.config.training import LlmFinetune, StdlibDataset, TextDataset
from seatrial.errors import ConfigError, MeasurementFailed, UnreadableFile
from seatrial.train import corpus
from seatrial.train.corpus import Corpus
from seatrial.train.order import BatchOrder
from seatrial.train.packing import pack, spread

CONF = Path(__file__).parents[2] / "conf" / "workload" / "llm_finetune.yaml"


class Letters:
    """A tokenizer whose tokens are characters; 0 ends a text."""

    eos_token_id = 0

    def __call__(self, text: str, **options: bool) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


def test_documentation_of_this_python_is_read_without_importing_it() -> None:
    import pydoc_data.topics

    text = corpus.documentation()
    assert text.characters == sum(len(topic) for topic in pydoc_data.topics.topics.values())
    assert text.origin.startswith("pydoc_data of Python 3.")


def test_library_of_another_python_can_be_given(tmp_path: Path) -> None:
    (tmp_path / "pydoc_data").mkdir()
    (tmp_path / "pydoc_data" / "topics.py").write_text("topics = {'b': 'second', 'a': 'first'}\n")
    assert corpus.documentation(tmp_path).documents == ("first", "second")
    (tmp_path / "pydoc_data" / "topics.py").write_text("nothing = 1\n")
    with pytest.raises(UnreadableFile, match="topics"):
        corpus.documentation(tmp_path)


def test_modules_are_files_packages_and_submodules(tmp_path: Path) -> None:
    (tmp_path / "email").mkdir()
    (tmp_path / "email" / "__init__.py").write_text("package")
    (tmp_path / "email" / "policy.py").write_text("submodule")
    (tmp_path / "copy.py").write_text("module")
    found = corpus.modules(["copy", "email", "email.policy"], tmp_path)
    assert found.documents == ("module", "package", "submodule")
    with pytest.raises(ConfigError, match="telnetlib"):
        corpus.modules(["copy", "telnetlib"], tmp_path)


def test_hash_tells_where_one_document_ends() -> None:
    assert Corpus("", ("ab", "c")).sha256 != Corpus("", ("a", "bc")).sha256
    assert Corpus("here", ("ab", "c")).sha256 == Corpus("there", ("ab", "c")).sha256


def test_every_module_of_the_laptop_task_is_here() -> None:
    workload = LlmFinetune.model_validate(yaml.safe_load(CONF.read_text()))
    train, evaluation = corpus.train_and_evaluation(workload.dataset)
    assert train.characters > 1_000_000
    assert evaluation.characters > 100_000
    assert not set(train.documents) & set(evaluation.documents)


@pytest.mark.parametrize(
    ("modules", "evaluation", "problem"),
    [
        (["heapq", "copy"], ["queue"], "sorted"),
        (["copy", "copy"], ["queue"], "once"),
        (["copy", "heapq"], ["heapq"], "heapq"),
    ],
)
def test_evaluating_on_trained_text_is_refused(modules: list[str], evaluation: list[str], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        StdlibDataset(source="stdlib", modules=modules, evaluation_modules=evaluation)


def test_text_files_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train", "held_out"):
        (tmp_path / name).write_text(name)
    dataset = TextDataset(source="files", train=[str(tmp_path / "train")], evaluation=[str(tmp_path / "held_out")])
    train, evaluation = corpus.train_and_evaluation(dataset)
    assert (train.documents, evaluation.documents) == (("train",), ("held_out",))
    with pytest.raises(UnreadableFile, match="absent"):
        corpus.files([str(tmp_path / "absent")])
    monkeypatch.setenv("HOME", str(tmp_path))
    assert corpus.files(["~/train"]).documents == ("train",)


@given(st.lists(st.text(alphabet="abcdef", min_size=1), min_size=1), st.integers(1, 9))
def test_every_token_is_predicted_once(documents: list[str], length: int) -> None:
    stream = [t for text in documents for t in [*map(ord, text), 0]]
    if len(stream) <= length:
        with pytest.raises(MeasurementFailed, match="do not fill"):
            pack(Corpus("text", tuple(documents)), Letters(), length)  # type: ignore[arg-type]
        return
    windows = pack(Corpus("text", tuple(documents)), Letters(), length)  # type: ignore[arg-type]
    predicted = windows[:, 1:].flatten().tolist()
    assert predicted == stream[1 : 1 + len(predicted)]
    assert len(stream) - 1 - len(predicted) < length
    assert windows[:, :-1].flatten().tolist() == stream[: len(predicted)]


def test_evaluation_sequences_are_spread_over_the_whole_text() -> None:
    windows = torch.arange(100).reshape(50, 2)
    assert spread(windows, 5)[:, 0].tolist() == [0, 20, 40, 60, 80]
    assert spread(windows, 50).equal(windows)
    with pytest.raises(MeasurementFailed, match="only 50"):
        spread(windows, 51)


@given(st.integers(1, 40), st.integers(0, 5), st.integers(1, 4))
def test_order_shows_every_sequence_once_an_epoch_and_needs_no_state(sequences: int, seed: int, batch: int) -> None:
    order = BatchOrder(sequences, seed)
    steps = [order.positions(batch * step, batch) for step in range(3 * sequences)]
    seen = torch.cat(steps)
    for epoch in range(3):
        assert sorted(seen[epoch * sequences : (epoch + 1) * sequences].tolist()) == list(range(sequences))
    late = BatchOrder(sequences, seed).positions(batch * (3 * sequences - 1), batch)
    assert late.equal(steps[-1])

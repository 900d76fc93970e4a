"""MLPerf's clock starts before the data are touched, and after what the rules leave out of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from moe_cases import content
from train_cases import case, context, finetune, prepared_spec

from seatrial.errors import MeasurementFailed
from seatrial.mllog import LogLine, TrainingLog, read_lines
from seatrial.prepare.language_model import prepare_model
from seatrial.train import causal_lm, corpus, llm_finetune
from seatrial.train.moe import run as moe

SHORT = {"quality": {"metric": "evaluation_loss", "target": 0.01}, "max_steps": 1, "evaluation_interval_steps": 1}


def slow(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[int]:
    """Make a function take 50 ms; when it was begun, in milliseconds since 1970."""
    begun: list[int] = []
    original = getattr(owner, name)

    def wrapped(*args: Any, **words: Any) -> Any:
        begun.append(TrainingLog.now())
        time.sleep(0.05)
        return original(*args, **words)

    monkeypatch.setattr(owner, name, wrapped)
    return begun


def times(folder: Path) -> dict[str, float]:
    return {line.key: line.time_ms for line in read_lines(folder / "0.mllog") if isinstance(line, LogLine)}


def test_the_model_is_loaded_before_the_clock_and_the_text_read_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_model(prepared_spec(), tmp_path / "tiny")
    loaded, read = slow(monkeypatch, causal_lm, "load"), slow(monkeypatch, corpus, "train_and_evaluation")
    with pytest.raises(MeasurementFailed, match="not the target"):
        llm_finetune.run(context(case(finetune(**SHORT)), tmp_path, tmp_path / "tiny"))
    at = times(tmp_path)
    assert at["init_start"] <= loaded[0] and loaded[0] + 50 <= at["init_stop"] == at["run_start"] <= read[0]


def test_where_data_come_first_the_clock_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = slow(monkeypatch, corpus, "train_and_evaluation")
    with pytest.raises(MeasurementFailed, match="not the target"):
        moe.run(context(case(content(**SHORT)), tmp_path, tmp_path))
    at = times(tmp_path)
    assert at["init_start"] <= at["init_stop"] == at["run_start"] <= read[0]

"""Fixtures of the unit tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from study_on_disk import StudyOnDisk


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., StudyOnDisk]:
    """Makes a study folder; words are the study's own keys."""

    def make(folder: str = "trial", **study: Any) -> StudyOnDisk:
        return StudyOnDisk(tmp_path / folder, **study)

    return make


@pytest.fixture
def same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take every training for the same work as the benchmark it names: no workload here can be shown to be it."""
    monkeypatch.setattr("seatrial.analysis.comparison.unlike", lambda workload, ranks: [])
    monkeypatch.setattr("seatrial.analysis.comparison.loaded_otherwise", lambda workload, facts: [])

"""Hybrid against full attention: the multiplier of steps from runs that differ in their layers alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hybrid_cases import hybrid
from procurement_cases import procurement
from study_on_disk import LAPTOP

from seatrial.analysis.decisions.basis import Basis, Row
from seatrial.analysis.decisions.procurement import decide
from seatrial.analysis.decisions.procurement.full_attention import against_full
from seatrial.analysis.decisions.procurement.hybrid import steps_taken
from seatrial.case import Case
from seatrial.config.procurement import Hybrid
from seatrial.config.study import Study
from seatrial.paths import StudyPaths

WORK = hybrid(pattern=["full", "full"], max_steps=1000, evaluation_interval_steps=10)
HYBRID = Hybrid(window=8, full_every=2, against="full")
WINDOWED = {"pattern": ["sliding_window", "full"]}
FULL_STEPS, WINDOWED_STEPS = (100, 110, 120, 130, 140), (300, 330, 360, 390, 420)


@dataclass(frozen=True)
class Trained(Basis):
    """A study whose runs were evaluated as `evaluated` says: case, repeat, step, accuracy."""

    evaluated: Sequence[tuple[str, int, int, float]] = ()
    errors: dict[tuple[str, int], str] = field(default_factory=dict)

    @cached_property
    def measurements(self) -> pd.DataFrame:
        columns = ["case_id", "repeat", "labels", "median", "metric"]
        rows = [(c, r, json.dumps({"step": s}), v, "train.retrieval_accuracy") for c, r, s, v in self.evaluated]
        return pd.DataFrame(rows, columns=columns)

    @cached_property
    def repeats(self) -> list[Row]:
        keys = sorted({(case, repeat) for case, repeat, _, _ in self.evaluated} | set(self.errors))
        return [{"case_id": c, "repeat": r, "error_kind": self.errors.get((c, r))} for c, r in keys]


def case(name: str, **more: Any) -> Case:
    content = {"study": "s", "experiment": "e", "repeats": 5, "base_seed": 1, "axes": {}, "target": LAPTOP}
    return Case.model_validate({**content, "case_id": name, "workload": WORK | more})


def reached(name: str, steps: Sequence[int | None]) -> list[tuple[str, int, int, float]]:
    """Two evaluations of each run, ten steps apart: at `steps` it is there; None: not at its budget."""
    return [
        found
        for repeat, at in enumerate(steps)
        for found in (
            (name, repeat, (at or 1000) - 10, 0.1),
            (name, repeat, at or 1000, 0.1 if at is None else 0.96),
        )
    ]


def trained(root: Path, *cases: Case, errors: dict[tuple[str, int], str] | None = None, **runs: Any) -> Trained:
    plan = procurement(hybrid=HYBRID.model_dump())
    study = Study.model_validate({"name": "s", "title": "t", "target": LAPTOP, "economics": {"procurement": plan}})
    evaluated = [found for name, steps in runs.items() for found in reached(name, steps)]
    return Trained(StudyPaths(root), study, {c.case_id: c for c in cases}, evaluated, errors or {})


def test_the_multiplier_over_full_attention_is_that_of_runs_that_differ_in_their_layers(tmp_path: Path) -> None:
    runs = {"full": FULL_STEPS, "windowed": WINDOWED_STEPS}
    basis = trained(tmp_path, case("full"), case("windowed", **WINDOWED), **runs)
    figure, taken = steps_taken(basis, HYBRID)
    assert figure.value == pytest.approx(360 / 120)
    assert figure.low is not None and figure.high is not None and 1 < figure.low < 3 < figure.high
    assert taken is not None and taken.measured and "sliding_window, full against full" in taken.source
    *_, decision = decide.procurement(basis)
    assert decision.figures[0] == figure and decision.missing == ()
    assert decision.answer.startswith("How many times the steps it takes is 3 times")


def test_runs_that_never_got_there_bound_the_multiplier(tmp_path: Path) -> None:
    runs = {"full": FULL_STEPS, "windowed": [None] * 5}
    figure, taken = steps_taken(trained(tmp_path, case("full"), case("windowed", **WINDOWED), **runs), HYBRID)
    assert figure.value is None and figure.low is not None and figure.low > 1 and figure.high is None
    assert taken is None and figure.method.startswith("at least")


def test_a_run_that_diverged_counts_as_not_before_its_budget(tmp_path: Path) -> None:
    cases = case("full"), case("windowed", **WINDOWED)
    runs = {"full": FULL_STEPS, "windowed": WINDOWED_STEPS[:4]}
    without = against_full(trained(tmp_path, *cases, **runs), HYBRID)
    diverged = against_full(trained(tmp_path, *cases, errors={("windowed", 4): "diverged"}, **runs), HYBRID)
    assert without is not None and diverged is not None
    assert without.effect.value == pytest.approx(345 / 120) and diverged.effect.value == pytest.approx(3)


@pytest.mark.parametrize(
    "others",
    [
        [],
        [case("windowed", **WINDOWED, learning_rate=0.001)],
        [case("windowed", **WINDOWED | {"window": 4})],
        [case("windowed", pattern=["sliding_window", "full", "full"])],
        [case("windowed", **WINDOWED), case("again", pattern=["full", "sliding_window"])],
    ],
)
def test_without_exactly_one_pair_that_is_alike_nothing_is_known(tmp_path: Path, others: list[Case]) -> None:
    runs = {"full": FULL_STEPS} | {other.case_id: WINDOWED_STEPS for other in others}
    figure, taken = steps_taken(trained(tmp_path, case("full"), *others, **runs), HYBRID)
    assert (figure.value, figure.low, figure.high, taken) == (None, None, None, None)
    assert "not known" in figure.method and "workload.pattern" in figure.method

"""Figures of many ranks and of many swept values; and that two processes write what one would."""

from __future__ import annotations

import csv
import os
import shutil

import numpy as np
import pytest
from matplotlib.figure import Figure
from study_on_disk import GEMM, StudyOnDisk

from seatrial.record import measurement
from seatrial.report import figure_files
from seatrial.report.axis_figure import MOST_TICKS, ticks_at
from seatrial.report.dots_figure import CROWDED, TOLD_APART
from seatrial.report.figure_files import figures

FEW, MANY = 4, 300


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyOnDisk:
    """A product on a few ranks and one on many, whose medians lie within a fiftieth of each other."""
    found = StudyOnDisk(tmp_path_factory.mktemp("crowded") / "trial")
    draw = np.random.default_rng(11)
    for case, ranks in zip(found.experiment("gemm", GEMM, 1, {"workload.m": [64, 128]}), (FEW, MANY), strict=True):
        shape = {"dtype": "float32", "m": case.workload.m, "n": 128, "k": 128}
        middles = 100 + 2 * draw.random(ranks)
        measured = [
            measurement("gemm.throughput", [0.9 * middle, middle, 1.1 * middle], {**shape, "rank": n}, 200.0, "x")
            for n, middle in enumerate(middles.tolist())
        ]
        found.record(case, 0, *measured)
    found.analyse()
    return found


@pytest.fixture(scope="module")
def drawn(study):
    """All figures, drawn in this process: what another one draws comes back without its artists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0})
        return {figure.name: figure for figure in figures(study.paths)}


def test_crowded_dots_are_drawn_once_the_reading_says_so_and_the_csv_has_them_all(study, drawn):
    with (study.paths.figures / "gemm.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == FEW + MANY
    bands, dots, _ = drawn["gemm"].figure.axes[0].collections
    x, y = dots.get_offsets().T
    crowded = np.array([float(row["median"]) for row in rows[FEW:]])
    assert (y == 0).sum() == FEW
    assert 1 < (y == 1).sum() <= 2.5 / (200 / TOLD_APART) + 1 < MANY
    # no dot is further from one that is drawn than what cannot be told apart
    assert np.abs(crowded[:, None] - x[y == 1]).min(axis=1).max() <= 200 / TOLD_APART
    assert len(bands.get_paths()) == FEW + 1
    assert f"In a row of more than {CROWDED} dots" in drawn["gemm"].reading


def test_the_one_band_of_a_crowded_row_spans_those_of_all(study, drawn):
    with (study.paths.figures / "gemm.csv").open(encoding="utf-8", newline="") as file:
        many = list(csv.DictReader(file))[FEW:]
    span = drawn["gemm"].figure.axes[0].collections[0].get_paths()[-1].vertices[:, 0]
    assert span.min() == pytest.approx(min(float(row["p05"]) for row in many))
    assert span.max() == pytest.approx(max(float(row["p95"]) for row in many))


@pytest.mark.parametrize("values", [range(1, 83), range(100, 183), [2**n for n in range(40)]])
def test_of_many_swept_values_the_axis_names_those_that_are_apart(values):
    ax = Figure().add_subplot()
    ticks_at(ax, list(values), str)
    ticks = ax.get_xticks()
    assert ticks[0] == values[0]
    assert MOST_TICKS / 2 < len(ticks) <= MOST_TICKS + 1


def test_a_few_swept_values_are_all_named():
    ax = Figure().add_subplot()
    ticks_at(ax, [1, 2, 3, 64], str)
    assert list(ax.get_xticks()) == [1, 2, 3, 64]


def test_two_processes_draw_and_write_what_one_does(study, drawn):
    assert len(drawn) > 1
    one = {path.name: path.read_bytes() for path in study.paths.figures.iterdir()}
    shutil.rmtree(study.paths.figures)
    assert {figure.name: figure for figure in figures(study.paths)} == drawn
    assert {path.name: path.read_bytes() for path in study.paths.figures.iterdir()} == one


def test_what_the_other_process_cannot_write_is_said(study, drawn, monkeypatch):
    second = list(drawn)[1]

    def full(path, *_):
        if path.stem == second:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure_files, "write_csv", full)
    with pytest.raises(OSError, match="No space left"):
        figures(study.paths)

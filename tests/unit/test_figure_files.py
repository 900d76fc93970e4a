"""The files of figures: SVG, PDF, PNG and what is drawn as CSV; the same bytes from the same tables."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

import pytest
from study_on_disk import FINETUNE, GEMM, StudyOnDisk, crossing, training_measurements

from seatrial.cli import main
from seatrial.errors import UnreadableFile
from seatrial.figure_index import labels_of, read_index
from seatrial.record import measurement
from seatrial.report.drawing import Drawn
from seatrial.report.figure_files import figures, images

DELL = {"round": "v5.1", "submitter": "Dell", "system": "1xXE9680Lx8B200-SXM-180GB"}
MEMORY = {"kind": "memory", "operation": "triad", "size_bytes": 2**28}
SIZES = (1, 2, 4)
TRAINED = {1: (8.0, 8.2, 8.4), 2: (4.3, 4.5, 4.7), 4: (2.3, 2.5, 2.7)}
SPEEDS = {1: 6400.0, 2: 11500.0, 4: 20500.0}
SHOWN = {
    "comparison": {"ratio": 1, "ratio_low": 1, "ratio_high": 1},
    "published_spread": {"over_median": 1, "low_over_median": 1, "high_over_median": 1},
    "time_to_quality": {"minutes": 1, "low_minutes": 1, "high_minutes": 1},
    "time_to_quality_by_axis": {"median_minutes": 1, "low_minutes": 1, "high_minutes": 1},
    "scaling": {"value": 1, "low": 1, "high": 1, "ideal": 1, "size": 1},
    "gemm": {"median": 1, "p05": 1, "p95": 1, "ceiling": 1},
    "memory": {"median": 1, "p05": 1, "p95": 1},
    "roofline": {"operations_per_byte": 1, "tflops": 1, "tflops_low": 1, "tflops_high": 1, "peak_tflops": 1},
}
"""Columns of a figure's CSV whose values must be among what the figure's marks are drawn at."""


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> StudyOnDisk:
    """Products, memory, a training at three sizes, and a published subject; collected and analysed."""
    found = StudyOnDisk(tmp_path_factory.mktemp("figures") / "trial", references={"subjects": [DELL]})
    for case, value in zip(found.experiment("gemm", GEMM, 2, {"workload.m": [64, 128]}), (1.0, 2.0), strict=True):
        found.gemm(case, [value, 1.1 * value], ceiling=4.0)
    (case,) = found.experiment("memory", MEMORY, 2)
    for repeat in range(2):
        found.record(case, repeat, measurement("memory.bandwidth", [60.0, 60.5 + repeat], {"operation": "triad"}))
    for case in found.experiment("sized", FINETUNE, 3, {"target.tasks_per_node": list(SIZES)}):
        for repeat, minutes in enumerate(TRAINED[case.target.tasks_per_node]):
            kept = [m for m in training_measurements(minutes) if m.metric != "train.throughput"]
            speed = measurement("train.throughput", [SPEEDS[case.target.tasks_per_node] + 10 * repeat])
            found.record(case, repeat, *kept, speed, quality=crossing(minutes))
    found.analyse()
    return found


@pytest.fixture(scope="module")
def drawn(study) -> dict[str, Drawn]:
    """All figures, drawn in this process: what another one draws comes back without its artists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0})
        return {figure.name: figure for figure in figures(study.paths)}


def rows(study, name: str) -> list[dict[str, str]]:
    with (study.paths.figures / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def numbers(figure: Drawn) -> set[str]:
    """Every coordinate at which the figure has a mark, to nine digits."""
    found: list[float] = []
    for ax in figure.figure.axes:
        for line in ax.lines:
            found += [*_floats(line.get_xdata()), *_floats(line.get_ydata())]
        for collection in ax.collections:
            found += [float(x) for x in collection.get_offsets().ravel()]
            found += [float(x) for path in collection.get_paths() for x in path.vertices.ravel()]
    return {f"{x:.9g}" for x in found}


def _floats(values: Iterable[object]) -> list[float]:
    return [float(value) for value in values]


def contents(study) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(study.paths.figures.iterdir())}


def test_every_figure_has_its_four_files_and_a_place_in_the_index(study, drawn):
    assert set(drawn) == set(SHOWN)
    files = {f"{name}.{suffix}" for name in drawn for suffix in ("svg", "pdf", "png", "csv")}
    assert set(contents(study)) == files | {"index.json"}
    index = {entry.name: entry for entry in read_index(study.paths.figure_index)}
    assert list(index) == list(drawn)
    for name, figure in drawn.items():
        assert figure.records.tables, name
        assert all((study.paths.root / table).exists() for table in figure.records.tables)
        assert set(figure.records.case_ids) <= {case.case_id for case in study.planned}
        assert index[name].case_ids == figure.records.case_ids
    assert len(drawn["scaling"].records.case_ids) == len(SIZES)


def test_the_csv_holds_what_is_drawn(study, drawn):
    for name, columns in SHOWN.items():
        on_figure, found = numbers(drawn[name]), rows(study, name)
        assert found, name
        for column, scale in columns.items():
            shown = {f"{float(row[column]) * scale:.9g}" for row in found if row[column]}
            assert shown, (name, column)
            assert shown <= on_figure, (name, column, sorted(shown - on_figure)[:3])


def test_every_dot_of_a_figure_is_a_row_of_its_csv(study, drawn):
    for name, column, wanted in (
        ("time_to_quality", "minutes", sum(map(len, TRAINED.values()))),
        ("comparison", "ratio", len(rows(study, "comparison"))),
    ):
        (dots,) = [c for c in drawn[name].figure.axes[0].collections if len(c.get_offsets()) > 1]
        assert len(dots.get_offsets()) == wanted
        csv_values = {f"{float(row[column]):.9g}" for row in rows(study, name)}
        assert {f"{float(x):.9g}" for x in dots.get_offsets()[:, 0]} <= csv_values


def test_values_are_those_of_the_tables(study):
    with (study.paths.tables / "time_to_quality.csv").open(encoding="utf-8", newline="") as file:
        table = {row["case_id"]: row for row in csv.DictReader(file)}
    found = rows(study, "time_to_quality_by_axis")
    assert len(found) == len(SIZES)
    for row in found:
        for column in ("median_minutes", "low_minutes", "high_minutes", "interval_method"):
            assert row[column] == table[row["case_id"]][column]


def test_another_process_draws_the_same_bytes(study, drawn):
    before = contents(study)
    shutil.rmtree(study.paths.figures)
    command = [sys.executable, "-m", "seatrial.cli", "figures", str(study.paths.root)]
    other = {**os.environ, "PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=other)
    assert done.returncode == 0, done.stderr
    assert f"{len(SHOWN)} figures" in done.stdout
    assert contents(study) == before


def test_no_file_says_when_or_by_what_it_was_drawn(drawn):
    figure = drawn["gemm"]
    for name, content in {"svg": figure.svg.encode(), **images(figure)}.items():
        for word in (b"CreationDate", b"ModDate", b"Software", b"tEXt", b"tIME", b"<dc:date", b"Matplotlib v"):
            assert word not in content, (name, word)


def test_a_figure_that_is_drawn_no_more_goes_and_other_files_stay(study, drawn):
    before = contents(study)
    for name in ("stale.svg", "stale.pdf", "notes.txt"):
        (study.paths.figures / name).write_text("x")
    figures(study.paths)
    (study.paths.figures / "notes.txt").unlink()
    assert contents(study) == before


def test_without_tables_the_command_says_which_and_what_makes_it(tmp_path, capsys):
    empty = StudyOnDisk(tmp_path / "trial")
    empty.experiment("gemm", GEMM)
    assert main(["figures", str(empty.paths.root)]) == 2
    assert "measurements.parquet" in capsys.readouterr().err
    assert not empty.paths.figures.exists()


def test_the_index_gives_snakemakes_report_its_labels_and_refuses_what_is_none(study, drawn, tmp_path):
    class Wildcards:
        name = "roofline"

    labels = labels_of(study.paths.figure_index)(Wildcards)
    assert labels["figure"] == "Roofline"
    assert labels["how to read it"] == drawn["roofline"].reading
    assert "tables/gemm.csv" in labels["source"]
    broken = tmp_path / "index.json"
    broken.write_text(json.dumps([{"name": 3}]))
    with pytest.raises(UnreadableFile, match=r"index\.json"):
        read_index(broken)


def test_scaling_says_what_the_largest_size_keeps_of_the_ideal(study, drawn):
    caption = drawn["scaling"].caption
    assert "throughput at 4 is 80 % of the ideal from 1" in caption
    assert "speed to quality at 4 is 82 % of the ideal from 1" in caption
    ideal = [float(r["ideal"]) for r in rows(study, "scaling") if r["ideal"] and r["panel"] == "throughput"]
    assert ideal == [6410.0, 12820.0, 25640.0]


def test_the_roof_of_a_product_is_the_lower_of_both_and_what_lies_above_it_says_why(study, drawn):
    points = {row["label"]: row for row in rows(study, "roofline") if row["mark"] == "product"}
    small = points["64 \u00d7 128 \u00d7 128 float32"]
    assert float(small["operations_per_byte"]) == 2 * 64 * 128 * 128 / (4 * (2 * 64 * 128 + 128 * 128))
    assert float(small["roof_tflops"]) == pytest.approx(16 * 60.5e9 / 1e12)
    assert small["under"] == "bandwidth"
    assert "caches" in drawn["roofline"].caption


def test_n_and_intervals_are_said_with_each_figure(drawn):
    for name, figure in drawn.items():
        assert "n = " in figure.reading, name
    for name in ("comparison", "time_to_quality", "time_to_quality_by_axis", "scaling", "roofline"):
        assert "Intervals: log-t" in drawn[name].reading, name

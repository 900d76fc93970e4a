"""Figures: well-formed SVG that reads on white and on black, and draws only what was measured."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from study_on_disk import COLLECTIVE, FINETUNE, GEMM
from test_report import contrast, full_study

from seatrial.record import measurement
from seatrial.report.axes import HALF, LONGEST_LABEL, rows_figure
from seatrial.report.figures import drawers
from seatrial.report.palette import VARIABLES
from seatrial.report.study_tables import read_study
from seatrial.report.svg import inline

SVG = "{http://www.w3.org/2000/svg}"


def drawn(study):
    return {figure.name: figure for draw in drawers(read_study(study.analyse())) for figure in draw()}


def words_of(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_each_figure_is_drawn_where_there_is_something_to_draw(make_study):
    figures = drawn(full_study(make_study))
    assert list(figures) == ["comparison", "published_spread", "time_to_quality", "loss", "gemm"]


def test_nothing_measured_draws_nothing(make_study):
    study = make_study()
    for name, workload in (("gemm", GEMM), ("finetune", FINETUNE), ("reduce", COLLECTIVE)):
        study.experiment(name, workload)
    assert drawn(study) == {}


def test_a_failed_repeats_numbers_are_not_drawn(make_study):
    study = make_study()
    good, bad = study.experiment("gemm", GEMM, 1, {"workload.m": [64, 256]})
    study.gemm(good, [2.0])
    from seatrial.record import Error

    error = Error(kind="wrong_result", message="off")
    study.record(bad, 0, measurement("gemm.throughput", [9.0]), outcome="failed", error=error)
    caption = drawn(study)["gemm"].caption
    assert "64" in caption
    assert "256" not in caption


def test_figures_are_documents_with_title_and_figures_in_words(make_study):
    for figure in drawn(full_study(make_study)).values():
        root = ET.fromstring(figure.svg)
        assert root.find(f"{SVG}title").text == figure.title
        assert root.find(f"{SVG}desc").text == figure.caption
        assert re.search(r"\d", figure.caption)


def test_the_comparison_names_median_and_threshold_and_every_ratio(make_study):
    words = words_of(drawn(full_study(make_study))["comparison"].svg)
    assert "median" in words
    assert "threshold 1.3" in words
    assert sum("0.91 (0.87 to 0.94)" in word for word in words) == 1


def test_a_ceiling_is_named_where_known(make_study):
    figures = drawn(full_study(make_study))
    assert "The upright bar is the ceiling" in figures["gemm"].reading


def test_colours_read_on_white_and_on_black_and_become_variables_in_the_page(make_study):
    for tone in VARIABLES:
        if VARIABLES[tone] != "--figure-grid":
            assert contrast(tone, "#ffffff") >= 3
            assert contrast(tone, "#0f151b") >= 3
    for figure in drawn(full_study(make_study)).values():
        assert "var(" not in figure.svg
        colours = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r">[^<]*<", "><", figure.svg)))
        assert colours <= set(VARIABLES), figure.name
        assert not set(re.findall(r": (#[0-9a-f]{6})\b", inline(figure.svg)))


def test_text_that_looks_like_a_formula_is_text(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE | {"model": {"source": "pretrained", "name": "x"}}, 2)
    model = {"source": "pretrained", "name": "$\\frac{$"}
    (other,) = study.experiment("other", FINETUNE, 2, {"workload.model": [model]})
    study.trained(case, [1.0, 1.1])
    study.trained(other, [1.0, 1.1])
    assert any(
        '"name":"$\\frac{$"' in word.replace("\\\\", "\\") for word in words_of(drawn(study)["time_to_quality"].svg)
    )


def test_an_absurd_interval_does_not_squeeze_the_points_together(make_study):
    """Two repeats that differ a lot have an interval of many orders of magnitude; the axis ends at a few times."""
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 2)
    study.trained(case, [1.0, 50.0])
    ticks = [
        float(word) for word in words_of(drawn(study)["time_to_quality"].svg) if word.replace(".", "").isdigit()
    ]
    assert 50 <= max(ticks) <= 250


def test_a_median_without_an_upper_end_is_drawn_with_how_many_reached_it(make_study):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, 5)
    study.trained(case, [10.0, 11.0, 12.0])
    for repeat in (3, 4):
        study.failed(case, repeat, "target_not_reached")
    assert drawn(study)["time_to_quality"].caption == "finetune: 12 min, 3 of 5"


def test_a_label_longer_than_its_room_is_folded_after_a_comma():
    label = "finer, tasks_per_node 2, batch_size 16, expert_size 32, experts 64, ep 2, tp 1, top_k 16"
    _, ax = rows_figure(1, [label], HALF)
    lines = ax.get_yticklabels()[0].get_text().split("\n")
    assert " ".join(lines) == label
    assert max(map(len, lines)) <= LONGEST_LABEL[HALF]
    assert all(line.endswith(",") for line in lines[:-1])

"""The first screen: its figures are what the verdict rests on, and what they leave out is counted."""

from __future__ import annotations

import pytest
from study_on_disk import B200, FINETUNE, FLORIDA, GEMM

from seatrial.report import headline
from seatrial.report.study_tables import read_study
from seatrial.report.time_to_quality_table import time_to_quality_table

MISSED = "target_not_reached"
MEDIAN = 3
"""Column of the table of times to quality."""


def card_of(study) -> headline.Figure:
    """The headline's figure about the published median."""
    (card,) = [f for f in headline.headline(read_study(study.analyse())) if "published median" in f.name]
    return card


@pytest.mark.parametrize(
    ("where", "value", "kind", "words"),
    [
        ([], "2.53", "fail", "slowest of 10: retinanet, University-of-Florida, published. "
         "9 more; 1 slower, no criterion covers it"),
        ([{"benchmark": "llama2_70b_lora", "accelerators": 8}], "1.01", "pass",
         "; llama2_70b_lora, University-of-Florida, published. "
         "9 more; 2 slower, no criterion covers them"),
        ([{"benchmark": "rgat"}, {"benchmark": "llama2_70b_lora"}], "1.64", "fail", "slowest of 3: rgat, "
         "University-of-Florida, published. 9 more; 1 slower, no criterion covers it"),
        ([{}], "2.53", "fail", "slowest of 10: retinanet, University-of-Florida, published. 9 more; 1 slower"),
    ],
)  # fmt: skip
def test_the_headline_shows_what_a_criterion_is_about_and_counts_the_others(make_study, where, value, kind, words):
    study = make_study(references={"subjects": [FLORIDA]})
    study.write()
    for i, selected in enumerate(where):
        study.criterion(f"c{i}", "comparison.ratio", at_most=1.3, where=selected)
    card = card_of(study)
    assert (card.value, card.kind) == (value, kind)
    assert card.under.endswith(words), card.under


def time_of(study) -> headline.Figure:
    """The headline's time to quality."""
    (tile,) = [f for f in headline.headline(read_study(study.analyse())) if f.name == "Time to quality"]
    return tile


@pytest.mark.parametrize(
    ("minutes", "kinds", "value", "words"),
    [
        ([1.0, 2.0, 4.0], [], "2 min", "median, 3 of 3 repeats reached it, "),
        ([1.0, 2.0, 4.0], [MISSED, "diverged"], "4 min", "median, 3 of 5 repeats reached it, at least 60 s ("),
        ([1.0, 2.0, 4.0], ["crashed", "crashed"], "2 min", "median, 3 of 5 repeats reached it, "),
        ([1.0], [MISSED, MISSED], "not reached", "1 of 3 repeats reached it, finetune; at least 60 s ("),
        ([], ["crashed", "crashed"], "not measured", "0 of 2 repeats reached it, finetune"),
    ],
)
def test_the_time_to_quality_says_how_many_reached_it(make_study, minutes, kinds, value, words):
    study = make_study()
    (case,) = study.experiment("finetune", FINETUNE, len(minutes) + len(kinds))
    study.trained(case, minutes)
    for repeat, kind in enumerate(kinds, start=len(minutes)):
        study.failed(case, repeat, kind)
    tile = time_of(study)
    assert tile.value == value
    assert tile.under.startswith(words), tile.under
    (row,) = time_to_quality_table(read_study(study.paths)).rows
    assert f"{len(minutes)} of {len(minutes) + len(kinds)} repeats reached it" in row[MEDIAN].under


def test_the_first_screen_has_the_same_figures_whatever_is_known_and_says_what_is_not(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    study.gemm(case, [1.0])
    read = read_study(study.analyse())
    figures = headline.headline(read)
    assert [f.name for f in figures] == [
        "Time to quality",
        "Against the published median",
        "Cost",
        "Repeats completed",
    ]
    assert [f.value for f in figures] == ["not known", "not known", "not known", "1 of 2"]
    assert all(f.under and f.kind == "wait" for f in figures)
    assert "no price is stated; planned: at most 0.333 node-hours" in figures[2].under
    found = headline.main_finding(read)
    assert found is not None and found.sentence.startswith("Not known")


def test_every_known_figure_says_its_n_and_where_it_comes_from(make_study):
    study = make_study(references={"subjects": [FLORIDA]})
    (case,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(case, [1.0, 2.0, 4.0])
    figures = headline.headline(read_study(study.analyse()))
    assert [f.n for f in figures] == [
        "n = 3 repeats",
        "n = 5 runs against 8 results of 4 submitters",
        "n = 3 planned repeats",
        "n = 3 repeats of 1 case",
    ]
    for figure in figures:
        files = [link.file for link in figure.sources if link.file]
        assert files and all((study.paths.root / file).is_file() for file in files), figure.name


def test_a_price_makes_the_plan_a_cost_with_its_range_and_date(make_study):
    price = {"low": 2.0, "high": 3.0, "as_of": "2026-10", "source": "a contract"}
    study = make_study(target={**B200, "prices": {"accelerator_hour": price}})
    study.experiment("finetune", FINETUNE)
    study.plan_words = {
        "accelerator_hours": 80.0,
        "cost": {**price, "low": 160.0, "high": 240.0, "currency": "USD"},
    }
    study.write()
    cost = headline.headline(read_study(study.analyse()))[2]
    assert (cost.name, cost.value, cost.unit) == ("Cost, at most", "160 to 240", "USD")
    assert "80 accelerator-hours with every repeat at its time limit; price of 2026-10" in cost.under
    assert "a contract" in cost.under

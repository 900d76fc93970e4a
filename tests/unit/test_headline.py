"""The first screen: its figures are what the verdict rests on, and what they leave out is counted."""

from __future__ import annotations

import pytest
from study_on_disk import FLORIDA

from seatrial.report import headline
from seatrial.report.study_tables import read_study


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

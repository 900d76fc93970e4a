"""The page of a survey: every published figure leads to its source, and nothing speaks of a machine."""

from __future__ import annotations

import re

import pytest
from study_on_disk import GEMM
from test_report import SCRIPT, Page

from seatrial.errors import UnreadableFile
from seatrial.report.page import report
from seatrial.report.survey_figures import chains

SURVEY = {
    "rounds": ["v4.1", "v5.0", "v5.1", "v6.0"],
    "prices": [
        {
            "family": "B200",
            "names": ["target/some"],
            "price": {"low": 5.0, "high": 9.0, "as_of": "2025-01", "source": "a price list"},
        }
    ],
    "claims": [
        {
            "name": "spread",
            "kind": "spread",
            "stated": "They lie far apart",
            "source": "someone",
            "figure": "minutes",
            "at_least": 10,
        },
        {
            "name": "links",
            "kind": "form_factor",
            "stated": "Links matter",
            "source": "someone",
            "pairs": [{"linked": "H200-SXM", "card": "H200-NVL"}],
            "low": 1.2,
            "high": 1.4,
        },
        {"name": "other", "kind": "not_addressed", "stated": "It rains", "source": "someone", "why": "no weather"},
    ],
}


@pytest.fixture(scope="module")
def survey_page(tmp_path_factory):
    from study_on_disk import StudyOnDisk

    study = StudyOnDisk(tmp_path_factory.mktemp("survey") / "trial", references={"survey": SURVEY})
    study.write()
    paths = study.analyse()
    report(paths)
    return paths, paths.report.read_text(encoding="utf-8")


def test_the_page_has_the_surveys_sections_and_speaks_of_no_machine(survey_page):
    page = Page(re.sub(r"<style>.*?</style>", "", survey_page[1], flags=re.DOTALL))
    for words in (
        "Nothing to judge",
        "no system is under test",
        "borne out",
        "not addressed by these data",
        "It rains",
        "6.78 \u00d7 per accelerator",
        "96 of 184 results of v5.1: 17 of 87 groups",
        "medians that can be followed",
        "a price list",
        "no price is known",
        "5.00 to 9.00 USD",
        "in part, not a random one",
        "MLPerf\u2122 name and logo are trademarks",
    ):
        assert words.lower() in page.text.lower(), words
    for words in ("a laptop", "laptop", "missing", "did not complete", "node-hours", "Result not verified", "rank"):
        assert words not in page.text, words
    assert page.tags.count("svg") == 3


def test_every_link_of_a_figure_leads_to_a_result_with_its_citation(survey_page):
    paths, text = survey_page
    page = Page(text)
    wanted = {a.removeprefix("#") for a in page.addresses if a.startswith("#result-")}
    assert len(wanted) > 200
    assert wanted <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    row = re.search(r'<tr role="row" id="result-1">.*?</tr>', text, re.DOTALL).group()
    for words in ("mlcommons/training_results_v4.1", "min", "runs"):
        assert words in row
    assert "MLPerf\u2122 Training v5.1, closed division, published 12 November 2025; retrieved" in page.text
    cited = paths.survey("results").read_text(encoding="utf-8")
    assert cited.count("MLPerf\u2122 Training") == cited.count("\n") - 1


def test_long_tables_are_folded(survey_page):
    text = survey_page[1]
    folded = re.findall(r"<details>.*?</details>", text, re.DOTALL)
    unfolded = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert len(folded) >= 10
    assert unfolded.count("<tr ") < 60
    assert "<details open" not in text


def test_the_same_tables_give_the_same_page(survey_page):
    paths, text = survey_page
    figures = {p.name: p.read_bytes() for p in paths.figures.glob("*.svg")}
    assert {"survey_spread.svg", "survey_rounds.svg", "survey_scaling.svg"} == set(figures)
    report(paths)
    assert paths.report.read_text(encoding="utf-8") == text
    assert {p.name: p.read_bytes() for p in paths.figures.glob("*.svg")} == figures


def test_a_study_with_work_and_a_survey_shows_both(make_study):
    study = make_study(references={"survey": {"rounds": ["v5.1"]}})
    study.experiment("gemm", GEMM, 1)
    paths = study.analyse()
    report(paths)
    page = Page(paths.report.read_text(encoding="utf-8"))
    assert "a laptop" in page.text and "Fastest against slowest" in page.text
    assert "0 of 1 repeat completed" in page.text.replace("repeats", "repeat")
    assert "Claims held" not in page.text


def test_a_survey_of_a_round_without_medians_and_prices_still_has_a_page(make_study):
    study = make_study(references={"survey": {"rounds": ["v6.0"]}})
    study.write()
    paths = study.analyse()
    report(paths)
    page = Page(paths.report.read_text(encoding="utf-8"))
    assert "No family and count has a median in two consecutive rounds" in page.text
    assert "no family with a price" in page.text


def test_planted_markup_in_claims_and_prices_stays_text(make_study):
    survey = {
        **SURVEY,
        "rounds": ["v5.1"],
        "claims": [{"name": "x", "kind": "not_addressed", "stated": SCRIPT, "source": SCRIPT, "why": SCRIPT}],
        "prices": [
            {"family": "B200", "names": [SCRIPT], "price": {**SURVEY["prices"][0]["price"], "source": SCRIPT}}
        ],
    }
    study = make_study(references={"survey": survey})
    study.write()
    paths = study.analyse()
    report(paths)
    page = Page(paths.report.read_text(encoding="utf-8"))
    assert "script" not in page.tags
    assert SCRIPT in page.text


def test_a_survey_table_that_is_not_one_is_refused(make_study):
    study = make_study(references={"survey": {"rounds": ["v5.1"]}})
    study.write()
    paths = study.analyse()
    paths.survey("spread").write_text("a,b\n1,2\n")
    with pytest.raises(UnreadableFile, match=r"survey_spread\.csv"):
        report(paths)


def test_a_chain_of_medians_ends_where_a_round_has_none():
    def step(before, after, ratio):
        return {
            "benchmark": "b",
            "accelerator_family": "F",
            "accelerators": 8,
            "from_round": before,
            "to_round": after,
            "basis": "medians",
            "ratio": ratio,
        }

    first, second = chains([step("v4.0", "v4.1", 0.5), step("v4.1", "v5.0", 0.5), step("v5.1", "v6.0", 0.99)])
    assert (first.rounds, first.values, first.moved) == (("v4.0", "v4.1", "v5.0"), (1.0, 0.5, 0.25), True)
    assert (second.rounds, second.moved) == (("v5.1", "v6.0"), False)
    assert chains([{**step("v4.0", "v4.1", 0.5), "basis": "same systems"}]) == []

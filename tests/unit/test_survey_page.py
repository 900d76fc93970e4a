"""The page of a survey: every published figure leads to its source, and nothing speaks of a machine."""

from __future__ import annotations

import csv
import html
import re

import pytest
from study_on_disk import GEMM
from test_report import SCRIPT, Page

from seatrial.errors import UnreadableFile
from seatrial.reference.names import PUBLISHED_ON
from seatrial.report import survey_cells
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
    assert page.tags.count("figure") == 3


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
    assert "MLPerf\u2122 Training, closed division: v5.1, published 12 November 2025, from mlcommons/" in page.text
    cited = paths.survey("results").read_text(encoding="utf-8")
    assert cited.count("MLPerf\u2122 Training") == cited.count("\n") - 1


def table_of(text, name):
    return re.search(rf'<table id="table-{name}".*?</table>', text, re.DOTALL).group()


def singles(text, name):
    """Number of the result and what stands beside it, of every cell of the table that has one link alone."""
    cells = re.findall(r'<span class="under refs">(.*?)</span>', table_of(text, name), re.DOTALL)
    links = [re.findall(r">#(\d+)</a>(.*)", cell) for cell in cells if cell.count("<a ") == 1]
    return [(number, beside.strip()) for ((number, beside),) in links]


def test_every_link_to_a_result_shows_its_whole_citation_on_hovering(survey_page):
    paths, text = survey_page
    with paths.survey("results").open(encoding="utf-8", newline="") as handle:
        cited = {row["number"]: row["citation"] for row in csv.DictReader(handle)}
    found = re.findall(r'<a href="#result-(\d+)" title="([^"]*)">#(\d+)</a>', text)
    assert len(found) == text.count('href="#result-') > 400
    for anchor, title, number in found:
        assert (anchor, html.unescape(title)) == (number, cited[number])


@pytest.mark.parametrize(
    "name", ["spread", "medians", "rounds", "rounds-paired", "cost-summary", "costs", "form-factors", "claims"]
)
def test_a_table_of_published_figures_names_division_day_and_source_of_its_rounds(survey_page, name):
    paths, text = survey_page
    with paths.survey("results").open(encoding="utf-8", newline="") as handle:
        round_of = {row["number"]: row["round"] for row in csv.DictReader(handle)}
    table = table_of(text, f"survey-{name}")
    caption = re.search(r"<caption>.*?</caption>", table, re.DOTALL).group()
    shown = {round_of[number] for number in re.findall(r"#result-(\d+)", table)}
    assert shown and "closed division:" in caption
    cited = re.findall(r"(v\d\.\d), published (\d+ \w+ 20\d\d), from \S+/training_results_(v\d\.\d)", caption)
    assert shown == {round_ for round_, _, _ in cited} == {source for _, _, source in cited}
    assert all(PUBLISHED_ON[round_].strftime("%B %Y") in day for round_, day, _ in cited)


def test_the_captions_name_every_round_of_their_table_and_no_other(survey_page):
    other = re.search(
        r"<caption>.*?</caption>", table_of(survey_page[1], "survey-spread-others"), re.DOTALL
    ).group()
    assert re.findall(r"(v\d\.\d), published", other) == ["v6.0", "v5.0", "v4.1"]
    assert "fork of mlcommons/training_results_v6.0" in other


def test_the_system_stands_beside_every_single_result(survey_page):
    paths, text = survey_page[0], re.sub(r' title="[^"]*"', "", survey_page[1])
    with paths.survey("spread").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["round"] == "v5.1"]
    spread = table_of(text, "survey-spread")
    for row in rows:
        for end in ("fastest", "slowest", "least_chip", "most_chip", "widest_fastest", "widest_slowest"):
            assert html.escape(f"{row[f'{end}_submitter']}, {row[f'{end}_system']}") in spread
    with paths.survey("results").open(encoding="utf-8", newline="") as handle:
        system = {row["number"]: f"{row['submitter']}, {row['system']}" for row in csv.DictReader(handle)}
    for name in ("survey-cost-summary", "survey-costs"):
        shown = table_of(text, name)
        numbers = re.findall(r"#result-(\d+)", shown)
        assert numbers
        assert all(html.escape(system[number]) in shown for number in numbers)
    alone = [row for name in ("survey-form-factors", "survey-rounds-paired") for row in singles(text, name)]
    assert alone and all(html.escape(system[number]) == words for number, words in alone)
    assert "GigaComputing" in table_of(text, "survey-medians"), "a median's submitters stand beside their numbers"


def test_no_list_of_results_is_cut_and_a_long_one_is_folded(survey_page, monkeypatch):
    paths, _ = survey_page
    with paths.survey("form_factors").open(encoding="utf-8", newline="") as handle:
        numbers = max((row["linked_result_numbers"].split() for row in csv.DictReader(handle)), key=len)
    monkeypatch.setattr(survey_cells, "MOST_LINKS", 3)
    report(paths)
    table = table_of(paths.report.read_text(encoding="utf-8"), "survey-form-factors")
    folded = re.findall(rf"<summary>and {len(numbers) - 3} more</summary>(.*?)</details>", table, re.DOTALL)
    assert numbers[3:] in [re.findall(r'href="#result-(\d+)"', links) for links in folded]


def test_long_tables_are_folded(survey_page):
    text = re.sub(r'<details class="more.*?</details>', "", survey_page[1], flags=re.DOTALL)
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
    assert page.tags.count("script") == len(page.scripts) == 1
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

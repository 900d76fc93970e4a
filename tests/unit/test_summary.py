"""summary.md: short, the same bytes each time, agrees with the page and verdicts.json, and text stays text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from study_on_disk import FINETUNE, FLORIDA, GEMM, StudyOnDisk
from test_report import full_study

from seatrial.analysis.decisions.decision import Decision, Figure
from seatrial.reference.citation import TRADEMARK, UNVERIFIED
from seatrial.report.headline import headline, verdict
from seatrial.report.markdown import escape
from seatrial.report.page import report
from seatrial.report.study_tables import read_study
from seatrial.report.summary import summary, write_summary

EVIL = "a|b `c` *d* _e_ [f](http://g) <script>h</script> @octocat #1 http://i.example www.j.de\n\n# k ~~l~~ $m$ \\"
MOST_LINES = 60


class Rendered(HTMLParser):
    """Tags, addresses and text of Markdown as GitHub would make them, raw HTML and addresses included."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(markdown))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.text += data


def visible(text: str) -> str:
    return " ".join(text.replace("\u200b", "").split())


def rows_under(heading: str, text: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    below = text.partition(f"## {heading}")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[c.strip() for c in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A study with everything, its page and its summary: made once, drawing takes long."""
    folder = tmp_path_factory.mktemp("written")
    paths = full_study(lambda name, **words: StudyOnDisk(folder / name, **words)).analyse()
    report(paths)
    return paths


def test_it_says_what_the_page_and_the_verdicts_say(written):
    text, page = written.summary.read_text(), written.report.read_text()
    study = read_study(written)
    _, word, sentence = verdict(study)
    assert f"**Verdict: {word}.** {sentence}" in visible(text)
    for figure in headline(study):
        assert escape(f"{figure.value} {figure.unit}".strip()) in text
        assert figure.value in page
    found = {row[0]: row[1] for row in rows_under("Criteria", text)}
    assert found == {v["criterion"]: v["verdict"] for v in json.loads(written.verdicts.read_text())}
    assert "[report.html](report.html)" in text
    assert len(text.splitlines()) <= MOST_LINES


def test_the_same_records_give_the_same_bytes(written):
    before = written.summary.read_bytes()
    write_summary(written, read_study(written))
    assert written.summary.read_bytes() == before


def test_what_failed_and_what_is_missing_is_named_and_stays_text(written):
    text = written.summary.read_text()
    assert "repeat 2: failed (diverged)" in text
    assert "repeat 3: missing" in text
    assert "<script>" not in text and "&lt;script&gt;" in text


def test_published_results_are_shown_with_mlcommons_notice_and_only_then(make_study, written):
    assert TRADEMARK in written.summary.read_text() and UNVERIFIED in written.summary.read_text()
    own = make_study("own")
    (case,) = own.experiment("gemm", GEMM, 1)
    own.gemm(case, [1.0])
    assert "MLPerf" not in summary(read_study(own.analyse()), [])


def test_many_criteria_cases_and_failures_stay_within_a_screen_and_the_worst_come_first(make_study):
    study = make_study(title=EVIL, references={"subjects": [FLORIDA]})
    rates = [0.001 * n for n in range(1, 13)]
    cases = study.experiment("finetune", FINETUNE, 3, {"workload.learning_rate": rates})
    for case in cases:
        study.trained(case, [1.0])
        study.failed(case, 1, message=EVIL)
    study.gemm(study.experiment("gemm", GEMM, 5)[0], [1.0, 1.01, 1.02, 1.03, 1.04])
    for n in range(19):
        study.criterion(f"c{n}", "train.throughput", where={"experiment": "finetune"}, at_least=1.0, source=EVIL)
    study.criterion("c19", "gemm.throughput", at_least=1000.0, minimum_repeats=5, source=EVIL)
    text = summary(read_study(study.analyse()), [decision(EVIL)] * 9)
    assert len(text.splitlines()) <= MOST_LINES
    criteria = rows_under("Criteria", text)
    assert (len(criteria), criteria[0][0].partition(" ")[0]) == (6, "c19")
    for words in (
        "(6 of 20, all in verdicts.json)",
        "(3 of 12, all in tables/time_to_quality.csv)",
        "(3 of 9, all in",
    ):
        assert words in text
    made = Rendered(text)
    assert set(made.links) == {"report.html"}
    assert not {"script", "s", "em", "img"} & set(made.tags)


@pytest.mark.parametrize("known", [True, False])
def test_a_decision_gives_its_answer_and_its_first_figure_or_what_is_missing(make_study, known):
    study = make_study()
    study.experiment("gemm", GEMM, 1)
    text = summary(read_study(study.analyse()), [decision("Own or cloud", 2.5 if known else None)])
    assert ("2.5 USD (2 to 3)" in text) is known
    assert ("not known" in text.partition("## What follows")[2].partition("##")[0]) is not known
    assert "- Own or cloud: no price of power" in text


def test_text_in_markdown_renders_as_it_was():
    made = Rendered(f"# {escape(EVIL)}\n")
    assert visible(made.text) == visible(EVIL)
    assert (made.tags, made.links) == (["h1"], [])
    assert [escape(text) for text in ("3.35 USD", "-1.36 to 8", "1. a", "- a")] == [
        *("3.35 USD", "-1.36 to 8", "1\\. a", "\\- a")
    ]
    for live in ("@octocat", "#1", "://i", "www.j"):
        assert live not in escape(EVIL).replace("\\", "")


@settings(deadline=None, max_examples=60)
@given(st.text(alphabet=st.sampled_from("ab12 _*`[]()<>&|#@!~$\\-+=.\n:/"), max_size=40))
def test_any_text_in_markdown_renders_as_it_was(text):
    for template, before in (("# x {}\n", "x"), ("| a |\n| --- |\n| x{} |\n", "ax"), ("- {}\n", ""), ("{}\n", "")):
        made = Rendered(template.format(escape(text)))
        assert visible(made.text).replace(" ", "") == before + visible(text).replace(" ", "")
        assert not set(made.tags) - {"h1", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "p"}
        assert not made.links


def decision(title: str, value: float | None = 2.5) -> Decision:
    figure = Figure(
        "cost", value, *((None, None) if value is None else (2.0, 3.0)), unit="USD", method="Monte Carlo 95 %"
    )
    return Decision("cost", title, "here", f"{title}.", (figure,), (), (), missing=("no price of power",))

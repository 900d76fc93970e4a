"""summary.md of studies that decide: the worst is in it, the question comes first, no sentence is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from study_on_disk import FINETUNE, StudyOnDisk
from test_decisions_page import decision

from seatrial.analysis.decisions.decision import Decision, Figure, Swing
from seatrial.report.markdown import MOST_CHARACTERS, whole_sentences
from seatrial.report.study_tables import read_study
from seatrial.report.summary import summary
from seatrial.report.worst_decisions import worst_first, worst_of_each_kind


def one(kind: str, title: str, value: float | None, missing: tuple[str, ...] = (), inputs: bool = True) -> Decision:
    figure = Figure("Training time", value, None, None, "days", "exact" if value else "not known: no rate")
    given = decision().inputs if inputs else ()
    found = replace(decision(kind), title=title, answer=f"{title} it is.", figures=(figure,), missing=missing)
    return replace(found, inputs=given, swings=(Swing("price", 1.0, 2.0),))


PROPOSALS = [
    one("procurement", "Which cluster", 29.0, ("nothing of cloud",), inputs=False),
    one("procurement", "on dense", 29.0, ("latency", "noise of dense")),
    one("procurement", "on cloud", 30.0, ("latency", "storage of cloud")),
    one("procurement", "on rack", 212.0, ("latency", "switches of rack")),
    one("hybrid_attention", "hybrid", None, ("steps of hybrid",)),
]


@pytest.fixture
def trained(tmp_path: Path) -> StudyOnDisk:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("finetune", FINETUNE, 3)
    study.trained(case, [1.0, 1.1, 1.2])
    return study


def under(heading: str, text: str) -> str:
    return text.partition(f"## {heading}")[2].partition("\n## ")[0]


def test_the_worst_proposal_is_never_left_out_and_stands_before_the_better_ones() -> None:
    ordered = worst_first(PROPOSALS)
    titles = [found.title for found in ordered]
    assert titles == ["Which cluster", "on rack", "on cloud", "on dense", "hybrid"]
    for most in (1, 2, 3):
        assert "on rack" in [found.title for found in worst_of_each_kind(ordered, most)]
    kept = [found.title for found in worst_of_each_kind(ordered, 3)]
    assert kept == ["Which cluster", "on rack", "hybrid"]
    unknown = replace(PROPOSALS[1], figures=(replace(PROPOSALS[1].figures[0], value=None),))
    assert worst_first([*PROPOSALS[2:4], unknown])[0] == unknown


def test_what_the_worst_lacks_is_named_and_what_several_lack_is_said_once(trained: StudyOnDisk) -> None:
    text = under("What is missing", summary(read_study(trained.analyse()), PROPOSALS))
    lines = [line for line in text.splitlines() if line.startswith("- ")]
    assert lines == [
        "- Which cluster: nothing of cloud",
        "- 3 decisions: latency",
        "- hybrid: steps of hybrid",
        "- on rack: switches of rack",
    ]
    assert "(4 of 6, all in report.html)" in text


def test_the_date_that_was_asked_for_leads_and_not_that_there_are_no_criteria(trained: StudyOnDisk) -> None:
    cost, date = one("cost", "What a run costs", 3.0), one("finish_date", "Finish date: six weeks", 46.0)
    study = read_study(trained.analyse())
    text = summary(study, [cost, date])
    lead = text.splitlines()[2]
    assert lead.startswith("**Finish date: six weeks.** Finish date: six weeks it is. What moves it most: price.")
    assert text.index("46 days") < text.index("Time to quality")
    assert "No criteria were declared" in text and "Verdict" not in text
    assert "What a run costs" in under("What follows", text) and "six weeks" not in under("What follows", text)
    assert "**Verdict: no criteria.**" in summary(study, [cost])


def test_a_verdict_that_was_asked_for_still_leads(trained: StudyOnDisk) -> None:
    trained.criterion("fast", "train.throughput", where={"experiment": "finetune"}, at_least=1.0, source="ours")
    text = summary(read_study(trained.analyse()), [one("finish_date", "Finish date", 46.0)])
    assert text.splitlines()[2].startswith("**Verdict: ")


def test_an_answer_ends_with_a_whole_sentence_and_says_what_moves_it(trained: StudyOnDisk) -> None:
    sentences = [f"Sentence {n} says {'so ' * 60}(by a quote. And more)." for n in range(9)]
    long = replace(one("finish_date", "Finish date", 46.0), answer=" ".join(sentences))
    text = summary(read_study(trained.analyse()), [long])
    lead = text.splitlines()[2]
    assert "\u2026" not in lead and "More in report.html. What moves it most: price. Rests" in lead
    said = lead.removeprefix("**Finish date.** ").partition(" More in report.html.")[0]
    assert said == " ".join(sentences[: said.count("Sentence")]) and said.count("Sentence") == 4


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two.", "One. Two."),
        (f"First. {'X' * MOST_CHARACTERS}.", "First. More in report.html."),
        (f"a; b (c; {'x' * MOST_CHARACTERS}); d", "a. More in report.html."),
        (f"{'x' * MOST_CHARACTERS} at 2.5; more", f"{'x' * MOST_CHARACTERS} at 2.5. More in report.html."),
        ("x" * 300, "x" * 300),
    ],
)
def test_only_whole_sentences_or_statements_are_taken(text: str, expected: str) -> None:
    assert whole_sentences(text) == expected

"""What MLCommons asks to stand beside published figures and own ones."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

from seatrial.reference import citation
from seatrial.reference.equivalent import find_reference
from seatrial.reference.published import as_results, load_published
from seatrial.reference.table_file import CONFIDENCES


def test_a_citation_names_submitter_system_round_division_score_date_and_source() -> None:
    result = find_reference("llama2_70b_lora", "v5.1", "B200", 8).results[0]
    said = citation.cite(result, dt.date(2026, 11, 5))
    assert said == (
        "Dell, 1xXE9680Lx8B200-SXM-180GB (8 x B200): MLPerf™ Training v5.1 Closed llama2_70b_lora, 8.886 minutes; "
        "score computed from the published logs, equal to MLCommons' own tool; published 12 November 2025; "
        "retrieved from mlcommons/training_results_v5.1: Dell/results/1xXE9680Lx8B200-SXM-180GB/llama2_70b_lora on "
        "5 November 2026; result id not in the repository."
    )


def test_every_result_of_the_table_can_be_cited_with_what_it_rests_on() -> None:
    for result in as_results(load_published()):
        said = citation.cite(result)
        assert result.submitter in said and result.system in said and result.source in said
        assert citation.ORIGIN[result.confidence] in said and "published " in said


def test_an_unverified_result_is_cited_as_such_and_never_as_published() -> None:
    result = find_reference("llama2_70b_lora", "v5.1", "B200", 8).results[0]
    said = citation.cite(replace(result, confidence="unverified", source="vendor: b200/llama2_70b_lora"))
    assert said == (
        "Unverified: Dell, 1xXE9680Lx8B200-SXM-180GB (8 x B200): MLPerf™ Training v5.1 llama2_70b_lora, "
        "8.886 minutes; Result not verified by MLCommons Association; scored from logs in vendor: "
        "b200/llama2_70b_lora on 22 November 2026."
    )
    assert set(citation.ORIGIN) == set(CONFIDENCES)


def test_own_results_are_called_unverified_in_mlcommons_words() -> None:
    with_own = " ".join(citation.notice(own_results=True))
    assert "Result not verified by MLCommons Association." in with_own
    assert "have not been through an MLPerf™ review" in with_own
    without = " ".join(citation.notice(own_results=False))
    assert "not verified" not in without
    for said in (with_own, without):
        assert "trademarks of MLCommons Association" in said and "not sanctioned by MLCommons" in said

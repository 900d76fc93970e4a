"""Claims are judged by the data: another table gives another verdict, and what has no data is not judged."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_survey_tables import AFTER, BEFORE, made_table, only

from seatrial.analysis.survey.tables import survey_rows
from seatrial.checks import check_plan
from seatrial.config.study import References
from seatrial.config.survey import Survey
from seatrial.errors import ConfigError
from seatrial.plan import make_plan
from seatrial.reference.published import load_published

CONF = Path(__file__).parents[2] / "conf"
SPREAD = {"kind": "spread", "figure": "minutes", "at_least": 10}
FORMS = {"kind": "form_factor", "pairs": [{"linked": "H100-SXM", "card": "H100-PCIe"}], "low": 1.2, "high": 1.4}
INTRODUCED = {"kind": "introduced", "round": AFTER, "benchmarks": ["flux1"]}
SLOWER = {"kind": "slower_than_median", "at_most": {"value": 0.2, "source": "a rule"}}
CLOUD = {"kind": "cloud_ceiling", "billion_parameters": 40, "sizes": {"llama2_70b_lora": 70}}


def judged(table, claim, rounds=(BEFORE, AFTER)):
    content = {"name": "c", "stated": "something", "source": "somewhere", **claim}
    survey = Survey.model_validate({"rounds": list(rounds), "claims": [content]})
    (row,) = survey_rows(References(survey=survey), survey, table)["claims"]
    return row


@pytest.fixture(scope="module")
def shipped():
    plan = make_plan(["study=published"], CONF)
    references = plan.study.references
    return survey_rows(references, references.survey, load_published())["claims"]


def test_the_motivating_claims_against_the_shipped_results(shipped):
    assert {row["claim"]: row["verdict"] for row in shipped if row["verdict"] != "not_addressed"} == {
        "spread-raw": "borne_out",
        "spread-per-accelerator": "not_borne_out",
        "spread-like-for-like": "contradicted",
        "nvlink-against-pcie": "not_borne_out",
        "round-6-late-2024": "contradicted",
        "round-6-introduced": "contradicted",
        "slower-than-median": "borne_out",
        "cloud-ceiling": "contradicted",
    }
    assert sum(row["verdict"] == "not_addressed" for row in shipped) == 8
    assert all(row["evidence"] and row["rule"] and row["source"] for row in shipped)
    late = only(shipped, claim="round-6-late-2024")["evidence"]
    assert "16 June 2026" in late and "v4.1" in late
    first = only(shipped, claim="round-6-introduced")["evidence"]
    assert "llama2_70b_lora is first seen in v4.0" in first and "stable_diffusion is first seen in v3.1" in first
    links = only(shipped, claim="nvlink-against-pcie")
    assert (links["cases"], links["holds"]) == (25, 1)
    assert "clocks and power" in links["evidence"]


@pytest.mark.parametrize(
    ("slowest", "verdict"),
    [([100.0, 100.0], "borne_out"), ([100.0, 20.0, 20.0], "not_borne_out"), ([20.0], "contradicted")],
)
def test_a_spread_is_borne_out_in_most_benchmarks_or_not_or_in_none(slowest, verdict):
    rows = [{"benchmark": f"b{i}", "minutes": minutes} for i, last in enumerate(slowest) for minutes in (5.0, last)]
    found = judged(made_table(*rows), SPREAD)
    assert (found["verdict"], found["cases"]) == (verdict, len(slowest))


def test_the_share_of_cases_is_the_studys():
    rows = [
        {"benchmark": b, "minutes": m}
        for b, m in (("x", 1.0), ("x", 50.0), ("y", 1.0), ("y", 2.0), ("z", 1.0), ("z", 2.0))
    ]
    lenient = {"share": {"value": 0.3, "source": "a third"}}
    assert judged(made_table(*rows), SPREAD)["verdict"] == "not_borne_out"
    assert judged(made_table(*rows), SPREAD | lenient)["verdict"] == "borne_out"


def test_size_alone_makes_a_raw_spread_and_none_per_accelerator_or_among_equals():
    table = made_table(
        {"accelerators": 8, "minutes": 100.0},
        {"accelerators": 1024, "minutes": 1.0},
        {"accelerators": 8, "minutes": 120.0},
    )
    assert judged(table, SPREAD)["verdict"] == "borne_out"
    assert judged(table, SPREAD | {"figure": "chip_minutes"})["verdict"] == "contradicted"
    assert judged(table, SPREAD | {"figure": "minutes_like_for_like"})["verdict"] == "contradicted"


def test_nothing_is_said_where_there_is_nothing_to_compare_and_a_partial_round_is_no_case():
    alone = made_table({"minutes": 1.0})
    for claim in (SPREAD, FORMS, SLOWER):
        found = judged(alone, claim)
        assert (found["verdict"], found["cases"]) == ("cannot_be_said", 0)
    partial = made_table({"round": "v6.0", "minutes": 1.0}, {"round": "v6.0", "minutes": 50.0})
    assert judged(partial, SPREAD, ["v6.0"])["verdict"] == "cannot_be_said"


@pytest.mark.parametrize(("card", "verdict"), [(13.0, "borne_out"), (16.0, "contradicted"), (10.5, "contradicted")])
def test_cards_against_linked_chips_at_the_same_count(card, verdict):
    table = made_table(
        {"accelerator_family": "H100-SXM"},
        {"accelerator_family": "H100-PCIe", "minutes": card},
        {"accelerator_family": "H100-PCIe", "minutes": 13.0, "accelerators": 4},
        {"accelerator_family": "H100-PCIe", "minutes": 13.0, "round": BEFORE},
    )
    found = judged(table, FORMS)
    assert (found["verdict"], found["cases"]) == (verdict, 1)


def test_a_round_introduced_what_no_earlier_surveyed_round_has():
    new = made_table({"round": BEFORE}, {"benchmark": "flux1"})
    old = made_table({"round": BEFORE, "benchmark": "flux1"}, {"benchmark": "flux1"})
    assert judged(new, INTRODUCED)["verdict"] == "borne_out"
    assert judged(old, INTRODUCED)["verdict"] == "contradicted"
    assert judged(new, INTRODUCED, [AFTER])["verdict"] == "cannot_be_said", "no earlier round to look at"
    assert judged(made_table({"round": BEFORE}, {}), INTRODUCED)["verdict"] == "cannot_be_said"
    later = made_table({"round": BEFORE}, {"benchmark": "flux1"})
    assert judged(later, INTRODUCED | {"round": BEFORE})["verdict"] == "contradicted", "the whole round has none"


def test_a_rounds_date_decides_when_it_was_published():
    claim = {"kind": "published", "round": "v5.1", "first": "2025-11-01", "last": "2025-11-30"}
    assert judged(made_table({}), claim)["verdict"] == "borne_out"
    assert judged(made_table({}), claim | {"last": "2025-11-11"})["verdict"] == "contradicted"
    assert judged(made_table({}), claim | {"round": "v9.9"})["verdict"] == "cannot_be_said"


def test_how_rare_a_slow_result_is_decides_whether_the_threshold_marks_anything():
    def table(*minutes):
        return made_table(*({"submitter": f"S{i}", "minutes": m} for i, m in enumerate(minutes)))

    rare = judged(table(10.0, 10.0, 10.0, 10.0, 20.0), SLOWER)
    assert (rare["verdict"], rare["cases"], rare["holds"]) == ("borne_out", 5, 1)
    assert "S4" in rare["evidence"]
    assert judged(table(10.0, 10.0, 10.0, 20.0, 20.0), SLOWER)["verdict"] == "not_borne_out"


def test_large_models_trained_in_clouds_contradict_a_ceiling_and_their_absence_proves_nothing():
    assert judged(made_table({"availability": "Available cloud"}), CLOUD)["verdict"] == "contradicted"
    assert judged(made_table({}), CLOUD)["verdict"] == "cannot_be_said"
    small = {**CLOUD, "billion_parameters": 100}
    assert judged(made_table({"availability": "Available cloud"}), small)["verdict"] == "cannot_be_said"


@pytest.mark.parametrize(
    ("override", "key", "nearest"),
    [
        ("references.survey.rounds=[v5.2]", "references.survey.rounds.0", "v5.1"),
        ("references.survey.claims.5.round=v6.1", "references.survey.claims.5.round", None),
        ("references.tables=[nowhere.csv]", "references.tables.0", None),
    ],
)
def test_what_the_results_do_not_know_is_refused_while_planning(override, key, nearest):
    with pytest.raises(ConfigError) as caught:
        check_plan(make_plan(["study=published", override], CONF))
    assert caught.value.key == key
    assert nearest is None or caught.value.nearest == nearest


def test_a_round_of_an_added_file_may_be_surveyed(tmp_path):
    table = load_published().query("round == 'v5.1'").head(3).assign(round="v9.9")
    table.to_csv(tmp_path / "own.csv", index=False)
    words = ["study=published", "references.survey.rounds=[v9.9]", "references.survey.claims=[]"]
    check_plan(make_plan([*words, f"references.tables=[{tmp_path / 'own.csv'}]"], CONF))
    with pytest.raises(ConfigError):
        check_plan(make_plan(words, CONF))


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        ({**SPREAD, "figure": "seconds"}, "figure"),
        ({**FORMS, "low": 2.0}, "above high"),
        ({**SPREAD, "share": {"value": 1.5, "source": "x"}}, "at most 1"),
        ({"kind": "vibes"}, "kind"),
    ],
)
def test_a_claim_that_makes_no_sense_is_refused(claim, words):
    with pytest.raises(ValueError, match=words):
        judged(made_table({}), claim)

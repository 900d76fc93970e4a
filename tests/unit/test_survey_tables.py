"""The survey's tables: digits of the shipped results, and what each table counts and leaves out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pandas as pd
import pytest

from seatrial.analysis.survey.results import survey_results
from seatrial.analysis.survey.tables import published_table, survey_rows
from seatrial.config.study import References
from seatrial.config.survey import Survey
from seatrial.paths import SURVEY_TABLES
from seatrial.plan import make_plan
from seatrial.reference.equivalent import find_reference
from seatrial.reference.published import as_results, load_published
from seatrial.reference.selection import comparable

CONF = Path(__file__).parents[2] / "conf"
ROUNDS = ["v3.1", "v4.0", "v4.1", "v5.0", "v5.1", "v6.0"]
# rounds of which nobody knows how many results they should have
BEFORE, AFTER = "v9.0", "v9.1"
BASE = {
    "round": AFTER,
    "division": "closed",
    "availability": "Available on-premise",
    "submitter": "A",
    "system": "a",
    "accelerator_model": None,
    "accelerator_family": "B200",
    "accelerators": 8,
    "nodes": 1,
    "benchmark": "llama2_70b_lora",
    "minutes": 10.0,
    "unscaled_minutes": 10.0,
    "rcp_factor": 1.0,
    "runs": 10,
    "successful_runs": 10,
    "min_minutes": 9.0,
    "max_minutes": 11.0,
    "global_batch_size": 8,
    "samples_to_quality": 100.0,
    "confidence": "official",
    "note": None,
}


def made_table(*rows):
    """A table of published results: each of `rows` changes BASE."""
    full = [{**BASE, "source": f"repository: {i}", "system_id": f"id{i}", **row} for i, row in enumerate(rows)]
    frame = pd.DataFrame(full)
    return frame.astype({"accelerators": "Int64", "runs": "Int64", "nodes": "Int64"})


def rows_from(table, rounds=(BEFORE, AFTER), **words):
    survey = Survey.model_validate({"rounds": list(rounds), **words})
    return survey_rows(References(survey=survey), survey, table)


@pytest.fixture(scope="module")
def shipped():
    return rows_from(load_published(), ROUNDS)


def only(rows, **wanted):
    (row,) = [r for r in rows if all(r[key] == value for key, value in wanted.items())]
    return row


def test_coverage_of_the_shipped_results_is_that_of_the_reference_notes(shipped):
    found = {
        r["round"]: (
            r["results"],
            r["groups"],
            r["groups_of_two"],
            r["groups_of_three"],
            r["groups_with_median"],
            r["results_in_groups_of_three"],
        )
        for r in shipped["coverage"]
    }
    assert found["v3.1"] == (207, 110, 35, 18, 17, 98)
    assert found["v4.0"] == (178, 83, 21, 18, 14, 110)
    assert found["v4.1"] == (153, 72, 22, 15, 13, 89)
    assert found["v5.0"] == (201, 99, 32, 16, 16, 102)
    assert found["v5.1"] == (184, 87, 33, 19, 17, 102)
    assert {r["round"]: r["partial"] for r in shipped["coverage"]} == dict.fromkeys(ROUNDS, False) | {"v6.0": True}


def test_every_median_is_the_one_that_the_comparison_would_use(shipped):
    assert len(shipped["medians"]) == sum(r["groups_with_median"] for r in shipped["coverage"])
    for row in shipped["medians"]:
        found = find_reference(row["benchmark"], row["round"], row["accelerator_family"], row["accelerators"])
        assert found.basis == "exact"
        assert found.minutes == row["median_minutes"]
        assert found.quartiles == (row["low_quartile_minutes"], row["high_quartile_minutes"])
        assert (found.n, found.submitters) == (row["results"], row["submitters"])


def test_spread_of_a_known_benchmark_raw_per_chip_and_among_equals(shipped):
    row = only(shipped["spread"], round="v5.1", benchmark="llama2_70b_lora")
    assert row["results"] == 62
    assert row["fastest_minutes"] == pytest.approx(0.403404, abs=1e-6)
    assert row["slowest_minutes"] == pytest.approx(29.222903, abs=1e-6)
    assert row["ratio"] == pytest.approx(72.44, abs=0.01)
    assert row["chip_ratio"] == pytest.approx(7.89, abs=0.01)
    assert row["chip_ratio"] == row["most_chip_chip_minutes"] / row["least_chip_chip_minutes"]
    assert row["widest_ratio"] == pytest.approx(1.162, abs=0.001)
    assert row["fastest_submitter"] and row["fastest_accelerator_family"] and row["fastest_accelerators"] > 500
    outlier = only(shipped["spread"], round="v4.0", benchmark="llama2_70b_lora")
    assert (outlier["widest_slowest_submitter"], outlier["widest_results"]) == ("JuniperNetworks", 12)
    assert outlier["widest_ratio"] == pytest.approx(4.12, abs=0.01)


def test_a_machine_without_accelerators_is_in_the_spread_but_in_no_chip_ratio_median_or_cost(shipped):
    row = only(shipped["spread"], round="v3.1", benchmark="dlrm_dcnv2")
    assert (row["slowest_submitter"], row["slowest_accelerators"]) == ("Intel", 0)
    assert row["chip_results"] == row["results"] - 1
    assert row["most_chip_accelerators"] > 0
    cost = [r for r in shipped["costs"] if r["accelerators"] == 0]
    assert cost and all("run_low" not in r and "without accelerators" in r["note"] for r in cost)


def test_twins_count_once_open_rounded_and_unverified_results_never():
    twin = {"submitter": "B", "system_id": "same", "minutes": 12.0}
    table = made_table(
        {},
        {**twin, "source": "short"},
        {**twin, "source": "much longer, with power", "minutes": 12.5},
        {"division": "open", "minutes": 1.0},
        {"confidence": "rounded", "minutes": 2.0},
        {"confidence": "unverified", "minutes": 2.5},
        {"round": BEFORE, "minutes": 3.0},
    )
    assert [s.minutes for s in survey_results(table, [AFTER])] == [10.0, 12.0]


def test_one_family_from_round_to_round_by_medians(shipped):
    row = only(
        shipped["rounds"],
        benchmark="llama2_70b_lora",
        accelerator_family="B200",
        accelerators=8,
        from_round="v5.0",
        to_round="v5.1",
    )
    assert (round(row["from_minutes"], 2), round(row["to_minutes"], 2)) == (11.32, 9.81)
    assert row["ratio"] == pytest.approx(0.866, abs=0.001)
    assert (row["basis"], row["from_results"], row["to_results"]) == ("medians", 11, 11)
    assert not row["partial"]
    assert only(
        shipped["rounds"],
        benchmark="llama2_70b_lora",
        accelerator_family="B200",
        accelerators=8,
        to_round="v6.0",
    )["partial"]


def test_without_medians_the_same_systems_are_paired_and_carried_over_results_are_not():
    def both(before, after, **words):
        return [{"round": BEFORE, "minutes": before, **words}, {"round": AFTER, "minutes": after, **words}]

    table = made_table(
        *both(20.0, 10.0),
        *both(30.0, 30.0, submitter="B", system="b"),
        {"round": AFTER, "submitter": "C", "system": "c", "minutes": 1.0},
        *both(8.0, 8.0, accelerators=16),
        *both(8.0, 4.0, accelerators=32, system="x", submitter="D")[:1],
        {"round": AFTER, "minutes": 4.0, "accelerators": 32, "system": "y", "submitter": "D"},
    )
    (row,) = rows_from(table)["rounds"]
    assert (row["basis"], row["accelerators"], row["ratio"]) == ("same systems", 8, 0.5)
    assert (row["from_results"], row["to_results"], row["carried_over"]) == (1, 1, 0)


def test_a_median_says_how_many_of_its_results_were_carried_over():
    rows = [
        {"round": r, "submitter": s, "system": s, "minutes": m}
        for s, before, after in (("A", 10.0, 10.0), ("B", 11.0, 9.0), ("C", 12.0, 8.0))
        for r, m in ((BEFORE, before), (AFTER, after))
    ]
    (row,) = rows_from(made_table(*rows))["rounds"]
    assert (row["basis"], row["from_minutes"], row["to_minutes"], row["carried_over"]) == ("medians", 11, 9, 1)


def test_scaling_fits_of_known_families(shipped):
    row = only(shipped["scaling"], round="v5.0", benchmark="llama2_70b_lora", accelerator_family="B200")
    assert row["exponent"] == pytest.approx(-0.836, abs=0.001)
    assert row["r_squared"] == pytest.approx(0.9988, abs=0.0001)
    assert (row["results"], row["counts"], row["least_accelerators"], row["most_accelerators"]) == (13, 3, 8, 64)
    assert row["worst_factor"] == pytest.approx(1.04, abs=0.005)


def test_every_figure_leads_to_its_results_and_their_citations(shipped):
    numbers = {r["number"]: r for r in shipped["results"]}
    assert list(numbers) == list(range(1, len(numbers) + 1))
    assert all(r["submitter"] and r["citation"] and r["source"] and r["published_on"] for r in numbers.values())
    for row in shipped["medians"]:
        behind = [numbers[int(n)] for n in row["result_numbers"].split()]
        assert len(behind) == row["results"]
        assert {r["benchmark"] for r in behind} == {row["benchmark"]}
    for row in shipped["spread"]:
        assert numbers[row["slowest_result"]]["minutes"] == row["slowest_minutes"]
    assert all("MLPerf" in r["citation"] and r["round"] in r["citation"] for r in numbers.values())


def price(low, high, **words):
    return {"low": low, "high": high, "as_of": "2026-11", "source": "a list", **words}


def test_cost_is_accelerator_hours_times_the_range_for_one_run_and_for_the_runs_of_a_score():
    table = made_table({"minutes": 30.0}, {"accelerator_family": "GB300"}, {"submitter": "B", "runs": None})
    prices = [
        {"family": "B200", "names": ["target/one"], "price": price(5.0, 9.0, as_of="2024-01")},
        {"family": "B200", "names": ["target/two"], "price": price(4.0, None)},
    ]
    rows = rows_from(table, prices=prices)
    cost = only(rows["costs"], accelerator_hours=4.0)
    assert (cost["run_low"], cost["run_high"], cost["score_low"], cost["score_high"]) == (16, 36, 160, 360)
    unknown_runs = only(rows["costs"], submitter="B")
    assert unknown_runs["run_low"] > 0 and unknown_runs["score_low"] is None
    unpriced = only(rows["costs"], accelerator_family="GB300")
    assert "run_low" not in unpriced and unpriced["note"] == "no price is known"
    stated = only(rows["prices"], accelerator_family="B200")
    assert (stated["low"], stated["high"], stated["first_as_of"]) == (4.0, 9.0, "2024-01")
    assert stated["oldest_days"] > 365 and stated["names"] == "target/one; target/two"
    assert only(rows["prices"], accelerator_family="GB300")["note"] == "no price is known"


def test_an_end_of_a_price_that_is_not_known_gives_no_cost_and_currencies_are_not_mixed():
    prices = [
        {"family": "B200", "names": ["x"], "price": price(4.0, None)},
        {"family": "B200", "names": ["y"], "price": price(3.0, 5.0, currency="EUR")},
    ]
    rows = rows_from(made_table({"minutes": 60.0}), prices=prices)["costs"]
    dollars, euros = only(rows, currency="USD"), only(rows, currency="EUR")
    assert dollars["run_low"] == 32 and "run_high" not in dollars
    assert (euros["run_low"], euros["run_high"]) == (24, 40)


def test_prices_come_from_every_target_and_accelerator_of_the_configuration():
    prices = make_plan(["study=published"], CONF).study.references.survey.prices
    names = {name: stated for stated in prices for name in stated.names}
    assert names["target/aws_p5_48xlarge"].family == "H100-SXM"
    assert names["target/aws_p5_48xlarge"].price.low == 6.88
    assert names["target/dgx_h100"].price == names["accelerator/h100_sxm"].price
    assert not any(stated.family == "GB300" for stated in prices)
    assert all(stated.price.source and stated.price.as_of for stated in prices)


def test_analyse_writes_the_tables_of_a_survey_and_nothing_without_one(make_study):
    plain = make_study("plain", references={"subjects": []}, experiments={})
    plain.experiment("gemm", {"kind": "gemm", "m": 8, "n": 8, "k": 8})
    plain.analyse()
    assert not list(plain.paths.tables.glob("survey_*"))
    study = make_study("survey", references={"survey": {"rounds": ["v5.1"]}})
    study.write()
    paths = study.analyse()
    assert {p.name for p in paths.tables.glob("survey_*")} == {f"survey_{name}.csv" for name in SURVEY_TABLES}
    with paths.survey("coverage").open() as handle:
        (row,) = csv.DictReader(handle)
    assert (row["round"], row["results"], row["partial"]) == ("v5.1", "184", "False")
    assert json.loads(paths.verdicts.read_text()) == []


def test_more_result_files_are_surveyed_beside_the_shipped_ones(make_study, tmp_path):
    own = load_published().query("round == 'v5.1' and benchmark == 'rgat'").head(1)
    own = own.assign(submitter="Someone", system="s", system_id="s", minutes=0.01, source="a file")
    own.to_csv(tmp_path / "own.csv", index=False)
    words = {"survey": {"rounds": ["v5.1"]}, "tables": [str(tmp_path / "own.csv")]}
    study = make_study(references=words)
    study.write()
    with study.analyse().survey("spread").open() as handle:
        row = only(list(csv.DictReader(handle)), benchmark="rgat")
    assert (row["fastest_submitter"], row["results"]) == ("Someone", "21")


def test_what_is_no_published_score_in_an_added_file_enters_no_table_and_no_claim(tmp_path):
    known = load_published().query("round == 'v5.1' and benchmark == 'llama2_70b_lora' and accelerators == 8")
    known = known[known["accelerator_family"] == "B200"].head(3)
    added = pd.concat(
        [
            known.assign(submitter=f"{word}{i}", system=word, system_id=f"{word}{i}", minutes=0.01, confidence=word)
            for word in ("unverified", "rounded")
            for i in range(3)
        ],
        ignore_index=True,
    )
    added["system_id"] += added.index.astype(str)
    added.to_csv(tmp_path / "own.csv", index=False)
    claims = [
        {"name": "s", "kind": "spread", "stated": "x", "source": "y", "figure": "minutes", "at_least": 10},
        {
            "name": "m",
            "kind": "slower_than_median",
            "stated": "x",
            "source": "y",
            "at_most": {"value": 0.05, "source": "z"},
        },
    ]
    prices = [{"family": "B200", "names": ["x"], "price": price(5.0, 9.0)}]
    survey = Survey.model_validate({"rounds": ["v5.1"], "claims": claims, "prices": prices})
    without, with_added = (
        survey_rows(references, survey, published_table(references))
        for references in (
            References(survey=survey),
            References(survey=survey, tables=[str(tmp_path / "own.csv")]),
        )
    )
    assert [name for name in SURVEY_TABLES if with_added[name] != without[name]] == []


def test_the_survey_and_the_reference_choose_the_same_results(shipped):
    table = load_published()
    closed = table[table["round"].isin(ROUNDS) & (table["division"] == "closed")]
    chosen = {(r.round, r.source) for r in comparable(as_results(closed))}
    assert {(r["round"], r["source"]) for r in shipped["results"] if r["accelerators"]} == chosen

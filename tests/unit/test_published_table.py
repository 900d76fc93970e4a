"""The shipped table of published results, how it is read and how it is made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seatrial.errors import UnreadableFile
from seatrial.reference import build
from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import (
    COLUMNS,
    RESULTS_IN_ROUND,
    SHIPPED,
    TABLE_DATE,
    add_tables,
    as_results,
    is_partial,
    load_published,
    load_tables,
)

SOURCE = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mlperf_training_results.csv"


def test_the_package_ships_every_round_with_source_and_round_on_every_row() -> None:
    table = load_published()
    assert table["round"].value_counts().to_dict() == {
        "v3.1": 209,
        "v4.0": 202,
        "v4.1": 153,
        "v5.0": 201,
        "v5.1": 184,
        "v6.0": 67,
    }
    assert set(PUBLISHED_ON) == set(table["round"])
    assert tuple(table.columns) == COLUMNS
    assert (table["source"].str.len() > 20).all()
    assert not table["source"].str.contains("*", regex=False).any()
    assert table["confidence"].value_counts().to_dict() == {
        "official": 949,
        "recomputed": 41,
        "submitter": 20,
        "rounded": 6,
    }


def test_the_score_is_the_olympic_mean_times_the_factor() -> None:
    table = load_published()
    known = table[table["unscaled_minutes"].notna() & (table["confidence"] != "rounded")]
    assert len(known) > 1000
    ratio = known["unscaled_minutes"] * known["rcp_factor"] / known["minutes"]
    # the summaries of some submitters and four logs that the official tool rejects hold other olympic means
    assert ((ratio - 1).abs() < 1e-5).sum() >= len(known) - 10
    assert (known["rcp_factor"] >= 1).all()


def test_figures_that_are_publicly_known_are_in_the_table() -> None:
    table = load_published()

    def fastest(round_: str, benchmark: str) -> float:
        rows = table[(table["round"] == round_) & (table["benchmark"] == benchmark)]
        return float(rows["minutes"].min())

    assert fastest("v5.1", "llama31_405b") == pytest.approx(10, abs=0.05)
    assert fastest("v5.1", "llama2_70b_lora") == pytest.approx(0.40, abs=0.005)
    assert fastest("v5.1", "flux1") == pytest.approx(12.5, abs=0.05)
    assert fastest("v5.0", "llama31_405b") == pytest.approx(20.8, abs=0.05)
    assert fastest("v4.0", "gpt3") == pytest.approx(3.4, abs=0.05)


def test_what_was_not_published_is_missing_and_never_zero() -> None:
    claims = [r for r in as_results(load_published()) if r.confidence == "rounded"]
    assert len(claims) == 6
    assert all(r.n_runs is None and r.min_minutes is None and r.nodes is None for r in claims)
    cpu_only = [r for r in as_results(load_published()) if r.accelerators == 0]
    assert {r.accelerator_family for r in cpu_only} == {"none(CPU-only)"}


def test_a_reader_cannot_change_the_shipped_table_for_the_next() -> None:
    table = load_published()
    table["minutes"] = 1.0
    assert load_published()["minutes"].max() > 500


@pytest.mark.parametrize(
    ("column", "wrong", "allowed"),
    [
        ("round", "5.1", "vMAJOR.MINOR"),
        ("division", "Closed", "closed, open"),
        ("confidence", "sure", "official, submitter, recomputed, rounded, unverified"),
        ("minutes", "fast", "a number above 0"),
        ("minutes", "", "a number above 0"),
        ("minutes", "0", "a number above 0"),
        ("minutes", "-1", "a number above 0"),
        ("minutes", "inf", "a number above 0"),
        ("min_minutes", "nan", "a number above 0, or nothing"),
        ("accelerators", "7.5", "a whole number of 0 or more"),
        ("runs", "0", "a whole number above 0, or nothing"),
        ("source", " ", "a text that is not empty"),
        ("submitter", "", "a text that is not empty"),
    ],
)
def test_a_wrong_cell_is_named_with_file_line_column_and_what_is_allowed(
    column: str, wrong: str, allowed: str, tmp_path: Path
) -> None:
    table = pd.read_csv(SHIPPED, dtype=str, keep_default_na=False).head(5)
    table.loc[3, column] = wrong
    path = tmp_path / "results.csv"
    table.to_csv(path, index=False)
    with pytest.raises(UnreadableFile) as caught:
        load_published(path)
    assert str(path) in str(caught.value)
    assert f"line 5, column {column}: {wrong!r}; allowed: {allowed}" in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "unknown", "empty", "binary", "absent"])
def test_a_file_that_is_no_such_table_is_refused(damage: str, tmp_path: Path) -> None:
    table = pd.read_csv(SHIPPED, dtype=str, keep_default_na=False).head(5)
    path = tmp_path / "results.csv"
    if damage == "missing":
        table.drop(columns="source").to_csv(path, index=False)
    elif damage == "unknown":
        table.assign(speed=1).to_csv(path, index=False)
    elif damage == "empty":
        table.head(0).to_csv(path, index=False)
    elif damage == "binary":
        path.write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(UnreadableFile) as caught:
        load_published(path)
    assert str(path) in str(caught.value)
    if damage in ("missing", "unknown"):
        assert ("source" if damage == "missing" else "speed") in str(caught.value)


def test_the_shipped_table_is_what_its_source_gives(tmp_path: Path) -> None:
    if not SOURCE.is_file():
        pytest.skip("the research table ../shared/data/mlperf_training_results.csv is not here")
    made = tmp_path / "published.csv"
    assert build.build(SOURCE, made) == 1016
    assert made.read_bytes() == SHIPPED.read_bytes()
    source = pd.read_csv(SOURCE)
    shipped = load_published()
    assert sorted(source["time_to_train_minutes"]) == sorted(shipped["minutes"])
    assert source["accelerators_count"].sum() == shipped["accelerators"].sum()


def test_building_from_something_else_says_which_columns_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "source.csv"
    source.write_text("round,division\nv5.1,closed\n", encoding="utf-8")
    assert build.main([str(source), str(tmp_path / "out.csv")]) == 2
    assert "submitter" in capsys.readouterr().err
    assert not (tmp_path / "out.csv").exists()
    assert build.main([]) == 2


def added(tmp_path: Path, rows: pd.DataFrame, name: str = "results.csv", **columns: object) -> Path:
    """A results file of `rows` with columns changed."""
    path = tmp_path / name
    rows.assign(**columns).to_csv(path, index=False)
    return path


def of_round(round_: str, benchmark: str | None = None) -> pd.DataFrame:
    table = load_published()
    return table[(table["round"] == round_) & ((table["benchmark"] == benchmark) | (benchmark is None))]


def test_without_files_the_tables_are_the_shipped_one() -> None:
    assert as_results(load_tables([])) == as_results(load_published())


def test_an_added_result_takes_the_place_of_the_same_system_and_benchmark(tmp_path: Path) -> None:
    shipped = load_published()
    rows = of_round("v5.0", "llama2_70b_lora").head(2)
    table = load_tables([added(tmp_path, rows, minutes=[1.5, 2.5], energy_joules=[3e6, ""])])
    assert len(table) == len(shipped)
    same = table[table["source"].isin(rows["source"])]
    assert sorted(same["minutes"]) == [1.5, 2.5]
    others = table[~table["source"].isin(rows["source"])]
    assert sorted(others["minutes"]) == sorted(shipped[~shipped["source"].isin(rows["source"])]["minutes"])
    assert "energy_joules" not in table.columns


def test_a_result_nobody_had_is_added_and_of_two_files_the_last_counts(tmp_path: Path) -> None:
    rows = of_round("v6.0", "llama2_70b_lora").head(1).assign(submitter="Newcomer", system="box", system_id="box")
    first = added(tmp_path, rows, "first.csv", minutes=9.0)
    last = added(tmp_path, rows, "last.csv", minutes=8.0)
    table = load_tables([first, last])
    assert len(table) == len(load_published()) + 1
    assert table[table["submitter"] == "Newcomer"]["minutes"].tolist() == [8.0]


def test_a_file_with_a_whole_round_takes_the_rounds_place(tmp_path: Path) -> None:
    """Whatever the systems were called: no result of the partial table stands beside it."""
    shipped = load_published()
    rows = of_round("v5.1").sample(n=227, replace=True, random_state=1).reset_index(drop=True)
    whole = rows.assign(round="v6.0", system_id=[f"other{i}" for i in rows.index])
    table = load_tables([added(tmp_path, whole)])
    assert (table["round"] == "v6.0").sum() == 227
    assert not set(table[table["round"] == "v6.0"]["source"]) & set(of_round("v6.0")["source"])
    assert not is_partial(table, "v6.0") and is_partial(shipped, "v6.0")
    part = load_tables([added(tmp_path, whole.head(150))])
    assert (part["round"] == "v6.0").sum() == 150 + 67 and is_partial(part.head(1000), "v6.0")


def test_which_rounds_are_partial_is_what_the_table_holds() -> None:
    table = load_published()
    assert {r for r in RESULTS_IN_ROUND if is_partial(table, r)} == {"v6.0"}
    assert set(RESULTS_IN_ROUND) == set(PUBLISHED_ON)


@pytest.mark.parametrize(
    ("column", "lacking"),
    [("minutes", "minutes"), ("accelerators", "accelerators"), ("division", "division"), ("system", "system")],
)
def test_a_row_that_cannot_be_compared_is_left_out_and_named(column: str, lacking: str, tmp_path: Path) -> None:
    rows = of_round("v5.0", "llama2_70b_lora").head(2).astype(object)
    rows.loc[rows.index[0], column] = ""
    rows.loc[rows.index[0], "successful_runs"] = 0
    path = added(tmp_path, rows)
    table = load_tables([path])
    assert len(table) == len(load_published()) and set(rows["source"]) <= set(table["source"])
    line, equal = add_tables([path]).remarks
    assert line.startswith(f"{path}: left out: v5.0 llama2_70b_lora, ") and line.endswith(f": no {lacking}")
    assert str(rows.iloc[0]["source"]) in line and "1 of its results take the place of the same" in equal


def test_an_odd_division_is_no_reason_to_refuse_a_file(tmp_path: Path) -> None:
    rows = of_round("v5.0", "llama2_70b_lora").head(3)
    path = added(tmp_path, rows, division=["Closed", "open", "clsoed"])
    table = load_tables([path])
    assert table.tail(2)["division"].tolist() == ["closed", "open"]
    assert sum(": left out: " in line for line in add_tables([path]).remarks) == 1


def test_the_day_of_retrieval_is_the_files_own(tmp_path: Path) -> None:
    rows = of_round("v5.0", "llama2_70b_lora").head(2)
    dated = load_tables([added(tmp_path, rows, retrieved=["2027-01-31", ""])])
    first, second = as_results(dated.tail(2))
    assert first.retrieved is not None and first.retrieved.isoformat() == "2027-01-31"
    assert second.retrieved is None
    assert as_results(dated.head(1))[0].retrieved == TABLE_DATE
    with pytest.raises(UnreadableFile, match=r"line 2, column retrieved: '31\.1\.2027'; allowed: YYYY"):
        load_tables([added(tmp_path, rows, retrieved="31.1.2027")])


def test_columns_that_a_results_file_may_lack(tmp_path: Path) -> None:
    rows = of_round("v5.0", "llama2_70b_lora").head(1).drop(columns="system_id")
    result = as_results(load_tables([added(tmp_path, rows, submitter="Newcomer")]).tail(1))[0]
    assert (result.confidence, result.system_id, result.submitter) == ("official", None, "Newcomer")
    with pytest.raises(UnreadableFile, match="columns missing: minutes"):
        load_tables([added(tmp_path, rows.drop(columns="minutes"))])


@pytest.mark.parametrize("confidence", ["unverified", "", None])
def test_what_is_not_said_to_be_published_is_unverified_and_counts_nowhere(
    confidence: str | None, tmp_path: Path
) -> None:
    """None: the file has no such column."""
    rows = of_round("v5.0", "llama2_70b_lora").head(3).drop(columns="confidence")
    changed = {} if confidence is None else {"confidence": confidence}
    path = added(tmp_path, rows, minutes=0.01, **changed)
    tables = add_tables([path])
    assert as_results(tables.table) == as_results(load_published())
    assert tables.remarks == (f"3 unverified results of {path} are not published: left out",)
    assert [(r.confidence, r.minutes) for r in tables.unverified] == [("unverified", 0.01)] * 3


def test_unverified_results_and_claims_take_no_place_not_even_of_a_whole_round(tmp_path: Path) -> None:
    shipped = load_published()
    for confidence in ("unverified", "rounded"):
        rows = of_round("v5.1").assign(minutes=0.01, confidence=confidence)
        table = load_tables([added(tmp_path, rows)])
        kept = table[table["confidence"].isin(["official", "submitter", "recomputed"])]
        assert sorted(kept["minutes"]) == sorted(shipped[shipped["confidence"] != "rounded"]["minutes"])


def test_a_whole_round_leaves_the_results_of_which_it_has_no_score(tmp_path: Path) -> None:
    rows = of_round("v5.1").astype(object).assign(source="new")
    rows.loc[rows.index[:4], "minutes"] = ""
    rows.loc[rows.index[:4], "confidence"] = ""
    path = added(tmp_path, rows)
    tables = add_tables([path])
    kept = tables.table[(tables.table["round"] == "v5.1") & (tables.table["source"] != "new")]
    assert len(kept) == 4 and (tables.table["round"] == "v5.1").sum() == 184
    assert tables.remarks[-1] == f"{path}: its 180 results of round v5.1 take the place of 180"
    assert sum(line.endswith(": no minutes") for line in tables.remarks) == 4


def test_a_score_takes_a_claims_place_and_what_replaces_what_is_said(tmp_path: Path) -> None:
    rows = of_round("v5.0", "llama2_70b_lora").head(2)
    path = added(tmp_path, rows, minutes=[1.5, rows["minutes"].iloc[1]])
    changed, equal = add_tables([path]).remarks
    old = rows.iloc[0]
    what = f"v5.0 llama2_70b_lora by {old['submitter']} with {old['system']}"
    assert changed == f"{path}: {what}: 1.5 min take the place of {old['minutes']:.6g} ({old['source']})"
    assert equal == f"{path}: 1 of its results take the place of the same with equal scores"

"""The shipped table of published results, how it is read and how it is made."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from seatrial.errors import UnreadableFile
from seatrial.reference import build
from seatrial.reference.names import PUBLISHED_ON
from seatrial.reference.published import COLUMNS, SHIPPED, as_results, load_published

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
        ("confidence", "sure", "official, submitter, recomputed, rounded"),
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

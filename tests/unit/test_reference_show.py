"""`seatrial reference show` and `scaling`: what is printed, for people and as JSON, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from seatrial.cli import main
from seatrial.errors import EXIT_OK, EXIT_USAGE
from seatrial.reference.citation import TRADEMARK, cite
from seatrial.reference.equivalent import find_reference
from seatrial.reference.published import as_results, load_published
from seatrial.reference.scaling import find_scaling
from seatrial.reference.text import reference_parts, scaling_parts

Run = Callable[..., str]


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `seatrial reference ...`; what it prints."""

    def run(*words: str) -> str:
        assert main(["reference", *words]) == EXIT_OK
        return capsys.readouterr().out

    return run


def show(benchmark: str, round_: str, family: str, accelerators: int, *more: str) -> list[str]:
    return ["show", benchmark, "--round", round_, "--family", family, "--accelerators", str(accelerators), *more]


def test_an_exact_reference_says_minutes_n_submitters_quartiles_and_every_result(printed: Run) -> None:
    out = printed(*show("llama2_70b_lora", "v5.1", "B200", 8))
    reference = find_reference("llama2_70b_lora", "v5.1", "B200", 8)
    assert "reference: 9.805 minutes, exact" in out
    assert "median of 11 results by 6 submitters" in out
    assert "interquartile range: 9.731 to 9.946 minutes" in out
    assert len(reference.results) == 11
    for result in reference.results:
        (line,) = [line for line in out.splitlines() if line.endswith(result.source)]
        for fact in (result.submitter, result.system, "v5.1 closed", "2025-11-12", "2026-11-22", "official"):
            assert fact in line
        assert f"{result.minutes:.4g}" in line
    assert TRADEMARK in out.splitlines()


def test_an_interpolated_reference_is_marked_with_its_band_and_its_neighbours(printed: Run) -> None:
    out = printed(*show("llama2_70b_lora", "v5.1", "B200", 24))
    assert "reference: 4.346 minutes, interpolated" in out
    assert "error band: 3.632 to 5.201 minutes" in out
    assert (
        "5 of 5 left-out medians of llama2_70b_lora in v5.1 (2 of them single results) were predicted within" in out
    )
    assert "interquartile range at 16: 6.058 to 6.53 minutes (median of 3 results by 3 submitters)" in out
    assert "interquartile range at 32: 3.222 to 3.461 minutes (median of 2 results by 2 submitters)" in out
    assert out.count("/results/") == 5


def test_what_is_at_the_count_but_too_little_stands_apart(printed: Run) -> None:
    out = printed(*show("flux1", "v5.1", "B200", 32))
    behind, apart = out.split("At exactly this count (too few for a median)")
    assert behind.count("/results/") == 3 and apart.count("/results/") == 2
    (line,) = [line for line in behind.splitlines() if line.startswith("at 64: ")]
    (single,) = [r for r in find_reference("flux1", "v5.1", "B200", 32).results if r.accelerators == 64]
    assert line == f"at 64: single result by {single.submitter}, no median"


def test_an_undefined_reference_says_why_and_lists_the_nearest(printed: Run) -> None:
    out = printed(*show("llama31_405b", "v5.1", "GB300", 64))
    assert "undefined: no results at exactly 64 x GB300" in out
    assert "reference:" not in out
    assert "Nearest" in out and "/results/" in out
    few = printed(*show("flux1", "v5.1", "B200", 16))
    assert "Results behind it (too few for a median)" in few


@pytest.mark.parametrize(("benchmark", "round_"), [("bert", "v5.0"), ("llama2_70b_lora", "v5.1")])
def test_without_a_result_of_the_family_the_nearest_of_others_are_listed_as_not_comparable(
    benchmark: str, round_: str, printed: Run
) -> None:
    words = show(benchmark, round_, "H100-PCIe", 8)
    out = printed(*words)
    others = find_reference(benchmark, round_, "H100-PCIe", 8).of_other_families
    assert len(others) == 3 and {r.accelerators for r in others} == {8}
    assert f"no result of family H100-PCIe on {benchmark} in round {round_}" in out
    listed = out.split("Nearest of another family: not comparable")[1]
    for r in others:
        assert f"{r.submitter} with {r.system} (8 x {r.accelerator_family})" in out
        assert any(r.accelerator_family in line and line.endswith(r.source) for line in listed.splitlines())
    found = json.loads(printed(*words, "--json"))
    assert found["minutes"] is None and found["nearest"] == []
    assert [r["source"] for r in found["of_other_families_not_comparable"]] == [r.source for r in others]


def test_a_partial_round_is_marked(printed: Run) -> None:
    for words in (show("llama31_8b", "v6.0", "MI355X", 8), ["scaling", "deepseekv3_671b", "--round", "v6.0"]):
        assert "only a part of round v6.0" in printed(*words)
        assert json.loads(printed(*words, "--json"))["partial"] is True
    assert json.loads(printed(*show("llama31_8b", "v5.1", "B200", 8, "--json")))["partial"] is False


def test_a_machine_without_accelerators_has_no_equivalent(printed: Run) -> None:
    out = printed(*show("bert", "v3.1", "none(CPU-only)", 0))
    assert "undefined: a machine without accelerators has no equivalent" in out


@pytest.mark.parametrize(("name", "newest"), [("gnn", "rgat"), ("ssd", "retinanet"), ("llama2", "llama2_70b_lora")])
def test_old_and_common_names_of_benchmarks_mean_the_newest(name: str, newest: str, printed: Run) -> None:
    assert printed(*show(name, "v5.1", "B200", 8)) == printed(*show(newest, "v5.1", "B200", 8))


def test_a_submitter_can_be_left_out_under_any_of_its_names(printed: Run) -> None:
    everyone = json.loads(printed(*show("llama2_70b_lora", "v5.0", "H200-SXM", 8, "--json")))
    others = [
        json.loads(printed(*show("llama2_70b_lora", "v5.0", "H200-SXM", 8, "--json", "--exclude-submitter", name)))
        for name in ("QCT", "Quanta_Cloud_Technology", "quanta cloud technology")
    ]
    assert others[0] == others[1] == others[2]
    assert others[0]["n"] == everyone["n"] - 1
    assert "QCT" in {r["submitter"] for r in everyone["results"]} - {r["submitter"] for r in others[0]["results"]}


def test_json_has_every_figure_in_full_with_citations(printed: Run) -> None:
    found = json.loads(printed(*show("llama2_70b_lora", "v5.1", "B200", 24, "--json")))
    reference = find_reference("llama2_70b_lora", "v5.1", "B200", 24)
    assert found["basis"] == "interpolated" and found["minutes"] == reference.minutes
    assert (found["n"], found["submitters"], found["quartiles"]) == (5, 3, None)
    assert (found["band"]["low_minutes"], found["band"]["high_minutes"]) == reference.interval
    assert [m["accelerators"] for m in found["neighbours"]] == [16, 32]
    assert [m["rests_on"] for m in found["neighbours"]] == [
        "median of 3 results by 3 submitters",
        "median of 2 results by 2 submitters",
    ]
    assert (found["band"]["left_out_medians"], found["band"]["predicted_within"]) == (5, 5)
    assert found["of_other_families_not_comparable"] == found["unverified_not_part_of_the_reference"] == []
    assert [r["citation"] for r in found["results"]] == [cite(r) for r in reference.results]
    assert all(r["published_on"] == "2025-11-12" and r["retrieved"] == "2026-11-22" for r in found["results"])
    undefined = json.loads(printed(*show("flux1", "v5.1", "B200", 16, "--json")))
    assert undefined["minutes"] is None and undefined["basis"] == "undefined" and undefined["nearest"]


@pytest.mark.parametrize(
    ("words", "key", "nearest"),
    [
        (show("llama2_70b_lorra", "v5.1", "B200", 8), "benchmark", "llama2_70b_lora"),
        (show("flux1", "v5.11", "B200", 8), "round", "v5.1"),
        (show("flux1", "v5.1", "B20", 8), "family", "B200"),
        (show("flux1", "v5.1", "B200", 8, "--division", "close"), "division", "closed"),
        (show("flux1", "v5.1", "B200", 8, "--exclude-submitter", "Supermicr"), "submitter", "Supermicro"),
        (["scaling", "flux2", "--round", "v5.1"], "benchmark", "flux1"),
        (["scaling", "flux1", "--round", "v5.1", "--family", "GB20"], "family", "GB200"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_spelling(
    words: list[str], key: str, nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["reference", *words]) == EXIT_USAGE
    out, err = capsys.readouterr()
    assert out == "" and f"key:     {key}" in err and f"did you mean '{nearest}'?" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "flux1", "--accelerators", "-8"], "'-8' is not a whole number of 0 or more"),
        (["show", "flux1", "--accelerators", "abc"], "'abc' is not a whole number of 0 or more"),
        (["show", "flux1", "--accelerators", "7.5"], "'7.5' is not a whole number of 0 or more"),
        (["import", "folder", "--workers", "abc"], "'abc' is not a whole number of 1 or more"),
        (["import", "folder", "--workers", "0"], "'0' is not a whole number of 1 or more"),
    ],
)
def test_what_is_no_number_is_refused_in_words(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["reference", *words])
    err = capsys.readouterr().err
    assert ended.value.code == EXIT_USAGE and said in err and "_" not in err.splitlines()[-1]


def test_results_files_count_and_what_cannot_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = load_published()
    rows = table[(table["round"] == "v5.1") & (table["benchmark"] == "flux1")].head(4).astype(object)
    rows = rows.astype(object).assign(
        submitter=["A", "B", "C", "D"], accelerator_family="B200", accelerators=16, minutes="1.5"
    )
    rows.loc[rows.index[3], "minutes"] = ""
    files = [tmp_path / f"{i}.csv" for i in (1, 2)]
    rows.head(2).to_csv(files[0], index=False)
    rows.tail(2).to_csv(files[1], index=False)
    assert main(["reference", *show("flux1", "v5.1", "B200", 16, "--table", *map(str, files))]) == EXIT_OK
    out, err = capsys.readouterr()
    assert "median of 5 results by 5 submitters" in out and "not recorded" in out
    assert f"{files[1]}: left out: v5.1 flux1, {rows.iloc[3]['source']}: no minutes" in err


def vendors(tmp_path: Path, **columns: object) -> Path:
    """A vendor's results file: its result at a count that has a reference, with columns changed."""
    table = load_published()
    rows = table[(table["round"] == "v5.1") & (table["benchmark"] == "llama2_70b_lora")]
    rows = rows[(rows["accelerator_family"] == "MI355X") & (rows["submitter"] == "AMD")].head(1)
    path = tmp_path / "vendor.csv"
    rows.astype(object).assign(**columns).to_csv(path, index=False)
    return path


def test_unverified_results_stand_apart_and_change_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = show("llama2_70b_lora", "v5.1", "MI355X", 8)
    path = vendors(tmp_path, submitter="Vendor", system="secret box", minutes=0.1, confidence="unverified")
    assert main(["reference", *words]) == EXIT_OK
    plain = capsys.readouterr().out
    assert main(["reference", *words, "--table", str(path)]) == EXIT_OK
    out, err = capsys.readouterr()
    assert err == f"seatrial reference: 1 unverified result of {path} is not published: left out\n"
    reference, apart = out.split("\nUnverified, not part of the reference\n")
    assert reference == plain.split("\nMedians, quartiles")[0]
    (line,) = [line for line in apart.splitlines() if "secret box" in line]
    assert "not published" in line and "unverified" in line and "official" not in line and "2025" not in line
    assert "Result not verified by MLCommons Association." in apart
    assert "have not been through an MLPerf" in apart
    assert main(["reference", *words, "--table", str(path), "--json"]) == EXIT_OK
    found = json.loads(capsys.readouterr().out)
    (own,) = found["unverified_not_part_of_the_reference"]
    assert found["n"] == 4 and own["published_on"] is None and own["citation"].startswith("Unverified: Vendor")
    elsewhere = show("llama2_70b_lora", "v5.1", "MI355X", 16, "--table", str(path))
    assert main(["reference", *elsewhere]) == EXIT_OK and "secret box" not in capsys.readouterr().out


def test_an_invalid_result_of_the_same_system_takes_no_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = show("llama2_70b_lora", "v5.1", "MI355X", 8)
    for confidence in ("", "official", "unverified"):
        path = vendors(tmp_path, minutes="", successful_runs=8, confidence=confidence)
        assert main(["reference", *words, "--json", "--table", str(path)]) == EXIT_OK
        out, err = capsys.readouterr()
        assert json.loads(out)["n"] == 4 and "AMD" in {r["submitter"] for r in json.loads(out)["results"]}
        assert err.count("\n") == 1 and f"{path}: left out: v5.1 llama2_70b_lora" in err and "no minutes" in err


def test_what_takes_the_place_of_what_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = vendors(tmp_path, minutes=9.5, confidence="official", source="a newer copy")
    assert main(["reference", *show("llama2_70b_lora", "v5.1", "MI355X", 8), "--table", str(path)]) == EXIT_OK
    err = capsys.readouterr().err
    assert "llama2_70b_lora by AMD with" in err and ": 9.5 min take the place of 10.1847 (mlcommons/" in err


def test_import_passes_on_that_the_folder_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.reference import importing

    given: list[object] = []
    monkeypatch.setattr(importing, "import_results", lambda *_, published: given.append(published) or [])
    for more in ([], ["--published"]):
        assert main(["reference", "import", "folder", "--output", "out.csv", *more]) == EXIT_OK
    assert given == [False, True]


def rendered(parts: list, width: int) -> str:  # type: ignore[type-arg]
    text = StringIO()
    console = Console(file=text, width=width, highlight=False, color_system=None)
    for part in parts:
        console.print(part)
    return text.getvalue()


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_narrow_terminal_folds_and_loses_nothing(width: int) -> None:
    reference = find_reference("llama2_70b_lora", "v5.1", "B200", 8)
    scaling = find_scaling("llama2_70b_lora", "v5.1", "B200")
    for parts in (reference_parts(reference, wide=False), scaling_parts(scaling, wide=False)):
        shown = rendered(parts, width)
        assert max(map(len, shown.splitlines())) <= width
        letters = re.sub(r"\s", "", shown)
        assert "\u2026" not in shown
        for result in reference.results:
            for fact in (result.submitter, result.system, result.source, "v5.1 closed", "2025-11-12", "2026-11-22"):
                assert re.sub(r"\s", "", fact) in letters


def test_scaling_lists_every_submission_beside_its_line(printed: Run) -> None:
    out = printed("scaling", "llama2_70b_lora", "--round", "v5.1")
    table = load_published()
    rows = table[(table["round"] == "v5.1") & (table["benchmark"] == "llama2_70b_lora")]
    for result in as_results(rows):
        assert sum(line.endswith(result.source) for line in out.splitlines()) == 1
    assert re.search(r"^B200 +18 +6 +8-128 \(5\) +-0\.671 +3\.665 +0\.9749 +1\.24$", out, re.MULTILINE)
    assert re.search(r"^H100-SXM +2 .* two points ", out, re.MULTILINE)
    assert "MI355X: no line, 4 results, all at 8 accelerators" in out
    assert re.search(r" 128 +1\.865 +1\.505 +1\.239 +University-of-Florida ", out)


def test_scaling_as_json_has_the_residual_of_every_submission(printed: Run) -> None:
    found = json.loads(printed("scaling", "llama2_70b_lora", "--round", "v5.1", "--family", "B200", "--json"))
    (fit,) = found["fits"]
    assert fit["n"] == len(fit["points"]) == 18 and found["unfitted"] == []
    for point in fit["points"]:
        assert point["residual_factor"] == pytest.approx(point["minutes"] / point["fitted_minutes"])
        assert point["citation"].startswith(point["submitter"])
    nothing = json.loads(printed("scaling", "flux1", "--round", "v5.1", "--family", "MI300X", "--json"))
    assert nothing["fits"] == [] and nothing["unfitted"][0]["why"] == "no results"

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
    assert "5 left-out medians of llama2_70b_lora in v5.1" in out
    assert "interquartile range at 16: 6.058 to 6.53 minutes (n = 3)" in out
    assert "interquartile range at 32: 3.222 to 3.461 minutes (n = 2)" in out
    assert out.count("/results/") == 5


def test_what_is_at_the_count_but_too_little_stands_apart(printed: Run) -> None:
    out = printed(*show("flux1", "v5.1", "B200", 32))
    behind, apart = out.split("At exactly this count (too few for a median)")
    assert behind.count("/results/") == 3 and apart.count("/results/") == 2
    assert "interquartile range at 64: one result" in behind


def test_an_undefined_reference_says_why_and_lists_the_nearest(printed: Run) -> None:
    out = printed(*show("llama31_405b", "v5.1", "GB300", 64))
    assert "undefined: no results at exactly 64 x GB300" in out
    assert "reference:" not in out
    assert "Nearest" in out and "/results/" in out
    few = printed(*show("flux1", "v5.1", "B200", 16))
    assert "Results behind it (too few for a median)" in few


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

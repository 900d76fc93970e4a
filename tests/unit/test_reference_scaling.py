"""Time against count: the fits of the published results, and what a line does and does not say."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import ConfigError
from seatrial.reference.published import PublishedResult, as_results, load_published
from seatrial.reference.scaling import find_scaling, fit_scaling
from seatrial.report.palette import VARIABLES
from seatrial.report.scaling_figure import scaling_figure, write_scaling_figure
from seatrial.report.svg import settings

SVG = "{http://www.w3.org/2000/svg}"
TABLE = load_published()


def made(accelerators: int, minutes: float, **other: object) -> PublishedResult:
    """A result by a submitter of its own."""
    one = as_results(TABLE[(TABLE["benchmark"] == "llama31_8b") & (TABLE["round"] == "v5.1")].head(1))[0]
    name = f"{accelerators} at {minutes}"
    facts = {"submitter": name, "system": name, "system_id": name, "source": name, "accelerator_family": "B200"}
    return replace(one, accelerators=accelerators, minutes=minutes, **(facts | other))


@pytest.mark.parametrize(
    ("round_", "family", "n", "counts", "exponent", "r_squared", "worst"),
    [
        ("v5.0", "B200", 13, (8, 64, 3), "-0.836", "0.9988", "1.04"),
        ("v5.0", "GB200", 12, (4, 512, 9), "-0.785", "0.9814", "1.39"),
        ("v5.0", "H200-SXM", 13, (8, 512, 4), "-0.625", "0.9723", "1.36"),
        ("v5.0", "MI300X", 6, (8, 32, 3), "-0.738", "0.9914", "1.07"),
        ("v5.1", "B200", 18, (8, 128, 5), "-0.671", "0.9749", "1.24"),
        ("v5.1", "GB200", 5, (8, 576, 4), "-0.694", "0.9836", "1.19"),
        ("v5.1", "GB300", 5, (8, 512, 3), "-0.650", "0.9933", "1.09"),
        ("v5.1", "H200-SXM", 8, (8, 64, 4), "-0.829", "0.9957", "1.07"),
        ("v5.1", "MI300X", 5, (8, 16, 2), "-0.860", "0.996", "1.02"),
        ("v5.1", "MI325X", 8, (8, 16, 2), "-0.726", "0.994", "1.02"),
    ],
)
def test_fits_of_published_fine_tuning_results_to_the_digits_known(
    round_: str, family: str, n: int, counts: tuple[int, int, int], exponent: str, r_squared: str, worst: str
) -> None:
    """Over all submissions; with the medians of each count v5.0 H200-SXM would have -0.579."""
    found = find_scaling("llama2_70b_lora", round_, family)
    (fit,) = found.fits
    assert (fit.benchmark, fit.round, fit.family, fit.n) == ("llama2_70b_lora", round_, family, n)
    assert (fit.counts[0], fit.counts[-1], len(fit.counts)) == counts
    assert fit.exponent == pytest.approx(float(exponent), abs=0.00055)
    assert fit.r_squared is not None and f"{fit.r_squared:.{len(r_squared) - 2}f}" == r_squared
    assert fit.worst_factor == pytest.approx(float(worst), abs=0.0055)


def test_every_submission_is_a_point_beside_the_line() -> None:
    (fit,) = find_scaling("llama2_70b_lora", "v5.1", "B200").fits
    assert len(fit.points) == fit.n == 18
    for result, fitted, factor in fit.points:
        assert fitted == pytest.approx(fit.minutes_at(result.accelerators))
        assert factor == pytest.approx(result.minutes / fitted)
    assert sum(math.log(p.residual_factor) for p in fit.points) == pytest.approx(0, abs=1e-9)


def test_a_line_says_nothing_outside_its_own_counts() -> None:
    (fit,) = find_scaling("llama2_70b_lora", "v5.1", "B200").fits
    for outside in (4, 256):
        with pytest.raises(ValueError, match="no extrapolation"):
            fit.minutes_at(outside)


def test_a_family_at_one_count_is_said_to_have_no_line() -> None:
    found = find_scaling("llama2_70b_lora", "v5.1")
    assert {f.family for f in found.fits}.isdisjoint({u.family for u in found.unfitted})
    words = {u.family: u.why for u in found.unfitted}
    assert words["MI355X"].endswith("all at 8 accelerators: a line needs two different counts")
    (nothing,) = find_scaling("flux1", "v5.1", "MI300X").unfitted
    assert nothing.why == "no results" and nothing.counts == ()


def test_one_system_listed_three_times_is_one_point_and_a_claim_or_an_unverified_result_none() -> None:
    smc = [r for r in as_results(TABLE) if r.round == "v4.0" and r.accelerator_family == "H100-SXM"]
    lora = [r for r in smc if r.benchmark == "llama2_70b_lora" and r.division == "closed"]
    fit = fit_scaling(lora)
    listed = [r for r in lora if r.submitter == "Sustainable Metal Cloud"]
    kept = [p.result for p in fit.points if p.result.submitter == "Sustainable Metal Cloud"]
    assert len(listed) == 3 * len(kept) and all(": smc/" in r.source for r in kept)
    claims = [made(64, 1.0, confidence=confidence) for confidence in ("rounded", "unverified")]
    honest = [made(8, 80.0), made(16, 45.0), made(32, 25.0)]
    assert fit_scaling([*honest, *claims]) == fit_scaling(honest)


def test_old_and_new_name_of_a_benchmark_are_one() -> None:
    assert find_scaling("gnn", "v4.1") == find_scaling("rgat", "v4.1")
    assert find_scaling("gnn", "v4.1").fits


@pytest.mark.parametrize(
    ("arguments", "key", "nearest"),
    [
        (("llama2_70b_lorra", "v5.1"), "benchmark", "llama2_70b_lora"),
        (("llama2_70b_lora", "v5.11"), "round", "v5.1"),
        (("llama2_70b_lora", "v5.1", "B20"), "family", "B200"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(arguments: tuple[str, ...], key: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_scaling(*arguments)
    assert (caught.value.key, caught.value.nearest) == (key, nearest)


def test_unlike_results_and_single_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="unlike"):
        fit_scaling([made(8, 80.0), made(16, 45.0, accelerator_family="B300")])
    with pytest.raises(ValueError, match="unlike"):
        fit_scaling([made(8, 80.0), made(16, 45.0, round="v5.0")])
    with pytest.raises(ValueError, match="two different counts"):
        fit_scaling([made(8, 80.0), made(8, 81.0)])


def test_equal_times_have_no_r_squared() -> None:
    fit = fit_scaling([made(8, 80.0), made(16, 80.0), made(32, 80.0)])
    assert fit.r_squared is None and fit.exponent == pytest.approx(0, abs=1e-12)


@given(
    exponent=st.floats(-1.2, 0.2),
    first=st.floats(0.1, 1e4),
    counts=st.lists(st.integers(1, 8192), min_size=2, max_size=9, unique=True),
    order=st.randoms(use_true_random=False),
)
def test_a_power_law_is_found_whatever_the_order(exponent, first, counts, order) -> None:  # type: ignore[no-untyped-def]
    results = [made(n, first * n**exponent) for n in counts]
    fit = fit_scaling(results)
    assert fit.exponent == pytest.approx(exponent, abs=1e-6)
    assert math.exp(fit.intercept) == pytest.approx(first, rel=1e-5)
    assert fit.worst_factor == pytest.approx(1, abs=1e-6)
    order.shuffle(results)
    assert fit_scaling(results) == fit


def drawn(tmp_path: Path, benchmark: str, round_: str, name: str = "figure.svg") -> str:
    path = tmp_path / name
    write_scaling_figure(find_scaling(benchmark, round_), path)
    return path.read_text(encoding="utf-8")


def texts(svg: str) -> list[str]:
    return ["".join(node.itertext()) for node in ET.fromstring(svg).iter(f"{SVG}text")]


def test_the_figure_has_every_submission_and_names_every_family(tmp_path: Path) -> None:
    found = find_scaling("llama2_70b_lora", "v5.1")
    svg = drawn(tmp_path, "llama2_70b_lora", "v5.1")
    clouds = re.findall(r'id="scaling-PathCollection_\d+"(.*?)</g>\s*</g>', svg, re.DOTALL)
    assert sum(cloud.count("<use ") for cloud in clouds) == 62
    words = texts(svg)
    for fit in found.fits:
        assert f"{fit.family} ({fit.exponent:.2f})" in words
    for family in found.unfitted:
        assert family.family in words
    root = ET.fromstring(svg)
    description = root.find(f"{SVG}desc")
    assert description is not None and description.text is not None
    assert "B200: 18 results at 8 to 128, exponent -0.67, R2 0.975, worst factor 1.24" in description.text


def test_the_same_fits_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (drawn(tmp_path, "llama2_70b_lora", "v5.0", f"{i}.svg") for i in (1, 2))
    assert first == second


def test_the_figure_has_only_tones_that_read_on_white_and_on_black(tmp_path: Path) -> None:
    svg = drawn(tmp_path, "bert", "v3.1")
    colours = set(re.findall(r"#[0-9a-f]{6}\b", re.sub(r">[^<]*<", "><", svg)))
    assert colours <= set(VARIABLES)
    assert "v3.1" in " ".join(texts(svg)) and "8 November 2023" in " ".join(texts(svg))


@pytest.mark.parametrize(
    ("benchmark", "round_"),
    [("llama2_70b_lora", "v5.1"), ("llama2_70b_lora", "v5.0"), ("bert", "v3.1"), ("retinanet", "v3.1")],
)
def test_no_name_lies_over_another_or_over_a_mark(benchmark: str, round_: str) -> None:
    with settings():
        drawing = scaling_figure(find_scaling(benchmark, round_))
        assert drawing is not None
        figure = drawing.figure
        figure.draw_without_rendering()
        (ax,) = figure.axes
        names = [t.get_window_extent() for t in ax.texts if t.get_fontweight() == "bold"]
        marks = [tuple(ax.transData.transform(p)) for cloud in ax.collections for p in cloud.get_offsets()]
    assert len(names) > 5 and len(marks) > 10
    for i, one in enumerate(names):
        assert not any(one.overlaps(other) for other in names[i + 1 :])
        assert not any(one.contains(*mark) for mark in marks)


@pytest.mark.parametrize("round_", ["v4.0", "v4.1", "v5.1"])
def test_marks_and_lines_lie_within_the_axes(round_: str) -> None:
    """Of v4.1 the line of H100-SXM ends a third below the fastest submission."""
    with settings():
        drawing = scaling_figure(find_scaling("llama2_70b_lora", round_))
        assert drawing is not None
        (ax,) = drawing.figure.axes
        ends = [y for line in ax.lines for y in line.get_ydata()]
        marks = [y for cloud in ax.collections for _, y in cloud.get_offsets()]
    low, high = ax.get_ylim()
    assert low > min([*ends, *marks]) / 2
    assert all(low < y < high for y in [*ends, *marks])


def test_lines_end_where_their_families_do(tmp_path: Path) -> None:
    with settings():
        drawing = scaling_figure(find_scaling("llama2_70b_lora", "v5.1", "B200"))
        assert drawing is not None
        (line, *_) = drawing.figure.axes[0].lines
    assert list(line.get_xdata()) == [8, 128]


@pytest.mark.parametrize(
    ("name", "word"), [("figure.png", "ends in .svg"), ("missing/figure.svg", "cannot be written")]
)
def test_a_figure_that_cannot_be_written_is_refused_in_words(name: str, word: str, tmp_path: Path) -> None:
    (tmp_path / "missing").write_text("a file, not a folder", encoding="utf-8")
    with pytest.raises(ConfigError, match=word) as caught:
        write_scaling_figure(find_scaling("flux1", "v5.1"), tmp_path / name)
    assert caught.value.key == "--figure" and str(tmp_path / name) in str(caught.value)


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to draw"):
        write_scaling_figure(find_scaling("flux1", "v5.1", "MI300X"), tmp_path / "figure.svg")
    assert list(tmp_path.iterdir()) == []

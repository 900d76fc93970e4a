"""Collectives by message size, with latency and bandwidth behind them: tables and page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from study_on_disk import COLLECTIVE, GEMM, StudyOnDisk

from seatrial.case import Case
from seatrial.measure.ceilings import bus_factor
from seatrial.record import Measurement, measurement
from seatrial.report.probes.collective import section
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import read_study

SIZES = [64 * 4**i for i in range(12)]
"""64 B to 256 MiB."""
FACT = {"value": 450.0, "source": "data sheet"}
H100 = {
    "name": "h100x8",
    "description": "eight H100",
    "nodes": 1,
    "accelerators_per_node": 8,
    "tasks_per_node": 8,
    "device": "cuda",
    "scale_up": {
        "name": "NVLink4",
        "unidirectional_gbps": FACT,
        "bidirectional_gbps": {**FACT, "value": 900.0},
    },
}
Time = Callable[[int], float]


def ring(size: int) -> float:
    """20 us, 180 GB/s: 315 GB/s of bus bandwidth over 8 ranks."""
    return 20e-6 + size / 180e9


def reading(
    size: int, seconds: list[float], operation: str = "all_reduce", ceiling: float | None = None, **labels: Any
) -> list[Measurement]:
    """What the probe leaves of one size."""
    named = {"operation": operation, "dtype": "float32", "size_bytes": size, "ranks": 8, **labels}
    algorithm = [size / s / 1e9 for s in seconds]
    bus = [a * bus_factor(operation, 8) for a in algorithm]
    basis = None if ceiling is None else "ring over NVLink4"
    return [
        measurement("collective.time", seconds, named),
        measurement("collective.algorithm_bandwidth", algorithm, named),
        measurement("collective.bus_bandwidth", bus, named, ceiling, basis),
    ]


def swept(study: StudyOnDisk, case: Case, time: Time = ring, repeats: int = 1, **words: Any) -> None:
    """All sizes in each repeat of one case; a repeat is 2 % slower than the one before."""
    for repeat in range(repeats):
        slower = 1 + 0.02 * repeat
        found = [
            m
            for size in SIZES
            for m in reading(size, [time(size) * slower * f for f in (0.99, 1.0, 1.0, 1.0, 1.03)], **words)
        ]
        study.record(case, repeat, *found)


def tables(study: StudyOnDisk) -> tuple[pd.DataFrame, pd.DataFrame]:
    paths = study.analyse()
    return pd.read_csv(paths.probe_table("collective")), pd.read_csv(paths.probe_table("collective_fit"))


@pytest.fixture
def study(tmp_path: Path) -> StudyOnDisk:
    return StudyOnDisk(tmp_path / "trial", target=H100)


MANY = {"kind": "collective", "operation": "all_reduce", "sizes": {"smallest": 64, "largest": 2**28, "factor": 4}}


def test_a_row_for_every_size_with_time_bandwidths_and_ceiling(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY, repeats=3)
    swept(study, case, repeats=3, ceiling=450.0)
    rows, _ = tables(study)
    assert list(rows["size_bytes"]) == SIZES
    last = rows.iloc[-1]
    assert last["median_seconds"] == pytest.approx(1.02 * ring(SIZES[-1]))
    assert last["low_seconds"] < last["median_seconds"] < last["high_seconds"]
    assert last["interval_method"].startswith("log-t") and last["repeats"] == 3 and last["samples"] == 15
    assert last["bus_bandwidth"] == pytest.approx(1.75 * last["algorithm_bandwidth"])
    assert last["fraction_of_ceiling"] == pytest.approx(last["bus_bandwidth"] / 450)
    assert rows["note"].isna().all() and set(rows["line"]) == {"all_reduce float32, 8 ranks"}


def test_a_single_repeat_has_the_interval_of_its_iterations_and_says_so(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    swept(study, case)
    rows, _ = tables(study)
    assert rows["interval_method"].str.endswith("over the iterations of one repeat").all()
    assert rows.iloc[0]["low_seconds"] == pytest.approx(0.99 * ring(64))
    assert rows.iloc[0]["high_seconds"] == pytest.approx(1.03 * ring(64))
    assert rows["ceiling"].isna().all() and rows["fraction_of_ceiling"].isna().all()


def test_sizes_measured_before_one_that_does_not_fit_stand_in_the_table_and_pass_no_criterion(
    study: StudyOnDisk,
) -> None:
    (case,) = study.experiment("sizes", MANY)
    study.criterion("fast", "collective.bus_bandwidth", at_least=0.001)
    problem = {"kind": "out_of_memory", "message": "all_reduce of 256 MiB needs more", "rank": 0}
    found = [m for size in SIZES[:4] for m in reading(size, [ring(size)] * 5)]
    study.record(case, 0, *found, outcome="failed", error=problem)
    rows, fits = tables(study)
    assert list(rows["size_bytes"]) == SIZES[:4] and rows["cut_short"].all() and len(fits) == 1
    (verdict,) = json.loads(study.paths.verdicts.read_text())
    assert verdict["verdict"] == "incomplete"
    found_section = section(read_study(study.paths))
    assert found_section is not None
    words = " ".join(found_section.words)
    assert "does not fit into memory at a larger size" in words and "No repeat measured" not in words


def test_a_repeat_that_crashed_has_no_row_and_the_section_says_that_there_is_nothing(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    problem = {"kind": "crashed", "message": "gone", "rank": 0}
    study.record(case, 0, *reading(64, [ring(64)] * 5), outcome="failed", error=problem)
    rows, _ = tables(study)
    assert rows.empty
    found = section(read_study(study.paths))
    assert found is not None
    assert "No repeat measured a size" in found.words[0] and found.tables == []


def test_sizes_within_a_case_and_a_case_for_each_size_give_the_same_line(study: StudyOnDisk) -> None:
    (case,) = study.experiment("within", MANY)
    swept(study, case)
    for size, one in zip(
        SIZES, study.experiment("apart", COLLECTIVE, axes={"workload.size_bytes": SIZES}), strict=True
    ):
        study.record(one, 0, *reading(size, [ring(size)]))
    _, fits = tables(study)
    within, apart = fits.to_dict("records")
    assert within["line"] == "within, all_reduce float32, 8 ranks" and apart["line"].startswith("apart, ")
    for fit in (within, apart):
        assert fit["latency_seconds"] == pytest.approx(20e-6, rel=1e-3) and fit["pieces"] == 1
        assert fit["bus_bandwidth_limit"] == pytest.approx(315, rel=1e-3)
        assert fit["half_bandwidth_bytes"] == pytest.approx(3.6e6, rel=2e-3)
        assert fit["sizes"] == 12 and fit["first_bytes"] == 64 and pd.isna(fit["flag"])


def test_operations_and_ablations_are_lines_of_their_own(tmp_path: Path) -> None:
    off = {"nvls_off": {"description": "x", "environment": {"NCCL_NVLS_ENABLE": "0"}}}
    study = StudyOnDisk(tmp_path / "trial", target={**H100, "ablations": off})
    (plain,) = study.experiment("a", MANY)
    (gathered,) = study.experiment("b", {**MANY, "operation": "all_gather"})
    study.study["target"] = {**study.study["target"], "ablation": "nvls_off"}
    (without,) = study.experiment("c", MANY)
    swept(study, plain)
    swept(study, gathered, operation="all_gather")
    swept(study, without, lambda size: 2 * ring(size))
    rows, fits = tables(study)
    assert len(set(fits["line"])) == 3
    assert list(fits["ablation"].fillna("")) == ["", "", "nvls_off"]
    assert any("with nvls_off" in line for line in fits["line"])
    assert fits["bus_bandwidth_limit"].tolist() == pytest.approx([315, 157.5, 157.5], rel=1e-3)
    assert len(rows) == 3 * len(SIZES)


def test_torch_and_nccl_tests_are_never_one_line_though_one_case_holds_both(study: StudyOnDisk) -> None:
    """With implementation auto, the program may be there in one repeat and gone in the next."""
    (case,) = study.experiment("sizes", MANY, repeats=2)
    for repeat, used in enumerate(("torch", "nccl_tests")):
        found = [m for size in SIZES for m in reading(size, [(1 + repeat) * ring(size)], implementation=used)]
        study.record(case, repeat, *found)
    rows, fits = tables(study)
    assert len(rows) == 2 * len(SIZES) and set(rows["repeats"]) == {1}
    assert sorted(fits["bus_bandwidth_limit"]) == pytest.approx([157.5, 315], rel=1e-3)
    assert {line.rpartition("implementation ")[2] for line in fits["line"]} == {"torch", "nccl_tests"}


def test_logs_of_nccl_tests_are_lines_by_what_was_tested_and_not_by_how_often(tmp_path: Path) -> None:
    """Large sizes get fewer iterations of nccl-tests, and in place is another test than out of place."""
    study = StudyOnDisk(tmp_path / "trial", target=H100)
    (case,) = study.experiment("logs", {"kind": "nccl_tests_logs", "operation": "all_reduce"})
    found = [
        m
        for size in SIZES
        for in_place in (False, True)
        for m in reading(
            size, [ring(size)], in_place=in_place, iterations_per_sample=20 if size < 2**20 else 5, checked=True
        )
    ]
    study.record(case, 0, *found)
    rows, fits = tables(study)
    assert set(rows["line"]) == {f"all_reduce float32, 8 ranks, in place {x}" for x in (False, True)}
    assert list(fits["sizes"]) == [12, 12] and len(rows) == 24
    assert set(rows["interval_method"]) == {"none (n < 2) over the iterations of one repeat"}
    assert any("not run here" in words for words in section_of(study).words)


def test_a_reading_above_its_ceiling_is_kept_and_explained(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    swept(study, case, lambda size: 20e-6 + size / 275e9, ceiling=450.0)
    rows, _ = tables(study)
    above = rows[rows["bus_bandwidth"] > 450]
    assert len(above) >= 1 and (above["fraction_of_ceiling"] > 1).all()
    assert above["note"].str.contains("NVLink SHARP").all()
    assert rows[rows["bus_bandwidth"] <= 450]["note"].isna().all()


def test_a_rate_on_the_wire_above_its_line_is_explained_on_the_page(tmp_path: Path) -> None:
    """Also where no ceiling holds: over gloo the accelerators' own network may not be the one that is used."""
    network = {"name": "EFA", "gbit_per_accelerator": {"value": 400.0, "source": "data sheet"}}
    two = StudyOnDisk(tmp_path / "trial", target={**H100, "nodes": 2, "scale_out": network})
    (case,) = two.experiment("sizes", MANY)
    found = [reading(size, [ring(size)] * 3, backend="gloo") for size in SIZES]
    for size, of_size in zip(SIZES, found, strict=True):
        carried = 60.0 if size in SIZES[-2:] else 40.0
        of_size.append(measurement("collective.wire_bandwidth", [carried], dict(of_size[0].labels), 50.0, "EFA"))
    two.record(case, 0, *(m for of_size in found for m in of_size))
    rows, _ = tables(two)
    assert rows["note"].notna().sum() == 2 and rows["ceiling"].isna().all()
    why = rows["note"].dropna().iloc[0]
    assert "120 % of the line rate of EFA" in why and "gloo, which may take another network" in why
    assert any("reads 120 % of the line rate" in words for words in section_of(two).words)


def test_too_few_sizes_are_flagged_and_one_size_is_no_line(study: StudyOnDisk) -> None:
    (few,) = study.experiment("few", MANY)
    study.record(few, 0, *reading(64, [1e-5]), *reading(1024, [2e-5]))
    (one,) = study.experiment("one", {**COLLECTIVE, "operation": "broadcast"})
    study.record(one, 0, *reading(4096, [1e-5], "broadcast"))
    rows, fits = tables(study)
    assert len(rows) == 3 and len(fits) == 1
    assert "too few" in fits.iloc[0]["flag"] and pd.isna(fits.iloc[0]["latency_seconds"])


def test_failed_repeats_are_in_no_row_and_tables_stand_without_any(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    study.failed(case, 0)
    rows, fits = tables(study)
    assert rows.empty and fits.empty


def test_a_study_without_collectives_has_no_such_tables(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    swept(study, case)
    paths = study.analyse()
    assert paths.probe_table("collective").is_file()
    study.planned.clear()
    study.study["experiments"] = {}
    study.experiment("gemm", GEMM)
    study.analyse()
    assert not paths.probe_table("collective").exists() and not paths.probe_table("collective_fit").exists()


# --- the page


def section_of(study: StudyOnDisk) -> ProbeSection:
    found = section(read_study(study.analyse()))
    assert found is not None
    return found


def cells(of: ProbeSection) -> list[str]:
    return [c.text for table in of.tables for row in table.rows for c in row]


def test_the_page_draws_bandwidth_with_its_ceiling_and_times_with_their_fit(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    swept(study, case, ceiling=450.0)
    page = section_of(study)
    assert [figure.name for figure in page.figures] == ["collective_bandwidth", "collective_time"]
    bandwidth, time = page.figures
    assert "Dotted: the ceiling" in bandwidth.reading and "GB/s of at most 450" in bandwidth.caption
    assert "1 piece" in time.caption
    assert {"20 µs", "315", "256 MiB", "nothing"} <= set(cells(page))
    assert len(page.details[0][1].rows) == len(SIZES)


def test_the_page_says_where_no_ceiling_is_known_and_where_a_line_does_not_fit(study: StudyOnDisk) -> None:
    (case,) = study.experiment("few", MANY)
    study.record(case, 0, *reading(64, [1e-5]), *reading(1024, [2e-5]))
    page = section_of(study)
    assert [figure.name for figure in page.figures] == ["collective_bandwidth"]
    assert "No ceiling is known" in page.figures[0].reading
    assert any("too few" in text for text in cells(page)) and "no ceiling is known" in cells(page)


def test_the_page_explains_what_reads_more_than_its_ceiling(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    swept(study, case, lambda size: 20e-6 + size / 275e9, ceiling=450.0)
    words = " ".join(section_of(study).words)
    assert "all_reduce float32, 8 ranks at 256 MiB reads 105 % of the bound" in words
    assert "NVLink SHARP" in words


def test_nothing_measured_gives_a_section_without_figures_and_no_collective_gives_none(study: StudyOnDisk) -> None:
    (case,) = study.experiment("sizes", MANY)
    study.failed(case, 0)
    assert section_of(study).figures == []
    study.planned.clear()
    study.study["experiments"] = {}
    study.experiment("gemm", GEMM)
    assert section(read_study(study.analyse())) is None


def test_more_lines_than_there_is_room_for_are_counted(study: StudyOnDisk) -> None:
    for number in range(20):
        (case,) = study.experiment(f"e{number}", {**COLLECTIVE, "iterations": 10 + number})
        study.record(case, 0, *reading(4096, [1e-5 * (1 + number)]))
    assert "2 more lines not drawn" in section_of(study).figures[0].reading

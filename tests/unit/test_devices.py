"""tables/devices.csv, gemm.csv: a slow device shows beside its fleet, products beside peak and published ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from study_on_disk import GEMM, LAPTOP, StudyOnDisk

from seatrial.analysis.probes.devices import is_slow, robust_z
from seatrial.record import Measurement, measurement

MEMORY = {"kind": "memory", "operation": "copy", "size_bytes": 2**20}
SHAPE = {"dtype": "float32", "m": 128, "n": 128, "k": 128}
SEARCH = {
    "kind": "gemm",
    "dtype": "bfloat16",
    "search": {name: {"start": 16, "stop": 32, "step": 16} for name in "mnk"},
}


def fact(value: float | None) -> dict[str, Any]:
    return {"value": value, "source": "data sheet"}


def fleet(
    values: list[float], metric: str = "gemm.throughput", labels: dict[str, Any] | None = None
) -> list[Measurement]:
    """What a rank after the other measured, on devices cuda:0, cuda:1, ..."""
    return [
        measurement(metric, [v, v * 0.99, v * 1.01], {"rank": i, "device": f"cuda:{i % 2}", **(labels or SHAPE)})
        for i, v in enumerate(values)
    ]


def table(study: StudyOnDisk, name: str) -> pd.DataFrame:
    return pd.read_csv(study.analyse().probe_table(name), keep_default_na=False, na_values=[""])


HOSTS = {"hosts": ["n1", "n1", "n2", "n2"]}


def test_one_slow_device_is_named_with_its_host(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("gemm", GEMM)
    study.record(case, 0, *fleet([100.0, 101.0, 99.5, 90.0]), provenance=HOSTS)
    found = table(study, "devices")
    assert list(found["slow"]) == [False, False, False, True]
    slow = found.iloc[3]
    assert (slow["host"], slow["place"], slow["device"], slow["work"]) == (
        "n2",
        1,
        "cuda:1",
        "128 x 128 x 128 float32",
    )
    assert slow["ratio"] == pytest.approx(90 / 99.75)
    assert slow["robust_z"] == pytest.approx(0.6745 * (90 - 99.75) / 0.75)
    assert slow["fleet_spread"] == pytest.approx(11 / 99.75)


@pytest.mark.parametrize(
    ("values", "slow"),
    [
        ([100.0, 100.1, 99.9, 97.0], [False] * 4),  # far out of a narrow fleet, but by 3 % only
        ([100.0, 110.0, 90.0, 85.0], [False] * 4),  # 15 % below, in a fleet that varies as much
        ([100.0, 100.0, 100.0, 80.0], [False, False, False, True]),  # most are the same
        ([100.0, 100.0, 100.0, 120.0], [False] * 4),  # fast is not slow
    ],
)
def test_a_device_is_slow_by_both_thresholds_only(tmp_path: Path, values: list[float], slow: list[bool]) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("gemm", GEMM)
    study.record(case, 0, *fleet(values), provenance=HOSTS)
    assert list(table(study, "devices")["slow"]) == slow


def test_two_devices_tell_no_slow_one(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("memory", MEMORY)
    labels = {"operation": "copy", "dtype": "float32", "size_bytes": 2**20}
    study.record(case, 0, *fleet([10.0, 1.0], "memory.bandwidth", labels), provenance={"hosts": ["n1", "n1"]})
    found = table(study, "devices")
    assert found["slow"].isna().all()
    assert set(found["note"]) == {"2 device(s) are too few to tell a slow one"}
    assert set(found["work"]) == {"copy 1 MiB float32"}


def test_repeats_on_other_hosts_add_devices_and_on_the_same_add_values(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("gemm", GEMM, repeats=3)
    study.record(case, 0, *fleet([100.0, 102.0]), provenance={"hosts": ["n1", "n2"]})
    study.record(case, 1, *fleet([104.0, 80.0]), provenance={"hosts": ["n2", "n3"]})
    study.failed(case, 2)
    found = table(study, "devices").set_index("host")
    assert dict(found["measured"]) == {"n1": 1, "n2": 2, "n3": 1}
    assert found.loc["n2", "value"] == pytest.approx(103.0)
    assert found.loc["n3", "ratio"] == pytest.approx(0.8)


def test_kinds_of_work_are_fleets_of_their_own(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("gemm", {**GEMM, "sustained_seconds": 5.0})
    held = fleet([50.0, 51.0, 52.0, 20.0], "gemm.sustained_throughput")
    study.record(case, 0, *fleet([100.0, 101.0, 99.0, 100.0]), *held, provenance=HOSTS)
    found = table(study, "devices")
    assert list(found[found["slow"]]["metric"]) == ["gemm.sustained_throughput"]


def test_of_a_search_only_the_best_shape_makes_a_fleet(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    (case,) = study.experiment("search", SEARCH)
    best = {"dtype": "bfloat16", "m": 32, "n": 32, "k": 32}
    finalist = fleet([9.0, 9.0], labels=best)
    study.record(case, 0, *finalist, *fleet([10.0, 11.0], "gemm.best_throughput", best))
    found = table(study, "devices")
    assert list(found["metric"]) == ["gemm.best_throughput"] * 2


@given(st.lists(st.floats(1.0, 1e3), min_size=3, max_size=30))
def test_robust_z_of_a_fleet_is_centred_and_scales_with_it(values: list[float]) -> None:
    zs = [robust_z(v, values) for v in values]
    assert sum(z <= 0 for z in zs) >= len(values) / 2 and sum(z >= 0 for z in zs) >= len(values) / 2
    doubled = [robust_z(2 * v, [2 * other for other in values]) for v in values]
    assert doubled == pytest.approx(zs, rel=1e-6)


@given(st.lists(st.floats(1.0, 1e3), min_size=3, max_size=30))
def test_never_is_half_of_a_fleet_slow(values: list[float]) -> None:
    assert sum(bool(is_slow(v, values)) for v in values) < len(values) / 2


def accelerated(**more: Any) -> dict[str, Any]:
    accelerator = {
        "name": "X100",
        "vendor": "x",
        "peak_tflops": {"bfloat16": fact(1000.0)},
        "achievable_tflops": {"bfloat16": fact(800.0)},
    }
    return {**LAPTOP, "device": "cuda", "accelerators_per_node": 1, "accelerator": {**accelerator, **more}}


def bfloat16(value: float, metric: str, **shape: int) -> Measurement:
    labels = {"rank": 0, "device": "cuda:0", "dtype": "bfloat16", **(shape or {"m": 128, "n": 128, "k": 128})}
    return measurement(metric, [value], labels, 1000.0, "dense bfloat16 peak of X100: data sheet")


def test_burst_and_held_products_stand_beside_peak_and_published_figure(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=accelerated())
    (case,) = study.experiment("gemm", {**GEMM, "dtype": "bfloat16", "sustained_seconds": 30.0}, repeats=2)
    for repeat, factor in enumerate((1.0, 1.1)):
        study.record(
            case, repeat, bfloat16(600 * factor, "gemm.throughput"),
            bfloat16(480 * factor, "gemm.sustained_throughput"),
        )  # fmt: skip
    (row,) = table(study, "gemm").to_dict("records")
    assert row["burst_tflops"] == pytest.approx(630) and row["sustained_over_burst"] == pytest.approx(0.8)
    assert row["fraction_of_peak"] == pytest.approx(0.63)
    assert row["fraction_of_achievable"] == pytest.approx(630 / 800) and row["achievable_basis"] == "data sheet"
    assert (row["m"], row["shapes"], row["measured"]) == (128, 1, 2)


def test_more_than_the_peak_is_explained_and_not_cut(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=accelerated(achievable_tflops={}))
    (case,) = study.experiment("gemm", {**GEMM, "dtype": "bfloat16"})
    study.record(case, 0, bfloat16(1100, "gemm.throughput"))
    (row,) = table(study, "gemm").to_dict("records")
    assert row["fraction_of_peak"] == pytest.approx(1.1) and "above the stated peak" in row["note"]
    assert pd.isna(row["achievable_tflops"]) and pd.isna(row["fraction_of_achievable"])


def test_repeats_that_find_other_shapes_best_say_so(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=accelerated())
    (case,) = study.experiment("search", SEARCH, repeats=3)
    for repeat, k in enumerate((16, 32, 32)):
        study.record(case, repeat, bfloat16(500, "gemm.best_throughput", m=32, n=32, k=k))
    (row,) = table(study, "gemm").to_dict("records")
    assert (row["k"], row["shapes"]) == (32, 8) and "2 different shapes" in row["note"]


def test_every_shape_of_a_search_is_in_its_table_fastest_first(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path, target=accelerated())
    (case,) = study.experiment("search", SEARCH, repeats=2)
    for repeat in range(2):
        rates = {16: 300.0, 32: 400.0 + 20 * repeat}
        found = [bfloat16(rate, "gemm.searched_throughput", m=32, n=32, k=k) for k, rate in rates.items()]
        finalist = bfloat16(390.0, "gemm.throughput", m=32, n=32, k=32)
        study.record(case, repeat, *found, finalist, bfloat16(380.0, "gemm.best_throughput", m=32, n=32, k=32))
    first, second = table(study, "gemm_shapes").to_dict("records")
    assert (first["k"], second["k"]) == (32, 16)
    assert first["coarse_tflops"] == pytest.approx(410) and first["fine_tflops"] == pytest.approx(390)
    assert first["best_in"] == 2 and second["best_in"] == 0 and pd.isna(second["fine_tflops"])
    assert second["fraction_of_fastest"] == pytest.approx(300 / 410)


def test_a_case_without_results_has_a_row_without_figures(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    study.experiment("gemm", GEMM)
    (row,) = table(study, "gemm").to_dict("records")
    assert row["measured"] == 0 and pd.isna(row["burst_tflops"]) and row["note"] == "no repeat completed"
    assert table(study, "devices").empty


def test_tables_of_probes_that_a_study_has_not_are_removed(tmp_path: Path) -> None:
    study = StudyOnDisk(tmp_path)
    study.experiment("memory", MEMORY)
    paths = study.paths
    for name in ("gemm", "dataload"):
        paths.probe_table(name).parent.mkdir(exist_ok=True)
        paths.probe_table(name).write_text("old")
    study.analyse()
    assert not paths.probe_table("gemm").exists() and not paths.probe_table("dataload").exists()
    assert paths.probe_table("devices").exists()

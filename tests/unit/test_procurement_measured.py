"""Procurement from a real run of the probes: what was measured here is projected, and what does not fit is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from procurement_cases import procurement, stated, training
from ranks import bare_environment, free_port
from study_on_disk import LAPTOP, StudyOnDisk

from seatrial.analysis.decisions.basis import Basis
from seatrial.analysis.decisions.decision import Decision
from seatrial.analysis.decisions.procurement import decide, table
from seatrial.analysis.decisions.procurement.measured import TABLES, MeasuredRates
from seatrial.analysis.decisions.procurement.step import work
from seatrial.analysis.tables import read_csv, rows_of, write_csv
from seatrial.config.procurement import Procurement
from seatrial.config.study import Study
from seatrial.errors import UnreadableFile
from seatrial.paths import StudyPaths
from seatrial.report.page import report

TWO_RANKS = {**LAPTOP, "tasks_per_node": 2}
SIZES = {"smallest": 8, "largest": 262144, "factor": 8}
PROBES: dict[str, dict[str, Any]] = {
    "products": {"kind": "gemm", "m": 128, "n": 128, "k": 128, "warmup": 1, "iterations": 5},
    "memory": {"kind": "memory", "operation": "copy", "size_bytes": None, "warmup": 1, "iterations": 5},
    "collectives": {"kind": "collective", "operation": "all_gather", "sizes": SIZES, "size_bytes": None},
    "experts": {
        "kind": "moe_alltoall",
        "tokens": 128,
        "hidden_size": 64,
        "top_k": 2,
        "experts": 8,
        "load": {"kind": "uniform"},
        "iterations": 20,
    },
    "bisection": {"kind": "bisection", "size_bytes": 65536, "iterations": 6},
    "checkpoints": {"kind": "checkpoint", "parameters": 20000, "block_bytes": 65536, "iterations": 5},
}
PROGRAM = """
import os, sys
from pathlib import Path
from seatrial.case import Case
from seatrial.train.kinds import WORK
from seatrial.measure.session import run_repeat
for port, case, record in zip(sys.argv[1::3], sys.argv[2::3], sys.argv[3::3]):
    os.environ["MASTER_PORT"] = port
    what = Case.read(Path(case))
    run_repeat(what, 0, Path(record), WORK[what.workload.kind])
"""
SHAPE = {
    "layers": 2,
    "hidden_size": 64,
    "vocabulary": 256,
    "attention": {"kind": "grouped", "heads": 2, "key_value_heads": 2, "head_size": 32},
    "experts": {"experts": 4, "top_k": 2, "hidden_size": 64},
}


@pytest.fixture(scope="module")
def probed(tmp_path_factory: pytest.TempPathFactory) -> StudyPaths:
    """The tables of a small study of probes that two ranks of this machine really ran."""
    root = tmp_path_factory.mktemp("probes")
    disk = StudyOnDisk(root / "probed", name="probed", target=TWO_RANKS)
    for name, workload in PROBES.items():
        more = {"path": str(root)} if name == "checkpoints" else {}
        disk.experiment(name, workload | more)
    words = []
    for case in disk.planned:
        files = [disk.paths.case(case.case_id), disk.paths.record(case.case_id, 0)]
        words += [str(free_port()), *map(str, files)]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *words],
            env=bare_environment(**shared, RANK=str(rank), LOCAL_RANK=str(rank)),
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [rank.communicate(timeout=240) for rank in ranks]
    finally:
        for rank in ranks:
            rank.kill()
    assert [rank.returncode for rank in ranks] == [0, 0], said
    return disk.analyse()


def planned(probes: StudyPaths | None, **more: Any) -> dict[str, Any]:
    mixture = training(SHAPE, 64, 4096, layout={"experts": 2, "data_parallel": "replicated"})
    return procurement(
        planned=mixture.model_dump(mode="json"),
        dtype="float32",
        probes=None if probes is None else str(probes.root),
        saving={"bytes_per_parameter": stated(14), "reliability": {"accelerator_hours_between_failures": FAILURES}},
        proposals={name: {"target": TWO_RANKS, "nodes": n} for name, n in (("one", 1), ("four", 4))},
        **more,
    )


FAILURES = {"value": 2000.0, "source": "a test"}


def decided(root: Path, plan: dict[str, Any]) -> list[Decision]:
    study = Study.model_validate({"name": "s", "title": "t", "target": LAPTOP, "economics": {"procurement": plan}})
    return decide.procurement(Basis(StudyPaths(root), study, {}))


def test_a_planned_model_is_projected_on_what_the_probes_reached_here(probed: StudyPaths, tmp_path: Path) -> None:
    _, one, _ = decided(tmp_path, planned(probed))
    inputs = {given.name: given for given in one.inputs}
    measured = {
        name for name, given in inputs.items() if given.source.startswith("measured in study probed: tables/")
    }
    assert {"matrix products", "memory bandwidth", "links inside, per accelerator"} <= measured
    assert {"all-to-all inside, per accelerator", "bandwidth between the worst halves"} <= measured
    assert all(inputs[name].measured for name in measured)
    plan = training(SHAPE, 64, 4096, layout={"experts": 2, "data_parallel": "replicated"})
    sent = work(plan, 2, 1, 2).traffic.exchange
    assert sent is not None
    reached = inputs["all-to-all inside, per accelerator"].value * 1e9
    hop = inputs["latency from rank to rank"].value if "latency from rank to rank" in inputs else 0.0
    took = next(f for f in one.figures if f.name == "All-to-all of a step over 2 ranks").value
    assert took == pytest.approx(sent.inside / reached + sent.messages * hop)
    step = next(f for f in one.figures if f.name.startswith("Least step time")).value
    gemm = next(iter(rows_of(read_csv(probed.probe_table("gemm"), TABLES["gemm"]))))
    products = work(plan, 2, 1, 2).flops / (gemm["burst_tflops"] * 1e12)
    assert step is not None and step >= products
    said = {r["question"]: r for r in rows_of(read_csv(StudyPaths(tmp_path).procurement, table.COLUMNS))[:5]}
    assert said["all_to_all"]["basis"] == said["bisection"]["basis"] == "measured"


def test_what_a_laptop_cannot_know_of_four_of_it_is_said(probed: StudyPaths, tmp_path: Path) -> None:
    _, _, four = decided(tmp_path, planned(probed))
    missing = " | ".join(four.missing)
    assert "it ran inside one node alone (2 ranks), and no network was crossed" in missing
    assert "it ran between the ranks of one host, and 4 nodes are proposed" in missing
    assert next(f for f in four.figures if f.name.startswith("Least step time")).value is None
    assert "leaves open bisection" in four.answer.partition(";")[0]
    assert not any(given.name == "latency from rank to rank" for given in four.inputs)


def test_the_page_says_that_another_study_measured(probed: StudyPaths, tmp_path: Path) -> None:
    disk = StudyOnDisk(tmp_path / "s", economics={"procurement": planned(probed)})
    disk.write()
    report(disk.analyse())
    text = disk.paths.report.read_text(encoding="utf-8")
    assert "what follows rests on what another one measured" in text and "Nothing was measured" not in text
    assert "no network was crossed" in text and "measured in study probed: tables/gemm.csv" in text


def test_products_in_another_format_are_not_taken_and_it_is_said(probed: StudyPaths, tmp_path: Path) -> None:
    _, one, _ = decided(tmp_path, {**planned(probed), "dtype": "bfloat16"})
    assert "measured in float32, and economics.procurement.dtype is bfloat16" in " ".join(one.missing)
    assert "matrix products" not in {given.name for given in one.inputs}


def test_probes_of_a_study_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="procurement.probes names; run that study first".replace(".", "[.]")):
        decided(tmp_path, planned(StudyPaths(tmp_path / "nowhere")))


def found(root: Path, proposal: str = "one", **tables: dict[str, Any]) -> Any:
    of_all = {"study": "s", "target": "laptop", "experiment": "e", "case_id": "c"}
    for name, row in tables.items():
        write_csv(StudyPaths(root).probe_table(name), TABLES[name], [of_all | row])
    plan = Procurement.model_validate(planned(None))
    return MeasuredRates(StudyPaths(root)).of(plan.proposals[proposal], "float32")


def test_without_a_line_that_fits_the_largest_message_counts(tmp_path: Path) -> None:
    """All_gather of 16 MiB over 2 ranks in 10 ms: 16.8e6 x 1/2 / 0.01 s = 0.839 GB/s on each rank's own links."""
    line = {"line": "g", "operation": "all_gather", "ranks": 2, "nodes": 1}
    fit = {**line, "piece": 1, "pieces": 1, "bus_bandwidth_limit": 9.0, "flag": "the latency comes out negative"}
    size = {**line, "size_bytes": 2**24, "median_seconds": 0.01, "low_seconds": 0.008, "high_seconds": 0.02}
    rates, unfit = found(tmp_path, collective_fit=fit, collective=size)
    one = rates["link_gbps"].input
    assert (one.value, one.low, one.high) == pytest.approx((0.8389, 0.8389 / 2, 0.8389 / 0.8), rel=1e-3)
    assert "no line fits" in one.source and unfit == {}


def test_more_ranks_of_one_node_than_the_target_has_cross_no_network(tmp_path: Path) -> None:
    """A sweep of ranks: 8 of one node, where the target has 2 on each; those of 4 nodes cross it."""
    size = {
        "line": "g",
        "operation": "all_gather",
        "ranks": 8,
        "nodes": 1,
        "size_bytes": 2**24,
        "median_seconds": 0.01,
    }
    rates, unfit = found(tmp_path, "four", collective=size)
    assert "link_gbps" in rates and "inside one node alone (8 ranks)" in unfit["network_gbps"]
    rates, unfit = found(tmp_path, "four", collective=size | {"nodes": 4})
    assert rates["network_gbps"].input.value == pytest.approx(2**24 * 7 / 8 / 0.01 / 1e9 * 3 / 7)
    assert "between nodes alone" in unfit["link_gbps"]


def test_what_stayed_in_a_page_cache_is_no_storage(tmp_path: Path) -> None:
    row = {
        "direction": "write",
        "reached": "page_cache",
        "gbps": 9.0,
        "nodes": 1,
        "ranks": 1,
        "checkpoint_bytes": 1,
    }
    assert found(tmp_path, checkpoint=row).unfit == {
        "checkpoint_write_gbps": "what was timed is page cache, not storage"
    }


def test_what_came_out_of_a_cache_is_no_memory(tmp_path: Path) -> None:
    row = {"metric": "memory.cached_bandwidth", "work": "copy 32 MiB float32", "value": 90.0}
    assert "fit into the caches" in found(tmp_path, devices=row).unfit["memory_gbps"]


def test_where_nothing_runs_behind_the_products_no_rate_is_enough(probed: StudyPaths, tmp_path: Path) -> None:
    _, one, _ = decided(tmp_path, {**planned(probed), "hidden": stated(0.0)})
    said = {r["question"]: r for r in rows_of(read_csv(StudyPaths(tmp_path).procurement, table.COLUMNS))[:5]}
    assert said["all_to_all"]["standing"] == "fails" and "nothing runs behind" in said["all_to_all"]["note"]
    assert said["node_bandwidth"]["standing"] == "holds" and "fails" in one.answer

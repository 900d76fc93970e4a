"""`seatrial ingest fio`: what went to storage, what may not have, and what contradicts itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from storage_results import IDLE, fio, job, way

from seatrial.analysis.collect import collect
from seatrial.analysis.inputs import read_cases, read_plan
from seatrial.case import Case
from seatrial.cli import main
from seatrial.errors import ConfigError
from seatrial.ingest.files import HandedFile, Remark
from seatrial.ingest.storage.fio import read_fio
from seatrial.ingest.storage.past_cache import counted_bytes, passage
from seatrial.ingest.storage.records import record_of
from seatrial.ingest.storage.result import Reading, StorageResult
from seatrial.paths import StudyPaths
from seatrial.record import Record

DATA = Path(__file__).parents[1] / "data" / "fio"
MIB = 1 << 20
DIRECT = {"direct": "1", "ioengine": "libaio", "bs": "1M", "rw": "write"}


def read(text: str) -> tuple[StorageResult | None, list[Remark]]:
    return read_fio(text.encode(), HandedFile(Path("x.json"), "x.json"), "digest")


def readings(text: str) -> list[Reading]:
    result, remarks = read(text)
    assert result is not None and not remarks, remarks
    assert result.error is None
    return list(result.readings)


def only(text: str) -> Reading:
    (found,) = readings(text)
    return found


def test_bytes_over_elapsed_time_in_gigabytes_of_1e9():
    found = only(fio(job(write=way(4000 * MIB, 2000), options=DIRECT)))
    assert (found.metric, found.samples) == ("storage.stated_write_bandwidth", (4000 * MIB / 2.0 / 1e9,))
    assert found.labels["block_size"] == "1M" and found.labels["direct"] is True and found.bounded == "write"


def test_fio_2_counts_kib_and_has_no_bytes_per_second():
    new = only(fio(job(write=way(4000 * MIB, 2000), options=DIRECT)))
    old = only(fio(job(write=way(4000 * MIB, 2000, version=2), options=DIRECT), version="fio-2.15"))
    assert old.samples == new.samples


def test_jobs_of_a_group_ran_together_and_groups_one_after_the_other():
    together = [job(f"j{n}", write=way(1000 * MIB, 1000 + 500 * n), options=DIRECT) for n in range(3)]
    found = only(fio(*together))
    assert found.samples == (3000 * MIB / 2.0 / 1e9,)  # the slowest job's time, not the sum of rates
    apart = [job(f"j{n}", group=n, write=way(1000 * MIB, 1000), options=DIRECT) for n in range(2)]
    assert [r.samples[0] for r in readings(fio(*apart))] == [1000 * MIB / 1e9] * 2
    late = [job(f"j{n}", write=way(1000 * MIB, 1000), options=DIRECT, job_start=1000 + 3000 * n) for n in range(2)]
    assert only(fio(*late)).samples == (2000 * MIB / 4.0 / 1e9,)


def test_clients_are_put_together_and_their_sum_is_not_counted_twice():
    clients = [job("w", write=way(1000 * MIB, 1000), hostname=f"c{n}", port=8765) for n in range(2)]
    everyone = job("All clients", write=way(2000 * MIB, 1000))
    content = json.loads(fio(**{"client_stats": [*clients, everyone]}))
    content |= {"jobs": [], "global options": [{"direct": "1"}, {"direct": "1"}]}
    result, _ = read(json.dumps(content))
    assert result is not None and result.hosts == ("c0", "c1") and result.host_count == 2
    assert [r.samples for r in result.readings] == [(2000 * MIB / 1e9,)]


@pytest.mark.parametrize(
    ("options", "direction", "reached", "evidence"),
    [
        ({"direct": "1"}, "write", "stated", "direct"),
        ({"buffered": "0"}, "read", "stated", "direct"),
        ({}, "write", "page_cache", "buffered"),
        ({}, "read", "page_cache", "buffered"),
        ({"direct": "0"}, "write", "page_cache", "buffered"),
        ({"end_fsync": "1"}, "write", "stated", "end_fsync"),
        ({"end_fsync": "1"}, "read", "page_cache", "buffered"),
        ({"fsync": "32"}, "write", "stated", "fsync"),
        ({"fsync": "0"}, "write", "page_cache", "buffered"),
        ({"sync": "dsync"}, "write", "stated", "sync"),
        ({"sync": "none"}, "write", "page_cache", "buffered"),
        ({"ioengine": "mmap"}, "write", "page_cache", "buffered"),
        ({"ioengine": "rbd"}, "read", "stated", "engine rbd"),
        ({"ioengine": "null", "direct": "1"}, "write", "nothing", "moves no data"),
        ({"direct": "1", "filename": "/dev/shm/x"}, "write", "page_cache", "memory"),
        ({"direct": "1", "directory": "/mnt/a:/dev/shm"}, "read", "page_cache", "memory"),
    ],
)
def test_how_far_bytes_went(options, direction, reached, evidence):
    found = passage(options, direction, 1e9, 10.0, None)
    assert found.reached == reached and evidence in found.evidence


def test_counters_of_block_devices_come_before_what_a_job_states():
    disk = {"name": "nvme0n1", "read_ios": 1, "write_ios": 9, "read_sectors": 10, "write_sectors": 2_000_000}
    assert counted_bytes([disk], "write") == 1.024e9
    assert passage({"end_fsync": "1"}, "write", 1e9, 10.0, 1.024e9).reached == "storage"
    assert passage({"direct": "1"}, "read", 1e9, 10.0, 5120.0).reached == "page_cache"
    # of a short run the counters say nothing, and old versions count requests alone
    assert passage({"direct": "1"}, "read", 1e9, 0.5, 5120.0).reached == "stated"
    assert counted_bytes([{"name": "sda", "write_ios": 4}], "write") is None
    below = {"name": "md0", "write_sectors": 100, "aggr_write_ios": 1}
    assert counted_bytes([disk, below], "write") == 51200.0


@pytest.mark.parametrize("direction", ["read", "write"])
def test_counters_that_may_have_seen_others_bytes_do_not_make_a_buffered_job_one_of_storage(direction):
    found = passage({}, direction, 1e9, 10.0, 2e9)
    assert found.reached == "stated" and "others'" in found.evidence
    assert passage({"direct": "1"}, direction, 1e9, 10.0, 2e9).reached == "storage"


def test_a_direct_job_is_a_figure_of_storage_only_where_devices_counted_its_bytes():
    moved = 4000 * MIB
    disk = {"name": "nvme0n1", "write_sectors": moved // 512}
    alone = fio(job(write=way(moved, 2000), options=DIRECT))
    counted = fio(job(write=way(moved, 2000), options=DIRECT), disk_util=[disk])
    less = fio(job(write=way(moved, 2000), options=DIRECT), disk_util=[{**disk, "write_sectors": 8}])
    assert only(alone).metric == "storage.stated_write_bandwidth"
    assert "no device counters" in str(only(alone).labels["evidence"])
    assert only(counted).metric == "storage.write_bandwidth"
    assert only(less).metric == "storage.page_cache_bandwidth"


def test_a_buffered_job_is_never_called_storage():
    found = only(fio(job(write=way(1000 * MIB, 100), options={"bs": "1M"})))
    assert found.metric == "storage.page_cache_bandwidth" and found.bounded is None
    mixture = [job("a", write=way(MIB, 1), options=DIRECT), job("b", write=way(MIB, 1), options={})]
    assert only(fio(*mixture)).metric == "storage.page_cache_bandwidth"


def test_files_that_fio_wrote_are_read_alone_and_among_its_text():
    assert only((DATA / "direct.json").read_text()).samples == (67108864 / 0.072 / 1e9,)
    assert only((DATA / "buffered.json").read_text()).metric == "storage.page_cache_bandwidth"
    mixed = only((DATA / "mixed.json").read_text())
    assert mixed.labels["direction"] == "read" and mixed.samples == (33554432 / 0.029 / 1e9,)


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (fio(job(error=28, write=way(MIB, 1), options=DIRECT)), "crashed", "error 28 (No space left on device)"),
        (fio(job(total_err=3, write=way(MIB, 1), options=DIRECT)), "crashed", "passed over 3 errors"),
        (
            fio(job(write=way(4000 * MIB, 2000) | {"bw_bytes": 9 * 10**9}, options=DIRECT)),
            "wrong_result",
            "states 9 GB/s",
        ),
        (fio(job(options=DIRECT)), "unsupported", "no job moved data"),
        (fio(job(write=way(MIB, 1), options={"ioengine": "null"})), "unsupported", "no job moved data"),
        (fio(job(write=way(MIB, 1)))[:-40], "crashed", "ends before the document does"),
    ],
)
def test_what_became_of_a_run(text, kind, words):
    result, _ = read(text)
    assert result is not None and result.error is not None
    assert result.error.kind == kind and words in result.error.message


def test_states_in_between_and_mixed_directions_are_named():
    first, last = fio(job(write=way(MIB, 10), options=DIRECT)), fio(job(write=way(9 * MIB, 20), options=DIRECT))
    result, remarks = read(first + "\n" + last + "\n")
    assert result is not None and result.readings[0].samples == (9 * MIB / 0.02 / 1e9,)
    assert "2 documents" in remarks[0].problem
    both = job(mixed=way(MIB, 10), options=DIRECT)
    both.pop("read")
    result, remarks = read(fio(both))
    assert result is not None and not result.readings and "unified_rw_reporting" in remarks[0].problem
    assert read("{}")[0] is None and "no JSON of fio" in read("{}")[1][0].problem


@settings(max_examples=100, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(lambda text: ('"fio version"' + text).encode("utf-8", "replace")),
    )
)
def test_any_bytes_are_read_without_a_fault(content):
    read_fio(content, HandedFile(Path("x"), "x"), "digest")


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False), st.text(max_size=5)
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_document_with_anything_in_place_of_a_value_is_read_without_a_fault(data):
    content = json.loads(fio(job(write=way(100 * MIB, 2500), options=DIRECT), disk_util=[{"write_sectors": 5}]))
    place: Any = content
    for _ in range(data.draw(st.integers(0, 3))):
        keys = (
            list(place) if isinstance(place, dict) else list(range(len(place))) if isinstance(place, list) else []
        )
        inner = [key for key in keys if isinstance(place[key], dict | list) and place[key]]
        if not inner:
            break
        place = place[data.draw(st.sampled_from(inner))]
    place[data.draw(st.sampled_from(list(place) if isinstance(place, dict) else list(range(len(place)))))] = (
        data.draw(JSON)
    )
    result, _ = read(json.dumps(content))
    for one in result.readings if result is not None else ():
        assert all(sample > 0 for sample in one.samples)


def handed(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_results_become_records_of_a_study_of_their_own(tmp_path, capsys):
    files = {
        "1.json": fio(job(write=way(4000 * MIB, 2000), read=IDLE, options=DIRECT)),
        "2.json": fio(job(write=way(4000 * MIB, 2100), options=DIRECT)),
        "3.json": fio(job(error=5, write=way(MIB, 1), options=DIRECT)),
        "job.fio": "[w]\nrw=write\n",
    }
    source = handed(tmp_path / "handed", files)
    words = ["ingest", "fio", str(source), "--study", "disks", "--results", str(tmp_path / "results")]
    assert main([*words, "--conf", str(tmp_path / "none")]) == 0
    told = capsys.readouterr().out
    assert "2 of 3 results completed, 1 crashed" in told and "job.fio: no JSON of fio" in told
    paths = StudyPaths(tmp_path / "results" / "disks")
    (case,) = read_cases(paths, read_plan(paths))
    found = [Record.read(paths.record(case.case_id, n)) for n in range(3)]
    assert [r.outcome for r in found] == ["completed", "completed", "failed"]
    assert found[0].provenance["versions"]["fio"] == "3.36"
    assert [row["outcome"] for row in collect(paths)] == ["completed", "completed", "failed"]
    assert paths.record(case.case_id, 1).with_suffix(".source").read_text() == files["2.json"]


def declared(storage: str | None, nodes: int = 1) -> Case:
    fact = {"value": 34.0, "source": "data sheet"}
    target = {
        "name": "lab",
        "description": "lab",
        "nodes": nodes,
        "accelerators_per_node": 0,
        "tasks_per_node": 1,
        "device": "cpu",
        "storage": {
            "scratch": {"name": "scratch", "write_gbps": fact, "write_gbps_per_node": fact | {"value": 10.0}}
        },
    }
    content = {"study": "s", "experiment": "disks", "repeats": 1, "base_seed": 1, "case_id": "x", "target": target}
    return Case.model_validate(content | {"workload": {"kind": "fio_results", "storage": storage}})


def test_the_declared_rate_is_the_ceiling_and_never_of_the_page_cache():
    text = fio(job(write=way(4000 * MIB, 2000), options=DIRECT), job("r", 1, read=way(MIB, 1)))
    result, _ = read(text)
    assert result is not None
    written, cached = record_of(declared("scratch"), 0, result).measurements
    assert written.ceiling == 10.0 and "data sheet" in str(written.ceiling_basis)
    assert cached.metric == "storage.page_cache_bandwidth" and cached.ceiling is None
    four = record_of(declared("scratch", nodes=4), 0, result).measurements[0]
    assert four.ceiling == 34.0  # four nodes could do 40, the storage cannot
    with pytest.raises(ConfigError, match="has no storage of this name"):
        record_of(declared("scrath"), 0, result)


@pytest.mark.parametrize("levels", [100, 450, 900, 5000])
@pytest.mark.parametrize("key", ["fio version", "jobname", "error", "io_bytes", "direct", "global options"])
def test_values_that_are_nested_deeply_are_no_fault(key, levels):
    text = fio(job(write=way(4000 * MIB, 2000), options=DIRECT), options={"a": "b"})
    place = text.index(f'"{key}"') + len(key) + 3
    read(text[:place] + "[" * levels + "]" * levels + ', "rest":' + text[place:])

"""The probe checkpoint: named by what its bytes reached, compared with what was written, and gone afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections import namedtuple
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkpoint_runs import SMALL, alone, by_metric, checkpoint, counted, measured, two_ranks
from gloo_ranks import on_ranks
from hypothesis import given
from hypothesis import strategies as st
from ranks import case

from seatrial.config.probe import Checkpoint
from seatrial.errors import MeasurementFailed, Unsupported
from seatrial.measure.checkpoint import folder as folders
from seatrial.measure.checkpoint import run
from seatrial.measure.checkpoint.shards import Shards, shard_bytes
from seatrial.measure.storage import page_cache

SIZE = 14 * SMALL
STORED = {"write_bandwidth", "write_time", "rank_bandwidth write 0", "device_share write"}
READ = {"read_bandwidth", "read_time", "rank_bandwidth read 0", "device_share read"}
FILES = [{"format": "plain"}, {"format": "plain", "direct": True}, {"format": "dcp"}]


@pytest.mark.parametrize("files", FILES, ids=["plain", "direct", "dcp"])
def test_a_checkpoint_that_reached_storage_is_named_so(tmp_path: Path, files: dict[str, Any]) -> None:
    ctx = alone(counted(tmp_path), **files)
    found = by_metric(ctx)
    assert set(found) == STORED | READ
    for direction in ("write", "read"):
        bandwidth, seconds = found[f"{direction}_bandwidth"], found[f"{direction}_time"]
        assert bandwidth.labels["reached"] == "storage"
        assert bandwidth.labels["size_bytes"] == SIZE
        assert bandwidth.samples == pytest.approx([SIZE / s / 1e9 for s in seconds.samples])
        assert len(bandwidth.samples) == 2
        assert min(found[f"device_share {direction}"].samples) >= 0.9
    assert ctx.facts["checkpoint"]["resident_before_reading"] == 0
    assert any("cache behind the device" in words for words in ctx.facts["checkpoint"]["evidence"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")
def test_a_tmpfs_is_called_memory_and_has_no_figure_of_storage() -> None:
    before = set(Path("/dev/shm").iterdir())
    found = by_metric(alone("/dev/shm"))
    assert set(found) == {"memory_bandwidth write", "memory_bandwidth read"}
    assert {m.labels["reached"] for m in found.values()} == {"memory_file_system"}
    assert {m.labels["file_system"] for m in found.values()} == {"tmpfs"}
    assert set(Path("/dev/shm").iterdir()) <= before


def test_a_write_without_fsync_reached_the_page_cache_only(tmp_path: Path) -> None:
    found = by_metric(alone(counted(tmp_path), fsync=False))
    assert set(found) == {"page_cache_bandwidth write", "device_share write"} | READ


def test_a_read_that_the_page_cache_answers_is_no_read_of_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_cache, "drop", page_cache.resident_share)
    ctx = alone(counted(tmp_path))
    assert set(by_metric(ctx)) == STORED | {"page_cache_bandwidth read", "device_share read"}
    assert ctx.facts["checkpoint"]["resident_before_reading"] == 1


@pytest.mark.parametrize("files", FILES, ids=["plain", "direct", "dcp"])
def test_what_is_read_differently_is_no_number(tmp_path: Path, files: dict[str, Any]) -> None:
    """A byte changes on the way back."""
    right = Shards.check

    def spoilt(self: Shards, rank: int, number: int) -> None:
        if number == 1:
            self.buffer[SIZE - 1] = (self.buffer[SIZE - 1] + 1) % 256
        right(self, rank, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shards, "check", spoilt)
        ctx_of = case(checkpoint(tmp_path, **files))
        with pytest.raises(MeasurementFailed, match=f"first at byte {SIZE - 1}") as failed:
            measured(ctx_of)
    assert failed.value.kind == "wrong_result"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("direct", [False, True])
def test_a_write_syncs_its_file_and_the_folder_and_writes_the_shard_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, direct: bool
) -> None:
    workload = Checkpoint.model_validate(checkpoint(tmp_path, direct=direct))
    shards, synced, right = Shards(3, SIZE, 1), [], os.fsync

    def seen(handle: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        right(handle)

    monkeypatch.setattr(os, "fsync", seen)
    files = run.PlainFiles(tmp_path, workload, shards, 0, 0)
    shards.fill(0, 5)
    files.write(5)
    assert synced == ["file", "folder"]
    (path,) = files.files(0, 5)
    assert path.read_bytes() == shards.buffer[:SIZE]


@pytest.mark.parametrize("layout", [run.PlainFiles, run.DistributedFiles])
def test_a_read_that_reads_nothing_is_a_wrong_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Any
) -> None:
    """Also where the buffer still held what was written."""
    monkeypatch.setattr(layout, "read", lambda self, number: None)
    name = "plain" if layout is run.PlainFiles else "dcp"
    with pytest.raises(MeasurementFailed, match="first at byte 0") as failed:
        alone(tmp_path, format=name, iterations=1, kept=1)
    assert failed.value.kind == "wrong_result"


def test_a_file_changed_on_storage_is_a_wrong_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = page_cache.drop

    def changed(path: Path) -> float:
        with path.open("r+b") as file:
            file.seek(1000)
            byte = file.read(1)
            file.seek(1000)
            file.write(bytes([byte[0] ^ 1]))
        return right(path)

    monkeypatch.setattr(page_cache, "drop", changed)
    with pytest.raises(MeasurementFailed, match="first at byte 1000") as failed:
        alone(tmp_path)
    assert failed.value.kind == "wrong_result"


def test_a_file_that_lost_its_end_is_a_wrong_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(path: Path) -> float:
        os.truncate(path, 5000)
        return 0.0

    monkeypatch.setattr(page_cache, "drop", cut)
    with pytest.raises(MeasurementFailed, match="ends after 5000 of") as failed:
        alone(tmp_path)
    assert failed.value.kind == "wrong_result"


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.ENOSPC, "is full"), (errno.EDQUOT, "is full"), (errno.EROFS, "is not writable"), (errno.EIO, "Input")],
)
def test_an_error_in_mid_write_is_said_in_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    right, written = os.pwrite, []

    def failing(handle: int, data: Any, offset: int) -> int:
        written.append(offset)
        if len(written) > 3:
            raise OSError(number, os.strerror(number))
        return right(handle, data, offset)

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(MeasurementFailed, match=words) as failed:
        alone(tmp_path, block_bytes=4096)
    assert str(tmp_path) in str(failed.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_or_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MeasurementFailed, match="none does not exist"):
        alone(tmp_path / "none")
    with pytest.raises(MeasurementFailed, match="file is not a folder"):
        alone(tmp_path / "file")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_refuses_is_not_writable() -> None:
    with pytest.raises(MeasurementFailed, match="no folder can be made in /proc: its file system takes none"):
        alone("/proc")


def test_a_folder_that_is_read_only_is_not_writable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*given: Any, **named: Any) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(MeasurementFailed, match="is not writable: Read-only"):
        alone(tmp_path)


def test_too_little_room_is_said_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 0, 2 * SIZE - 1))
    monkeypatch.setattr(os, "pwrite", lambda *given: pytest.fail("it wrote"))
    with pytest.raises(MeasurementFailed, match=r"too full.*`kept`"):
        alone(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_shard_larger_than_memory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MeasurementFailed, match=r"need 140,000 GB of memory.*available") as failed:
        alone(tmp_path, parameters=10**13)
    assert failed.value.kind == "out_of_memory"
    assert list(tmp_path.iterdir()) == []


def test_direct_files_need_a_file_system_that_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = os.open

    def refusing(path: Any, flags: int, *more: Any, **named: Any) -> int:
        if flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return right(path, flags, *more, **named)

    monkeypatch.setattr(os, "open", refusing)
    with pytest.raises(Unsupported, match="direct: false"):
        alone(tmp_path, direct=True)
    assert list(tmp_path.iterdir()) == []


def test_no_more_checkpoints_than_kept_lie_there_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, right = [], Shards.fill

    def counting(self: Shards, rank: int, number: int) -> None:
        seen.append(len(list(tmp_path.glob("*/*.shard"))))
        right(self, rank, number)

    monkeypatch.setattr(Shards, "fill", counting)
    alone(tmp_path, kept=2, iterations=5, warmup=2)
    assert seen == [0, 0, 0, 1, 1, 1, 1]
    seen.clear()
    alone(tmp_path, iterations=3, warmup=1)
    assert seen == [0, 0, 1, 2]


def test_only_its_own_abandoned_folders_are_removed(tmp_path: Path) -> None:
    what = case(checkpoint(tmp_path))
    mine = tmp_path / f"{folders.PREFIX}{what.case_id}-0-dead"
    running = tmp_path / f"{folders.PREFIX}{what.case_id}-0-running"
    others = tmp_path / f"{folders.PREFIX}0123456789abcdef-0-dead"
    for place in (mine, running, others):
        place.mkdir()
        (place / "0-0.shard").touch()
    (tmp_path / "precious").touch()
    long_ago = time.time() - 3 * 60 * what.workload.time_limit_minutes
    for place in (mine, others):
        os.utime(place, (long_ago, long_ago))
    measured(what)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([running.name, others.name, "precious"])


def test_nothing_is_removed_that_is_not_the_probes_own(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    folders.remove(tmp_path / "precious")
    assert (tmp_path / "precious").is_dir()


HOLD = """
import sys, time
from pathlib import Path
from seatrial.measure.checkpoint.folder import removed_in_the_end
own = Path(sys.argv[1])
own.mkdir()
(own / "0-0.shard").write_bytes(b"x")
with removed_in_the_end(own):
    print("holds", flush=True)
    time.sleep(60)
"""


def test_a_killed_rank_leaves_no_file(tmp_path: Path) -> None:
    own = tmp_path / f"{folders.PREFIX}case-0-token"
    rank = subprocess.Popen([sys.executable, "-c", HOLD, str(own)], stdout=subprocess.PIPE, text=True)
    try:
        assert rank.stdout is not None
        assert rank.stdout.readline() == "holds\n"
        assert own.exists()
    finally:
        rank.kill()
        rank.communicate()
    deadline = time.monotonic() + 20
    while own.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What two ranks said; their folder is empty at the end."""
    folder = tmp_path_factory.mktemp("pair")
    yield on_ranks(two_ranks, 2, folder, within=120)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["plain", "dcp"])
def test_ranks_of_one_machine_count_its_device_once(pair: list[dict[str, Any]], name: str) -> None:
    (measurements, facts, left), (none, _, _) = (said[name] for said in pair)
    assert none == []
    assert left == []
    found = {(m.metric, m.labels["direction"], m.labels.get("rank")): m for m in measurements}
    for direction in ("write", "read"):
        assert found["checkpoint.device_share", direction, None].samples == [1, 1]
        bandwidths = [m for (metric, way, _), m in found.items() if "rank_b" in metric and way == direction]
        if direction == "write":
            assert len(bandwidths) == 2
            whole = found["checkpoint.write_bandwidth", direction, None].samples
            each = zip(*(m.samples for m in bandwidths), strict=True)
            assert whole == pytest.approx([2 * min(of) for of in each], rel=1e-3)
    assert len(facts["checkpoint"]["places"]) == 1


def test_a_full_rank_ends_all_ranks_and_none_leaves_a_file(pair: list[dict[str, Any]]) -> None:
    first, second = (said["full"] for said in pair)
    assert "is full" in second
    assert "another rank failed" in first


def test_the_next_nodes_shard_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three nodes with two ranks each, rank r reads what rank r + 2 wrote."""
    seen = {}

    class Seen(run.PlainFiles):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given)
            seen[self.rank] = self.source
            raise MeasurementFailed("crashed", "seen")

    monkeypatch.setattr(run, "PlainFiles", Seen)
    monkeypatch.setattr(run, "everyones", lambda ctx, mine: [mine] * ctx.world_size)
    monkeypatch.setattr(run, "all_together", lambda ctx, folder, step, *given: step(*given))
    what = case(checkpoint(tmp_path, read_from="next_node"), nodes=3, tasks_per_node=2)
    for rank in range(6):
        with pytest.raises(MeasurementFailed, match="seen"):
            measured(what, rank, 6)
    assert seen == {0: 2, 1: 3, 2: 4, 3: 5, 4: 0, 5: 1}


@given(st.integers(1, 10**12), st.integers(1, 2000))
def test_shards_are_the_whole_and_equal_to_a_byte(size: int, ranks: int) -> None:
    shards = [shard_bytes(size, rank, ranks) for rank in range(ranks)]
    assert sum(shards) == size
    assert max(shards) - min(shards) <= 1


def test_no_two_shards_are_alike_and_none_can_be_compressed() -> None:
    import zlib

    shards, contents = Shards(3, 200_001, 2), []
    for rank, number in ((0, 0), (1, 0), (0, 1)):
        shards.fill(rank, number)
        contents.append(shards.buffer[: shards.bytes_of(rank)])
        shards.check(rank, number)
        assert len(zlib.compress(contents[-1])) >= len(contents[-1])
    assert len(set(contents)) == 3
    shards.forget()
    with pytest.raises(MeasurementFailed, match="not what was written"):
        shards.check(0, 1)

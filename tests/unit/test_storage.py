"""Mounts, counters and the page cache: what a path stands on and who counts its bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.errors import Unsupported
from seatrial.measure.storage import backing, page_cache
from seatrial.measure.storage.backing import Backing, backing_of, is_network, of_device
from seatrial.measure.storage.counters import (
    BlockCounter,
    GroupCounter,
    LustreCounter,
    Moved,
    NfsCounter,
    own_bytes,
)
from seatrial.measure.storage.mounts import Mount, mount_of, parse_mounts

MOUNTINFO = r"""
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
30 27 0:25 / /mnt/my\040data rw - nfs4 10.0.0.1:/export\040a rw,vers=4.2,addr=10.0.0.1
31 27 0:26 / /scratch rw - lustre 10.0.0.2@tcp:10.0.0.3@tcp:/lfs01/users rw,flock
32 27 0:27 / / rw - overlay overlay rw,lowerdir=/a:/b,upperdir=/var/up,workdir=/var/work
nonsense
33 27 0:28 / /half
"""


def mount(kind: str, source: str, device: str = "0:99", **options: str) -> Mount:
    return Mount(1, device, "/mnt/x", kind, source, options)


def sysfs(root: Path, device: str, name: str, *slaves: str, iostats: str = "1") -> Path:
    """A block device in a made-up /sys, over `slaves` that are there already."""
    place = root / "sys/devices" / name
    (place / "queue").mkdir(parents=True)
    (place / "queue/iostats").write_text(f"{iostats}\n")
    (place / "dev").write_text(f"{device}\n")
    (place / "stat").write_text("  10 0 2000 5 20 0 4000 9 0 1 1 0 0 0 0\n")
    (place / "slaves").mkdir()
    for slave in slaves:
        (place / "slaves" / slave).symlink_to(root / "sys/devices" / slave)
    link = root / "sys/dev/block" / device
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(place)
    return place


def test_mounts_are_read_with_spaces_in_their_names() -> None:
    root, nfs, lustre, overlay = parse_mounts(MOUNTINFO)
    assert (root.point, root.kind, root.device) == ("/", "ext4", "254:0")
    assert (nfs.point, nfs.source) == ("/mnt/my data", "10.0.0.1:/export a")
    assert lustre.source == "10.0.0.2@tcp:10.0.0.3@tcp:/lfs01/users"
    assert overlay.options["upperdir"] == "/var/up"


@given(st.text(max_size=300))
def test_no_text_breaks_the_reader_of_mounts(text: str) -> None:
    for found in parse_mounts(text):
        assert found.kind


def test_the_mount_of_a_path_is_the_kernels_own_answer(tmp_path: Path) -> None:
    found = mount_of(tmp_path)
    assert str(tmp_path).startswith(found.point)
    assert mount_of(Path("/proc")).kind == "proc"


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no /dev/shm here")
def test_a_memory_file_system_is_called_what_it_is() -> None:
    found = backing_of(Path("/dev/shm"))
    assert (found.kind, found.file_system, found.counter) == ("memory", "tmpfs", None)


def test_a_file_system_that_nothing_counts_is_unknown() -> None:
    found = backing_of(Path("/proc"))
    assert found.kind == "unknown"
    assert "counts no bytes" in found.words


def test_a_block_device_counts_sectors_of_512_bytes(tmp_path: Path) -> None:
    sysfs(tmp_path, "8:0", "sda")
    kind, words, counter = of_device("8:0", tmp_path)
    assert (kind, words) == ("counted", "sda (8:0)")
    assert counter is not None
    assert counter.read() == Moved(2000 * 512, 4000 * 512)
    assert BlockCounter(("8:0", "8:0"), tmp_path).read() == Moved(4000 * 512, 8000 * 512)


def test_a_device_mapper_is_followed_down_to_what_it_stands_on(tmp_path: Path) -> None:
    sysfs(tmp_path, "8:0", "sda")
    sysfs(tmp_path, "253:0", "zram0")
    sysfs(tmp_path, "252:0", "dm-0", "sda")
    sysfs(tmp_path, "252:1", "dm-1", "sda", "zram0")
    assert of_device("252:0", tmp_path)[0] == "counted"
    kind, words, counter = of_device("252:1", tmp_path)
    assert (kind, counter) == ("memory", None)
    assert "zram0" in words and "in memory" in words


def test_a_partition_stands_on_what_its_disk_stands_on(tmp_path: Path) -> None:
    disk = sysfs(tmp_path, "253:0", "ram0")
    part = disk / "ram0p1"
    part.mkdir()
    (part / "partition").write_text("1\n")
    (tmp_path / "sys/dev/block/253:1").symlink_to(part)
    assert of_device("253:1", tmp_path)[0] == "memory"


def test_a_loop_device_is_what_its_file_lies_on(tmp_path: Path) -> None:
    """A loop device counts also what the cache of the file below it answers."""
    loop = sysfs(tmp_path, "7:0", "loop0") / "loop"
    loop.mkdir()
    (loop / "backing_file").write_text("/proc/version\n")
    kind, words, counter = of_device("7:0", tmp_path)
    assert (kind, counter) == ("unknown", None)
    assert "/proc/version" in words
    (loop / "backing_file").write_text("/not/there\n")
    assert "not visible" in of_device("7:0", tmp_path)[1]


def test_switched_off_statistics_are_no_evidence(tmp_path: Path) -> None:
    sysfs(tmp_path, "8:0", "sda", iostats="0")
    kind, words, _ = of_device("8:0", tmp_path)
    assert kind == "unknown"
    assert "iostats" in words


def test_a_counter_that_cannot_be_read_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(backing, "mount_of", lambda path: mount("nfs4", "server:/export"))
    found = backing_of(tmp_path)
    assert found.kind == "unknown"
    assert "cannot be read" in found.words


@pytest.mark.parametrize("option", [{"volatile": ""}, {"fsync": "volatile"}])
def test_an_overlay_that_never_syncs_proves_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, option: dict[str, str]
) -> None:
    monkeypatch.setattr(backing, "mount_of", lambda path: mount("overlay", "overlay", upperdir="/", **option))
    found = backing_of(tmp_path)
    assert found.kind == "unknown"
    assert "fsync does nothing" in found.words


def test_an_overlay_is_what_its_upper_folder_lies_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a container the upper folder is out of sight: then the control group's own bytes count."""
    below = {tmp_path: mount("overlay", "overlay", upperdir="/dev"), Path("/dev"): mount("devtmpfs", "dev")}
    monkeypatch.setattr(backing, "mount_of", lambda path: below[path])
    found = backing_of(tmp_path)
    assert (found.kind, found.file_system) == ("memory", "overlay")
    below[tmp_path] = mount("overlay", "overlay", upperdir="/not/here")
    found = backing_of(tmp_path)
    assert "upper folder is not visible" in found.words
    assert isinstance(found.counter, GroupCounter) == (found.kind == "counted")


def test_nfs_counts_what_went_over_the_wire(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountstats").write_text(
        "device s:/a mounted on /mnt/other with fstype nfs4 statvers=1.1\n"
        "\tbytes:\t9 9 9 9 9 9 9 9\n"
        "device s:/b mounted on /mnt/x with fstype nfs statvers=1.1\n"
        "\tage:\t100\n"
        "\tbytes:\t1 2 3 4 5000 6000 7 8\n"
    )
    assert NfsCounter("/mnt/x", "s:/b", tmp_path).read() == Moved(5000, 6000)
    with pytest.raises(ValueError, match="/mnt/none"):
        NfsCounter("/mnt/none", "s:/b", tmp_path).read()


def test_lustre_counts_what_its_storage_clients_sent(tmp_path: Path) -> None:
    for number, (read, written) in enumerate([(100, 200), (10, 20)]):
        place = tmp_path / f"proc/fs/lustre/osc/lfs01-OST000{number}-osc-ffff"
        place.mkdir(parents=True)
        (place / "stats").write_text(
            "snapshot_time 1.0 secs.nsecs\nreq_waittime 1 samples [usec] 1 1 1 1\n"
            f"read_bytes 2 samples [bytes] 1 9 {read} 5\nwrite_bytes 2 samples [bytes] 1 9 {written}\n"
        )
    assert LustreCounter("lfs01", tmp_path).read() == Moved(110, 220)
    with pytest.raises(FileNotFoundError, match="lfs02"):
        LustreCounter("lfs02", tmp_path).read()


def test_a_control_group_counts_all_its_devices(tmp_path: Path) -> None:
    (tmp_path / "io.stat").write_text("8:0 rbytes=10 wbytes=20 rios=1 wios=1\n8:16 rbytes=1 wbytes=2\n8:32\n")
    assert GroupCounter(tmp_path).read() == Moved(11, 22)


def test_a_network_file_system_is_shared_by_nodes() -> None:
    assert is_network("nfs4") and is_network("lustre") and is_network("fuse.juicefs")
    assert not is_network("ext4")


def counted(folder: Path) -> Backing:
    """What a folder stands on; the test is left out where no device counts its bytes."""
    found = backing_of(folder)
    if found.counter is None:
        pytest.skip(f"the temporary folder lies on {found.words}: no device counts its bytes")
    return found


def test_dropped_pages_are_gone_and_come_back_from_the_device(tmp_path: Path) -> None:
    counter = counted(tmp_path).counter
    assert counter is not None
    file, size = tmp_path / "file", 8_000_000
    before = counter.read()
    file.write_bytes(os.urandom(size))
    assert page_cache.resident_share(file) == 1
    assert page_cache.drop(file) == 0
    assert counter.read().since(before).written >= size
    before, own = counter.read(), own_bytes()
    file.read_bytes()
    assert counter.read().since(before).read >= size
    after = own_bytes()
    assert own is not None and after is not None
    assert after.since(own).read >= size
    file.read_bytes()
    again = own_bytes()
    assert again is not None
    assert again.since(after).read == 0


def test_an_empty_file_has_no_pages(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert page_cache.drop(tmp_path / "file") == 0


def test_only_root_empties_the_whole_page_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(page_cache, "DROP_CACHES", tmp_path / "no" / "drop_caches")
    monkeypatch.setattr(os, "sync", lambda: None)
    with pytest.raises(Unsupported, match="drop_caches: false"):
        page_cache.drop_all()

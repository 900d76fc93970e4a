"""Whether the bytes of an fio job went to storage, or may have gone no further than the page cache.

In this order: an engine or path that has nothing to do with storage; block devices' counters, where fio kept them
for long enough, that saw fewer bytes. Then what the job states: reads and writes around the cache (direct), which
some file systems take and cache all the same; writes that were flushed within the measured time (sync, fsync,
end_fsync); engines that talk to a storage server themselves. It is storage where the counters bear it out. They
count others' bytes too, so that of a job that was buffered they prove nothing alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from seatrial.ingest.storage.result import Direction

NO_STORAGE = frozenset(
    {
        *("null", "cpuio", "net", "netsplice", "rdma", "librpma_apm_client", "librpma_apm_server", "exec"),
        *("filecreate", "filestat", "filedelete", "dircreate", "dirstat", "dirdelete", "ftruncate", "falloc"),
    }
)
"""Engines that move no data to or from storage."""
OF_SERVERS = frozenset(
    {
        *("rbd", "rados", "http", "libiscsi", "nbd", "nfs", "dfs", "gfapi", "gfapi_async", "libhdfs"),
        *("ime_psync", "ime_psyncv", "ime_aio", "sg", "libblkio", "io_uring_cmd", "xnvme", "spdk"),
    }
)
"""Engines that go around this machine's page cache by themselves."""
IN_MEMORY = ("/dev/shm", "/run/")
"""Where Linux has file systems that lie in memory; direct reads and writes work there too."""
SECTOR_BYTES = 512
LEAST_SECONDS = 2.0
"""fio samples the devices' counters a few times a second: of a shorter run they say nothing."""
LEAST_SHARE = 0.9
"""Bytes that the devices counted over those that the jobs moved: with less, the rest lay or stayed in memory."""
FLUSHES = ("fsync", "fdatasync", "end_fsync", "fsync_on_close")
OFF = ("0", "false", "none")
UNCOUNTED = "as the job states; no device counters cover the bytes"


@dataclass(frozen=True)
class Passage:
    """How far bytes went, and what shows it; `stated`: past the page cache by the job's options alone, or
    by counters alone."""

    reached: Literal["storage", "stated", "page_cache", "nothing"]
    evidence: str


def passage(
    options: Mapping[str, str], direction: Direction, moved: float, seconds: float, counted: float | None
) -> Passage:
    """How far `moved` bytes of a job with these options went.

    `counted`: bytes that the block devices saw in that direction meanwhile; None where nothing says.
    """
    engine = options.get("ioengine", "psync").partition(":")[0]
    if engine in NO_STORAGE:
        return Passage("nothing", f"engine {engine} moves no data of files")
    places = [part for key in ("filename", "directory") for part in options.get(key, "").split(":")]
    if any(place.startswith(IN_MEMORY) for place in places):
        return Passage("page_cache", "the files lay in memory")
    seen = counted is not None and seconds >= LEAST_SECONDS
    if counted is not None and seen and counted / moved < LEAST_SHARE:
        return Passage("page_cache", "block devices counted fewer bytes")
    way = _past_by_options(options, direction, engine)
    if way is None and not seen:
        return Passage("page_cache", "buffered, and nothing shows that it went further")
    if way is None:
        return Passage("stated", "buffered; block devices counted as many bytes, which may be others'")
    if not seen:
        return Passage("stated", f"{way}, {UNCOUNTED}")
    return Passage("storage", f"{way}, block devices counted the bytes")


def _past_by_options(options: Mapping[str, str], direction: Direction, engine: str) -> str | None:
    """What in a job's options takes its bytes past the page cache; None: nothing."""
    if is_direct(options):
        return "direct"
    if direction == "write" and (flush := next((key for key in (*FLUSHES, "sync") if _on(options, key)), None)):
        return f"flushed within the measured time ({flush})"
    return f"engine {engine} goes around the page cache" if engine in OF_SERVERS else None


def counted_bytes(disks: Sequence[Any], direction: Direction) -> float | None:
    """Bytes that fio's `disk_util` counted; None where there is none, or of a version that counts requests alone.

    Where devices stand on others (md, dm), only those on top count.
    """
    known = [disk for disk in disks if isinstance(disk, dict) and isinstance(disk.get(f"{direction}_sectors"), int)]
    if not known:
        return None
    tops = [disk for disk in known if any(key.startswith("aggr_") for key in disk)] or known
    return float(sum(disk[f"{direction}_sectors"] for disk in tops) * SECTOR_BYTES)


def is_direct(options: Mapping[str, str]) -> bool:
    """Whether the job asked for reads and writes around the page cache."""
    return _on(options, "direct") or options.get("buffered") == "0"


def _on(options: Mapping[str, str], key: str) -> bool:
    return key in options and options[key].strip().lower() not in OFF

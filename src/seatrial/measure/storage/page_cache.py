"""The kernel's page cache: what of a file lies in it, and how to get it out."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import time
from pathlib import Path

from seatrial.errors import Unsupported

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SYNC_FILE_RANGE_WRITE = 2
ATTEMPTS = 5
PAUSE_SECONDS = 0.02
"""Pages that another CPU has just touched go only after it has put them on its lists."""


def drop(path: Path) -> float:
    """Write the file out, ask the kernel to forget its pages; the share of them that is resident afterwards.

    posix_fadvise is advice: what another process maps or a memory file system holds stays.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
        for attempt in range(ATTEMPTS):
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            share = _resident_share(handle)
            if share == 0:
                break
            time.sleep(PAUSE_SECONDS * attempt)
        return share
    finally:
        os.close(handle)


def write_out(handle: int, offset: int, count: int) -> None:
    """Have the kernel begin to write these bytes of a file out, without waiting; advice, which it may not take."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sync_file_range(handle, ctypes.c_int64(offset), ctypes.c_int64(count), SYNC_FILE_RANGE_WRITE)


def resident_share(path: Path) -> float:
    """The share of a file's pages that lie in the page cache; 0 of an empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        return _resident_share(handle)
    finally:
        os.close(handle)


def drop_all() -> None:
    """Empty the whole page cache of this machine. Raises Unsupported where this process may not."""
    os.sync()
    try:
        DROP_CACHES.write_text("1\n", encoding="ascii")
    except OSError as problem:
        raise Unsupported(
            f"drop_caches is asked for, but {DROP_CACHES} cannot be written ({problem.strerror}): only root may; "
            "without it (drop_caches: false) each file's own pages are dropped"
        ) from problem


def _resident_share(handle: int) -> float:
    size = os.fstat(handle).st_size
    if size == 0:
        return 0.0
    pages = -(-size // mmap.PAGESIZE)
    libc = ctypes.CDLL(None, use_errno=True)
    resident = (ctypes.c_ubyte * pages)()
    # a private mapping that nobody touches holds no pages of its own: mincore looks into the file's cache
    with mmap.mmap(handle, size, access=mmap.ACCESS_COPY) as mapped:
        first = ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(
            ctypes.c_void_p(ctypes.addressof(first)), ctypes.c_size_t(size), ctypes.byref(resident)
        )
        number = ctypes.get_errno()
        del first
    if failed:
        raise OSError(number, f"mincore: {errno.errorcode.get(number, number)}")
    return sum(page & 1 for page in bytes(resident)) / pages

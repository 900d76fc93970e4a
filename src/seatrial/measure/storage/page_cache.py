"""The kernel's page cache: what of a file lies in it, and how to get it out."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from seatrial.errors import Unsupported

DROP_CACHES = Path("/proc/sys/vm/drop_caches")
SYNC_FILE_RANGE_WRITE = 2
ATTEMPTS = 5
AROUND = 1024**2
"""Bytes: the kernel maps what it finds cached around a fault, 64 KiB unless told otherwise (fault_around_bytes)."""
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


def drop_part(handle: int, offset: int, count: int) -> None:
    """Ask the kernel to forget all pages that hold some of these bytes: it would leave those at the ends."""
    first = offset // mmap.PAGESIZE * mmap.PAGESIZE
    size = -(-(offset + count - first) // mmap.PAGESIZE) * mmap.PAGESIZE
    os.posix_fadvise(handle, first, size, os.POSIX_FADV_DONTNEED)


class MappedFile:
    """A file that this process has mapped into its memory, to read it there.

    Pages that a process has in its page table stay in the page cache whatever is advised, so they leave the table
    first. Only what /proc/self/maps says is this file is touched: of other memory the content would be lost.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._process, self._areas = 0, []  # type: int, list[Area]

    @contextmanager
    def uncached(self, places: Sequence[tuple[int, int]]) -> Iterator[None]:
        """Read the bytes at these addresses, so many each, from the file; afterwards its pages are dropped.

        One read each and no more than its bytes: what a fault reads around itself is still on its way, and stays.
        """
        for address, count in places:
            self._with_file(address, count, _fetch)
        yield
        for address, count in places:
            self._with_file(address, count, drop_part)

    def drop_all(self) -> None:
        """Ask the kernel to forget all of the file: what opening it touched would stay for other processes too."""
        for area in self._here():
            self._with_file(area.first, area.end - area.first, drop_part)

    def _with_file(self, address: int, count: int, does: Callable[[int, int, int], None]) -> None:
        """Do something with the part of the file at an address that no page table of this process holds then."""
        area = next((area for area in self._here() if area.first <= address < area.end), None)
        if area is None:
            return
        first = max(area.first, (address - AROUND) // mmap.PAGESIZE * mmap.PAGESIZE)
        size = min(area.end, address + count + AROUND) - first
        _advise(first, size, mmap.MADV_DONTNEED)
        handle = os.open(self.path, os.O_RDONLY)
        try:
            does(handle, area.offset + address - area.first, count)
        finally:
            os.close(handle)

    def _here(self) -> list[Area]:
        if self._process != os.getpid():
            self._process, self._areas = os.getpid(), mapped_areas(self.path)
            for area in self._areas:  # where records begin is still read by faults: of no more than its page
                _advise(area.first, area.end - area.first, mmap.MADV_RANDOM)
        return self._areas


def _advise(address: int, count: int, advice: int) -> None:
    ctypes.CDLL(None).madvise(ctypes.c_void_p(address), ctypes.c_size_t(count), advice)


def _fetch(handle: int, offset: int, count: int) -> None:
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_RANDOM)
    end = offset + count
    while offset < end and (part := os.pread(handle, end - offset, offset)):
        offset += len(part)


class Area(NamedTuple):
    """Addresses from `first` to before `end` at which a file lies from `offset` on."""

    first: int
    end: int
    offset: int


def mapped_areas(path: Path) -> list[Area]:
    """Where this process has mapped a file, which it never writes to there (see proc_pid_maps(5))."""
    found = []
    for line in Path("/proc/self/maps").read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and fields[5] == str(path):
            first, end = (int(part, 16) for part in fields[0].split("-"))
            found.append(Area(first, end, int(fields[2], 16)))
    return found


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

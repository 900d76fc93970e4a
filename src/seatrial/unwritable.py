"""A disk that is full or a folder that cannot be written is no fault of the program: it is said in words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.errors import CannotWrite

NO_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)
"""Why a file cannot be written, where that is not a fault of ours."""


@contextmanager
def cannot_write(path: Path) -> Iterator[None]:
    """Raise CannotWrite, which names `path`, where the block meets a full disk, a quota or a folder without
    permission to write."""
    try:
        yield
    except CannotWrite:
        raise
    except OSError as problem:
        if problem.errno not in NO_WRITING:
            raise
        raise CannotWrite(path, os.strerror(problem.errno)) from problem

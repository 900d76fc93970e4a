"""Writing what a run can do without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def said_where_it_fails(what: str) -> Iterator[None]:
    """What is written beside a job must not end a workflow whose other jobs run: a full disk is said, no more."""
    try:
        yield
    except OSError as error:
        with suppress(OSError):  # standard error may go to a file on the same disk, or a terminal that is gone
            print(f"{what} cannot be written: {error.strerror or error}", file=sys.stderr, flush=True)

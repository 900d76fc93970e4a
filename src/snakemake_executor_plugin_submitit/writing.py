"""Writing what a run can do without."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from snakemake_interface_common.exceptions import WorkflowError


@contextmanager
def said_where_it_fails(what: str) -> Iterator[None]:
    """What is written beside a job must not end a workflow whose other jobs run: a full disk is said, no more.

    So is a ledger with a line that nobody of us wrote: jobs that run are followed, and the next start refuses it.
    """
    try:
        yield
    except (OSError, WorkflowError) as error:
        with suppress(OSError):  # standard error may go to a file on the same disk, or a terminal that is gone
            why = getattr(error, "strerror", None) or error
            print(f"{what} cannot be written: {why}", file=sys.stderr, flush=True)

"""Arrays on Slurm: submitit gives every job of an array a pickle of its own, here they share one.

What submitting costs on the submit host is above all the making of files, on a shared file system a question to its
server each. So the commands of an array are pickled once, and each job has a name (a hard link) for that file: its
place in the array says which of the commands is its own.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission

from .allocations import OutsideExecutor
from .payload import RankBatch

_LONGEST_TOGETHER = 4 << 20  # bytes of commands: every rank reads all of them


class ArrayExecutor(OutsideExecutor):
    """submitit's, with one pickle for an array."""

    def _internal_process_submissions(
        self, delayed_submissions: list[DelayedSubmission]
    ) -> list[submitit.Job[Any]]:
        commands: list[Any] = [delayed.function for delayed in delayed_submissions]
        together = sum(len(command.command) for command in commands) <= _LONGEST_TOGETHER
        if len(commands) > 1 and together:
            shared: Any = _Shared(commands)
            delayed_submissions = [shared] * len(commands)
        return super()._internal_process_submissions(delayed_submissions)


class _Shared:
    """What submitit takes for the submission of each job of an array, and asks to be dumped for each."""

    def __init__(self, commands: Sequence[Any]) -> None:
        self._submission = DelayedSubmission(RankBatch(commands))
        self._dumped: Path | None = None

    def set_timeout(self, timeout_min: int, max_num_timeout: int) -> None:
        self._submission.set_timeout(timeout_min, max_num_timeout)

    def dump(self, path: Path) -> None:
        """Write the pickle, or one more name for it where the file system has such links, and room for one more."""
        if self._dumped is not None:
            try:
                os.link(self._dumped, path)
                return
            except OSError:
                path.unlink(missing_ok=True)
        self._submission.dump(path)
        self._dumped = path

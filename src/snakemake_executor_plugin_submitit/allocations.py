"""Submitting from within a Slurm job: its variables would bend what is submitted, so sbatch does not see them.

`os.environ` stays as it is: other threads start processes meanwhile.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import DelayedSubmission

_KEPT = frozenset(["SLURM_CONF", "SLURM_CLUSTERS"])
OF_SLURM = ("SLURM_", "SLURMD_", "SRUN_", "PMI")
_OF_SUBMITIT = ("SUBMITIT_",)


def of_allocation(environment: Mapping[str, str], prefixes: tuple[str, ...]) -> list[str]:
    """The variables that a Slurm job, or a rank in it, has set for itself."""
    return sorted(name for name in environment if name.startswith(prefixes) and name not in _KEPT)


class OutsideExecutor(submitit.SlurmExecutor):
    """submitit's, whose sbatch does not see the variables of a job that Snakemake may itself run in."""

    def _make_submission_command(self, submission_file_path: Path) -> list[str]:
        unset = [f"--unset={name}" for name in of_allocation(os.environ, OF_SLURM + _OF_SUBMITIT)]
        command: list[str] = super()._make_submission_command(submission_file_path)
        return ["env", *unset, *command] if unset else command

    def _internal_process_submissions(
        self, delayed_submissions: list[DelayedSubmission]
    ) -> list[submitit.Job[Any]]:
        """As submitit 1.5.4 does it, which would submit an array by an executor of its own class.

        An executor of ours submits one batch and no more, so that it may stay one of arrays.
        """
        if len(delayed_submissions) == 1:
            return super()._internal_process_submissions(delayed_submissions)
        folder = str(self.folder)
        pickles = [Path(f"{folder}/{uuid.uuid4().hex}.pkl") for _ in delayed_submissions]
        for submission, path in zip(delayed_submissions, pickles, strict=True):
            submission.set_timeout(self.parameters.get("time", 5), self.max_num_timeout)
            submission.dump(path)
        self.parameters["map_count"] = len(pickles)
        first = self._submit_command(self._submitit_command_str)
        ranks = list(range(first.num_tasks))
        ids = [f"{first.job_id}_{index}" for index in range(len(pickles))]
        for job_id, path in zip(ids, pickles, strict=True):  # the jobs may be waiting for them
            path.rename(f"{folder}/{job_id}_submitted.pkl")
        return [submitit.SlurmJob(folder=self.folder, job_id=job_id, tasks=ranks) for job_id in ids]

"""What the user can set on the command line (`--submitit-...`) or in a profile (`submitit-...: value`)."""

from dataclasses import dataclass, field

from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.settings import CommonSettings, ExecutorSettingsBase

CLUSTERS = ("auto", "slurm", "local", "debug")


@dataclass
class ExecutorSettings(ExecutorSettingsBase):
    """Settings of the submitit executor; every field has a default."""

    cluster: str = field(
        default="auto",
        metadata={
            "help": "Where jobs run: slurm, local (processes on this machine), debug (in this process, one "
            "rank, one job after the other), or auto: slurm if srun is found, else local.",
            "choices": list(CLUSTERS),
        },
    )
    folder: str = field(
        default=".snakemake/submitit",
        metadata={
            "help": "Folder for submission files, results and the ranks' logs. It must be shared with the "
            "compute nodes; it is made with mode 0700, because results are pickles.",
        },
    )
    array_parallelism: int = field(
        default=256,
        metadata={"help": "How many jobs of one Slurm array may run at a time.", "type": int},
    )
    max_array_size: int = field(
        default=0,
        metadata={
            "help": "Most jobs in one Slurm array; 0: as many as Slurm takes (MaxArraySize).",
            "type": int,
        },
    )
    status_interval: float = field(
        default=10.0,
        metadata={
            "help": "Seconds between two questions to Slurm's accounting. Results are looked for at every "
            "status check of Snakemake (--seconds-between-status-checks) and need no question.",
            "type": float,
        },
    )
    command_timeout: float = field(
        default=60.0,
        metadata={"help": "Seconds after which a call of sacct, squeue or scancel is given up.", "type": float},
    )
    signal_delay: int = field(
        default=0,
        metadata={
            "help": "Seconds before the time limit at which a job's command gets SIGUSR2; "
            "0 takes a twentieth of the limit, at most 60 s.",
            "type": int,
        },
    )

    max_timeouts: int = field(
        default=1,
        metadata={
            "help": "How often a job that reached its time limit is submitted again, which counts as no retry "
            "(a command that saved its state at the warning goes on from there). Never with --retries 0.",
            "type": int,
        },
    )
    max_interruptions: int = field(
        default=20,
        metadata={
            "help": "How often a job that was preempted, or whose node failed, is submitted again, which counts as "
            "no retry. Never with --retries 0.",
            "type": int,
        },
    )
    again: bool = field(
        default=False,
        metadata={
            "help": "Submit again also what an earlier run gave up for good: jobs that somebody cancelled, that "
            "could never start, or that were submitted again as often as they may be. They are counted anew.",
        },
    )
    patience: float = field(
        default=1800.0,
        metadata={
            "help": "Seconds for which a submission waits for a Slurm that does not answer, before it fails.",
            "type": float,
        },
    )
    blocked_hours: float = field(
        default=72.0,
        metadata={
            "help": "Hours for which a job may wait for what only an administrator can change (a partition or "
            "nodes that are down, a limit of its account or QOS), after which it is cancelled; 0: for ever. The "
            "time in which a Snakemake watched it counts, also an earlier one.",
            "type": float,
        },
    )
    file_latency: float = field(
        default=60.0,
        metadata={
            "help": "Seconds for which a machine may still see a file as it was (NFS caches attributes for up to "
            "acdirmax, 60). A job whose node was given up counts as ended only when its ranks must have seen that, "
            "and a failure is judged without what its ranks say of it only when that must be seen here; where "
            "--latency-wait is longer, that counts.",
            "type": float,
        },
    )
    label: str = field(
        default="",
        metadata={
            "help": "A word in the names of the jobs; by default the workflow's --config study=..., else the name "
            "of its folder. Names also hold the user and a random part."
        },
    )

    def __post_init__(self) -> None:
        if self.cluster not in CLUSTERS:
            raise WorkflowError(f"--submitit-cluster: {self.cluster!r} is not one of {', '.join(CLUSTERS)}")
        least = {
            "array_parallelism": 1,
            "max_array_size": 0,
            "status_interval": 0,
            "command_timeout": 1,
            "signal_delay": 0,
            "max_timeouts": 0,
            "max_interruptions": 0,
            "patience": 0,
            "blocked_hours": 0,
            "file_latency": 0,
        }
        for name, lowest in least.items():
            if getattr(self, name) < lowest:
                option = "--submitit-" + name.replace("_", "-")
                raise WorkflowError(f"{option}: {getattr(self, name)} must be at least {lowest}")


common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    # sbatch and the local controller hand the whole environment on
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)

"""Work that somebody else's run has done: what its logs must be to stand for a case."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed, Slug
from seatrial.config.benchmarks import BENCHMARKS, UNEVENLY_COUNTED, Benchmark, Counted, Direction
from seatrial.config.probe import Preparation
from seatrial.errors import FieldMistake


class HandedOver(Closed):
    """What somebody else's run left behind: nothing of it runs, `seatrial ingest` makes the records."""

    command: ClassVar[str]
    """What makes the records, as it is told to the user."""
    kept_as: ClassVar[str] = ".source"
    """The suffix of what was handed over, where it is kept beside its record."""
    version: Literal[1] = 1
    """Raised whenever what is taken from a log changes, so that old and new records never share a case."""

    @property
    def time_limit_minutes(self) -> float:
        """Nothing runs, so nothing is asked of a scheduler."""
        return 0.0

    def preparations(self) -> list[Preparation]:
        """Nothing runs, so nothing is prepared."""
        return []


class MlperfLogs(HandedOver):
    """Result logs of MLPerf Training, one's own or a vendor's: one result folder, a repeat for each log.

    Nothing runs: `seatrial ingest mlperf` makes the records. Quality and its target are the benchmark's.
    """

    command = "seatrial ingest mlperf FOLDER"
    kept_as = ".mllog"
    kind: Literal["mlperf_logs"]
    benchmark: str
    """As its round spells it: gnn up to v4.1, rgat from v5.0; ssd up to v4.1, retinanet from v5.0."""
    round: str = Field(pattern=r"^v\d+\.\d+$")
    """The round whose rules the logs follow; they are compared with results of this round only."""
    division: Literal["closed", "open"] = "closed"
    submitter: str | None = None
    """Whose logs they are, as the system description has it; None: whoever that names. The submitter's results are
    left out of those that the logs are compared with, declared or not."""

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.benchmark not in BENCHMARKS:
            raise FieldMistake(
                "no such MLPerf Training benchmark", field="benchmark", value=self.benchmark, allowed=BENCHMARKS
            )
        return self

    @property
    def facts(self) -> Benchmark:
        """The benchmark's quality and counts."""
        return BENCHMARKS[self.benchmark]

    @property
    def direction(self) -> Direction:
        """Which way the (first) quality gets better."""
        return self.facts.quality[0].direction

    @property
    def counted_in(self) -> Counted | None:
        """What the logs count training in; None where submitters of that round did it differently."""
        return None if (self.benchmark, self.round) in UNEVENLY_COUNTED else self.facts.counted_in


class NcclTestsLogs(HandedOver):
    """Output of nccl-tests or rccl-tests, text or JSON: a repeat for each run of a test program.

    Ranks are the target's accelerators; a run on fewer or more of them is another case.
    """

    command = "seatrial ingest nccl-tests PATH"
    kind: Literal["nccl_tests_logs"]
    operation: Literal[
        "all_reduce",
        "all_gather",
        "reduce_scatter",
        "all_to_all",
        "broadcast",
        "send_recv",
        "reduce",
        "gather",
        "scatter",
    ]
    dtype: str = Field(default="float32", pattern=r"^[a-z][a-z0-9_]*$")
    """As torch spells it: float32 is nccl-tests' `float`, float16 its `half`."""
    over_ranks: Literal["max", "mean", "min", "rank0"] | None = None
    """What -a made of the processes' times, where the log does not say: nccl-tests takes the mean unless told
    otherwise, Seatrial's own probe the maximum. None: not known, and labelled so."""
    allow_unchecked: bool = False
    """Whether runs whose results were not checked (-c 0) count as results, labelled `checked: false`. Otherwise
    their figures are metrics of their own, collective.unchecked_..., which pass no criterion on the others."""


class FioResults(HandedOver):
    """What fio wrote with --output-format=json or json+: a repeat for each file."""

    command = "seatrial ingest fio PATH"
    kind: Literal["fio_results"]
    storage: Slug | None = None
    """Where the files lay: a name in the target's `storage`, whose rates are the ceiling."""
    job: str | None = None
    """Only results with a job of this name; None: of any."""


class MlperfStorageResults(HandedOver):
    """Results of MLPerf Storage (mlpstorage 1.x and 2.x): a repeat for each run's summary.json."""

    command = "seatrial ingest mlperf-storage PATH"
    kind: Literal["mlperf_storage_results"]
    suite: Literal["checkpointing", "training"]
    model: str | None = None
    """`llama3-8b`, `unet3d`, ... as the results' folder spells it; None: any."""
    storage: Slug | None = None
    """Where checkpoints or data lay: a name in the target's `storage`, whose rates are the ceiling."""

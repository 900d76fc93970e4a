"""Work that somebody else's run has done: what its logs must be to stand for a case."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from seatrial.config.base import Closed
from seatrial.config.benchmarks import BENCHMARKS, UNEVENLY_COUNTED, Benchmark, Counted, Direction
from seatrial.config.probe import Preparation
from seatrial.errors import FieldMistake


class MlperfLogs(Closed):
    """Result logs of MLPerf Training, one's own or a vendor's: one result folder, a repeat for each log.

    Nothing runs: `seatrial ingest mlperf` makes the records. Quality and its target are the benchmark's.
    """

    version: Literal[1] = 1
    """Raised whenever what is taken from a log changes, so that old and new records never share a case."""
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
    def time_limit_minutes(self) -> float:
        """Nothing runs, so nothing is asked of a scheduler."""
        return 0.0

    def preparations(self) -> list[Preparation]:
        """Nothing runs, so nothing is prepared."""
        return []

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

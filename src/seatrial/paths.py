"""Where everything of a study lies; the only place that knows file names."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from seatrial.unwritable import cannot_write

SURVEY_TABLES = (
    "results",
    "spread",
    "medians",
    "coverage",
    "scaling",
    "rounds",
    "form_factors",
    "prices",
    "costs",
    "claims",
)
"""The tables of a survey of the published results."""

PROBE_TABLES: dict[str, tuple[str, ...]] = {
    "bisection": ("bisection", "bisection_pairs"),
    "collective": ("collective", "collective_fit"),
    "nccl_tests_logs": ("collective", "collective_fit"),
    "checkpoint": ("checkpoint", "checkpoint_interval"),
    "moe_alltoall": ("moe_alltoall", "moe_alltoall_slope"),
    "gemm": ("gemm", "gemm_shapes", "devices"),
    "memory": ("devices",),
    "dataload": ("dataload",),
    "screen": ("screen",),
    "fio_results": ("storage_results",),
    "mlperf_storage_results": ("storage_results",),
}
"""The tables that `analyse` writes where a study has a probe, by its kind."""

PREPARED_SUMMARY = "prepared.json"
"""In a prepared folder, written last: whoever finds it finds the whole."""


@dataclass(frozen=True)
class StudyPaths:
    """All paths below `results/<study>/`."""

    root: Path

    @property
    def study(self) -> Path:
        """The composed study (JSON), as it was planned."""
        return self.root / "study.json"

    @property
    def cases(self) -> Path:
        return self.root / "cases"

    def case(self, case_id: str) -> Path:
        return self.cases / f"{case_id}.json"

    def planned(self, digest: str) -> Path:
        """An empty file that is there while study.json and the cases are those of this digest of the plan."""
        return self.root / ".planned" / digest

    def marks_of_plans(self) -> list[Path]:
        """The marks of all plans that were written here."""
        return sorted((self.root / ".planned").glob("[0-9a-f]*"))

    @property
    def prepared(self) -> Path:
        """Base models and data that a rule of their own prepares once."""
        return self.root / "prepared"

    @property
    def records(self) -> Path:
        return self.root / "records"

    def record(self, case_id: str, repeat: int) -> Path:
        # one step for all parts: a study may have 10,000 records
        return self.root.joinpath("records", case_id, f"{repeat}.json")

    def failed_record(self, case_id: str, repeat: int, rerun: int) -> Path:
        """Where the record of a failed repeat is kept when the repeat is run again."""
        return self.records / case_id / f"{repeat}.failed-{rerun}.json"

    def unusable_record(self, case_id: str, repeat: int, number: int) -> Path:
        """Where a file is kept that lay at a record's place and was not the record of its repeat."""
        return self.records / case_id / f"{repeat}.unusable-{number}.json"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def measure_log(self, case_id: str, repeat: int) -> Path:
        return self.root.joinpath("logs", "measure", case_id, f"{repeat}.log")

    def attempts(self, case_id: str, repeat: int) -> Path:
        """Every attempt at a repeat (state, exit code, reason, nodes, times), as the executor left it."""
        return self.measure_log(case_id, repeat).with_suffix(".attempts.json")

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def measurements(self) -> Path:
        return self.tables / "measurements.parquet"

    def measurements_of(self, name: str) -> Path:
        """All rows of a table of measurements that is too long for the page: each case, metric and labels."""
        return self.tables / f"measurements_{name.replace('-', '_')}.csv"

    @property
    def repeats(self) -> Path:
        return self.tables / "repeats.csv"

    @property
    def time_to_quality(self) -> Path:
        return self.tables / "time_to_quality.csv"

    @property
    def comparison(self) -> Path:
        return self.tables / "comparison.csv"

    @property
    def references_used(self) -> Path:
        """The published results behind the references of the comparison, one row each."""
        return self.tables / "references.csv"

    def survey(self, name: str) -> Path:
        """A table of the survey: one of SURVEY_TABLES."""
        return self.tables / f"survey_{name}.csv"

    @property
    def convergence(self) -> Path:
        """Own trainings against their reference convergence points."""
        return self.tables / "convergence.csv"

    @property
    def step_time(self) -> Path:
        """Where the step time of own trainings goes, what of the peak they use, their power and energy."""
        return self.tables / "step_time.csv"

    @property
    def routing(self) -> Path:
        """How evenly experts are chosen, and what sharing them between ranks costs, by case."""
        return self.tables / "routing.csv"

    @property
    def ablation(self) -> Path:
        """What features of the fabric are worth, where a study runs without them."""
        return self.tables / "ablation.csv"

    @property
    def against(self) -> Path:
        """Every metric beside that of an earlier study, where one was named."""
        return self.tables / "against.csv"

    @property
    def against_changes(self) -> Path:
        """What changed since the earlier study: drivers, versions, settings, hosts."""
        return self.tables / "against_changes.csv"

    @property
    def nodes(self) -> Path:
        """What is known of each host over all probes and trainings; also of one that no repeat ran on."""
        return self.tables / "nodes.csv"

    @property
    def node_metrics(self) -> Path:
        """Every host and device beside the others that did the same work, metric by metric."""
        return self.tables / "node_metrics.csv"

    @property
    def noise(self) -> Path:
        """How much the iterations of every run scatter, stall and drift."""
        return self.tables / "noise.csv"

    @property
    def variance(self) -> Path:
        """What share of the differences between runs seeds, nodes, allocations and times of day have."""
        return self.tables / "variance.csv"

    @property
    def exclude(self) -> Path:
        """The nodes that a screening excludes, as one Slurm node list; empty where there are none."""
        return self.root / "exclude.txt"

    def probe_table(self, name: str) -> Path:
        """One of PROBE_TABLES."""
        return self.tables / f"{name}.csv"

    @property
    def emergence(self) -> Path:
        """Tokens to retrieval and to loss, by window."""
        return self.tables / "emergence.csv"

    @property
    def emergence_runs(self) -> Path:
        """Between which evaluations each run reached each quality, or until when it did not."""
        return self.tables / "emergence_runs.csv"

    @property
    def verdicts(self) -> Path:
        return self.root / "verdicts.json"

    @property
    def findings(self) -> Path:
        """What holds the workloads back."""
        return self.root / "findings.json"

    @property
    def procurement(self) -> Path:
        """What a proposed cluster needs for the model that comes next beside what it has, where one is proposed."""
        return self.tables / "procurement.csv"

    @property
    def finish_date(self) -> Path:
        """By which day how many of a hundred runs are done, where a run of weeks is planned."""
        return self.tables / "finish_date.csv"

    @property
    def decisions(self) -> Path:
        """What follows in money and time."""
        return self.root / "decisions.json"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def figure_index(self) -> Path:
        """Every figure with its words, and which tables and cases it is drawn from."""
        return self.figures / "index.json"

    @property
    def report(self) -> Path:
        return self.root / "report.html"

    @property
    def summary(self) -> Path:
        """The page's answer in one screen of Markdown."""
        return self.root / "summary.md"

    @property
    def reruns(self) -> Path:
        """How often each repeat was run again on demand (`rerun=failed`)."""
        return self.root / "reruns.json"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def kept_records(self) -> Path:
        """What was read of the records; whoever finds it gone reads them again."""
        return self.root / ".kept_records.npz"


def series_file(record: Path) -> Path:
    """Where the long series of a record lie."""
    return record.with_name(f"{record.stem}.series.parquet")


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` and rename it into place at the end, so that no half file ever exists.

    On an error inside the block nothing is left and `path` is untouched. Raises CannotWrite where the disk is
    full or the folder cannot be written.
    """
    with cannot_write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        aside = Path(name)
        try:
            yield aside
            aside.chmod(0o666 & ~_umask())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8, aside and renamed."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8")


def _umask() -> int:
    """The process's umask (there is no way to read it without setting it)."""
    mask = os.umask(0)
    os.umask(mask)
    return mask

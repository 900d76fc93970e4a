"""Result folders of our own making, in the form of MLCommons' training_results_vX.Y repositories.

Written from seeds: the same call writes the same bytes. Nothing in them is copied from a real submission;
keys and form are the real ones, values and submitters are not.
"""

from __future__ import annotations

from pathlib import Path

from . import fixtures_failures, fixtures_v3_v4, fixtures_v5_v6
from .benchmarks import BENCHMARKS, Benchmark
from .fixture_set import Fixture, FixtureSet
from .log import RunPlan, log_lines, log_text, runs_of
from .readme import readme
from .submitter import (
    LogFile,
    SubmitterFolder,
    log_file,
    log_files,
    node_power_log,
    scaling,
    switch_power_log,
    system_description,
    write,
)
from .whole_round import write_round

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "Fixture",
    "LogFile",
    "RunPlan",
    "SubmitterFolder",
    "log_file",
    "log_files",
    "log_lines",
    "log_text",
    "node_power_log",
    "runs_of",
    "scaling",
    "switch_power_log",
    "system_description",
    "write_fixtures",
    "write_round",
]


def write_fixtures(root: Path) -> list[Fixture]:
    """Write the committed fixtures and their README below `root`; the list says what is odd about each folder."""
    to = FixtureSet(root)
    fixtures_v3_v4.v31(to)
    fixtures_v3_v4.v40(to)
    fixtures_v3_v4.v41(to)
    fixtures_v5_v6.v50(to)
    fixtures_v5_v6.v51(to)
    fixtures_failures.failed_runs(to)
    fixtures_failures.convergence(to)
    fixtures_failures.deadly(to)
    fixtures_v5_v6.v60(to)
    # the bytes are the point: no line end may change on checkout
    write(root / ".gitattributes", b"* -text\n")
    write(root / "README.md", readme(root, to.fixtures).encode())
    return to.fixtures

"""Everything that follows from the collected tables, in order."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from seatrial.analysis.ablation import ablation
from seatrial.analysis.against.table import against
from seatrial.analysis.collect import count_measurements
from seatrial.analysis.comparison import comparison
from seatrial.analysis.convergence import convergence
from seatrial.analysis.decisions.decisions_file import decisions
from seatrial.analysis.decisions.finish_date_table import finish_date_table
from seatrial.analysis.emergence import emergence
from seatrial.analysis.findings.findings_file import findings
from seatrial.analysis.inputs import read_plan
from seatrial.analysis.nodes import nodes
from seatrial.analysis.noise import noise
from seatrial.analysis.once import reading_once
from seatrial.analysis.probes.tables import probe_tables
from seatrial.analysis.routing import routing
from seatrial.analysis.side_by_side import shared_out
from seatrial.analysis.step_time import step_time
from seatrial.analysis.survey.tables import survey
from seatrial.analysis.time_to_quality import time_to_quality
from seatrial.analysis.variance import variance
from seatrial.analysis.verdicts import verdicts
from seatrial.paths import StudyPaths
from seatrial.reference.published import add_tables

WORTH_A_PROCESS = 50_000
"""Of fewer measurements all tables are made in less time than a second process costs."""


@reading_once()
def analyse(paths: StudyPaths, earlier: Path | None = None) -> list[str]:
    """Write time_to_quality.csv, convergence.csv, comparison.csv, references.csv, findings.json, verdicts.json,
    junit.xml and decisions.json, emergence.csv and emergence_runs.csv where windows are swept, step_time.csv where
    something trains, routing.csv where experts are routed, the tables of the probes, ablation.csv where a feature
    of the fabric is switched off, nodes.csv, node_metrics.csv and noise.csv where anything runs, variance.csv,
    finish_date.csv where a run of weeks is planned, and the survey's tables where the study has one; against.csv
    and against_changes.csv where an `earlier` study's folder is named.

    Returns what is to be said of the study's own result files (which of their results count, and which do not) and
    of the earlier study. Raises UnreadableFile where `collect` has not run, ConfigError where a published subject
    or the earlier study does not exist.
    """
    said = against(paths, earlier)
    # no other table is made of these: the noise of iterations, what differs between runs, nodes, the survey
    apart = [partial(make, paths) for make in (noise, variance, nodes, survey)]
    if count_measurements(paths) < WORTH_A_PROCESS:
        _what_follows(paths)
        for make in apart:
            make()
    else:
        shared_out(partial(_what_follows, paths), apart)
    added = [Path(name).expanduser() for name in read_plan(paths).study.references.tables]
    return [*(add_tables(added).remarks if added else []), *said]


def _what_follows(paths: StudyPaths) -> None:
    """Results, probes, findings, verdicts and decisions: the later ones are made of those before them."""
    time_to_quality(paths)
    comparison(paths)
    convergence(paths)
    emergence(paths)
    step_time(paths)
    routing(paths)
    probe_tables(paths)
    ablation(paths)
    findings(paths)
    verdicts(paths)
    decisions(paths)
    finish_date_table(paths)

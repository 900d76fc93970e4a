"""Everything that follows from the collected tables, in order."""

from __future__ import annotations

from seatrial.analysis.comparison import comparison
from seatrial.analysis.survey.tables import survey
from seatrial.analysis.time_to_quality import time_to_quality
from seatrial.analysis.verdicts import verdicts
from seatrial.paths import StudyPaths


def analyse(paths: StudyPaths) -> None:
    """Write time_to_quality.csv, comparison.csv, references.csv, verdicts.json and junit.xml from the tables, and
    the survey's tables where the study has one.

    Raises UnreadableFile where `collect` has not run, ConfigError where a published subject does not exist.
    """
    time_to_quality(paths)
    comparison(paths)
    survey(paths)
    verdicts(paths)

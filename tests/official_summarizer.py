"""MLCommons' own result summarizer as an oracle: what it makes of result folders, on a copy.

The tool reads scaling.json, scores, and only then checks convergence, which deletes scaling.json and writes its
own. So a folder with a committed scaling.json has its true score on the first pass, and a folder without on the
second; on the first, the factor of its own check is missing, and on the second a committee's factor is.
"""

from __future__ import annotations

import contextlib
import io
import logging
import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlperf_logging.benchmark_meta import get_allowed_benchmarks
from mlperf_logging.compliance_checker import mlp_compliance
from mlperf_logging.result_summarizer.result_summarizer import summarize_results

DEATHS = (ArithmeticError, AssertionError, AttributeError, LookupError, NameError, OSError, TypeError, ValueError)
"""What the tool is seen to die with; anything else is a fault of the oracle."""


@dataclass(frozen=True)
class OfficialScore:
    """What the tool says of one result folder; None where it says nothing."""

    submitter_folder: str
    system: str
    benchmark: str
    score: float | None = None
    """Minutes, scaled."""
    factor: float | None = None
    """The scaling in `score`."""
    global_batch_size: float | None = None
    samples_to_converge: float | None = None
    rcp: str | None = None
    """Pass, Fail, Interp. Fail, Missing, No RCP, Unknown state."""
    energy: float | None = None
    """Joules, scaled like the score."""
    died: str | None = None
    """The exception's name where the tool died on this folder alone."""
    skipped: bool = False
    """The tool passed over the system because of its description."""

    @property
    def path(self) -> str:
        """`<submitter folder>/results/<system>/<benchmark>`."""
        return f"{self.submitter_folder}/results/{self.system}/{self.benchmark}"


def official_scores(folder: Path, round_: str, power: bool = False) -> list[OfficialScore]:
    """The tool's word on every result folder below `folder`: a repository of a round or one submitter's folder.

    `round_` is v5.1, 5.1 or 5.1.0. Power folders are left out of the copy unless `power`. A submitter on whom the
    tool dies is run again folder by folder, each in a copy of its own, so that its sound folders keep their scores.
    """
    ruleset = ruleset_of(round_)
    return [score for submitter in submitters(folder) for score in _of_submitter(submitter, ruleset, power)]


def dies_on(submitter: Path, round_: str, power: bool = False) -> str | None:
    """The name of the exception that ends the tool on a whole submitter's folder, or None."""
    with _copied(submitter, None, power) as copy:
        return _pass(copy, ruleset_of(round_))[1]


def accepts(log: Path, round_: str) -> bool:
    """Whether the compliance check of the round accepts the log; raises what the check dies with."""
    ruleset = ruleset_of(round_)
    mlp_compliance.enqueued_configs.clear()
    checker = mlp_compliance.make_checker(usage="training", ruleset=ruleset, quiet=True, werror=False)
    with _quiet():
        return bool(mlp_compliance.main(str(log), f"training_{ruleset}/common.yaml", checker)[0])


def submitters(folder: Path) -> list[Path]:
    """The submitters' folders in `folder`, which may be one itself."""
    return [
        at for at in (folder, *sorted(folder.iterdir())) if (at / "results").is_dir() and (at / "systems").is_dir()
    ]


def ruleset_of(round_: str) -> str:
    """5.1.0 for v5.1."""
    short = round_.removeprefix("v")
    return short if short.count(".") == 2 else f"{short}.0"


def _of_submitter(submitter: Path, ruleset: str, power: bool) -> list[OfficialScore]:
    places = [
        (system.name, benchmark.name)
        for system in sorted((submitter / "results").iterdir())
        if system.is_dir()
        for benchmark in sorted(system.iterdir())
        if benchmark.is_dir()
    ]
    with _copied(submitter, None, power) as copy:
        together, died = _two_passes(submitter, copy, ruleset, places)
    if died is None:
        return together
    scores = []
    for place in places:
        with _copied(submitter, place, power) as copy:
            alone, died = _two_passes(submitter, copy, ruleset, [place])
        scores += alone if died is None else [OfficialScore(submitter.name, *place, died=died)]
    return scores


def _two_passes(
    submitter: Path, copy: Path, ruleset: str, places: list[tuple[str, str]]
) -> tuple[list[OfficialScore], str | None]:
    """The scores of `places`, and the name of the exception where the tool died instead."""
    first, died = _pass(copy, ruleset)
    second: Mapping[str, Mapping[str, Any]] = {}
    if died is None:
        second, died = _pass(copy, ruleset)
    if died is not None:
        return [], died
    scores = []
    for system, benchmark in places:
        committed = (submitter / "results" / system / benchmark / "scaling.json").is_file()
        scores.append(_score(submitter.name, system, benchmark, (first if committed else second).get(system)))
    return scores, None


def _score(folder: str, system: str, benchmark: str, row: Mapping[str, Any] | None) -> OfficialScore:
    if row is None:
        return OfficialScore(folder, system, benchmark, skipped=True)
    return OfficialScore(
        folder,
        system,
        benchmark,
        score=_number(row, benchmark, "time_to_train"),
        factor=_number(row, benchmark, "rcp_scaling_factor"),
        global_batch_size=_number(row, benchmark, "GBS"),
        samples_to_converge=_number(row, benchmark, "samples_to_converge"),
        rcp=_text(row, benchmark, "RCP"),
        energy=_number(row, benchmark, "Energy"),
    )


def _number(row: Mapping[str, Any], benchmark: str, metric: str) -> float | None:
    value = row[f"{benchmark}:{metric}"]
    return None if value is None or math.isnan(value) else float(value)


def _text(row: Mapping[str, Any], benchmark: str, metric: str) -> str | None:
    return row[f"{benchmark}:{metric}"] or None


def _pass(copy: Path, ruleset: str) -> tuple[Mapping[str, Mapping[str, Any]], str | None]:
    """One run of the tool: the row of its detailed summary by system id, or the exception's name."""
    # a death inside a check leaves the rules it had still to read in a list that the next check takes up
    mlp_compliance.enqueued_configs.clear()
    try:
        with _quiet():
            detailed = summarize_results(str(copy), "training", ruleset)[2]
    except DEATHS as death:
        return {}, type(death).__name__
    if len(detailed) == 0:
        return {}, None
    rows = detailed.to_dict("records")
    return {row["details_url"].rsplit("/systems/", 1)[1].removesuffix(".json"): row for row in rows}, None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The tool prints its findings and logs at warning level, which sets up logging where nobody did."""
    root, silence, was = logging.getLogger(), logging.NullHandler(), logging.root.manager.disable
    root.addHandler(silence)
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(was)
        root.removeHandler(silence)


@contextlib.contextmanager
def _copied(submitter: Path, place: tuple[str, str] | None, power: bool) -> Iterator[Path]:
    """A copy of a submitter's folder, or of one result folder in it with its system description."""
    left_out = () if power else ("power",)
    with tempfile.TemporaryDirectory(prefix="official-") as scratch:
        copy = Path(scratch) / submitter.name
        if place is None:
            for part in ("systems", "results"):
                shutil.copytree(submitter / part, copy / part, ignore=shutil.ignore_patterns(*left_out))
        else:
            system, benchmark = place
            (copy / "systems").mkdir(parents=True)
            description = submitter / "systems" / f"{system}.json"
            if description.is_file():
                shutil.copy(description, copy / "systems")
            at = Path("results") / system / benchmark
            shutil.copytree(submitter / at, copy / at, ignore=shutil.ignore_patterns(*left_out))
        yield copy


def knows(benchmark: str, round_: str) -> bool:
    """Whether the round has the benchmark."""
    return benchmark in get_allowed_benchmarks("training", ruleset_of(round_))

"""Whether the published results know what a study refers to; asked while planning, before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.config.study import References, Study
from seatrial.config.survey import CloudClaim, FormFactorClaim, IntroducedClaim, PublishedClaim, Survey
from seatrial.errors import ConfigError
from seatrial.reference.names import PUBLISHED_ON, canonical_benchmark


def check_references(study: Study, file_of: Callable[[str], Path | str | None]) -> None:
    """Raise ConfigError for a subject, a benchmark or a survey's names that the published results do not have.

    `file_of` names the file that set a key. Reads the table only where the study refers to it.
    """
    claimed = {
        f"experiments.{name}.workload.benchmark": benchmark
        for name, experiment in study.experiments.items()
        if (benchmark := getattr(experiment.workload, "benchmark", None)) is not None
    }
    _check_tables(study, file_of)
    _check_round(study.references, file_of)
    if study.references.survey is not None:
        _check_survey(study.references, study.references.survey, file_of)
    if not claimed and not study.references.subjects:
        return
    # the table needs pandas, which a plan without references shall not pay for
    from seatrial.reference.equivalent import check_benchmark, subject_results
    from seatrial.reference.published import load_tables

    table = load_tables([Path(name).expanduser() for name in study.references.tables])
    for key, benchmark in claimed.items():
        with _named(key.removesuffix(".benchmark"), file_of):
            check_benchmark(benchmark, table)
    for number, subject in enumerate(study.references.subjects):
        with _named(f"references.subjects.{number}", file_of):
            subject_results(subject.round, subject.submitter, subject.system, subject.benchmarks, table)


def _check_tables(study: Study, file_of: Callable[[str], Path | str | None]) -> None:
    for number, name in enumerate(study.references.tables):
        if not Path(name).expanduser().is_file():
            key = f"references.tables.{number}"
            raise ConfigError(
                "there is no such file", file=file_of(key), key=key, value=name, allowed="a file that exists"
            )


def _check_round(references: References, file_of: Callable[[str], Path | str | None]) -> None:
    """Raise ConfigError for a round that neither MLCommons is known to have published nor an added table has."""
    known = set(PUBLISHED_ON)
    if references.round not in known and references.tables:
        from seatrial.reference.published import load_tables

        known |= set(load_tables([Path(name).expanduser() for name in references.tables])["round"])
    if references.round not in known:
        key = "references.round"
        raise ConfigError("no such round", file=file_of(key), key=key, value=references.round, allowed=known)


def _check_survey(references: References, survey: Survey, file_of: Callable[[str], Path | str | None]) -> None:
    """Raise ConfigError where the tables know nothing of a round, a benchmark or a family that the survey names.

    A claim about something misspelt would otherwise read as one that the data cannot speak to.
    """
    from seatrial.reference.published import load_tables

    table = load_tables([Path(name).expanduser() for name in references.tables])
    rounds, families = set(table["round"]), set(table["accelerator_family"])
    benchmarks = {*table["benchmark"], *table["benchmark"].map(canonical_benchmark)}
    named: list[tuple[str, str, set[str]]] = [
        (f"rounds.{number}", name, rounds) for number, name in enumerate(survey.rounds)
    ]
    for number, claim in enumerate(survey.claims):
        if isinstance(claim, IntroducedClaim):
            named += [(f"claims.{number}.benchmarks.{i}", b, benchmarks) for i, b in enumerate(claim.benchmarks)]
        if isinstance(claim, CloudClaim):
            named += [(f"claims.{number}.sizes.{name}", name, benchmarks) for name in claim.sizes]
        if isinstance(claim, IntroducedClaim | PublishedClaim):
            named.append((f"claims.{number}.round", claim.round, {*rounds, *PUBLISHED_ON}))
        if isinstance(claim, FormFactorClaim):
            for i, pair in enumerate(claim.pairs):
                place = f"claims.{number}.pairs.{i}"
                named += [(f"{place}.linked", pair.linked, families), (f"{place}.card", pair.card, families)]
    for place, value, known in named:
        if value not in known:
            key = f"references.survey.{place}"
            raise ConfigError(
                "no such name among the published results", file=file_of(key), key=key, value=value, allowed=known
            )


@contextmanager
def _named(prefix: str, file_of: Callable[[str], Path | str | None]) -> Iterator[None]:
    """Give a ConfigError the key and the file in which the user wrote it."""
    try:
        yield
    except ConfigError as problem:
        full = f"{prefix}.{(problem.key or '').split('.')[-1]}"
        raise ConfigError(
            problem.problem,
            file=file_of(full),
            key=full,
            value=problem.value,
            allowed=problem.allowed,
            nearest=problem.nearest,
        ) from None

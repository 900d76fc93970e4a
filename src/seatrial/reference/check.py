"""Whether the published results know what a study refers to; asked while planning, before anything is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from seatrial.config.study import Study
from seatrial.errors import ConfigError
from seatrial.reference.names import PUBLISHED_ON


def check_references(study: Study, file_of: Callable[[str], Path | str | None]) -> None:
    """Raise ConfigError for a subject or a benchmark that the shipped table does not have.

    `file_of` names the file that set a key. Reads the table only where the study refers to it.
    """
    claimed = {
        f"experiments.{name}.workload.benchmark": benchmark
        for name, experiment in study.experiments.items()
        if (benchmark := getattr(experiment.workload, "benchmark", None)) is not None
    }
    if study.references.round not in PUBLISHED_ON:
        key = "references.round"
        raise ConfigError(
            "no such round", file=file_of(key), key=key, value=study.references.round, allowed=PUBLISHED_ON
        )
    if not claimed and not study.references.subjects:
        return
    # the table needs pandas, which a plan without references shall not pay for
    from seatrial.reference.equivalent import check_benchmark, subject_results

    for key, benchmark in claimed.items():
        with _named(key.removesuffix(".benchmark"), file_of):
            check_benchmark(benchmark)
    for number, subject in enumerate(study.references.subjects):
        with _named(f"references.subjects.{number}", file_of):
            subject_results(subject.round, subject.submitter, subject.system, subject.benchmarks)


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

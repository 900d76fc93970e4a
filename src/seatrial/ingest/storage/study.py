"""Which case a result stands for, and the study that results make by themselves."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from seatrial.case import Case
from seatrial.config.ingested import FioResults, HandedOver, MlperfStorageResults
from seatrial.config.study import Experiment
from seatrial.config.target import Target
from seatrial.errors import ConfigError
from seatrial.ingest.matching import Difference, Match, in_words, match_results, study_of
from seatrial.ingest.storage.result import StorageResult
from seatrial.planned import Plan


def match_storage(
    plan: Plan, kind: type[HandedOver], results: Sequence[StorageResult]
) -> list[Match[StorageResult]]:
    """Each result with the repeat of the case that it stands for. Raises ConfigError where one stands for none."""
    return match_results(plan, kind, results, _differences, lambda result: result.place)


def _differences(result: StorageResult, case: Case) -> list[Difference]:
    workload = case.workload
    compared: list[Difference] = []
    if isinstance(workload, MlperfStorageResults):
        if result.suite is not None:  # a summary that is damaged does not say
            compared.append(("suite", result.suite, workload.suite))
        if workload.model is not None and result.model is not None:
            compared.append(("model", result.model, workload.model))
    if isinstance(workload, FioResults) and workload.job is not None and workload.job not in result.jobs:
        compared.append(("job", ", ".join(result.jobs) or None, workload.job))
    if result.host_count is not None:
        compared.append(("target.nodes", result.host_count, case.target.nodes))
    return [entry for entry in compared if entry[1] != entry[2]]


def study_from_fio(name: str, results: Sequence[StorageResult], words: Sequence[str]) -> Plan:
    """The study that fio's results make by themselves: one experiment, on as many hosts as they name.

    Raises ConfigError where they name different numbers of hosts.
    """
    experiment = Experiment(workload=FioResults(kind="fio_results"), repeats=len(results))
    with in_words(results[0].place):
        return study_of(name, "Results of fio", _target(results), {"fio": experiment}, words)


def study_from_mlperf_storage(name: str, results: Sequence[StorageResult], words: Sequence[str]) -> Plan:
    """The study that results of MLPerf Storage make by themselves: an experiment for each suite and model.

    Raises ConfigError where one says of no suite that it is its, or they name different numbers of hosts.
    """
    for result in results:
        if result.suite is None:
            raise ConfigError(
                "nothing says which suite this is the result of",
                file=result.place,
                key="suite",
                allowed="checkpointing or training in its metadata or its folders' names; or a study in conf/study",
            )
    with in_words(results[0].place):
        experiments = _experiments(results)
        return study_of(name, "Results of MLPerf Storage", _target(results), experiments, words)


def _experiments(results: Sequence[StorageResult]) -> dict[str, Experiment]:
    """One for each suite and model."""
    groups = Counter((result.suite, result.model) for result in results)
    return {
        _slug(f"{suite}-{model}" if model else str(suite)): Experiment(
            workload=MlperfStorageResults.model_validate(
                {"kind": "mlperf_storage_results", "suite": suite, "model": model}
            ),
            repeats=count,
        )
        for (suite, model), count in groups.items()
    }


def _target(results: Sequence[StorageResult]) -> Target:
    counts = sorted({result.host_count or 1 for result in results})
    if len(counts) > 1:
        raise ConfigError(
            "the results are of different numbers of hosts, but a study has one target",
            file=results[0].place,
            key="hosts",
            value=", ".join(map(str, counts)),
            allowed="results of one number of hosts; or a study in conf/study with a case for each",
        )
    hosts = list(dict.fromkeys(host for result in results for host in result.hosts))
    return Target(
        name=_slug(f"storage-of-{hosts[0]}") if hosts else "storage",
        description=f"{counts[0]} host(s)" + (f", of which {hosts[0]}" if hosts else ", not named in the results"),
        nodes=counts[0],
        accelerators_per_node=0,
        tasks_per_node=1,
        device="cpu",
        notes=["known from the results alone: nothing says what the storage is"],
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:64] or "storage"

"""Which published results may stand together, and how a name that nobody published under is refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from seatrial.errors import ConfigError
from seatrial.reference.names import canonical_benchmark, canonical_submitter, participants
from seatrial.reference.published import PublishedResult, load_published
from seatrial.reference.table_file import DIVISIONS, SCORES

Listing = tuple[str, str, str, str, str, str, int]


def twins_once(results: Iterable[PublishedResult]) -> tuple[PublishedResult, ...]:
    """Once every system that a submitter lists several times in a round (as SMC in v4.0, again with power data).

    A score stays before what is none, and of scores the listing of the shortest source, which is the plain one.
    Fastest first.
    """
    kept: dict[Listing, PublishedResult] = {}
    for result in sorted(results, key=lambda r: (r.confidence not in SCORES, len(r.source), r.source, r.minutes)):
        kept.setdefault(_listing(result), result)
    return fastest_first(kept.values())


def _listing(result: PublishedResult) -> Listing:
    return (
        result.round,
        result.division,
        canonical_submitter(result.submitter),
        result.system_id if result.system_id is not None else result.system,
        canonical_benchmark(result.benchmark),
        result.accelerator_family,
        result.accelerators,
    )


def fastest_first(results: Iterable[PublishedResult]) -> tuple[PublishedResult, ...]:
    """By minutes; equal ones in an order that does not depend on the table's."""
    return tuple(sorted(results, key=lambda r: (r.minutes, r.submitter, r.system, r.source)))


def comparable(results: Iterable[PublishedResult]) -> tuple[PublishedResult, ...]:
    """The results that may be part of a median or a fit, fastest first: published scores alone (no rounded claim,
    nothing unverified), no machine without accelerators, twins once."""
    return twins_once(r for r in results if r.confidence in SCORES and r.accelerators > 0)


def submitters_of(results: Sequence[PublishedResult]) -> int:
    """How many different submitters are behind the results."""
    return len({canonical_submitter(r.submitter) for r in results})


def of_benchmark(table: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """The rows of a benchmark under any of its names."""
    return table[table["benchmark"].map(canonical_benchmark) == canonical_benchmark(benchmark)]


def of_others(table: pd.DataFrame, submitter: str) -> pd.DataFrame:
    """The rows without those of `submitter` and those that it took part in."""
    excluded = participants(submitter)
    return table[[excluded.isdisjoint(participants(s)) for s in table["submitter"]]]


def check_division(division: str) -> None:
    """Raise ConfigError for a division that is neither closed nor open."""
    check_known("division", division, DIVISIONS)


def check_round(round_: str, table: pd.DataFrame | None = None) -> None:
    """Raise ConfigError where the table (None: the shipped one) has nothing of this round."""
    check_known("round", round_, (load_published() if table is None else table)["round"])


def check_benchmark(benchmark: str, table: pd.DataFrame | None = None) -> None:
    """Raise ConfigError where no round of the table (None: the shipped one) has this benchmark."""
    table = load_published() if table is None else table
    check_known("benchmark", benchmark, [*table["benchmark"], *table["benchmark"].map(canonical_benchmark)])


def check_family(family: str, table: pd.DataFrame | None = None) -> None:
    """Raise ConfigError where no result of the table (None: the shipped one) is of this accelerator family."""
    check_known("family", family, (load_published() if table is None else table)["accelerator_family"])


def check_submitter(submitter: str, table: pd.DataFrame | None = None) -> None:
    """Raise ConfigError where nobody of this name has a part in any result of the table (None: the shipped one)."""
    table = load_published() if table is None else table
    names = set(table["submitter"])
    everyone = names.union(*[participants(n) for n in names])
    if canonical_submitter(submitter) not in everyone:
        check_known("submitter", submitter, everyone)


def check_known(key: str, value: str, names: Iterable[str], shown: Iterable[str] | None = None) -> None:
    """Raise ConfigError where `value` is none of `names`; `shown` are the names to list, where fewer."""
    known = set(names)
    if value not in known:
        raise ConfigError(
            f"no such {key.split('.')[-1]} among the published results",
            key=key,
            value=value,
            allowed=known if shown is None else set(shown),
        )

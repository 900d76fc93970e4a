"""Group runs in a record: written by the probe, read again by whoever checks the search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seatrial.measure.screen.reading import GroupRun, Reading
from seatrial.record import Measurement, measurement

COMPUTE, EXCHANGE = "screen.compute_time", "screen.exchange_time"


@dataclass(frozen=True)
class RankSeconds:
    """Medians of one group run over its iterations, by member (or pair of neighbours) and local rank."""

    compute: Sequence[Sequence[float]]
    exchange: Sequence[Sequence[float]]

    @property
    def reading(self) -> Reading:
        """The slowest rank of each member and pair."""
        return Reading(tuple(map(max, self.compute)), tuple(map(max, self.exchange)))


def measurements_of(number: int, run: GroupRun, seconds: RankSeconds, names: Sequence[str]) -> list[Measurement]:
    """The measurements of group run `number`: one for products, where there are any, and one for exchanges.

    `names`: of all endpoints. The order of samples is that of the label `members`, and of ranks within each.
    """
    labels: dict[str, str | int | float | bool] = {
        "run": number,
        "step": run.step,
        "members": " ".join(names[m] for m in run.members),
    }
    pieces = ((COMPUTE, seconds.compute), (EXCHANGE, seconds.exchange))
    return [measurement(metric, [s for own in each for s in own], labels) for metric, each in pieces if each]


def group_runs(
    measurements: Sequence[Measurement], names: Sequence[str]
) -> dict[int, tuple[GroupRun, RankSeconds]]:
    """The group runs of a record, by number. Raises ValueError where they are not of `names`, or torn."""
    place = {name: number for number, name in enumerate(names)}
    runs: dict[int, GroupRun] = {}
    found: dict[int, dict[str, list[list[float]]]] = {}
    for m in measurements:
        if m.metric not in (COMPUTE, EXCHANGE):
            continue
        who = str(m.labels["members"]).split()
        if not set(who) <= set(place):
            raise ValueError(f"a group run has members that are none of the endpoints: {' '.join(who)}")
        number = int(m.labels["run"])
        runs[number] = GroupRun(m.labels["step"], tuple(place[name] for name in who))  # type: ignore[arg-type]
        count = len(who) - (m.metric == EXCHANGE)
        each, left = divmod(len(m.samples), count)
        if left or not each:
            raise ValueError(f"group run {number} has {len(m.samples)} samples for {count} members or pairs")
        found.setdefault(number, {})[m.metric] = [m.samples[i * each : (i + 1) * each] for i in range(count)]
    return {
        number: (run, RankSeconds(found[number].get(COMPUTE, []), found[number].get(EXCHANGE, [])))
        for number, run in runs.items()
    }

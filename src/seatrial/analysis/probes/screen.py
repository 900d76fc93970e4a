"""tables/screen.csv: which nodes, devices and links are good or bad; and exclude.txt, the nodes to leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from seatrial.analysis.collect import read_repeat
from seatrial.analysis.probes.records import completed
from seatrial.analysis.tables import AXIS, axis_columns, axis_names, write_csv
from seatrial.case import Case
from seatrial.config.probe import Screen
from seatrial.measure.bisection.matchings import Endpoint, make_endpoints
from seatrial.measure.screen.found import Accused, Rules, Screening
from seatrial.measure.screen.reading import Piece
from seatrial.measure.screen.recorded import RankSeconds, group_runs
from seatrial.measure.screen.search import screen
from seatrial.paths import StudyPaths, write_text
from seatrial.record import Record

COLUMNS = (
    "study",
    "target",
    "experiment",
    "case_id",
    "kind",
    "name",
    "host",
    "standing",
    "piece",
    "ratio",
    "threshold",
    "group_runs",
    "repeats",
    "measured",
    "evidence",
)
"""`threshold`: what counted as slow, more than was asked for where the runs repeat each other too badly for that;
`kind`: node, device or link; `piece`: compute, exchange or both; `ratio`: the least slowness that confirmed it,
over what is typical of known-good members; `group_runs`: in which it was a member, of all completed repeats."""
TEXT_COLUMNS = ("kind", "name", "host", "standing", "piece", "evidence")
STANDINGS = ("bad", "not confirmed", "good", "not tested")
"""The worst first: of several repeats the worst counts, but for what some of them did not test. Not confirmed is
also who is slower than was asked for, but by less than noise lets tell."""
BAD, NOT_CONFIRMED, GOOD, NOT_TESTED = STANDINGS
WORDS = {"compute": "products", "exchange": "exchanges"}
UNKNOWN = "not known: no repeat of the screening was completed"
"""What exclude.txt says then. Slurm refuses it as a node list, so that nobody takes it for a list of none."""
OTHER_RUNS = "its group runs are not those that the search asks for"


@dataclass(frozen=True)
class Screened:
    """One repeat: who was screened, with what result, and the group runs by rank."""

    endpoints: Sequence[Endpoint]
    devices: Sequence[str]
    result: Screening
    seconds: Sequence[RankSeconds]
    asked: float
    """What the workload calls slow."""

    @property
    def kind(self) -> str:
        """What an endpoint is: a node, or on a single host a device."""
        return "node" if len({end.host for end in self.endpoints}) > 1 else "device"


def screening(paths: StudyPaths, cases: Sequence[Case]) -> None:
    """Write screen.csv, a row for each case and node, device or link, and exclude.txt."""
    names = axis_names(case.axes for case in cases)
    rows: list[dict[str, Any]] = []
    for case in cases:
        axes = axis_columns(case.axes, names)
        rows += [row | axes for row in case_rows(paths, case)]
    write_csv(paths.probe_table("screen"), [*COLUMNS, *(AXIS + name for name in names)], rows)
    write_text(paths.exclude, excluded(cases, rows) + "\n")


def excluded(cases: Sequence[Case], rows: Sequence[dict[str, Any]]) -> str:
    """The Slurm node list of what is not to be used again: what the target leaves out already, and bad nodes.

    A bad device takes its node with it. A slow link excludes nobody: both of its ends are good. UNKNOWN where no
    repeat says anything.
    """
    if not any(row["measured"] for row in rows):
        return UNKNOWN
    before = [case.target.launcher.exclude for case in cases if case.target.launcher.exclude]
    bad = {row["host"] for row in rows if row["standing"] == BAD and row["kind"] != "link"}
    return ",".join([*dict.fromkeys(before), *sorted(bad)])


def case_rows(paths: StudyPaths, case: Case) -> list[dict[str, Any]]:
    """The rows of one case: what all of its completed repeats say together."""
    workload = case.workload
    assert isinstance(workload, Screen)
    done, problems = [], []
    for record in completed(paths, case):
        try:
            done.append(replayed(workload, record))
        except ValueError as problem:
            problems.append(f"repeat {record.repeat}: {problem}")
    head: dict[str, Any] = {
        "study": case.study,
        "target": case.target.name,
        "experiment": case.experiment,
        "case_id": case.case_id,
        "threshold": workload.slower.value,
        "repeats": case.repeats,
        "measured": len(done),
    }
    rows = _together(done)
    if len(done) < case.repeats:
        rows.append({"kind": "node", "standing": NOT_TESTED, "evidence": _why_not(paths, case, problems)})
    return [head | row for row in rows]


def replayed(workload: Screen, record: Record) -> Screened:
    """Search again among the group runs of a record, as the ranks did.

    Raises ValueError where they are not the ones that the search asks for.
    """
    facts = record.provenance.get("screen")
    if not isinstance(facts, dict) or record.seed is None:
        raise ValueError("the record does not say which hosts were screened")
    endpoints = make_endpoints([str(host) for host in facts["hosts"]])
    runs = group_runs(record.measurements, [end.name for end in endpoints])
    steps = screen(len(endpoints), Rules.of(workload), record.seed)
    asked = next(steps)
    for number in range(len(runs)):
        if number not in runs or runs[number][0] != asked:
            raise ValueError(OTHER_RUNS)
        try:
            asked = steps.send(runs[number][1].reading)
        except StopIteration as ended:
            if number != len(runs) - 1:
                raise ValueError(OTHER_RUNS) from None
            seconds = [runs[n][1] for n in range(len(runs))]
            devices = [str(device) for device in facts["devices"]]
            return Screened(endpoints, devices, ended.value, seconds, workload.slower.value)
    raise ValueError(OTHER_RUNS)


def _together(done: Sequence[Screened]) -> list[dict[str, Any]]:
    """One row for each subject, with the worst that a repeat says of it."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for screened in done:
        for row in _rows(screened):
            key = (row["kind"], row["name"])
            known = found.setdefault(key, row)
            runs = row["group_runs"] + (known["group_runs"] if known is not row else 0)
            if STANDINGS.index(row["standing"]) < STANDINGS.index(known["standing"]):
                found[key] = row
            found[key]["group_runs"] = runs
    return sorted(found.values(), key=lambda row: (STANDINGS.index(row["standing"]), row["kind"], row["name"]))


def _rows(screened: Screened) -> list[dict[str, Any]]:
    result = screened.result
    rows = []
    for member, end in enumerate(screened.endpoints):
        standing = _standing(result, member)
        row: dict[str, Any] = {"kind": screened.kind, "name": end.name, "host": end.host, "standing": standing}
        row["group_runs"] = sum(member in ran.run.members for ran in result.runs)
        if standing == BAD:
            row |= _accusation(screened, result.bad[member])
            rows += _devices(screened, result.bad[member], row)
        elif standing == GOOD:
            row["evidence"] = f"in a fast group; a member of {row['group_runs']} group runs"
        elif member in result.not_told:
            row["evidence"] = _not_told(screened, member)
        elif standing == NOT_CONFIRMED:
            row["evidence"] = "in slow groups, and no known-good partner could confirm or clear it"
        else:
            row["evidence"] = f"the {len(result.runs)} group runs allowed were spent before it was cleared"
        rows.append(row)
    for accused in result.links.values():
        ends = [screened.endpoints[m] for m in sorted(accused.members)]
        runs = sum(set(accused.members) <= set(ran.run.members) for ran in result.runs)
        link = {"kind": "link", "name": " - ".join(end.name for end in ends), "standing": BAD, "group_runs": runs}
        rows.append(link | {"host": " ".join(end.host for end in ends)} | _accusation(screened, accused))
    if result.unexplained:
        words = f"{result.unexplained} of the orders stayed slow, and nobody in them could be confirmed to be slow"
        rows.append({"kind": "link", "name": "", "standing": NOT_CONFIRMED, "group_runs": 0, "evidence": words})
    return [row | {"threshold": result.threshold} for row in rows]


def _standing(result: Screening, member: int) -> str:
    if member in result.bad:
        return BAD
    if member in result.good:
        return GOOD
    unsure = member in result.suspects or member in result.not_told
    return NOT_CONFIRMED if unsure or result.finished else NOT_TESTED


def _not_told(screened: Screened, member: int) -> str:
    """Why a member of fast groups is not good."""
    slowness, told = screened.result.not_told[member], screened.result.threshold
    return (
        f"not told: {slowness:.2f} times as long as is typical, on average over the runs of all; more than the "
        f"{screened.asked:.2f} asked for, and in this noise only {told:.2f} could be told"
    )


def _accusation(screened: Screened, accused: Accused) -> dict[str, Any]:
    """What was slow, by how much, and the runs that show it."""
    names = [end.name for end in screened.endpoints]
    control = " ".join(names[m] for m in accused.control.run.members)
    partners = list(dict.fromkeys(m for ran in accused.by for m in ran.run.members if m not in accused.members))
    beside = f" beside {' and '.join(names[m] for m in partners)}" if partners else " with each other"
    what = " and ".join(WORDS[piece] for piece in accused.pieces)
    runs = " ".join(str(ran.number) for ran in accused.by)
    words = f"{what}{beside} (runs {runs}) take at least {accused.ratio:.2f} times as long as among {control} "
    words += f"(run {accused.control.number})"
    return {"piece": " ".join(accused.pieces), "ratio": accused.ratio, "evidence": words}


def _devices(screened: Screened, accused: Accused, node: dict[str, Any]) -> list[dict[str, Any]]:
    """The devices of a bad node that are slow in every run that confirmed it, where the node has others too."""
    (member,) = accused.members
    end = screened.endpoints[member]
    control = screened.seconds[accused.control.number]
    slow = set(range(len(end.ranks)))
    for ran in accused.by:
        seconds = screened.seconds[ran.number]
        own: dict[Piece, tuple[Sequence[float], Sequence[Sequence[float]]]] = {
            "compute": (seconds.compute[0] if seconds.compute else (), control.compute),
            "exchange": (seconds.exchange[0], control.exchange),
        }
        over: set[int] = set()
        for piece in accused.pieces:
            mine, others = own[piece]
            limit = screened.result.threshold * median([second for each in others for second in each])
            over |= {place for place, second in enumerate(mine) if second > limit}
        slow &= over
    if len(slow) == len(end.ranks):
        return []
    names = {f"{end.host}:{place}": screened.devices[end.ranks[place]] for place in sorted(slow)}
    return [
        node | {"kind": "device", "name": name, "evidence": f"{device}: {node['evidence']}"}
        for name, device in names.items()
    ]


def _why_not(paths: StudyPaths, case: Case, problems: Sequence[str]) -> str:
    """Why repeats have no result."""
    words = list(problems)
    for number in range(case.repeats):
        repeat = read_repeat(paths, case, number)
        if repeat.record is None:
            words.append(f"repeat {number}: {repeat.problem or 'no record'}")
        elif repeat.record.outcome != "completed":
            said = repeat.record.error.message if repeat.record.error else ""
            words.append(f"repeat {number}: {repeat.record.outcome}: {' '.join(said.split())}")
    return "; ".join(words)

"""The page's section on bisection: what crosses each cut against full bisection, and which pairs are slow."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from seatrial.analysis.probes.bisection import COLUMNS
from seatrial.analysis.probes.bisection_pairs import PAIR_COLUMNS
from seatrial.report.case_links import case_cell
from seatrial.report.drawing import drawn
from seatrial.report.probes.bisection_figures import draw_cuts, draw_pairs
from seatrial.report.probes.bisection_pairs import HOW, not_all_pairs, pairs_table, shortened, slow_words
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables, case_label
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, ratio_words, span, span_of_ratios, table
from seatrial.units import format_bytes, format_figure

CUTS = {
    "random": "random matchings",
    "host_order": "host order, first with last",
    "shift": "shift by half",
    "switch": "by switch",
    "rack": "by rack",
    "rail": "by rail",
}
EXCESS = (
    "more than the links carry as declared: their rate is higher, or hosts that count as several share a machine"
)
TEXT_COLUMNS = ("least", "slow_pairs", "note", "p10_method", "full_basis", "also")
PAIR_TEXT = ("pair", "first", "second", "ranks", "slow_end", "rule", "note")


def section(study: StudyTables) -> ProbeSection | None:
    """Cuts and pairs; None where the study has no bisection.

    Raises UnreadableFile where the tables are absent, or of another study.
    """
    if not any(case.workload.kind == "bisection" for case in study.cases.values()):
        return None
    cuts = study.probe_rows("bisection", COLUMNS, TEXT_COLUMNS)
    pairs = study.probe_rows("bisection_pairs", PAIR_COLUMNS, PAIR_TEXT)
    figures = [
        drawn("bisection_cuts", partial(draw_cuts, study, cuts)),
        drawn("bisection_pairs", partial(draw_pairs, study, pairs)),
    ]
    words = [
        "Bandwidth counts one direction while as much goes the other way; a matching waits for its slowest pair.",
        *(sentence for case_id in study.cases for sentence in _sentences(study, case_id, cuts, pairs)),
    ]
    return ProbeSection(
        name="bisection",
        title="Bisection: between halves, and between pairs",
        short="Bisection",
        words=words if cuts or pairs else ["No repeat was completed."],
        figures=[figure for figure in figures if figure is not None],
        tables=[_cuts_table(study, cuts)] if cuts else [],
        details=[("Every pair", pairs_table(study, pairs))] if pairs else [],
    )


def _sentences(study: StudyTables, case_id: str, cuts: Sequence[Row], pairs: Sequence[Row]) -> list[str]:
    """What a case showed: its worst cut at full scale, what is slow, and what that does to the matchings."""
    label = case_label(study.cases[case_id])
    of_case = [row for row in cuts if row["case_id"] == case_id and row["n"]]
    found = []
    if of_case:
        largest = max(row["scale"] for row in of_case)
        of_largest = [row for row in of_case if row["scale"] == largest]
        worst = [_worst_words(label, row) for row in of_largest if row["worst"]]
        found += worst or [_none_is_worst(label, of_largest)]
    judged: dict[tuple[str, str], list[Row]] = {}
    for row in (row for row in pairs if row["case_id"] == case_id):
        judged.setdefault((row["scope"], row["how"]), []).append(row)
    told = set()
    for (scope, how), rows in judged.items():
        # The ways of measuring follow each other by how much they say of a pair: later ones only add what is slow.
        if scope not in told or any(row["slow"] for row in rows):
            found.append(f"{label}, pairs {scope} {HOW[how]}: {slow_words(rows)}")
            told.add(scope)
    found += not_all_pairs(label, [row for row in pairs if row["case_id"] == case_id])
    held_back = [row for row in of_case if row["cut"] == "random" and row["with_slow_pair"]]
    if held_back:
        random = max(held_back, key=lambda row: float(row["scale"]))
        without = random["without_slow_pair_gbps"]
        rest = f"; those without reach {format_figure(without, 3)} GB/s" if without is not None else ""
        kind = "matching" if random["every"] else "random matching"
        held = f"{int(random['with_slow_pair'])} of {count(int(random['n']), kind)}"
        found.append(f"{label}: {held} hold a slow pair and wait for it{rest}.")
    return found


def _none_is_worst(label: str, rows: Sequence[Row]) -> str:
    """Of cuts whose intervals meet none is called the worst; where there is one set of pairs, there is no other."""
    slowest = min(rows, key=lambda row: float(row["median_gbps"]))
    reach = f"{format_figure(slowest['median_gbps'], 3)} GB/s or more cross each"
    if len(rows) == 1:
        reach = f"{format_figure(slowest['median_gbps'], 3)} GB/s cross it"
        return f"{label}: there is one cut of {_scale(slowest)}, {cut_words(slowest)}: {reach}."
    return f"{label}: no cut of {_scale(slowest)} is worse than the others by more than noise; {reach}."


def cut_words(row: Row) -> str:
    """A cut by all its names, and whether its matchings are all that there are."""
    if row["cut"] == "random" and row["every"]:
        return "every matching"
    also = [CUTS[name] for name in (row["also"] or "").split()]
    return " = ".join([CUTS[row["cut"]], *also])


def _worst_words(label: str, row: Row) -> str:
    what = f"{label}: the worst cut of {_scale(row)} is {cut_words(row)}"
    least = f" ({shortened(row['least'])})" if row["least"] else ""
    words = f"{what}{least}, {format_figure(row['least_gbps'], 3)} GB/s"
    if row["full_gbps"] is not None:
        share = row["least_gbps"] / row["full_gbps"]
        words += f", {ratio_words(share)} of full bisection"
        words += "" if row["slow_pairs"] else f" (oversubscribed {ratio_words(1 / share)} to 1)"
    if row["slow_pairs"]:
        slow = f"{_plural('pair', row['slow_pairs'])} {shortened(row['slow_pairs'])}"
        words += f"; it waits for the slow {slow}, so that it says nothing of the switches above"
    return words + "."


def _cuts_table(study: StudyTables, rows: Sequence[Row]) -> Table:
    columns = [
        ("Case", TEXT),
        ("Cut", TEXT),
        ("GB/s one way", NUMBER),
        ("Of full bisection", NUMBER),
        ("Full bisection", PROSE),
        ("Matchings", PROSE),
    ]
    caption = (
        "Medians with their intervals. Full bisection: the links of all ranks of one half, as they are declared. "
        "The 10th percentile of matchings has a bound that holds whatever their distribution"
    )
    cells = [_cut_cells(study, row) for row in rows]
    return table("bisection-cuts", caption, columns, cells, "tables/bisection.csv")


def _cut_cells(study: StudyTables, row: Row) -> list[Cell]:
    head = [case_cell(study, row["case_id"], _scale(row)), Cell(cut_words(row))]
    if not row["n"]:
        return [*head, Cell("-"), Cell("-"), Cell("-"), Cell("no such cut", row["note"] or "")]
    return [
        *head,
        Cell(format_figure(row["median_gbps"], 3), span(row["low_gbps"], row["high_gbps"])),
        Cell(ratio_words(row["ratio"]), span_of_ratios(row["ratio_low"], row["ratio_high"])),
        _full_cell(row),
        _matchings_cell(row),
    ]


def _full_cell(row: Row) -> Cell:
    """What full bisection would be, and what lies between: oversubscription, a slow pair, or a wrong rate."""
    full, declared, ratio = row["full_gbps"], row["declared_gbps"], row["ratio"]
    if full is None:
        known = row["ratio_to_pairs"]
        by_pairs = f"{ratio_words(known)} of as many pairs by themselves" if known is not None else ""
        return Cell("no links declared", by_pairs)
    words = f"{format_figure(full, 3)} GB/s; "
    if ratio > 1:
        words += EXCESS
    elif row["slow_pairs"] and row["cut"] != "random":
        words += "the cut waits for a slow pair"
    else:
        words += f"oversubscribed {ratio_words(row['oversubscription'])} to 1"
    if declared is not None and declared < full:
        words += f", declared {ratio_words(full / declared)} to 1"
    return Cell(words, row["full_basis"])


def _matchings_cell(row: Row) -> Cell:
    """How many there were and how they spread, under it the slowest one and why."""
    words = [count(int(row["n"]), row["over"].removesuffix("s"), row["over"])]
    words += [row["interval_method"]] if row["low_gbps"] is not None else []
    if row["cut"] == "random":
        words.append(f"mean {format_figure(row['mean_gbps'], 3)} GB/s")
    if row["every"]:
        words.append(f"no 10th percentile: {row['p10_method'].removeprefix('none: ')}")
    if row["p10_gbps"] is not None:
        bound = row["p10_at_least_gbps"]
        sure = (
            f"at least {format_figure(bound, 3)}, {row['p10_method']}" if bound is not None else row["p10_method"]
        )
        words.append(f"10th percentile {format_figure(row['p10_gbps'], 3)} GB/s ({sure})")
    under = [f"slowest {format_figure(row['least_gbps'], 3)} GB/s: {shortened(row['least'] or '')}"]
    under += ["the worst of all cuts: its interval is below the others'"] if row["worst"] else []
    if row["slow_pairs"]:
        under.append(f"holds the slow {_plural('pair', row['slow_pairs'])} {shortened(row['slow_pairs'])}")
    under += [row["note"]] if row["note"] else []
    return Cell("; ".join(words), "; ".join(under))


def _scale(row: Row) -> str:
    size = f", {format_bytes(int(row['size_bytes']))} each" if row["size_bytes"] is not None else ""
    hosts = row["hosts"]
    return (count(int(row["scale"]), "rank") if hosts == 1 else count(int(row["scale"]), "host")) + size


def _plural(one: str, names: str) -> str:
    return one if len(names.split()) == 1 else one + "s"

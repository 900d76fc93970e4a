"""The page's section on results of storage benchmarks that were handed over."""

from __future__ import annotations

from seatrial.analysis.probes import storage_results as handed
from seatrial.analysis.probes.storage_results import is_storage_result
from seatrial.ingest.storage.past_cache import LEAST_SECONDS
from seatrial.report.case_links import case_cell
from seatrial.report.probes.section import ProbeSection
from seatrial.report.study_tables import Row, StudyTables
from seatrial.report.table import NUMBER, PROSE, TEXT, Cell, Table, count, span, table
from seatrial.units import format_figure

TOOLS = {"fio": "fio", "mlperf_storage": "MLPerf Storage"}
NAMES = {
    "storage.write_bandwidth": "written to storage",
    "storage.read_bandwidth": "read from storage",
    "storage.stated_write_bandwidth": "written, not shown to be storage",
    "storage.stated_read_bandwidth": "read, not shown to be storage",
    "storage.page_cache_bandwidth": "page cache, no figure of storage",
    "storage.write_time": "one checkpoint written",
    "storage.read_time": "one checkpoint read",
    "storage.training_throughput": "samples that accelerators were fed",
    "storage.accelerator_utilisation": "share of the time that accelerators did not wait",
}
READING = (
    "Handed over, not measured here. All processes' bytes over the time from the first start to the last end, in "
    "1e9 bytes per second. Nothing but the results themselves says what they ran on, unless the study declares it."
)


def section(study: StudyTables) -> ProbeSection | None:
    """None where the study has no such results. Raises UnreadableFile where analyse has not run."""
    if not any(is_storage_result(case) for case in study.cases.values()):
        return None
    rows = study.probe_rows("storage_results", handed.COLUMNS, handed.TEXT)
    return ProbeSection(
        name="storage-results",
        title="Storage benchmarks of others",
        short="Storage benchmarks",
        words=[*_words(rows), READING],
        tables=[_table(study, rows)],
    )


def _words(rows: list[Row]) -> list[str]:
    """That there is nothing, what is no figure of storage, or what is one by its own statement alone."""
    if not rows:
        return ["No result was handed over that completed."]
    words = []
    cached = [row for row in rows if row["reached"] == "page_cache"]
    if cached:
        reasons = ", ".join(dict.fromkeys(str(row["evidence"]) for row in cached))
        words.append(f"No figure of storage: {count(len(cached), 'row')} of the page cache ({reasons}).")
    stated = [row for row in rows if row["reached"] == "stated"]
    if stated:
        words.append(
            f"Not shown to be storage, named apart: {count(len(stated), 'row')}. What would prove it: of fio a job "
            f"that is direct or flushed, with the bytes in its disk_util, of at least {LEAST_SECONDS:g} s; of "
            "MLPerf Storage its mark that the data do not fit into the hosts' memory."
        )
    return words


def _table(study: StudyTables, rows: list[Row]) -> Table:
    columns = [
        ("Results", TEXT),
        ("Figure", TEXT),
        ("Median", NUMBER),
        ("Repeats", NUMBER),
        ("Of its ceiling", NUMBER),
        ("What shows it", PROSE),
    ]
    caption = "Results of storage benchmarks handed over; medians over repeats"
    cells = [_cells(study, row) for row in rows]
    return table("storage-results", caption, columns, cells, "tables/storage_results.csv")


def _cells(study: StudyTables, row: Row) -> list[Cell]:
    tool = TOOLS.get(str(row["tool"]), str(row["tool"]))
    interval = span(row["low"], row["high"])
    unit = "" if row["unit"] == "1" else f" {row['unit']}"
    share, under = "-", "no ceiling known"
    if row["fraction_of_ceiling"] is not None:
        share = f"{100 * row['fraction_of_ceiling']:.3g} %"
        under = f"{format_figure(float(row['ceiling']), 3)}{unit}: {row['ceiling_basis']}"
    return [
        case_cell(study, row["case_id"], f"{tool}: {row['what']}" if row["what"] else tool),
        Cell(NAMES.get(str(row["metric"]), str(row["metric"])), str(row["direction"] or "")),
        Cell(
            f"{format_figure(row['value'], 3)}{unit}", f"{interval} ({row['interval_method']})" if interval else ""
        ),
        Cell(str(int(row["repeats"])), count(int(row["samples"]), "sample")),
        Cell(share, under if row["reached"] == "storage" or row["ceiling"] is not None else ""),
        Cell(str(row["evidence"] or "")),
    ]

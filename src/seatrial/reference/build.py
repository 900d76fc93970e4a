"""Make the shipped table of published results from the full research table.

Run by hand when the research table changes: `python -m seatrial.reference.build SOURCE [OUTPUT]`. SOURCE is a CSV
of one row per published result, scored from the raw logs of MLCommons' result repositories; columns that no
comparison needs (host, framework, folder, run medians) are left out and the others get the names of
`columns.COLUMNS`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from seatrial.errors import SeatrialError, UnreadableFile
from seatrial.reference.columns import COLUMNS
from seatrial.reference.published import SHIPPED, load_published
from seatrial.reference.table_file import COUNTS

FROM_SOURCE = {
    "accelerators_count": "accelerators",
    "time_to_train_minutes": "minutes",
    "olympic_mean_unscaled_minutes": "unscaled_minutes",
    "rcp_scaling_factor": "rcp_factor",
    "n_runs": "runs",
    "n_success": "successful_runs",
    "samples_or_epochs_to_converge_olympic": "samples_to_quality",
    "notes": "note",
}
"""Columns of the research table that have another name in the shipped one."""
SORTED_BY = ["round", "submitter", "system", "system_id", "accelerators", "benchmark", "source"]


def build(source: Path, output: Path = SHIPPED) -> int:
    """Write `output` from the research table `source`; the number of rows.

    Raises UnreadableFile where the source lacks a column or a row would not pass `load_published`.
    """
    try:
        table = pd.read_csv(source, dtype=str, keep_default_na=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        raise UnreadableFile(source, f"no table: {problem}") from None
    table = table.rename(columns=FROM_SOURCE)
    if "system_name" in table and "system_id" in table:
        table["system"] = table["system_name"].where(table["system_name"] != "", table["system_id"])
    missing = [c for c in COLUMNS if c not in table.columns]
    if missing:
        raise UnreadableFile(source, f"columns missing for: {', '.join(missing)}")
    table = table[list(COLUMNS)].copy()
    for name in COUNTS:
        table[name] = table[name].str.removesuffix(".0")
    # the folder is the source; which of its files were read is the same everywhere
    table["source"] = table["source"].str.replace(r"/result_\*\.txt(?: \+ scaling\.json)?$", "", regex=True)
    table = table.sort_values(SORTED_BY, kind="stable")
    table.to_csv(output, index=False, lineterminator="\n", encoding="utf-8")
    return len(load_published(output))


def main(arguments: list[str]) -> int:
    """Build from the command line's words; the exit code."""
    if not 1 <= len(arguments) <= 2:
        sys.stderr.write("usage: python -m seatrial.reference.build SOURCE [OUTPUT]\n")
        return SeatrialError.exit_code
    try:
        rows = build(*[Path(a) for a in arguments])
    except SeatrialError as problem:
        sys.stderr.write(f"{problem}\n")
        return problem.exit_code
    sys.stdout.write(f"{rows} rows\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The page that stands beside the committed fixtures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from .fixture_set import Fixture

_HEAD = """# Result folders of our own making

In the form of MLCommons' `training_results_vX.Y` repositories, one folder a round; values, submitters and systems
are invented, nothing is copied from a submission. Written by `python -m mlperf_folders data/mlperf` in `tests/`
(this page too); `tests/unit/test_mlperf_fixtures.py` holds every line below against the folders and against the
official tool, `mlperf_logging.result_summarizer`.

To keep them small, most logs are terse: compact JSON, no namespace, file and line, a single evaluation.
`v5.1/Pontoon/.../llama2_70b_lora`, `v4.0/Lighthouse/.../gpt3`, `v5.0/Harbour+Lighthouse` and `v6.0/Lighthouse` are
as the stacks write them.

## How to read the tables
- *official*: what the tool says of the folder by itself. `score`; `no score`; `skipped`: it passes over the system;
  `dies: X`: it ends with exception X, and the submitter's other results are lost with it.
- *check*: its word on convergence (empty: none). `either`: it depends on the order in which the file system lists
  the logs.
- *factor*: `1`; `> 1`: its own check gives it, and since the tool writes `scaling.json` after it has scored, only a
  second pass shows the scaled score; `committed`: a `scaling.json` is in the folder, and only the first pass uses
  it, since the check then deletes it or writes its own.
- *power*: with the power folder left in. Without it the folder scores as the other columns say.

A failed run counts as the slowest: at most one (unet3d: four), or there is no score.
"""


def readme(root: Path, fixtures: Sequence[Fixture]) -> str:
    """The page's text, with a table of `fixtures` and one of the systems found below `root`."""
    lines = [
        _HEAD,
        "## Folders",
        "",
        "| folder | what is odd | official | check | factor | power |",
        "|---|---|---|---|---|---|",
    ]
    for one in fixtures:
        place = one.path.removeprefix("training_results_").replace("/results/", "/")
        lines.append(f"| {place} | {one.trap} | {one.official} | {one.rcp} | {one.factor} | {one.power} |")
    lines += ["", "## Systems", "", "Counts are strings; status and model are free text.", ""]
    lines += ["| system | submitter | status | nodes x accelerators | model |", "|---|---|---|---|---|"]
    for path in sorted(root.glob("*/*/systems/*.json")):
        place = path.relative_to(root).as_posix().removeprefix("training_results_").replace("/systems/", "/")
        lines.append(f"| {place.removesuffix('.json')} | {_row(path)} |")
    return "\n".join([*lines, ""])


def _row(path: Path) -> str:
    try:
        system = json.loads(path.read_text(encoding="latin-1"))
    except json.JSONDecodeError:
        return "not JSON | | |"
    counts = f"{system.get('number_of_nodes', '(missing)')} x {system['accelerators_per_node']}"
    return (
        f"{system['submitter']} | {system['status']} | {counts} | {system['accelerator_model_name'] or '(empty)'}"
    )

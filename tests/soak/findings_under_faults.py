"""Do the findings name what is broken? Each of seven states, five times over, drawn anew. Run by hand:

    make slurm && pytest -s tests/soak/findings_under_faults.py

as root; about forty minutes on two cores. All probes of the study `diagnose` are run. It prints the table of
docs/measured.md. SEATRIAL_FAULT_SEED repeats a run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "slurm"))
from diagnosed_study import ALL, findings, run_diagnosis
from drawn_faults import FAULTS
from faults import Cluster, Draw
from private_slurm import disk_can_be_throttled, processors_can_be_throttled, slurm_network_cluster

__all__ = ["disk_can_be_throttled", "processors_can_be_throttled", "slurm_network_cluster"]
TURNS = range(1, 6)


@pytest.fixture(scope="module")
def draw() -> Iterator[Draw]:
    """One generator for all turns; the table's head before them."""
    chosen = Draw()
    print("\n| broken | turn | drawn | main finding | severity | cost | others | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    yield chosen


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("turn", TURNS)
def test_main_finding(
    turn: int,
    name: str,
    project: Path,
    slurm_network_cluster: Cluster,
    disk_can_be_throttled: None,
    processors_can_be_throttled: None,
    draw: Draw,
    tmp_path: Path,
) -> None:
    cluster, disk, began = slurm_network_cluster, tmp_path / "disk", time.monotonic()
    disk.mkdir()
    fault = FAULTS[name](cluster, draw, disk)
    folder = run_diagnosis(project, cluster, disk, ALL, fault.broken)
    main, *others = findings(folder)
    cost = main.get("cost")
    words = ", ".join(f"{other['cause']} ({other['severity']})" for other in others)
    print(
        f"| {name} | {turn} | {fault.told} | {main['cause']} | {main['severity']} | "
        f"{'' if cost is None else format(cost['value'], '.0%')} | {words} | {time.monotonic() - began:.0f} |",
        flush=True,
    )
    assert main["cause"] == fault.cause
    if fault.cause == "none":
        assert main["severity"] == "none"  # looked for and not found, which "not_known" is not
        assert others == []
    else:
        assert main["severity"] in ("major", "minor"), "the right cause, and sure of it"
    if fault.node is not None:
        assert main["place"]["host"] == fault.node

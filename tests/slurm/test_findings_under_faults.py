"""Do the findings name what is broken? Each of seven states once, drawn at run time.

Five times over, with all probes: tests/soak/findings_under_faults.py. What is looked at is the same for all.
"""

from pathlib import Path

import pytest
from diagnosed_study import findings, run_diagnosis
from drawn_faults import FAULTS
from faults import Cluster, Draw

pytestmark = [pytest.mark.slurm, pytest.mark.alone, pytest.mark.timeout(600)]
PROBES = ("links", "checkpoints", "input")
"""Of the study's six: the others take as long again."""


@pytest.mark.parametrize("name", FAULTS)
def test_main_finding_names_what_is_broken_and_nothing_is_found_where_nothing_is(
    name: str,
    project: Path,
    slurm_network_cluster: Cluster,
    disk_can_be_throttled: None,
    processors_can_be_throttled: None,
    tmp_path: Path,
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    fault = FAULTS[name](slurm_network_cluster, Draw(), disk)
    main, *others = findings(run_diagnosis(project, slurm_network_cluster, disk, PROBES, fault.broken))
    assert main["cause"] == fault.cause, main
    if fault.cause == "none":
        assert main["severity"] == "none" and others == []
    else:
        assert main["severity"] in ("major", "minor"), main
    if fault.node is not None:
        assert main["place"]["host"] == fault.node

"""Do the findings name what is broken? Faults put into the test Slurm for real, drawn at run time.

A training on all four nodes and the probes beside it are run, and analysed by code that knows of no fault.
"""

import pytest
from diagnosed_study import findings, run_diagnosis
from drawn_faults import FAULTS
from faults import Draw

pytestmark = [pytest.mark.slurm, pytest.mark.alone, pytest.mark.timeout(200), pytest.mark.xdist_group("slurm")]
PROBES = ("links",)
"""Beside the training's own times these tell the causes apart; the soak runs all."""

FIRM = [name for name in FAULTS if name != "disk"]
"""Two checkpoints in a run name storage as the main cause, but leave its cost open: the soak alone has that."""


@pytest.mark.parametrize("name", FIRM)
def test_the_main_finding_names_what_is_broken_and_nothing_is_found_where_nothing_is(
    name, project, slurm_network_cluster, disk_can_be_throttled, processors_can_be_throttled, tmp_path
):
    cluster, disk = slurm_network_cluster, tmp_path / "disk"
    disk.mkdir()
    fault = FAULTS[name](cluster, Draw(), disk)
    folder = run_diagnosis(project, cluster, disk, PROBES, fault.broken)
    main, *others = findings(folder)
    assert main["cause"] == fault.cause
    if fault.cause == "none":
        assert main["severity"] == "none"  # looked for and not found, which "not_known" is not
        assert others == []
    else:
        assert main["severity"] in ("major", "minor")
    if fault.node is not None:
        assert main["place"]["host"] == fault.node

"""Do the probes read what is there? Links and disks of the test Slurm made slow, to a rate drawn at run time."""

import pandas
import pytest
from faulted_study import run_study
from faults import Draw, payload_rate, throttled_link

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(300), pytest.mark.xdist_group("slurm")]
MIB = 1 << 20


def test_all_reduce_reads_the_rate_of_a_throttled_link(project, slurm_network_cluster):
    cluster = slurm_network_cluster
    draw = Draw()
    node, mbit = draw.node(cluster.nodes), draw.mbit(100, 250)
    with throttled_link(cluster, node, mbit):
        folder = run_study(
            project, cluster, {"all_reduce": ("collective", {"size_bytes": 8 * MIB, "warmup": 1, "iterations": 5})}
        )
    rows = pandas.read_parquet(folder / "tables" / "measurements.parquet")
    [read] = rows[rows.metric == "collective.bus_bandwidth"]["median"]
    print(rows[rows.metric == "collective.bus_bandwidth"].T)
    assert read * 1e9 == pytest.approx(payload_rate(mbit, cluster.mtu), rel=0.1)

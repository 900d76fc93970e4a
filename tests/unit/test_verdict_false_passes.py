"""What looks measured and is not what was planned: none of it passes."""

from __future__ import annotations

import pytest
from study_on_disk import COLLECTIVE, GEMM, LAPTOP

from seatrial.analysis.verdict_file import read_verdicts
from seatrial.record import measurement

TWO_NODES = {**LAPTOP, "nodes": 2}


def only(study):
    (found,) = read_verdicts(study.analyse())
    return found["verdict"], found["reason"]


@pytest.mark.parametrize(
    ("axes", "hosts", "verdict", "words"),
    [
        (None, [["n1", "n2"]] * 3, "incomplete", "2 of 4 nodes of the fleet were not tested (n3, n4)"),
        (None, [["n1", "n2"], ["n3.cluster", "n4.cluster"], ["n1", "n2"]], "pass", ""),
        (
            {"target.nodes": [2]},
            [["n1", "n2"]] * 3,
            "pass",
            "nothing is said of 2 of 4 nodes of the fleet (n3, n4)",
        ),
        ({"target.nodes": [4]}, [["n1", "n2", "x", "y"]] * 3, "incomplete", "2 of 4 nodes of the fleet"),
    ],
)
def test_a_collective_on_half_of_the_fleet_passes_only_where_that_was_swept(
    make_study, axes, hosts, verdict, words
):
    study = make_study(target=TWO_NODES, fleet=["n[1-4]"])
    (case,) = study.experiment("all", COLLECTIVE, 3, axes)
    for n, names in enumerate(hosts):
        found = measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5)
        study.record(case, n, found, provenance={"hosts": names})
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0)
    found, reason = only(study)
    assert found == verdict and words in reason


def test_repeats_on_different_hosts_are_judged_by_host(make_study):
    study = make_study(target=TWO_NODES, fleet=["n[1-4]"])
    (case,) = study.experiment("gemm", GEMM, 10)
    for n in range(10):
        value, hosts = (1.0, ["n3", "n4"]) if n == 4 else (10.0 + n / 100, ["n1", "n2"])
        found = [measurement("gemm.throughput", [value] * 5, {"rank": rank}) for rank in (0, 1)]
        study.record(case, n, *found, provenance={"hosts": hosts})
    study.criterion("fast", "gemm.throughput", at_least=9.0, minimum_repeats=3)
    verdict, reason = only(study)
    assert verdict == "incomplete" and "host n3" in reason and "3 are the least" in reason


def test_two_names_of_one_host_are_one_node(make_study):
    study = make_study(target=TWO_NODES)
    (case,) = study.experiment("all", COLLECTIVE, 3)
    for n in range(3):
        found = measurement("collective.bus_bandwidth", [12.0 + n / 10] * 5)
        study.record(case, n, found, provenance={"hosts": ["n1", "n1.cluster"]})
    study.criterion("fast", "collective.bus_bandwidth", at_least=1.0)
    verdict, reason = only(study)
    assert verdict == "incomplete" and "1 of 2 nodes" in reason

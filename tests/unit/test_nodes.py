"""Each node beside its fleet: the slow one is named, a healthy fleet has none, what did not run is never fine."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter, ValidationError
from study_on_disk import GEMM

from seatrial.analysis.node_metrics import chance_of
from seatrial.analysis.nodes import node_uses
from seatrial.analysis.statistics import benjamini_hochberg, robust_z
from seatrial.config.differences import HostList
from seatrial.errors import ConfigError
from seatrial.record import measurement

HOSTS = ["n1", "n2", "n3", "n4", "n5", "n6"]
TRAIN = {"kind": "moe", "quality": {"metric": "evaluation_loss", "target": 2.5}}


def of_ranks(rng, hosts, slow=(), per_host=1, by=1.3):
    """GEMM throughput and memory bandwidth of every rank, with 1 % noise; on a slow host `by` times slower."""
    names = [host for host in hosts for _ in range(per_host)]
    found = []
    for rank, host in enumerate(names):
        for metric in ("gemm.throughput", "memory.bandwidth"):
            value = 100 * np.exp(0.01 * rng.standard_normal()) / (by if host in slow or rank in slow else 1)
            found.append(measurement(metric, [value], {"rank": rank, "device": "cuda:0", "dtype": "float32"}))
    return names, found


def measured(make_study, slow=(), repeats=3, hosts=HOSTS, per_host=1, seed=0, by=1.3, **study):
    made, rng = make_study(**study), np.random.default_rng(seed)
    (case,) = made.experiment("gemm", GEMM, repeats)
    for repeat in range(repeats):
        names, found = of_ranks(rng, hosts, slow, per_host, by)
        made.record(case, repeat, *found, provenance={"hosts": names})
    return made


def tables(paths):
    return pd.read_csv(paths.nodes).set_index("host"), pd.read_csv(paths.node_metrics)


def test_a_slow_node_is_named_with_the_metrics_in_which_it_is_slow(make_study):
    nodes, metrics = tables(measured(make_study, slow=["n3"]).analyse())
    assert nodes["standing"].to_dict() == {h: "slow" if h == "n3" else "not_slow" for h in HOSTS}
    assert nodes.loc["n3", "slow_in"] == "gemm.throughput memory.bandwidth"
    assert nodes.loc["n3", "worst_slower_by"] == pytest.approx(0.3, abs=0.05)
    assert nodes.loc["n3", "worst_q_value"] <= 0.05
    row = metrics[(metrics["host"] == "n3") & (metrics["metric"] == "gemm.throughput")].iloc[0]
    assert row["robust_z"] > 3.5
    assert (row["measured"], row["fleet"]) == (3, 6)
    assert row["value"] < row["fleet_median"]


def test_one_slow_device_of_a_node_is_named_by_its_place(make_study):
    nodes, metrics = tables(measured(make_study, slow=[9], per_host=4).analyse())
    assert nodes.loc["n3", "standing"] == "slow"
    assert str(nodes.loc["n3", "slow_devices"]) in ("1", "1.0")
    assert set(metrics["fleet"]) == {6, 24}
    assert (nodes.drop("n3")["standing"] == "not_slow").all()


def test_of_five_healthy_fleets_none_has_a_slow_node(make_study):
    for seed in range(5):
        nodes, _ = tables(measured(make_study, repeats=1, seed=seed, name=f"trial{seed}").analyse())
        assert "slow" not in set(nodes["standing"])


def test_nodes_that_ran_nothing_or_completed_nothing_are_never_fine(make_study):
    study = measured(make_study, fleet=["n[1-8]"])
    (case,) = study.experiment("other", GEMM | {"m": 256}, 1)
    study.record(
        case, 0, outcome="failed", error={"kind": "crashed", "message": "it died"}, provenance={"hosts": ["n7"]}
    )
    paths = study.analyse()
    nodes, _ = tables(paths)
    assert nodes.loc["n8", ["allocated", "standing", "note"]].tolist() == [0, "not_tested", "no repeat ran on it"]
    assert nodes.loc["n7", ["allocated", "completed", "standing"]].tolist() == [1, 0, "not_measured"]
    assert nodes.loc["n7", "note"] == "none of its 1 repeats completed"
    assert [host for host, use in node_uses(paths).items() if not use.tested] == ["n7", "n8"]
    assert node_uses(paths)["n1"].completed == 3


def test_a_host_with_its_domain_is_the_one_of_the_fleet_without(make_study):
    full = [f"{host}.cluster" for host in HOSTS]
    nodes, _ = tables(measured(make_study, slow=["n3.cluster"], hosts=full, fleet=["n[1-7]"]).analyse())
    assert list(nodes.index) == [*HOSTS, "n7"]
    assert nodes.loc["n3", "standing"] == "slow" and nodes.loc["n1", "completed"] == 3
    assert nodes.loc["n7", "standing"] == "not_tested"


def test_what_is_measured_only_together_is_not_measured_of_a_node(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 2)
    for repeat in range(2):
        study.record(case, repeat, measurement("train.step_time", [1.0]), provenance={"hosts": HOSTS})
    nodes, metrics = tables(study.analyse())
    assert set(nodes["standing"]) == {"not_measured"}
    assert nodes["note"].str.contains("only together").all()
    assert metrics.empty


def test_a_repeat_on_one_host_alone_speaks_for_that_host(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 8)
    for repeat in range(8):
        seconds = 1.5 if repeat == 5 else 1.0 + repeat / 1000
        found = measurement("train.step_time", [seconds])
        study.record(case, repeat, found, provenance={"hosts": [f"n{repeat}", f"n{repeat}"]})
    nodes, _ = tables(study.analyse())
    assert nodes.index[nodes["standing"] == "slow"].tolist() == ["n5"]


def test_the_slow_end_of_pairs_is_named(make_study):
    study = make_study()
    (case,) = study.experiment("gemm", GEMM, 1)
    rng = np.random.default_rng(1)
    found = []
    for a, first in enumerate(HOSTS):
        for second in HOSTS[a + 1 :]:
            value = 10 * np.exp(0.01 * rng.standard_normal()) / (2 if "n4" in (first, second) else 1)
            labels = {"how": "alone", "scope": "across hosts", "scale": 6, "first": first, "second": second}
            found.append(measurement("bisection.pair_bandwidth", [value], labels | {"pair": f"{first}-{second}"}))
    study.record(case, 0, *found, provenance={"hosts": HOSTS})
    nodes, _ = tables(study.analyse())
    assert nodes.index[nodes["standing"] == "slow"].tolist() == ["n4"]


def test_two_nodes_are_too_few_and_a_fleet_of_three_is_not_sure(make_study):
    nodes, _ = tables(measured(make_study, slow=["n1"], hosts=["n1", "n2"], name="two").analyse())
    assert set(nodes["standing"]) == {"too_few"}
    assert nodes["note"].str.contains("too few to tell the odd one").all()
    study = make_study(name="three")
    (case,) = study.experiment("gemm", GEMM, 1)
    seconds = (1.2, 1.0, 1.02)
    found = [measurement("train.rank_time", [value], {"rank": rank}) for rank, value in enumerate(seconds)]
    study.record(case, 0, *found, provenance={"hosts": ["n1", "n2", "n3"]})
    nodes, _ = tables(study.analyse())
    assert nodes.loc["n1", "standing"] == "inconclusive"
    assert "by chance" in nodes.loc["n1", "note"]


def test_thresholds_are_the_study_s(make_study):
    large = {"node_slower_by": {"value": 0.5, "source": "agreed"}}
    nodes, _ = tables(measured(make_study, slow=["n3"], differences=large).analyse())
    assert set(nodes["standing"]) == {"not_slow"}


@pytest.mark.parametrize("wrong", ["n[3-1]", "n[1-4", "a b", "", "n[]", ",n1", "n[1-2]]", "a" * 5000 + "["])
def test_a_fleet_that_is_no_list_of_hosts_is_refused_when_it_is_planned(wrong):
    with pytest.raises(ValidationError, match="not a list of hosts"):
        TypeAdapter(HostList).validate_python(wrong)


def test_a_fleet_too_large_to_be_meant_is_refused(make_study):
    with pytest.raises(ConfigError, match="fleet"):
        measured(make_study, fleet=["n[1-9999999]"]).analyse()


@pytest.mark.parametrize("size", [4, 6, 16])
def test_the_chance_of_a_robust_z_is_that_of_fleets_of_the_same_size(size):
    fleets = np.random.default_rng(99).standard_normal((20_000, size))
    away = fleets - np.median(fleets, axis=1, keepdims=True)
    z = (away / (1.4826 * np.median(abs(away), axis=1, keepdims=True))).ravel()
    for bound in (1.0, 3.5):
        assert chance_of(bound, size) == pytest.approx((z >= bound).mean(), rel=0.15, abs=0.0005)
    assert 0 < chance_of(1e9, size) < 1e-4
    assert chance_of(-1e9, size) == 1


def test_the_page_names_slow_and_untested_nodes(make_study):
    from seatrial.report.page import report

    study = measured(make_study, slow=["n3"], fleet=["n[1-7]"])
    paths = study.analyse()
    report(paths)
    page = paths.report.read_text()
    assert "Of 7 nodes: 1 slow, 1 not tested, 5 not slow." in page
    assert "gemm.throughput, memory.bandwidth" in page
    assert "no repeat ran on it" in page


def slow_in_fleet(random, nodes, metrics, noise, slower=1.0):
    """Which members of a simulated fleet are called slow; the first is `slower` times slower in every metric."""
    found = []
    for _ in range(metrics):
        logs = noise * random.standard_normal(nodes)
        logs[0] += np.log(slower)
        excess = np.exp(logs - np.median(logs)) - 1
        found += list(zip(range(nodes), robust_z(list(logs)), excess, strict=True))
    adjusted = benjamini_hochberg([chance_of(z, nodes) for _, z, _ in found])
    return {n for (n, z, by), q in zip(found, adjusted, strict=True) if q <= 0.05 and z > 3.5 and by > 0.05}


def test_at_most_one_healthy_fleet_in_twenty_has_a_slow_node_and_a_slow_one_is_found_among_four():
    random = np.random.default_rng(20261123)
    trials = 300
    accused = sum(bool(slow_in_fleet(random, 6, 5, 0.08)) for _ in range(trials))
    assert accused / trials <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / trials)
    caught = sum(slow_in_fleet(random, 4, 2, 0.02, 1.3) == {0} for _ in range(trials))
    assert caught / trials >= 0.9

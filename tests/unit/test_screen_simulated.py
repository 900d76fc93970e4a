"""Bad-node screening in simulation: few group runs at 232 nodes, and nobody is accused wrongly."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from screen_cluster import RULES, MadeUpCluster, screened

from seatrial.measure.screen.chains import chain, kept_apart, neighbours, number_of_chains
from seatrial.measure.screen.found import Rules

NODES = 232
TRIALS = 1000
QUIET = {"spread": 0.0, "noise": 0.0, "hiccups": 0.0, "disturbed": 0.0}


@dataclass
class Trials:
    """What came of many simulated clusters."""

    runs: list[int] = field(default_factory=list)
    false: int = 0
    """Trials in which a good node or link was accused."""
    missed: int = 0
    """Trials in which a bad node was not found."""

    @property
    def p95(self) -> int:
        """The number of group runs that 95 % of the trials do not exceed."""
        return sorted(self.runs)[math.ceil(0.95 * len(self.runs)) - 1]


def simulate(bad_nodes: int, trials: int) -> Trials:
    """Clusters with bad nodes 20 to 60 % slow, in products, exchanges or both, at places drawn by seed."""
    found = Trials()
    for trial in range(trials):
        source = np.random.default_rng([bad_nodes, trial])
        bad = set(source.choice(NODES, bad_nodes, replace=False).tolist())
        slowness = {node: source.uniform(1.2, 1.6) for node in sorted(bad)}
        where = {node: int(source.integers(3)) for node in sorted(bad)}
        compute = {node: slowness[node] for node in bad if where[node] != 1}
        network = {node: slowness[node] for node in bad if where[node] != 0}
        result = screened(MadeUpCluster(NODES, source, compute, network), seed=trial)
        found.runs.append(len(result.runs))
        found.false += bool(set(result.bad) - bad or result.links)
        found.missed += not bad <= set(result.bad)
        assert all(len(accused.by) >= 2 for accused in result.bad.values()), "confirmed more than once"
    return found


@pytest.mark.parametrize(("bad_nodes", "most"), [(1, 22), (3, 57)])
def test_few_group_runs_find_bad_nodes_among_232_and_accuse_nobody_wrongly(bad_nodes, most):
    found = simulate(bad_nodes, TRIALS)
    print(f"{bad_nodes} of {NODES}: 95 % within {found.p95} runs, at most {max(found.runs)}; missed {found.missed}")
    assert found.p95 <= most
    assert math.log2(math.comb(NODES, bad_nodes)) < min(found.runs), "each run tells at most one bit"
    assert found.false == 0
    assert found.missed <= 0.01 * TRIALS


def test_healthy_cluster_is_cleared_by_a_run_of_each_order_and_nobody_is_accused():
    found = simulate(0, 300)
    assert sorted(found.runs)[150] <= 3
    assert found.false == 0


@settings(deadline=None, max_examples=60)
@given(st.integers(3, 40), st.integers(0, 10_000), st.data())
def test_without_noise_every_slow_node_is_found_and_no_other(nodes, seed, data):
    bad = data.draw(st.sets(st.integers(0, nodes - 1), max_size=nodes // 6 or 1))
    compute = {node: 1.4 for node in bad if data.draw(st.booleans())}
    network = {node: 1.3 for node in bad if node not in compute}
    cluster = MadeUpCluster(nodes, np.random.default_rng(seed), compute, network, **QUIET)
    result = screened(cluster, seed)
    assert set(result.bad) == bad and not result.links
    assert result.good == set(range(nodes)) - bad
    assert all(result.bad[node].pieces == (("compute",) if node in compute else ("exchange",)) for node in bad)
    assert result.finished and not result.unexplained


@settings(deadline=None, max_examples=40)
@given(st.integers(4, 40), st.integers(0, 10_000), st.data())
def test_slow_link_between_good_nodes_is_a_link_and_not_a_node(nodes, seed, data):
    number = data.draw(st.integers(0, min(2, number_of_chains(nodes)) - 1))
    link = data.draw(st.sampled_from(neighbours(chain(nodes, seed, number))))
    cluster = MadeUpCluster(nodes, np.random.default_rng(seed), links={link: 1.5}, **QUIET)
    result = screened(cluster, seed)
    assert set(result.links) == {link}
    assert not result.bad and result.good == set(range(nodes))


def test_noise_that_the_threshold_cannot_stand_raises_it_and_accuses_nobody():
    """Four ranks of a crowded machine, whose readings differ by half: slow is only what stands out from that."""
    for seed in range(60):
        result = screened(MadeUpCluster(4, np.random.default_rng(seed), noise=0.8), seed)
        assert result.threshold > RULES.slower and not result.bad and not result.links


@pytest.mark.parametrize("piece", ["compute", "network"])
def test_noise_that_hides_a_slow_node_does_not_clear_it(piece):
    """One of 16 is 1.5 times slow, while readings scatter so much that less than about that cannot be told."""
    hidden, healthy = 0, 0
    for seed in range(100):
        noisy = MadeUpCluster(16, np.random.default_rng(seed), noise=0.15, hiccups=0.0, **{piece: {5: 1.5}})
        result = screened(noisy, seed)
        assert 5 not in result.good, seed
        assert set(result.bad) <= {5}
        hidden += 5 not in result.bad
        healthy += len(result.good)
    assert hidden > 10, "else nothing is shown"
    assert healthy > 1000, "of 1,500: most who are not slow are cleared all the same"


def test_a_fabric_that_many_nodes_crowd_hides_no_slow_node():
    """Pairs are twice as fast as a run of all: they are held against other pairs."""

    class Crowded(MadeUpCluster):
        def measure(self, run):
            reading = super().measure(run)
            crowd = 2 if len(run.members) >= 16 else 1
            return type(reading)(reading.compute, [crowd * second for second in reading.exchange])

    found = [
        set(screened(Crowded(64, np.random.default_rng(seed), network={seed % 64: 1.4}), seed).bad) == {seed % 64}
        for seed in range(40)
    ]
    assert sum(found) == 40


def test_confirmation_during_which_the_control_slows_down_too_confirms_nobody():
    """Something slows all down while the suspect is tested: that it is slow then says nothing."""

    class Disturbed(MadeUpCluster):
        before = ""

        def measure(self, run):
            reading = super().measure(run)
            factor = 2.0 if "node" in (run.step, self.before) and run.step in ("node", "control") else 1.0
            self.before = run.step
            return type(reading)([factor * s for s in reading.compute], [factor * s for s in reading.exchange])

    result = screened(Disturbed(40, np.random.default_rng(5), compute={7: 1.4}, **QUIET), 5)
    assert not result.bad and not result.links
    assert result.suspects == {7} and 7 not in result.good


def test_of_three_nodes_the_slow_one_is_told():
    result = screened(MadeUpCluster(3, np.random.default_rng(1), compute={1: 1.5}, **QUIET), 4)
    assert set(result.bad) == {1} and result.good == {0, 2}


def test_a_spent_budget_accuses_nobody_and_clears_nobody_in_slow_groups():
    rules = Rules(slower=1.13, passes=2, confirmations=2, most_runs=4)
    result = screened(MadeUpCluster(40, np.random.default_rng(2), compute={7: 1.5}, **QUIET), 1, rules)
    assert not result.finished and len(result.runs) == 4
    assert 7 not in result.good and not result.bad


def test_what_three_nodes_cannot_tell_is_a_suspect_and_not_an_accusation():
    """A slow link of three nodes: in some orders the only control is a pair with one of its ends."""
    results = [
        screened(MadeUpCluster(3, np.random.default_rng(3), links={frozenset((0, 1)): 1.5}, **QUIET), seed)
        for seed in range(20)
    ]
    assert all(not result.bad and set(result.links) <= {frozenset((0, 1))} for result in results)
    assert all(result.links or result.suspects <= {0, 1} for result in results)
    assert any(result.suspects for result in results)


@settings(deadline=None)
@given(st.integers(2, 61), st.integers(0, 1000))
def test_chains_hold_everyone_once_and_together_make_all_neighbours(members, seed):
    chains = [chain(members, seed, number) for number in range(number_of_chains(members))]
    assert all(sorted(order) == list(range(members)) for order in chains)
    pairs = [pair for order in chains for pair in neighbours(order)]
    assert len(set(pairs)) == members * (members - 1) // 2
    if members % 2 == 0:
        assert len(set(pairs)) == len(pairs), "no pair twice"


@settings(deadline=None)
@given(st.integers(3, 30), st.data())
def test_known_slow_links_are_never_neighbours_again(members, data):
    pair = st.sets(st.integers(0, members - 1), min_size=2, max_size=2).map(frozenset)
    links = data.draw(st.sets(pair, max_size=4))
    order = kept_apart(range(members), links)
    assert not set(neighbours(order)) & links
    assert len(order) == len(set(order)) and set(order) <= set(range(members))

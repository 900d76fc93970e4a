"""Who sends to whom: perfect matchings between halves, at every number of hosts and ranks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.config.probe import Bisection
from seatrial.config.target import Target
from seatrial.errors import Unsupported
from seatrial.measure.bisection import matchings
from seatrial.measure.bisection.ceiling import full_bisection_of, pair_ceiling
from seatrial.measure.bisection.matchings import Matching, make_endpoints, rank_endpoints
from seatrial.measure.bisection.run import Step, plan_steps
from seatrial.measure.topology import Topology

HOSTS = st.integers(2, 9)


def of_rank(hosts: int, per_host: int = 1) -> list[str]:
    return [f"n{host}" for host in range(hosts) for _ in range(per_host)]


def names(matching: Matching) -> list[str]:
    return [pair.name for pair in matching.pairs]


def steps(hosts: list[str], seed: int = 3, topology: Topology | None = None, **words: Any) -> list[Step]:
    return list(plan_steps(Bisection(kind="bisection", **words), hosts, seed, topology, {}))


def check_disjoint(matching: Matching) -> None:
    """Every rank that sends has one peer, and is that peer's."""
    both = [rank for pair in matching.pairs for two in pair.ranks for rank in two]
    assert len(set(both)) == len(both)
    assert all(matching.peer_of[peer] == rank for rank, peer in matching.peer_of.items())


@given(HOSTS, st.integers(1, 4), st.integers(0, 99), st.integers(0, 40), st.data())
def test_random_matching_pairs_whole_hosts_rank_by_rank(
    hosts: int, per_host: int, seed: int, number: int, data: Any
) -> None:
    endpoints = make_endpoints(of_rank(hosts, per_host))
    size = data.draw(st.integers(2, len(endpoints)))
    found = matchings.random_matching(endpoints, seed, number, size)
    check_disjoint(found)
    assert len(found.pairs) == size // 2
    assert len(found.idle) == size % 2
    for pair in found.pairs:
        assert pair.across_hosts
        assert pair.ranks == tuple(zip(pair.first.ranks, pair.second.ranks, strict=True))
    assert found == matchings.random_matching(endpoints, seed, number, size), "every rank draws the same"


def test_other_numbers_and_seeds_draw_other_matchings() -> None:
    endpoints = make_endpoints(of_rank(12))
    drawn = {tuple(names(matchings.random_matching(endpoints, s, n, 12))) for s in range(3) for n in range(10)}
    assert len(drawn) == 30


@given(st.sampled_from([3, 5, 7]), st.integers(0, 5))
def test_with_an_odd_number_each_sits_out_in_turn(hosts: int, seed: int) -> None:
    endpoints = make_endpoints(of_rank(hosts))
    idle = [matchings.random_matching(endpoints, seed, number, hosts).idle for number in range(hosts)]
    assert sorted(name for (name,) in idle) == sorted(endpoint.name for endpoint in endpoints)
    assert matchings.shifted(endpoints).idle == matchings.mirrored(endpoints).idle == (f"n{hosts - 1}",)


def test_cuts_of_four_hosts() -> None:
    endpoints = make_endpoints(of_rank(4))
    assert names(matchings.shifted(endpoints)) == ["n0-n2", "n1-n3"]
    assert names(matchings.mirrored(endpoints)) == ["n0-n3", "n1-n2"]
    group = {"n0": "b", "n1": "a", "n2": "b", "n3": "a"}
    assert names(matchings.by_group(endpoints, group)) == ["n0-n1", "n2-n3"], "every pair lies across switches"
    with pytest.raises(ValueError, match="all of them are in s1"):
        matchings.by_group(endpoints, dict.fromkeys(group, "s1"))


def test_a_single_host_is_halved_by_ranks() -> None:
    endpoints = make_endpoints(of_rank(1, 4))
    assert [endpoint.name for endpoint in endpoints] == ["n0:0", "n0:1", "n0:2", "n0:3"]
    (cut, *_) = steps(of_rank(1, 4))
    assert names(cut.matching) == ["n0:0-n0:3", "n0:1-n0:2"]
    assert cut.hosts == 1 and not cut.matching.pairs[0].across_hosts


@given(HOSTS, st.integers(2, 5))
def test_rails_cross_to_other_rails_of_other_hosts(hosts: int, per_host: int) -> None:
    found = matchings.by_rail(make_endpoints(of_rank(hosts, per_host)))
    check_disjoint(found)
    assert len(found.peer_of) == 2 * hosts * (per_host // 2)
    for lower, upper in (two for pair in found.pairs for two in pair.ranks):
        assert lower // per_host != upper // per_host
        assert lower % per_host < per_host // 2 and upper % per_host >= per_host - per_host // 2


@settings(max_examples=40)
@given(st.integers(2, 14))
def test_every_pair_meets_once_in_a_tournament(hosts: int) -> None:
    endpoints = make_endpoints(of_rank(hosts, 2))
    rounds = matchings.tournament(endpoints, 127)
    for matching in rounds:
        check_disjoint(matching)
        assert len(matching.pairs) == hosts // 2 and len(matching.idle) == hosts % 2
    met = [name for matching in rounds for name in names(matching)]
    assert sorted(met) == sorted(f"n{a}-n{b}" for a in range(hosts) for b in range(a + 1, hosts))
    assert sorted(met) == sorted(name for matching in matchings.one_by_one(endpoints) for name in names(matching))


@given(st.integers(2, 7), st.data())
def test_every_matching_is_there_once(hosts: int, data: Any) -> None:
    endpoints = make_endpoints(of_rank(hosts, 2))
    size = data.draw(st.integers(2, hosts))
    every = [matching.rank_pairs for matching in matchings.every_matching(endpoints, size)]
    assert len(set(every)) == len(every) == matchings.number_of_matchings(hosts, size)
    for matching in matchings.every_matching(endpoints, size):
        check_disjoint(matching)
        assert len(matching.pairs) == size // 2


def test_matchings_over_all_halves_are_counted() -> None:
    full = [matchings.number_of_matchings(hosts, hosts) for hosts in (2, 4, 6, 8)]
    assert full == [1, 3, 15, 105], "(N - 1)!!"
    assert matchings.number_of_matchings(5, 5) == 5 * 3, "one of five sits out"
    assert matchings.number_of_matchings(4, 2) == 6


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 9), st.integers(0, 20), st.integers(0, 9))
def test_drawn_matchings_differ_and_are_all_where_there_are_no_more(hosts: int, wanted: int, seed: int) -> None:
    endpoints = make_endpoints(of_rank(hosts))
    drawn = [m.rank_pairs for m in matchings.different_matchings(endpoints, seed, wanted, hosts)]
    assert len(set(drawn)) == len(drawn) == min(wanted, matchings.number_of_matchings(hosts, hosts))


def test_same_pairs_are_measured_once_under_all_their_names() -> None:
    (only,) = steps(of_rank(2), pairwise=[])
    assert only.labels == {"cut": "host_order", "also": "shift random", "matching": 0, "every": True}
    four = [step.labels for step in steps(of_rank(4), pairwise=[])]
    assert [of["cut"] for of in four] == ["host_order", "shift", "random"]
    assert sorted(of["matching"] for of in four) == [0, 1, 2] and all(of["every"] for of in four)


def test_rounds_of_many_hosts_have_every_host_equally_often_and_no_pair_twice() -> None:
    planned = steps(of_rank(131), pairwise=["rounds"], cuts=[], matchings=0, most_rounds=10)
    assert len(planned) == 10
    met = [name for step in planned for name in names(step.matching)]
    assert len(set(met)) == len(met) == 10 * 65
    hosts = [end for name in met for end in name.split("-")] + [name for s in planned for name in s.matching.idle]
    assert {hosts.count(host) for host in set(hosts)} == {10} and len(set(hosts)) == 131


def test_pairs_of_hosts_take_one_rank_each_and_pairs_of_ranks_all() -> None:
    hosts = of_rank(2, 2)
    by_host = steps(hosts, pairwise=["alone"], cuts=[], matchings=0)
    assert [pair.ranks for step in by_host for pair in step.matching.pairs] == [((0, 2),)]
    by_rank = steps(hosts, pairwise=["alone"], cuts=[], matchings=0, between="ranks")
    assert len(by_rank) == 6
    inside = [step.matching.pairs[0].name for step in by_rank if not step.matching.pairs[0].across_hosts]
    assert inside == ["n0:0-n0:1", "n1:0-n1:1"]
    assert [endpoint.name for endpoint in rank_endpoints(hosts)] == ["n0:0", "n0:1", "n1:0", "n1:1"]


def test_every_scale_has_its_cuts_and_matchings() -> None:
    planned = steps(of_rank(8), scales=[4, 2], matchings=3, pairwise=["rounds"])
    count = {scale: sum(s.scale == scale and s.how == "matching" for s in planned) for scale in (2, 4, 8)}
    assert count[8] == 5 and all(4 <= count[scale] <= 5 for scale in (2, 4)), "a draw may be a cut's"
    assert sum(step.how == "rounds" for step in planned) == 7
    assert {len(step.matching.pairs) for step in planned if step.scale == 4} == {2}
    with pytest.raises(Unsupported, match="scales asks for 9, but there are 8"):
        steps(of_rank(8), scales=[9])


def test_cuts_that_the_hosts_cannot_have_are_left_out_with_the_reason() -> None:
    one = Topology("slurm", {"s1": ("n0", "n1", "n2", "n3")})
    left_out: dict[str, str] = {}
    workload = Bisection(kind="bisection", cuts=["switch", "rail"], matchings=1, pairwise=[])
    assert len(list(plan_steps(workload, of_rank(4), 3, one, left_out))) == 1
    assert left_out == {
        "switch of 4": "all of them are in s1",
        "rail of 4": "rails need two hosts or more with two ranks or more on each",
    }


def target(hosts: int, per_host: int, **more: Any) -> Target:
    content = {
        "name": "t",
        "description": "t",
        "nodes": hosts,
        "accelerators_per_node": per_host,
        "tasks_per_node": per_host,
        "device": "cuda",
        "scale_up": {
            "name": "NVLink",
            "unidirectional_gbps": {"value": 450, "source": "vendor"},
            "bidirectional_gbps": {"value": 900, "source": "vendor"},
        },
        "scale_out": {"name": "InfiniBand", "gbit_per_accelerator": {"value": 400, "source": "vendor"}},
    }
    return Target.model_validate({**content, **more})


@pytest.mark.parametrize(("hosts", "full"), [(4, 2 * 8 * 50), (5, 2 * 8 * 50), (2, 8 * 50)])
def test_full_bisection_counts_the_links_of_those_who_send(hosts: int, full: float) -> None:
    endpoints = make_endpoints(of_rank(hosts, 8))
    for matching in (matchings.shifted(endpoints), matchings.random_matching(endpoints, 1, 0, hosts)):
        found = full_bisection_of(target(hosts, 8), matching, hosts)
        assert found is not None and found[0] == pytest.approx(full)
        pair = pair_ceiling(target(hosts, 8), matching.pairs[0], hosts)
        assert pair is not None and pair[0] == pytest.approx(8 * 50)


def test_pair_of_first_ranks_has_a_nic_or_the_nodes_own_line() -> None:
    (game,) = matchings.one_by_one(make_endpoints(of_rank(2, 4)))
    assert pair_ceiling(target(2, 4), game.pairs[0], 2) == (50.0, "one rank over InfiniBand: vendor")
    shared = {"name": "ethernet", "gbit_per_node": {"value": 100, "source": "vendor"}}
    assert pair_ceiling(target(2, 4, scale_out=shared), game.pairs[0], 2) == (
        12.5,
        "one rank over ethernet: vendor",
    )
    (inside,) = matchings.one_by_one(make_endpoints(of_rank(1, 2)))
    found = pair_ceiling(target(1, 2), inside.pairs[0], 1)
    assert found is not None and found[0] == 450
    assert pair_ceiling(target(2, 4, scale_out=None), game.pairs[0], 2) is None

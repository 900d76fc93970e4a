"""What a later attempt asks the scheduler for, and how many repeats may measure at a time."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from seatrial.plan import make_plan
from seatrial.scheduling import asked
from seatrial.wiring import MEASURING, Wiring

CONF = Path(__file__).parents[2] / "conf"


def case_with(*words):
    return make_plan(["study=demo", "target=mini_slurm", *words], CONF).cases[0]


def wanted(case, attempt):
    found = asked(case, attempt)
    return found["mem_mb"], found["runtime"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], [(6000, 5), (9000, 7), (13500, 11)]),
        (["target.node.memory_mb=10000"], [(6000, 5), (9000, 7), (10000, 11)]),
        (["+target.launcher.longest_minutes=6"], [(6000, 5), (9000, 6), (13500, 6)]),
        (
            ["+target.launcher.retry_memory_factor=2", "+target.launcher.retry_time_factor=1"],
            [(6000, 5), (12000, 5)],
        ),
        # what was stated is never taken back
        (["target.node.memory_mb=4000", "+target.launcher.longest_minutes=2"], [(6000, 5), (6000, 5)]),
        (["target.launcher.memory_mb_per_node=null"], [(None, 5), (None, 7)]),
    ],
)
def test_each_attempt_asks_for_more_than_the_one_before_up_to_what_there_is(words, expected):
    case = case_with(*words)
    assert case.workload.time_limit_minutes == 5
    assert [wanted(case, attempt + 1) for attempt in range(len(expected))] == expected


def test_how_retries_grow_does_not_change_what_is_measured():
    same = case_with("+target.launcher.retry_memory_factor=3", "+target.launcher.longest_minutes=9")
    assert same.case_id == case_with().case_id


def test_snakemake_is_told_the_attempts_resources_by_the_wiring(tmp_path):
    plan = make_plan(["study=demo", "target=mini_slurm"], CONF)
    wiring = Wiring(plan, tmp_path, CONF)
    wildcards = SimpleNamespace(case=plan.cases[0].case_id, repeat="0")
    assert [wiring.measure_resources["mem_mb"](wildcards, attempt) for attempt in (1, 2)] == [6000, 9000]
    (prepared,) = {ident for case in plan.cases for ident in case.prepared_ids}
    of_prepare = wiring.prepare_resources
    assert [of_prepare["mem_mb"](None, attempt) for attempt in (1, 2)] == [6000, 9000]
    first, second = (of_prepare["runtime"](SimpleNamespace(prepared=prepared), attempt) for attempt in (1, 2))
    assert second == int(1.5 * first)


class Workflow:
    """As much of Snakemake's as a study speaks to."""

    output_settings = SimpleNamespace(dryrun=True)

    def __init__(self, **resources):
        self.global_resources = resources

    def register_resource(self, name, value):
        self.global_resources[name] = value


def test_max_parallel_limits_the_repeats_that_measure_and_the_command_line_goes_before_it(tmp_path):
    plan = make_plan(["study=demo", "max_parallel=3"], CONF)
    wiring = Wiring(plan, tmp_path, CONF)
    assert wiring.measure_resources[MEASURING] == 1
    free, limited = Workflow(), Workflow(measuring=1)
    wiring.settle_with(free)
    wiring.settle_with(limited)
    assert (free.global_resources, limited.global_resources) == ({MEASURING: 3}, {MEASURING: 1})
    without = Wiring(make_plan(["study=demo"], CONF), tmp_path, CONF)
    assert MEASURING not in without.measure_resources
    nothing = Workflow()
    without.settle_with(nothing)
    assert nothing.global_resources == {}

"""The exclusive timer of phases: every moment of a stretch in exactly one, whatever is entered within what."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seatrial.train import phases as module
from seatrial.train.phases import PHASES, Phases, Untimed

CPU = torch.device("cpu")
Tree = list[tuple[str, float, Any]]
"""What happens in a phase: (phase, seconds spent in it before, what happens within)."""


class Clock:
    """A clock that moves only when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def trees() -> st.SearchStrategy[Tree]:
    seconds = st.integers(0, 1000).map(float)  # whole numbers: sums are exact
    names = st.sampled_from(PHASES)
    leaf = st.just([])
    return st.recursive(leaf, lambda inner: st.lists(st.tuples(names, seconds, inner), max_size=4), max_leaves=12)


def walk(timer: Phases, clock: Clock, tree: Tree, expected: dict[str, float]) -> None:
    for name, seconds, inner in tree:
        with timer(name):  # type: ignore[arg-type]
            clock.now += seconds
            expected[name] += seconds
            walk(timer, clock, inner, expected)
            clock.now += seconds
            expected[name] += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(module.time, "perf_counter", found)
    return found


@given(steps=st.lists(st.tuples(trees(), st.integers(0, 1000)), max_size=4))
def test_every_second_is_in_the_innermost_phase_of_its_step(steps: list[tuple[Tree, int]]) -> None:
    clock = Clock()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.time, "perf_counter", clock)
        timer = Phases(CPU)
        timer.start()
        wanted = []
        for tree, outside in steps:
            expected = dict.fromkeys(PHASES, 0.0)
            walk(timer, clock, tree, expected)  # type: ignore[arg-type]
            clock.now += outside
            expected["other"] += outside
            timer.step_done()
            wanted.append([expected[phase] for phase in PHASES])
        clock.now += 7
        seconds, found = timer.stop()
    assert found == wanted
    assert seconds == sum(sum(step) for step in wanted) + 7, "what follows the last step is in the stretch alone"


def test_phase_that_is_left_by_an_error_has_ended(clock: Clock) -> None:
    timer = Phases(CPU)
    timer.start()
    with pytest.raises(RuntimeError), timer("compute"):
        clock.now += 2
        with timer("communication"):
            clock.now += 3
            raise RuntimeError
    clock.now += 5
    timer.step_done()
    assert timer.stop()[1] == [[2.0, 3.0, 0.0, 5.0]]


def test_step_that_ends_within_a_phase_goes_on_in_it(clock: Clock) -> None:
    timer = Phases(CPU)
    timer.start()
    with timer("data_wait"):
        clock.now += 1
        timer.step_done()
        clock.now += 2
    timer.step_done()
    assert timer.stop()[1] == [[0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 2.0, 0.0]]


def test_nothing_is_timed_or_kept_outside_a_stretch(clock: Clock) -> None:
    timer = Phases(CPU)
    for _ in range(3):
        with timer("communication"):
            clock.now += 1
    timer.start()
    clock.now += 1
    timer.step_done()
    assert timer.stop() == (1.0, [[0.0, 0.0, 0.0, 1.0]])
    with timer("compute"):
        assert not timer._marks


def test_stretch_that_begins_within_a_phase_is_timed_from_there(clock: Clock) -> None:
    timer = Phases(CPU)
    with timer("compute"):
        timer.start()
        clock.now += 1
    clock.now += 2
    timer.step_done()
    assert timer.stop()[1] == [[1.0, 0.0, 0.0, 2.0]]


def test_without_timing_phases_the_stretch_is_still_measured(clock: Clock) -> None:
    timer = Untimed(CPU)
    timer.start()
    for _ in range(4):
        with timer("compute"), timer("communication"):
            clock.now += 3
        timer.step_done()
    assert timer.stop() == (12.0, [[0.0, 0.0, 0.0, 3.0]] * 4)


def test_timing_costs_less_than_a_hundredth_of_a_step_of_ten_milliseconds() -> None:
    timer, steps = Phases(CPU), 2000
    costs = []
    for _ in range(5):
        begin = time.process_time()
        timer.start()
        for _ in range(steps):
            for phase in ("compute", "data_wait", "compute", "communication", "compute"):
                with timer(phase):  # type: ignore[arg-type]
                    pass
            timer.step_done()
        timer.stop()
        costs.append((time.process_time() - begin) / steps)
    assert min(costs) < 1e-4


class _Event:
    """Stands for torch.cuda.Event: it has the time of the compute stream when it was recorded."""

    stream: list[float] = [0.0]

    def __init__(self, enable_timing: bool) -> None:
        assert enable_timing

    def record(self, stream: str) -> None:
        assert stream == "the compute stream"
        self.at = self.stream[0]

    def elapsed_time(self, end: _Event) -> float:
        return (end.at - self.at) * 1e3


def test_phases_end_where_the_device_reaches_them_without_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """The calls that time an accelerator: events on its compute stream, one synchronisation at each end."""
    synchronised: list[str] = []
    monkeypatch.setattr(torch.cuda, "Event", _Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the compute stream")
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: synchronised.append(str(device)))
    timer = Phases(torch.device("cuda", 1))
    timer.start()
    for _ in range(2):
        with timer("compute"):
            _Event.stream[0] += 4.0
        with timer("communication"):
            _Event.stream[0] += 1.0
        timer.step_done()
    assert synchronised == ["cuda:1"], "within a stretch the host never waits"
    _, steps = timer.stop()
    assert [step == pytest.approx([4.0, 1.0, 0.0, 0.0]) for step in steps] == [True, True]
    assert synchronised == ["cuda:1"] * 2

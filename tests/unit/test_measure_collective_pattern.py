"""What the ranks send each other tells sender, receiver, place and size apart, and sums stay exact."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.measure.collective.pattern import (
    contribution,
    count_wrong,
    count_wrong_parts,
    draw_places,
    expected_sums,
    fill,
    sent,
    spoil,
)

LIMITED = settings(deadline=None, max_examples=40)


@given(st.integers(1, 700), st.integers(1, 10**6))
@LIMITED
def test_expected_sums_are_the_sums_of_all_contributions_and_exact_in_bfloat16(ranks: int, elements: int) -> None:
    added = torch.stack([contribution(rank, ranks, elements) for rank in range(ranks)])
    sums = expected_sums(ranks, elements)
    assert torch.equal(sums, added.sum(0))
    assert int(sums.min()) > 0 and int(sums.max()) <= 256
    assert torch.equal(sums.bfloat16().long(), sums)


@given(st.integers(1, 2000), st.integers(1, 300), st.integers(0, 5000), st.data())
@LIMITED
def test_one_wrong_element_is_counted_wherever_it_is(
    elements: int, ranks: int, first: int, data: st.DataObject
) -> None:
    buffer, sums = torch.empty(elements), expected_sums(ranks, elements)
    fill(buffer, sums, first)
    assert buffer.tolist() == [float(sums[(first + i) % len(sums)]) for i in range(elements)]
    assert int(count_wrong(buffer, sums, first)) == 0
    buffer[data.draw(st.integers(0, elements - 1))] = data.draw(st.sampled_from([-1.0, 1000.0, float("nan")]))
    assert int(count_wrong(buffer, sums, first)) == 1


def test_large_buffers_are_checked_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from seatrial.measure.collective import pattern

    monkeypatch.setattr(pattern, "CHECKED_AT_ONCE", {"cpu": 600})
    buffer, period = torch.empty(5000), sent(0, 1, 2, 5000)
    fill(buffer, period)
    buffer[[0, 700, 3000, 4999]] = -1
    assert int(count_wrong(buffer, period)) == 4


@given(st.integers(2, 240), st.integers(1, 10**6), st.data())
@LIMITED
def test_another_sender_receiver_size_or_place_does_not_pass(
    ranks: int, elements: int, data: st.DataObject
) -> None:
    rank = st.integers(0, ranks - 1)
    pair = data.draw(st.tuples(rank, rank))
    other = data.draw(st.tuples(rank, rank).filter(lambda found: found != pair))
    mine = sent(*pair, ranks, elements)
    assert not torch.equal(mine, sent(*other, ranks, elements))
    assert not torch.equal(mine, sent(*pair, ranks, 2 * elements)) or elements % 251 == 0
    for slot in (1, 2, 64, 4096, 2**20):
        assert not torch.equal(mine, mine.roll(-(slot % len(mine)))), "data that lands a slot away would pass"
    assert int(mine.min()) >= 0 and int(mine.max()) <= 250


def test_places_drawn_at_random_stand_for_a_large_buffer_and_its_end_is_always_read() -> None:
    period = sent(0, 0, 1, 5)
    buffer = torch.empty(1, 1000 * len(period) + 7)
    fill(buffer[0], period)

    def found(at_most: int) -> int:
        places = draw_places(buffer.shape[1], len(period), at_most)
        return int(count_wrong_parts(buffer, period.unsqueeze(0), places))

    assert found(10) == 0
    buffer[0, -1] += 1
    assert found(10) == 1
    buffer[0, : 900 * len(period)] += 1
    assert 50 * len(period) <= found(100) - 1 <= 100 * len(period), "nine rows of ten are wrong"
    assert draw_places(buffer.shape[1], len(period), 1000) is None
    assert found(1000) == 900 * len(period) + 1


def test_what_is_spoilt_is_what_is_read() -> None:
    """Nothing that an earlier iteration left is taken for this one's, and no more is touched than is read."""
    period = sent(0, 0, 1, 5).unsqueeze(0)
    buffer = torch.empty(1, 1000 * period.shape[1] + 7)
    fill(buffer[0], period[0])
    places = draw_places(buffer.shape[1], period.shape[1], 10)
    spoil(buffer, period.shape[1], places)
    touched = 10 * period.shape[1] + 7
    assert int(count_wrong_parts(buffer, period, places)) == int(count_wrong_parts(buffer, period)) == touched
    spoil(buffer, period.shape[1])
    assert int(buffer.isnan().sum()) == buffer.numel()

"""Key-value sequences: what is asked can be known, far is far, and the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hybrid_cases import hybrid, retrieval
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from seatrial.config.training import HybridAttention, Retrieval
from seatrial.train.hybrid_attention.model import hybrid_decoder
from seatrial.train.hybrid_attention.retrieval import sequences, slots_since_last_mention


def data(**more: Any) -> Retrieval:
    return Retrieval.model_validate(retrieval(**more))


def mentions(tokens: list[int]) -> list[tuple[bool, int]]:
    """For every slot: whether its key was mentioned before, and how many tokens ago; read off the tokens alone."""
    last: dict[int, int] = {}
    found = []
    for place in range(0, len(tokens), 2):
        known = last.get(tokens[place])
        found.append((known is not None, place - known if known is not None else 0))
        last[tokens[place]] = place
    return found


@settings(max_examples=60, deadline=None)
@given(
    slots=st.integers(4, 60), share=st.floats(0, 1), far=st.integers(1, 9), rate=st.floats(0.001, 0.3),
    seed=st.integers(1, 2**40), stream=st.sampled_from(["training", "evaluation", "probe"]),
)  # fmt: skip
def test_far_queries_are_farther_back_than_the_far_distance_and_every_query_can_be_answered(
    slots: int, share: float, far: int, rate: float, seed: int, stream: Any
) -> None:
    distance = 1 + round(share * (2 * slots - 4))
    content = retrieval(
        sequence_length=2 * slots, pairs=min(4, slots - 1), far_distance=distance, keys=64,
        probe_far_queries=far, probe_sequences=500, far_query_rate=rate,
    )  # fmt: skip
    try:
        what = Retrieval.model_validate(content)
    except ValidationError:
        assume(False)
    made = sequences(what, stream, seed, torch.arange(40))
    for tokens, queries, far_ones in zip(*(part.tolist() for part in made), strict=True):
        assert all(token < 64 for token in tokens[0::2]) and all(64 <= token < 72 for token in tokens[1::2])
        assert len({(k, v) for k, v in zip(tokens[0::2], tokens[1::2], strict=True)}) == len(set(tokens[0::2]))
        known = mentions(tokens)
        assert queries == [before for before, _ in known]
        assert far_ones == [before and back > distance for before, back in known]
        # What the query asks for stands one token after the key: outside of every window up to the distance.
        assert all(back - 1 >= distance for (_, back), is_far in zip(known, far_ones, strict=True) if is_far)
        if stream == "probe":
            assert sum(far_ones) >= far


def test_far_queries_are_as_rare_as_declared() -> None:
    for rate in (0.01, 0.05):
        made = sequences(data(far_query_rate=rate, pairs=2), "training", 1, torch.arange(4000))
        found = float(made.far.sum() / made.queries.sum())
        assert found == pytest.approx(rate, rel=0.1)


def test_far_queries_stand_at_many_distances() -> None:
    made = sequences(data(), "probe", 1, torch.arange(500))
    distances = {2 * slot for slot in range(24) if made.far[:, slot].any()}
    assert len(distances) > 8


def test_a_sequence_depends_on_stream_seed_and_position_alone() -> None:
    whole = sequences(data(), "training", 5, torch.arange(100)).tokens
    shuffled = torch.randperm(100)
    assert torch.equal(sequences(data(), "training", 5, shuffled).tokens, whole[shuffled])
    alone = [sequences(data(), "training", 5, torch.tensor([position])).tokens for position in range(100)]
    assert torch.equal(torch.cat(alone), whole)
    parts = [sequences(data(), "training", 5, torch.arange(rank, 100, 3)).tokens for rank in range(3)]
    assert torch.equal(torch.cat(parts)[torch.cat([torch.arange(r, 100, 3) for r in range(3)]).argsort()], whole)
    for other in (
        sequences(data(), "training", 6, torch.arange(100)),
        sequences(data(), "evaluation", 5, torch.arange(100)),
    ):
        assert not (other.tokens == whole).all(dim=1).any()


def test_no_evaluation_sequence_is_trained_on() -> None:
    trained = {tuple(row) for row in sequences(data(), "training", 1, torch.arange(3000)).tokens.tolist()}
    assert len(trained) == 3000
    for stream in ("evaluation", "probe"):
        held_out = sequences(data(), stream, 1, torch.arange(126)).tokens.tolist()  # type: ignore[arg-type]
        assert not trained & {tuple(row) for row in held_out}


def test_keys_and_values_are_drawn_evenly() -> None:
    tokens = sequences(data(), "training", 1, torch.arange(5000)).tokens
    for part, size in ((tokens[:, 0::2], 16), (tokens[:, 1::2] - 16, 8)):
        share = torch.bincount(part.flatten(), minlength=size) / part.numel()
        assert share.sub(1 / size).abs().max() < 0.1 / size


def test_slots_since_the_last_mention() -> None:
    which = torch.tensor([[3, 1, 3, 3, 1, 0], [2, 2, 2, 0, 1, 2]])
    assert slots_since_last_mention(which).tolist() == [[0, 0, 2, 1, 3, 0], [0, 1, 1, 0, 0, 3]]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"window": 25}, "1 sliding_window layer(s) x (window 25 - 1) + 1 (previous_token) carry 25 tokens back"),
        ({"window": 26, "previous_token": False}, "(window 26 - 1) carry 25 tokens back"),
        ({"pattern": ["sliding_window"] * 4 + ["full"]}, "(24): 4 sliding_window layer(s) x (window 8 - 1)"),
        ({"pattern": ["sliding_window", "full"], "cycles": 4}, "carry 29 tokens back, so that they answer far"),
        ({"pattern": ["sliding_window", "full"], "cycles": 4}, "allowed: at least 30"),
        ({"pattern": ["sliding_window"] * 3}, "allowed: at least one full or recurrent layer"),
        ({"retrieval": retrieval(probe_sequences=124)}, "is 496; allowed: at least 500 far queries"),
        ({"retrieval": retrieval(far_distance=46)}, "far_distance (46) leaves no room"),
        ({"retrieval": retrieval(far_distance=45, probe_far_queries=2, probe_sequences=300)}, "at most 1 with"),
        ({"retrieval": retrieval(keys=7)}, "keys (7) are too few"),
        ({"retrieval": retrieval(pairs=24)}, "pairs (24) must be below the 24 slots"),
        ({"quality": {"metric": "frechet_distance", "target": 1.0}}, "hybrid_attention measures evaluation_loss"),
        ({"parallelism": {"tp": 2}}, "parallelism.tp (2): hybrid_attention has no tensor parallelism"),
        ({"parallelism": {"ep": 2}}, "parallelism.ep (2): hybrid_attention has no routed experts"),
        ({"hidden_size": 18}, "must be a multiple of twice the heads"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_words(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HybridAttention.model_validate(hybrid(**more))
    assert words in str(refused.value)


@pytest.mark.parametrize("layers", [1, 2, 4])
@pytest.mark.parametrize("previous_token", [True, False])
def test_the_nearest_far_value_is_just_out_of_reach_of_the_windows(layers: int, previous_token: bool) -> None:
    """What a decoder of the sliding-window layers alone can see, by its own gradient, at the least distance."""
    pattern = ["sliding_window"] * layers
    workload = HybridAttention.model_validate(
        hybrid(pattern=[*pattern, "full"], window=6, previous_token=previous_token)
    )
    local = hybrid_decoder(workload.model_copy(update={"pattern": pattern}))
    tokens = torch.randint(0, 24, (1, 48))
    inputs = local.embedding(tokens).detach().requires_grad_()
    handle = local.embedding.register_forward_hook(lambda *_: inputs)
    local(tokens)[0, -1].sum().backward()
    handle.remove()
    seen = inputs.grad[0].abs().sum(dim=1).nonzero().flatten()
    assert 47 - int(seen.min()) == workload.local_reach < workload.retrieval.far_tokens

"""SplitMix64 is the published generator, and nothing that is drawn with it has changed."""

from __future__ import annotations

import pytest
import torch
from hybrid_cases import retrieval

from seatrial.config.training import Retrieval
from seatrial.train.diffusion.noise import Noise
from seatrial.train.hybrid_attention.retrieval import sequences
from seatrial.train.splitmix64 import GOLDEN, mixed, top_bits

# The first numbers of the generator's C code (https://prng.di.unimi.it/splitmix64.c) by seed.
PUBLISHED = {
    0: [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F],
    1234567: [6457827717110365317, 3203168211198807973, 9817491932198370423],
}


@pytest.mark.parametrize("seed", PUBLISHED)
def test_numbers_are_those_of_the_published_generator(seed: int) -> None:
    drawn = mixed(seed + torch.arange(1, 4) * GOLDEN).tolist()
    assert [number % 2**64 for number in drawn] == PUBLISHED[seed]


def test_top_bits_are_not_negative_and_the_highest() -> None:
    words = torch.tensor([-1, -(2**63), 2**62])
    assert top_bits(words, 2).tolist() == [3, 2, 1]
    assert top_bits(words, 53).tolist() == [2**53 - 1, 2**52, 2**51]


def test_noise_of_earlier_records_is_drawn_again() -> None:
    drawn = Noise(7).uniform("caption", 3, torch.tensor([5, 12345678901]), 2).flatten().tolist()
    assert drawn == [0.893030047416687, 0.308819442987442, 0.09569200873374939, 0.07513043284416199]


def test_retrieval_sequences_of_earlier_records_are_drawn_again() -> None:
    drawn = sequences(Retrieval.model_validate(retrieval()), "training", 5, torch.tensor([7919]))
    assert drawn.tokens[0, :10].tolist() == [10, 16, 9, 16, 15, 16, 9, 16, 9, 16]

"""The way from images to noise, and back with a denoiser that knows the answer."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seatrial.train.diffusion.process import Ddpm, FlowMatching

IMAGE = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)


def noise(count: int) -> torch.Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@given(st.floats(0.001, 0.999))
@settings(max_examples=30, deadline=None)
def test_velocity_leads_from_noisy_image_back_to_image_and_on_to_noise(level: float) -> None:
    z = noise(2)
    noisy, time, velocity = FlowMatching().noisy(IMAGE.expand(2, -1, -1, -1), z, torch.full((2,), level))
    torch.testing.assert_close(noisy - time.view(-1, 1, 1, 1) * velocity, IMAGE.expand(2, -1, -1, -1))
    torch.testing.assert_close(noisy + (1 - time.view(-1, 1, 1, 1)) * velocity, z)


@given(st.floats(0.001, 0.999))
@settings(max_examples=30, deadline=None)
def test_noise_is_what_ddpm_adds_and_variance_stays_one(level: float) -> None:
    z = noise(500)
    noisy, time, added = Ddpm(100).noisy(torch.zeros_like(z), z, torch.full((500,), level))
    assert added is z and 0 <= float(time[0]) < 1
    share = float(noisy.std() / z.std())
    assert 0 < share <= 1
    image = torch.ones_like(z)
    kept = float((Ddpm(100).noisy(image, z, torch.full((500,), level))[0] - noisy).mean())
    assert kept**2 + share**2 == pytest.approx(1, abs=1e-4)


def test_noisier_levels_hold_less_of_the_image() -> None:
    z, levels = torch.zeros(5, 1, 8, 8), torch.tensor([0.001, 0.25, 0.5, 0.75, 0.999])
    for process in (Ddpm(100), FlowMatching()):
        noisy, time, _ = process.noisy(torch.ones_like(z), z, levels)
        kept = noisy.mean(dim=(1, 2, 3))
        assert (kept.diff() < 0).all() and (time.diff() > 0).all()
        assert kept[0] > 0.99 and kept[-1] < 0.05


@pytest.mark.parametrize("steps", [1, 4, 25])
def test_denoiser_that_knows_the_image_makes_it_by_flow_matching(steps: int) -> None:
    def exact(noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return (noisy - IMAGE) / time.view(-1, 1, 1, 1)

    made = FlowMatching().generate(exact, noise(3), steps)
    torch.testing.assert_close(made, IMAGE.expand(3, -1, -1, -1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("steps", [5, 25, 100])
def test_denoiser_that_knows_the_image_makes_it_by_ddpm(steps: int) -> None:
    process = Ddpm(100)

    def exact(noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        whole = process.noisy(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), time[:1] + 1e-4)[0]
        return (noisy - whole * IMAGE) / (1 - whole**2).sqrt()

    made = process.generate(exact, noise(3), steps)
    torch.testing.assert_close(made, IMAGE.expand(3, -1, -1, -1), atol=0.05, rtol=0)


def test_images_are_a_function_of_the_noise_they_start_from() -> None:
    def predict(noisy: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        return noisy.tanh() * time.view(-1, 1, 1, 1)

    for process in (Ddpm(50), FlowMatching()):
        whole = process.generate(predict, noise(6), 10)
        torch.manual_seed(0)
        halves = torch.cat([process.generate(predict, part, 10) for part in noise(6).split(3)])
        torch.testing.assert_close(whole, halves)

"""The Frechet distance between two sets of features, each taken for a normal distribution."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import torch

from seatrial.errors import MeasurementFailed
from seatrial.train.layout import Layout


@dataclass(frozen=True)
class Moments:
    """Mean [d] and covariance [d, d] (float64, unbiased) of the features of `count` samples."""

    count: int
    mean: torch.Tensor
    covariance: torch.Tensor

    @classmethod
    def of(cls, features: torch.Tensor) -> Self:
        """Of features [n, d]. Raises MeasurementFailed (wrong_result) unless n > d."""
        return cls.from_sums(len(features), *sums(features))

    @classmethod
    def from_sums(cls, count: int, first: torch.Tensor, second: torch.Tensor) -> Self:
        """From the sums of features [d] and of their products [d, d].

        Raises MeasurementFailed (wrong_result) unless there are more samples than features: the covariance would
        be singular, and the distance that of too few samples.
        """
        dimension = len(first)
        if count <= dimension:
            raise MeasurementFailed(
                "wrong_result",
                f"{count} samples are too few for a Frechet distance of {dimension} features: their covariance is "
                f"singular; more than {dimension} are needed",
            )
        mean = first / count
        return cls(count, mean, (second - count * torch.outer(mean, mean)) / (count - 1))


def sums(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over samples of features [n, d] and of their products: [d] and [d, d], float64."""
    features = features.double()
    return features.sum(0), features.T @ features


def moments_over_ranks(features: torch.Tensor, layout: Layout) -> Moments:
    """Moments of the features [n, d] of all ranks' samples, each rank bringing its own; the same on every rank.

    Raises MeasurementFailed as `Moments.from_sums` does.
    """
    first, second = sums(features)
    dimension = len(first)
    values = [float(len(features)), *first.tolist(), *second.reshape(-1).tolist()]
    count, *total = layout.data_total(values)
    both = torch.tensor(total, dtype=torch.float64)
    return Moments.from_sums(round(count), both[:dimension], both[dimension:].reshape(dimension, dimension))


def frechet_distance(a: Moments, b: Moments) -> float:
    """|m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)): 0 for equal moments, never negative.

    NaN where a moment is not finite: the images are of a model that has diverged.

    Dowson and Landau, The Frechet distance between multivariate normal distributions (J. Multivariate Analysis 12,
    1982); as a measure of generated images: Heusel et al., arXiv 1706.08500. The trace of the root is that of the
    symmetric (C_a^(1/2) C_b C_a^(1/2))^(1/2), which has the same eigenvalues and needs no complex arithmetic.
    """
    if not all(torch.isfinite(part).all() for m in (a, b) for part in (m.mean, m.covariance)):
        return math.nan
    values, vectors = torch.linalg.eigh(a.covariance)
    root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
    product = root @ b.covariance @ root
    shared = torch.linalg.eigvalsh((product + product.T) / 2).clamp(min=0).sqrt().sum()
    apart = (a.mean - b.mean).square().sum()
    return max(0.0, float(apart + a.covariance.trace() + b.covariance.trace() - 2 * shared))

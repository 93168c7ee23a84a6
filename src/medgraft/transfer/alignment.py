"""How far the features of two cohorts are apart, to be made small while the outcome is learned.

An alignment is constructed with the ``network`` whose features it compares. Its ``forward`` takes
the features of a batch of either cohort, ``[n, width]`` and ``[m, width]``, and the share of
training that is done, and gives one number to add to the loss. It asks for no outcome.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from medgraft.construct import Count, NonNegative
from medgraft.transfer.precision import full


class Coral(nn.Module):
    """Deep CORAL: the distance of the covariances of the features.

    Sun and Saenko, "Deep CORAL: correlation alignment for deep domain adaptation" (ECCV 2016
    workshops), equation 1.
    """

    def __init__(self, network: Any, weight: NonNegative = 1.0) -> None:
        super().__init__()
        del network
        self.weight = weight

    def forward(self, one: Tensor, other: Tensor, progress: Tensor) -> Tensor:
        """The distance ``[]``, weighted."""
        del progress
        return self.weight * covariance_distance(one, other)


class MultiKernelMmd(nn.Module):
    """The maximum mean discrepancy of the features under a sum of Gaussian kernels.

    Gretton et al., "A kernel two-sample test" (JMLR 2012), equation 5; the kernels' widths around
    the mean squared distance as in Long et al., "Learning transferable features with deep
    adaptation networks" (ICML 2015).
    """

    def __init__(self, network: Any, weight: NonNegative = 1.0, kernels: Count = 5) -> None:
        super().__init__()
        del network
        self.weight, self.kernels = weight, kernels

    def forward(self, one: Tensor, other: Tensor, progress: Tensor) -> Tensor:
        """The discrepancy ``[]``, weighted."""
        del progress
        return self.weight * mean_discrepancy(one, other, kernels=self.kernels)


class Adversary(nn.Module):
    """DANN: a classifier learns to tell the cohorts apart, the features learn to prevent it.

    Ganin et al., "Domain-adversarial training of neural networks" (JMLR 2016). The gradient that
    reaches the features is reversed, by a weight that grows from 0 to ``weight`` over training as
    in their section 5.2.2.
    """

    def __init__(self, network: Any, weight: NonNegative = 1.0, hidden: Count = 32) -> None:
        super().__init__()
        self.weight = weight
        width = network.readout.width
        self.judge = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, one: Tensor, other: Tensor, progress: Tensor) -> Tensor:
        """The classifier's loss ``[]``."""
        strength = self.weight * ramp(progress)
        no, yes = (self.judge(reversal(side, strength)) for side in (one, other))
        return (functional.softplus(no).mean() + functional.softplus(-yes).mean()) / 2


def covariance_distance(one: Tensor, other: Tensor) -> Tensor:
    """``|C_one - C_other|^2 / 4 d^2`` (Frobenius), covariances over n - 1."""
    apart = covariance(full(one)) - covariance(full(other))
    return apart.square().sum() / (4 * one.shape[1] ** 2)


def covariance(features: Tensor) -> Tensor:
    """``[n, d]`` to ``[d, d]``."""
    centred = features - features.mean(dim=0)
    return centred.T @ centred / (len(features) - 1)


def mean_discrepancy(one: Tensor, other: Tensor, *, kernels: int) -> Tensor:
    """Squared discrepancy ``[]`` of ``[n, d]`` and ``[m, d]``, biased: never below 0.

    Each kernel is twice as wide as the one before, the middle one as wide as the mean squared
    distance between patients; that width is not learned.
    """
    both = full(torch.cat([one, other]))
    squares = (both[:, None] - both).square().sum(-1)
    count = len(both)
    middle = squares.detach().sum() / (count * (count - 1))
    widths = [middle.clamp(min=1e-12) * 2.0 ** (k - kernels // 2) for k in range(kernels)]
    kernel = torch.stack([torch.exp(-squares / width) for width in widths]).sum(0)
    n = len(one)
    return kernel[:n, :n].mean() + kernel[n:, n:].mean() - 2 * kernel[:n, n:].mean()


def ramp(progress: Tensor) -> Tensor:
    """``2 / (1 + exp(-10 p)) - 1``: 0 at the start, nearly 1 from halfway on."""
    return 2 * torch.sigmoid(10 * progress) - 1


def reversal(features: Tensor, strength: Tensor) -> Tensor:
    """The same features, whose gradient comes back with ``-strength``."""
    return features.detach() * (1 + strength) - features * strength

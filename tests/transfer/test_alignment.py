"""Alignments against numbers of other implementations, by hand, and at their limits."""

import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import rbf_kernel

from medgraft.transfer import alignment

from . import planted
from .planted import F, G

HALF = torch.tensor(0.5)


def test_coral_as_published():
    """The number of a public implementation, in the paper's form (over 4 d^2)."""
    assert alignment.covariance_distance(F, G).item() == pytest.approx(0.0051610903, abs=1e-10)


def test_covariance_is_numpys():
    np.testing.assert_allclose(alignment.covariance(F), np.cov(F.numpy().T))


def test_mmd_is_the_sum_of_kernels():
    """Against scikit-learn's Gaussian kernels."""
    one, other = F.numpy(), G.numpy()[:40]
    both = np.concatenate([one, other])
    squares = ((both[:, None] - both) ** 2).sum(-1)
    middle = squares[~np.eye(100, dtype=bool)].mean()
    expected = 0.0
    for width in middle * np.array([0.25, 0.5, 1, 2, 4]):
        k = [
            rbf_kernel(a, b, gamma=1 / width).mean()
            for a, b in ((one, one), (other, other), (one, other))
        ]
        expected += k[0] + k[1] - 2 * k[2]
    found = alignment.mean_discrepancy(F, G[:40], kernels=5)
    assert found.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "distance",
    [
        alignment.covariance_distance,
        lambda one, other: alignment.mean_discrepancy(one, other, kernels=5),
    ],
)
def test_equal_cohorts_are_no_distance_apart(distance):
    assert distance(F, F).item() == pytest.approx(0, abs=1e-15)
    assert distance(F, F.flip(0)).item() == pytest.approx(0, abs=1e-15)
    assert distance(F, G).item() > 0
    assert distance(F, G).item() == pytest.approx(distance(G, F).item())


def test_coral_ignores_a_shift_that_mmd_sees():
    assert alignment.covariance_distance(F, F + 3).item() == pytest.approx(0, abs=1e-12)
    assert alignment.mean_discrepancy(F, F + 3, kernels=5).item() > 1


def test_ramp_of_the_paper():
    p = torch.tensor([0.0, 0.1, 0.5, 1.0])
    expected = 2 / (1 + np.exp(-10 * p.numpy())) - 1
    np.testing.assert_allclose(alignment.ramp(p), expected, atol=1e-7)


def test_gradient_is_reversed():
    features = F.clone().requires_grad_()
    turned = alignment.reversal(features, HALF)
    torch.testing.assert_close(turned, features)
    (turned * G).sum().backward()
    torch.testing.assert_close(features.grad, -0.5 * G)


def test_adversary_pulls_both_ways():
    """Its own gradient is that of telling the cohorts apart, the features' is against it."""
    torch.manual_seed(0)
    network = planted.network()
    judge = alignment.Adversary(network)
    one, other = (side[:, :3].float().requires_grad_() for side in (F, G))
    judge(one, other, HALF).backward()
    logits = torch.cat([judge.judge(one), judge.judge(other)])[:, 0]
    side = torch.cat([torch.zeros(60), torch.ones(60)])
    plain = torch.nn.functional.binary_cross_entropy_with_logits(logits, side)
    expected = torch.autograd.grad(plain, [judge.judge[0].weight, one])
    torch.testing.assert_close(judge.judge[0].weight.grad, expected[0])
    torch.testing.assert_close(one.grad, -alignment.ramp(HALF) * expected[1])


def test_adversary_begins_gently():
    features = F[:, :3].float().requires_grad_()
    alignment.Adversary(planted.network())(features, G[:, :3].float(), torch.tensor(0.0)).backward()
    assert not features.grad.any()

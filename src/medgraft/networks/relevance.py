"""Which features the specific layers need: a linear head under a group lasso."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 500
# No loss of a head bends more than the squared error does.
CURVATURE = 2.0


def relevance(features: Tensor, y: Tensor, head: Any, *, strength: float) -> Tensor:
    """How much a linear head relies on each feature ``[d]``.

    Minimises the mean loss plus ``l`` times, summed over features, the norm of a feature's weights
    (Yuan and Lin, "Model selection and estimation in regression with grouped variables", 2006); at
    ``strength`` 1, ``l`` is the least that leaves every feature out (nearly, where labels are
    missing or hazards are learned). A feature left out has a
    relevance of at most 0: how near its gradient is to let it in.

    Args:
        features: standardised ``[n, d]``.
        y: outcomes ``[n, ...]``.
        head: with the loss, and a linear layer of whatever width; it is left as it was.
        strength: of the penalty, between 0 and 1.
    """
    features = features.double()
    wide = widened(head, features.shape[1])
    rate = len(features) / (CURVATURE * largest_energy(features))
    # Where nothing tells patients apart, as with one class, nothing is let in.
    limit = strength * gradient_norms(wide, features, y).max().clamp(min=1e-12)
    values = list(wide.linear.parameters())
    before, momentum = [value.detach().clone() for value in values], 1.0
    for _ in range(STEPS):
        gradients = slopes(wide, features, y)
        after = [v.detach() - rate * g for v, g in zip(values, gradients, strict=True)]
        after[0] = shrunk(after[0], rate * limit)
        momentum, ahead = (1 + (1 + 4 * momentum**2) ** 0.5) / 2, momentum - 1
        for value, new, old in zip(values, after, before, strict=True):
            value.data = new + ahead / momentum * (new - old)
        before = after
    for value, last in zip(values, before, strict=True):
        value.data = last
    norms = wide.linear.weight.detach().norm(dim=0)
    return norms + gradient_norms(wide, features, y) / limit - 1


def widened(head: Any, width: int) -> Any:
    """A copy of the head that reads ``width`` features, all weights 0."""
    wide = copy.deepcopy(head)
    old = wide.linear
    wide.linear = nn.Linear(width, old.out_features, bias=old.bias is not None)
    for value in wide.linear.parameters():
        nn.init.zeros_(value)
    return wide.double()


def slopes(head: Any, features: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Gradients of the mean loss by the linear layer's weights ``[C, d]`` and bias."""
    with torch.enable_grad():
        loss = head.loss(head(features), y).mean()
        return torch.autograd.grad(loss, list(head.linear.parameters()))


def gradient_norms(head: Any, features: Tensor, y: Tensor) -> Tensor:
    """Of each feature's weights ``[d]``."""
    return slopes(head, features, y)[0].norm(dim=0)


def shrunk(weight: Tensor, by: Tensor) -> Tensor:
    """Columns of ``[C, d]`` shortened, those shorter than that to 0."""
    norms = weight.norm(dim=0).clamp(min=1e-300)
    return weight * (1 - by / norms).clamp(min=0)


def largest_energy(features: Tensor) -> Tensor:
    """The squared largest singular value of ``[n, d]`` with a column of ones."""
    ones = torch.ones_like(features[:, :1])
    return torch.linalg.matrix_norm(torch.cat([features, ones], dim=1), 2) ** 2

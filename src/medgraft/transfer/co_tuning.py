"""Co-tuning: the source's head goes on learning, from what the target's classes mean to it.

You et al., "Co-tuning for transfer learning" (NeurIPS 2020). How the classes of the source relate
to those of the target is learned from the source network's calibrated answers for target patients;
each outcome of the target is then a distribution over the source's classes as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp, softmax
from torch import Tensor, nn
from torch.nn import functional

from medgraft.construct import NonNegative
from medgraft.transfer.precision import full
from medgraft.transfer.seen import Seen

# Inverse penalties of the regression between the classes, as in the authors' code.
STRENGTHS = (1e4, 3e3, 1e3, 3e2, 1e2, 30, 10, 3, 1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4)
# Answers that are all right have no best scale: it would grow for ever.
SCALES = (0.01, 100.0)


@dataclass(frozen=True)
class SourceModel:
    """A source network as it is, and what its logits are multiplied by to be calibrated."""

    network: Any
    scale: float

    @torch.no_grad()
    def said(self, x: np.ndarray) -> np.ndarray:
        """Calibrated probabilities of the source's classes ``[n, Z]`` for patients ``[n, ...]``."""
        outputs = self.network.eval()(torch.from_numpy(x)).double().numpy()
        return softmax(self.scale * class_logits(outputs), axis=1)


class CoTuning(nn.Module):
    """``weight`` times the cross-entropy of the source's head with the related source classes.

    ``matrix`` and ``intercept`` are those of the source's head; they are trained with the rest, and
    not kept afterwards.
    """

    needs_source = True
    trained = ("matrix", "intercept")
    relation: Tensor
    matrix: Tensor
    intercept: Tensor

    def __init__(self, network: Any, weight: NonNegative = 2.3) -> None:
        super().__init__()
        self.weight, self.classes = weight, max(2, network.head.outputs)

    def fit(
        self, network: Any, x: np.ndarray, y: np.ndarray, *, source: SourceModel, held: tuple
    ) -> dict[str, Tensor]:
        """The relation ``[classes, Z]`` from training patients and ``held`` ones, and the head."""
        del network
        training, validation = (source.said(x), y), (source.said(held[0]), held[1])
        found = relation(training, validation, classes=self.classes)
        linear = source.network.head.linear
        return {
            "relation": torch.tensor(found).to(linear.weight),
            "matrix": linear.weight.detach().clone(),
            "intercept": linear.bias.detach().clone(),
        }

    def forward(self, seen: Seen) -> Tensor:
        """The penalty ``[]``; the source's head reads the last layer."""
        features = seen.network.pooled(seen.maps)[-1]
        logits = full(functional.linear(features, self.matrix, self.intercept))
        if logits.shape[-1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
        member = seen.y[:, None] == torch.arange(self.classes, device=seen.y.device)
        meant = member.to(self.relation.dtype) @ self.relation
        return -self.weight * (meant * torch.log_softmax(logits, dim=-1)).sum(-1).mean()


def class_logits(outputs: np.ndarray) -> np.ndarray:
    """A logit for each class ``[n, Z]``; a single one is that of the second of two."""
    return np.insert(outputs, 0, 0.0, axis=1) if outputs.shape[1] == 1 else outputs


Answered = tuple[np.ndarray, np.ndarray]
"""Probabilities of the source's classes ``[n, Z]`` and target outcomes ``[n]``."""


def relation(training: Answered, validation: Answered, *, classes: int) -> np.ndarray:
    """Probability of each source class given the target's class, ``[classes, Z]``.

    As in the authors' code: a regression of the target's class on the source's probabilities, as
    strict as is most often right on validation patients and calibrated on them, gives the target's
    class for each source class; Bayes' rule with the source classes' prevalence turns it round.
    """
    (said, y), (held, truth) = training, validation
    fits = [regression(said, y, classes=classes, C=C) for C in STRENGTHS]
    right = [((held @ fit.T).argmax(1) == truth).mean() for fit in fits]
    fit = fits[int(np.argmax(right))]
    scale = calibration_scale(held @ fit.T, truth)
    target_given_source = softmax(scale * fit.T, axis=1)
    joint = (target_given_source * np.concatenate([said, held]).mean(0)[:, None]).T
    return joint / joint.sum(axis=1, keepdims=True)


def regression(said: np.ndarray, y: np.ndarray, *, classes: int, C: float) -> np.ndarray:
    """Coefficients ``[classes, Z]`` of multinomial ridge regression without intercept."""
    member = y[:, None] == np.arange(classes)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        logits = said @ flat.reshape(classes, -1).T
        total = logsumexp(logits, axis=1, keepdims=True)
        gradient = C * (np.exp(logits - total) - member).T @ said
        loss = C * float((total[:, 0] - logits[member]).sum())
        return loss + float(flat @ flat) / 2, gradient.ravel() + flat

    start = np.zeros(classes * said.shape[1])
    return minimize(objective, start, jac=True, method="L-BFGS-B").x.reshape(classes, -1)


def calibration_scale(logits: np.ndarray, y: np.ndarray) -> float:
    """What ``logits [n, classes]`` are multiplied by for the smallest log loss (temperature).

    Guo et al., "On calibration of modern neural networks" (ICML 2017).
    """
    chosen = logits[np.arange(len(y)), y.astype(int)]

    def loss(log_scale: float) -> float:
        scale = np.exp(log_scale)
        return float((logsumexp(scale * logits, axis=1) - scale * chosen).mean())

    found = minimize_scalar(loss, bounds=np.log(SCALES), method="bounded", options={"xatol": 1e-8})
    return float(np.exp(found.x))

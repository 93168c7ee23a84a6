"""The recalibration ladder: correct a source model's outputs on few target patients.

Steyerberg et al., "Validation and updating of predictive logistic regression models", Statistics in
Medicine 23:2567 (2004): first the intercept alone, then intercept and slope. Each function returns
``(intercept [C], slope)`` of ``intercept + slope * output``.

Survival: outputs are log cumulative hazards, and the same ladder is van Houwelingen's (Statistics
in Medicine 19:3401, 2000): a level for all hazards, then a slope for how far patients lie from
their mean at each horizon; the shape of the mean curve over time stays the source's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp, softmax

from medgraft.networks.heads.survival import grid_loss

# Normal prior on the correction, standard deviation 2.5 (Gelman et al., Annals of Applied
# Statistics 2:1360, 2008): without it a few separated patients send the slope to infinity.
PRECISION = 1 / 2.5**2
# exp of this is as sure as a double can be that everyone, or no one, lives.
LIMIT = 30.0


def intercept(
    outputs: np.ndarray, y: np.ndarray, task: str, horizons: Sequence[float] = ()
) -> tuple[np.ndarray, float]:
    """Correct the overall level; ``outputs [n, C]`` raw, ``y [n]`` or ``[n, k]``."""
    return OF_TASK.get(task, logits)(outputs, y, horizons, slope_free=False)


def intercept_and_slope(
    outputs: np.ndarray, y: np.ndarray, task: str, horizons: Sequence[float] = ()
) -> tuple[np.ndarray, float]:
    """Correct level and spread; ``outputs [n, C]`` raw, ``y [n]`` or ``[n, k]``."""
    return OF_TASK.get(task, logits)(outputs, y, horizons, slope_free=True)


def line(
    outputs: np.ndarray, y: np.ndarray, horizons: Sequence[float], *, slope_free: bool
) -> tuple[np.ndarray, float]:
    """Least squares of the outcome on the output; the level alone where outputs do not vary."""
    del horizons
    said = outputs[:, 0]
    variance = float(said.var()) if slope_free else 0.0
    covariance = float(np.mean((said - said.mean()) * (y - y.mean())))
    slope = covariance / variance if variance else 1.0
    return np.array([float(y.mean() - slope * said.mean())]), slope


def logits(
    outputs: np.ndarray, y: np.ndarray, horizons: Sequence[float], *, slope_free: bool
) -> tuple[np.ndarray, float]:
    """Intercepts ``[C]`` and slope of the smallest penalised log loss of classes or labels."""
    del horizons
    best = solve(outputs, y, slope_free=slope_free)
    return best[:-1], float(best[-1]) if slope_free else 1.0


def solve(outputs: np.ndarray, y: np.ndarray, *, slope_free: bool) -> np.ndarray:
    """Intercepts and slope ``[C + 1]`` of the smallest penalised log loss."""
    start = np.append(np.zeros(outputs.shape[1]), 1.0)

    def objective(correction: np.ndarray) -> tuple[float, np.ndarray]:
        loss, residual = log_loss(correction[:-1] + correction[-1] * outputs, y)
        gradient = np.append(residual.sum(0), (residual * outputs).sum() * slope_free)
        away = correction - start
        return loss + PRECISION / 2 * float(away @ away), gradient + PRECISION * away

    return minimize(objective, start, jac=True, method="BFGS").x


def hazards(
    outputs: np.ndarray, y: np.ndarray, horizons: Sequence[float], *, slope_free: bool
) -> tuple[np.ndarray, float]:
    """Intercepts ``[T]`` and slope of the smallest penalised log loss on the grid.

    Args:
        outputs: log cumulative hazards at the horizons ``[n, T]``.
        y: times and events ``[n, 2]``.
        horizons: ``[T]``, increasing.
        slope_free: otherwise the level alone is corrected.
    """
    said, seen, times = (torch.tensor(np.asarray(v, float)) for v in (outputs, y, horizons))
    mean, start = said.mean(dim=0), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def objective(correction: np.ndarray) -> tuple[float, np.ndarray]:
        at = torch.tensor(correction, requires_grad=True)
        corrected = mean + at[0] + at[1] * (said - mean)
        away = at - start
        loss = grid_loss(corrected.clamp(max=LIMIT), seen, times).sum()
        loss = loss + PRECISION / 2 * (away @ away)
        (gradient,) = torch.autograd.grad(loss, at)
        return loss.item(), gradient.numpy() * [1, slope_free]

    level, slope = minimize(objective, start.numpy(), jac=True, method="BFGS").x
    return level + (1 - slope) * mean.numpy(), float(slope)


OF_TASK = {"regression": line, "survival": hazards}
"""Other kinds of outcome have logits."""


def log_loss(logits: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed log loss of ``logits [n, C]`` and its gradient ``[n, C]``; one column is binary.

    Several labels: ``y [n, C]``; one that was not recorded (NaN) counts for nothing.
    """
    if y.ndim == 2:
        known = ~np.isnan(y)
        loss = -float(log_expit(np.where(y == 1, 1, -1) * logits)[known].sum())
        return loss, np.where(known, expit(logits) - y, 0.0)
    if logits.shape[1] == 1:
        signed = np.where(y == 1, 1, -1) * logits[:, 0]
        return -float(log_expit(signed).sum()), expit(logits) - y[:, None]
    truth = np.eye(logits.shape[1])[y.astype(int)]
    loss = float((logsumexp(logits, axis=1) - (truth * logits).sum(1)).sum())
    return loss, softmax(logits, axis=1) - truth

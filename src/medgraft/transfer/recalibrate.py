"""The recalibration ladder: correct a source model's outputs on few target patients.

Steyerberg et al., "Validation and updating of predictive logistic regression models", Statistics in
Medicine 23:2567 (2004): first the intercept alone, then intercept and slope. Each function returns
``(intercept [C], slope)`` of ``intercept + slope * output``.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, log_expit, logsumexp, softmax

# Normal prior on the correction, standard deviation 2.5 (Gelman et al., Annals of Applied
# Statistics 2:1360, 2008): without it a few separated patients send the slope to infinity.
PRECISION = 1 / 2.5**2


def intercept(outputs: np.ndarray, y: np.ndarray, task: str) -> tuple[np.ndarray, float]:
    """Correct the overall level; ``outputs [n, C]`` raw, ``y [n]``."""
    if task == "regression":
        return np.array([float((y - outputs[:, 0]).mean())]), 1.0
    best = solve(outputs, y, slope_free=False)
    return best[:-1], 1.0


def intercept_and_slope(outputs: np.ndarray, y: np.ndarray, task: str) -> tuple[np.ndarray, float]:
    """Correct level and spread; ``outputs [n, C]`` raw, ``y [n]``."""
    if task == "regression":
        return line(outputs[:, 0], y)
    best = solve(outputs, y, slope_free=True)
    return best[:-1], float(best[-1])


def line(outputs: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Least squares of the outcome on the output; the level alone where outputs do not vary."""
    variance = float(outputs.var())
    slope = (
        float(np.mean((outputs - outputs.mean()) * (y - y.mean()))) / variance if variance else 1.0
    )
    return np.array([float(y.mean() - slope * outputs.mean())]), slope


def solve(outputs: np.ndarray, y: np.ndarray, *, slope_free: bool) -> np.ndarray:
    """Intercepts and slope ``[C + 1]`` of the smallest penalised log loss."""
    start = np.append(np.zeros(outputs.shape[1]), 1.0)

    def objective(correction: np.ndarray) -> tuple[float, np.ndarray]:
        loss, residual = log_loss(correction[:-1] + correction[-1] * outputs, y)
        gradient = np.append(residual.sum(0), (residual * outputs).sum() * slope_free)
        away = correction - start
        return loss + PRECISION / 2 * float(away @ away), gradient + PRECISION * away

    return minimize(objective, start, jac=True, method="BFGS").x


def log_loss(logits: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    """Summed log loss of ``logits [n, C]`` and its gradient ``[n, C]``; one column is binary."""
    if logits.shape[1] == 1:
        signed = np.where(y == 1, 1, -1) * logits[:, 0]
        return -float(log_expit(signed).sum()), expit(logits) - y[:, None]
    truth = np.eye(logits.shape[1])[y.astype(int)]
    loss = float((logsumexp(logits, axis=1) - (truth * logits).sum(1)).sum())
    return loss, softmax(logits, axis=1) - truth

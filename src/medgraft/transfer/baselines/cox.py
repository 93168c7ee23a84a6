"""Ridge Cox regression."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import minimize

from medgraft.construct import NonNegative
from medgraft.errors import ConfigError
from medgraft.networks.heads.survival import breslow
from medgraft.transfer.baselines.recipe import Arrays, Baseline


def cox(
    task: str, classes: int, *, horizons: Sequence[float] = (), ridge: NonNegative = 1.0
) -> Baseline:
    """Proportional hazards with a ridge penalty of ``ridge / 2`` times the squared coefficients.

    Raises:
        ConfigError: the task is not survival.
    """
    if task != "survival":
        raise ConfigError(f"the Cox baseline learns survival, not a {task} outcome")

    def make(seed: int) -> Any:
        del seed
        return Cox(np.asarray(horizons, dtype=np.float64), ridge)

    return Baseline(make, arrays, scores, task, classes, affine=True)


@dataclass
class Cox:
    """The estimator, in scikit-learn's manner."""

    horizons: np.ndarray
    ridge: float
    coefficients: np.ndarray = field(init=False)
    intercepts: np.ndarray = field(init=False)

    def fit(self, inputs: np.ndarray, y: np.ndarray) -> None:
        """Fit on ``inputs [n, width]`` and times and events ``y [n, 2]``."""
        order = np.argsort(-y[:, 0], kind="stable")
        x, time, event = inputs[order], y[order, 0], y[order, 1] == 1

        def objective(at: np.ndarray) -> tuple[float, np.ndarray]:
            loss, residual = partial_likelihood(x @ at, time, event)
            return loss + self.ridge / 2 * float(at @ at), residual @ x + self.ridge * at

        start = np.zeros(x.shape[1])
        found = minimize(objective, start, jac=True, method="L-BFGS-B", tol=1e-10)
        self.coefficients = found.x
        self.intercepts = breslow(inputs @ found.x, y, self.horizons)


def partial_likelihood(
    risk: np.ndarray, time: np.ndarray, event: np.ndarray
) -> tuple[float, np.ndarray]:
    """Minus the log partial likelihood and its gradient ``[n]`` by ``risk [n]``; ties as Breslow.

    Times are sorted, the latest first.
    """
    ends = np.flatnonzero(np.append(time[1:] != time[:-1], True))
    last = ends[np.searchsorted(ends, np.arange(len(time)))]
    log_at_risk = np.logaddexp.accumulate(risk)[last]
    loss = float((log_at_risk - risk)[event].sum())
    # Every event is shared out among those at risk: the same and later times.
    share = np.where(event, np.exp(-(log_at_risk - risk.max())), 0.0)
    first = np.searchsorted(-time, -time, side="left")
    owed = share[::-1].cumsum()[::-1][first]
    return loss, np.exp(risk - risk.max()) * owed - event


def arrays(estimator: Cox) -> Arrays:
    """Coefficients ``[width]``; as intercepts the log cumulative baseline hazard ``[T]``."""
    return {"coefficients": estimator.coefficients, "intercepts": estimator.intercepts}


def scores(arrays: Arrays, inputs: np.ndarray) -> np.ndarray:
    """``log(-log S)`` at the horizons, ``[n, T]``."""
    return (inputs @ arrays["coefficients"])[:, None] + arrays["intercepts"]

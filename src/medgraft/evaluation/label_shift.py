"""How often the outcome comes in the target, by the source's model, without looking at it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import draw
from medgraft.evaluation.metrics.metric import Floats
from medgraft.evaluation.predictions import StrategyResult, Study

STEPS = 1000
SETTLED = 1e-6
DRAWS = 200


@dataclass(frozen=True)
class Estimated:
    """Shares of the classes, [C]: in the source, estimated in the target, and observed there."""

    strategy: str
    classes: list[str]
    source: list[float]
    estimated: list[float]
    low: list[float]
    high: list[float]
    observed: list[float]


def new_shares(posterior: Floats, prior: Floats, weight: Floats) -> Floats:
    """Estimate the shares of the classes among other patients, [B, C].

    Expectation maximisation of Saerens, Latinne & Decaestecker 2002 (Neural Comput. 14:21): right
    where the classes look alike in both cohorts, and the posteriors are calibrated in the first.

    posterior: [n, C] of the new patients, by a model of the first. prior: [C], of the first; all
    above 0. weight: [B, n].
    """
    shares = np.tile(prior, (len(weight), 1))
    total = weight.sum(axis=1, keepdims=True)
    for _ in range(STEPS):
        belief = (shares / prior) @ posterior.T  # [B, n]
        fresh = shares / prior * ((weight / belief) @ posterior) / total
        moved = np.abs(fresh - shares).max()
        shares = fresh
        if moved < SETTLED:
            break
    return np.asarray(shares)


def unchanged_source(study: Study) -> tuple[str, StrategyResult] | None:
    """Find the strategy that is the source's model as it is: nothing of it was fitted here."""
    for name, result in study.strategies.items():
        if result.uses_source and result.fitted_parameters == 0:
            return name, result
    return None


def estimated_shares(study: Study, source: Floats, *, seed: int) -> Estimated | None:
    """Estimate the shares of the classes in the target from its measurements alone.

    source: [n] classes of the source's rows. Predictions are averaged over the runs; the interval
    is a percentile one over 200 draws of patients, and does not know of the model's own error.
    None without a strategy that is the source's model, or a class that the source lacks.
    """
    found, classes = unchanged_source(study), len(study.classes)
    prior = np.bincount(source.astype(np.int64), minlength=classes) / len(source)
    if found is None or (prior == 0).any():
        return None
    name, result = found
    posterior = np.clip(result.test.mean(axis=0), 1e-9, None)
    weight = np.concatenate(list(draw(study.patient, draws=DRAWS, seed=seed)))
    plain = new_shares(posterior, prior, np.ones((1, len(posterior))))[0]
    low, high = np.quantile(new_shares(posterior, prior, weight), (0.025, 0.975), axis=0)
    observed = np.bincount(study.outcome.astype(np.int64), minlength=classes) / len(study.outcome)
    shares = [one.tolist() for one in (prior, plain, low, high, observed)]
    return Estimated(name, list(study.classes), *shares)


def told(found: Estimated | None) -> dict[str, Any]:
    """What readings.json holds."""
    if found is None:
        return {"why": "no strategy is the source's model as it is, or the source lacks a class"}
    return dict(vars(found))

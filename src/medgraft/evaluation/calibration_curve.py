"""How often what was predicted came true, as a smooth curve of the prediction.

Local linear regression of the outcome on the logit of the prediction, as Austin & Steyerberg 2014
(Stat. Med. 33:517) do by loess; the band is over draws of patients.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from medgraft.evaluation.intervals import draw
from medgraft.evaluation.metrics.metric import CLASSIFICATION, Floats
from medgraft.evaluation.predictions import StrategyResult, Study

POINTS = 41
EDGE = 1e-3
"""Probabilities nearer to 0 and 1 than this are as far out as this."""
NARROWEST = 0.2
"""Least bandwidth, in logits."""


@dataclass(frozen=True)
class CalibrationCurve:
    """A strategy's curve: at the predictions [G] how often they came true, with 95 % bands.

    ici: the mean distance of the curve from what was predicted, over rows (integrated calibration
    index, Austin & Steyerberg 2019, Stat. Med. 38:4051), with its 95 % interval.
    """

    strategy: str
    predicted: list[float]
    observed: list[float]
    low: list[float]
    high: list[float]
    ici: float
    ici_low: float
    ici_high: float


def calibration_curve(
    study: Study, strategy: str, *, draws: int, seed: int
) -> CalibrationCurve | str:
    """Draw the curve of a strategy's predictions, averaged over runs; or say why there is none."""
    if study.task not in CLASSIFICATION:
        return f"a calibration curve needs one class of several, the outcome is {study.task}"
    said, came = said_and_came(study, study.strategies[strategy])
    first, last = np.quantile(said, (0.025, 0.975)).tolist()  # beyond is little to go by
    at = np.linspace(first, last, POINTS)
    if at[0] == at[-1]:
        return "every prediction is the same"
    whole = smooth(said, came, np.ones((1, len(said))), at=at)[0]
    curves, distances = [], []
    for weight in draw(study.patient, draws=draws, seed=seed):
        found = smooth(said, came, weight, at=at)
        curves.append(found)
        distances += [distance(said, at, one, w) for one, w in zip(found, weight, strict=True)]
    low, high = np.nanquantile(np.concatenate(curves), (0.025, 0.975), axis=0)
    ici_low, ici_high = np.nanquantile(distances, (0.025, 0.975)).tolist()
    ici = distance(said, at, whole, np.ones(len(said)))
    band = (at.tolist(), whole.tolist(), low.tolist(), high.tolist())
    return CalibrationCurve(strategy, *band, ici, ici_low, ici_high)


def said_and_came(study: Study, result: StrategyResult) -> tuple[Floats, Floats]:
    """Return the predicted probability, averaged over runs, and whether it came true, [n] each.

    Binary: the positive class; multiclass: the largest probability, and whether that class was
    right. Several labels: one entry for every label a row recorded.
    """
    prediction = result.test.mean(axis=0)
    if study.outcome.ndim == 2:
        known = ~np.isnan(study.outcome)
        return prediction[known], study.outcome[known]
    if prediction.shape[1] == 2:
        return prediction[:, 1], study.outcome
    return prediction.max(axis=1), (prediction.argmax(axis=1) == study.outcome).astype(np.float64)


def smooth(said: Floats, came: Floats, weight: Floats, *, at: Floats) -> Floats:
    """Return the curve at the predictions `at` [G] under every weight row [B, n]: [B, G]."""
    place, where = _logit(said), _logit(at)
    wide = bandwidth(place)
    away = place - where[:, None]
    near = np.exp(-0.5 * (away / wide) ** 2)
    mass, first, second = (weight @ (near * away**power).T for power in (0, 1, 2))
    total, tilted = (weight @ (near * away**power * came).T for power in (0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (second * total - first * tilted) / (second * mass - first**2)
    return np.clip(found, 0, 1)


def bandwidth(place: Floats) -> float:
    """Silverman's rule of thumb (1986, Density Estimation, 3.28)."""
    return max(NARROWEST, 1.06 * float(place.std()) * len(place) ** -0.2)


def distance(said: Floats, at: Floats, curve: Floats, weight: Floats) -> float:
    """Return the weighted mean distance of the curve from the predictions."""
    return float(weight @ np.abs(np.interp(said, at, curve) - said) / weight.sum())


def told(curves: list[CalibrationCurve]) -> dict[str, Any]:
    """What readings.json holds."""
    return {"curves": [asdict(curve) for curve in curves]}


def _logit(said: Floats) -> Floats:
    safe = np.clip(said, EDGE, 1 - EDGE)
    return np.log(safe) - np.log1p(-safe)

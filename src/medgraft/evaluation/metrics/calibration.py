# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
import warnings

import numpy as np

from medgraft.evaluation.metrics.metric import (
    BINARY,
    CLASSIFICATION,
    Bools,
    Floats,
    Integers,
    Metric,
    ratio,
)

BINS = 10
STEPS = 200
TOLERANCE = 1e-7
LOOSE = 1e-3


def recalibrate(
    outcome: Floats, logit: Floats, *, weight: Floats, free_slope: bool
) -> tuple[Floats, Floats]:
    """Fit P(outcome = 1) = sigmoid(intercept + slope * logit) under every weight row.

    outcome, logit: [n]. weight: [B, n]. Returns intercept [B] and slope [B]; the slope stays 1
    unless it is free. NaN where the maximum likelihood does not exist (one class, separated
    classes). Newton steps are damped as Sun & Tran-Dinh 2019 (Math. Program. 178:145) prescribe,
    which converges from any start.
    """
    found = np.full((2, len(weight)), np.nan)
    rows = np.flatnonzero(_estimable(outcome, logit, weight, free_slope=free_slope))
    if not len(rows):
        return found[0], found[1]
    at, weight = _start(len(rows)), weight[rows].T
    for _ in range(STEPS):
        step = _newton_step(outcome, logit, weight, at, free_slope=free_slope)
        move = np.max([np.abs(step[0] + step[1] * end) for end in (logit.min(), logit.max())], 0)
        at = at + step * np.where(move > 0, ratio(np.log1p(move), move), 0.0)
        done = move < TOLERANCE
        found[:, rows[done]] = at[:, done]
        going = ~done & np.isfinite(move)
        if not going.any():
            break
        if not going.all():
            rows, at, weight, move = rows[going], at[:, going], weight[:, going], move[going]
    else:
        # Where every risk is next to 0 or 1 rounding keeps the last digits moving.
        found[:, rows[move < LOOSE]] = at[:, move < LOOSE]
    return found[0], found[1]


def _estimable(outcome: Floats, logit: Floats, weight: Floats, *, free_slope: bool) -> Bools:
    """Whether both classes are drawn and, for a slope, overlap: [B].

    Separated classes would take every Newton step there is on their way to infinity.
    """
    case, control = (np.where((weight > 0) & (outcome == y), logit, np.nan) for y in (1, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class that was not drawn is NaN
        low, high = np.nanmin(case, axis=1), np.nanmax(case, axis=1)
        other_low, other_high = np.nanmin(control, axis=1), np.nanmax(control, axis=1)
    both = np.isfinite(low) & np.isfinite(other_low)
    return both & (low < other_high) & (other_low < high) if free_slope else both


def _start(fits: int) -> Floats:
    return np.stack([np.zeros(fits), np.ones(fits)])


def _newton_step(
    outcome: Floats, logit: Floats, weight: Floats, at: Floats, *, free_slope: bool
) -> Floats:
    """Return the steps of intercept and slope [2, B] from `at` [2, B]; weight is [n, B] here."""
    # np.exp is vectorised, scipy's expit is not: a third of the time. e * p is 1 - p without loss.
    e = np.exp(np.clip(-(at[0] + at[1] * logit[:, None]), -700, 700))
    probability = 1 / (1 + e)
    residual = weight * (outcome[:, None] - probability)
    information = weight * probability * (e * probability)
    total, score = information.sum(axis=0), residual.sum(axis=0)
    if not free_slope:
        return np.stack([ratio(score, total), np.zeros_like(total)])
    square = logit**2 @ information
    centre = ratio(logit @ information, total)
    spread = square - centre**2 * total
    # Predictions that do not vary leave rounding noise instead of 0.
    spread[spread <= 1e-12 * square] = 0.0
    slope = ratio(logit @ residual - centre * score, spread)
    return np.stack([ratio(score, total) - slope * centre, slope])


def _logit(prediction: Floats) -> Floats:
    safe = np.maximum(prediction, np.finfo(np.float64).eps)
    return np.log(safe[:, 1]) - np.log(safe[:, 0])


class Ece(Metric):
    """Expected calibration error over 10 equal-width bins.

    Binary: bins of the probability of the positive class, against how often it came. Multiclass:
    bins of the largest probability, against how often that class was right. A value on an edge
    belongs to the bin above it.
    """

    name = "ece"
    label = "expected calibration error"
    tasks = CLASSIFICATION
    higher_is_better = False
    bounds = (0.0, 1.0)
    citation = "Naeini et al. 2015, AAAI; Guo et al. 2017, ICML"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the calibration error [B]; see `Metric`."""
        if prediction.shape[1] == 2:
            said, came = prediction[:, 1], outcome
        else:
            said, came = prediction.max(axis=1), prediction.argmax(axis=1) == outcome
        bins = np.eye(BINS)[np.minimum((said * BINS).astype(np.int64), BINS - 1)]
        gaps = weight @ (bins * (said - came)[:, None])
        return ratio(np.abs(gaps).sum(axis=1), weight.sum(axis=1))


class CalibrationSlope(Metric):
    """Slope of the outcome on the predicted logit: ideal 1, under 1 when too extreme."""

    name = "calibration_slope"
    label = "calibration slope"
    tasks = BINARY
    higher_is_better = None
    bounds = (-np.inf, np.inf)
    citation = "Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC Med. 17:230"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the slope [B]; see `Metric`. Undefined where the classes are separated."""
        return recalibrate(outcome, _logit(prediction), weight=weight, free_slope=True)[1]


class CalibrationIntercept(Metric):
    """Calibration in the large: the shift in logit that makes the mean risk right; ideal 0."""

    name = "calibration_intercept"
    label = "calibration intercept"
    tasks = BINARY
    higher_is_better = None
    bounds = (-np.inf, np.inf)
    citation = "Cox 1958, Biometrika 45:562; Van Calster et al. 2019, BMC Med. 17:230"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the intercept [B], the slope held at 1; see `Metric`. Undefined for one class."""
        return recalibrate(outcome, _logit(prediction), weight=weight, free_slope=False)[0]

"""Product-limit curves, censoring weights and losses of survival, for many weightings at once."""

import numpy as np

from medgraft.evaluation.metrics.metric import Bools, Floats, ratio


def product_limit(
    time: Floats, event: Bools, weight: Floats, *, at: Floats, before: bool = False
) -> Floats:
    """Return the Kaplan-Meier estimate at the times `at` [m] under every weight row, [B, m].

    time, event: [n]. weight: [B, n]. before: the value just before each time instead of at it.
    After the last time the curve stays where it was. Kaplan & Meier 1958 (J. Am. Stat. Assoc.
    53:457).
    """
    return _curve(time, event, weight, late=np.zeros_like(event), at=at, before=before)


def censoring(
    time: Floats, event: Bools, weight: Floats, *, at: Floats, before: bool = False
) -> Floats:
    """Return the probability of not being censored yet, [B, m]; arguments as in `product_limit`.

    Who has the event at a time is no longer at risk of being censored at that time.
    """
    return _curve(time, ~event, weight, late=event, at=at, before=before)


def _curve(
    time: Floats, event: Bools, weight: Floats, *, late: Bools, at: Floats, before: bool
) -> Floats:
    order = np.argsort(time, kind="stable")
    moments, first = np.unique(time[order], return_index=True)
    ordered = weight[:, order]
    at_risk = np.add.reduceat(ordered, first, axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1]
    at_risk = at_risk - np.add.reduceat(ordered * late[order], first, axis=1)
    gone = np.add.reduceat(ordered * event[order], first, axis=1)
    kept = 1 - np.divide(gone, at_risk, out=np.zeros_like(gone), where=gone > 0)
    curve = np.concatenate([np.ones((len(weight), 1)), np.cumprod(kept, axis=1)], axis=1)
    return curve[:, np.searchsorted(moments, at, side="left" if before else "right")]


def restricted_mean(survival: Floats, horizons: Floats) -> Floats:
    """Return the mean time survived up to the last horizon, [n], by the trapezoidal rule.

    survival: [n, T] at the horizons [T]. Orders patients as the linear predictor does where hazards
    are proportional. Royston & Parmar 2013 (BMC Med. Res. Methodol. 13:152).
    """
    known = np.concatenate([np.ones((len(survival), 1)), survival], axis=1)
    return np.trapezoid(known, np.concatenate([[0.0], horizons]), axis=1)


def brier_at(outcome: Floats, survival: Floats, horizons: Floats, weight: Floats) -> Floats:
    """Return the Brier score at every horizon under every weight row, [B, T].

    outcome: [n, 2]. survival: [n, T]. Inverse probability of censoring weights, estimated from the
    same rows under the same weights; NaN at a horizon nobody was followed to. Graf et al. 1999
    (Stat. Med. 18:2529).
    """
    time, event = outcome[:, 0], outcome[:, 1] == 1
    of_case, of_rest = _weights(time, event, weight, horizons)
    died = (time[:, None] <= horizons) & event[:, None]
    lives = time[:, None] > horizons
    squares = of_case @ (died * survival**2) + (weight @ (lives * (1 - survival) ** 2)) * of_rest
    return ratio(squares, weight.sum(axis=1, keepdims=True)) + np.where(of_rest == 0, np.nan, 0.0)


def _weights(time: Floats, event: Bools, weight: Floats, horizons: Floats) -> tuple[Floats, Floats]:
    """Weights of the rows whose event was seen [B, n], and of those who outlive a horizon [B, T].

    The latter is 0 where the horizon lies beyond what the draw can say.
    """
    kept = censoring(time, event, weight, at=time, before=True)
    until = censoring(time, event, weight, at=horizons)
    of_case = np.divide(weight, kept, out=np.zeros_like(kept), where=(kept > 0) & event)
    return of_case, np.divide(1.0, until, out=np.zeros_like(until), where=until > 0)


def case_weights(time: Floats, event: Bools, weight: Floats) -> Floats:
    """Return weight over the probability of not being censored before the event, [B, n].

    0 for rows whose event was not seen.
    """
    return _weights(time, event, weight, np.empty(0))[0]

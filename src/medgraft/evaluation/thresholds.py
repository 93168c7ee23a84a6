"""A threshold chosen on validation patients for a stated sensitivity, and what it does in the test.

A threshold chosen on the patients who test it promises more than it keeps (Leeflang et al. 2008,
Clin. Chem. 54:729), so every replica's is chosen on its own validation patients.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from medgraft.evaluation.intervals import estimate, resample
from medgraft.evaluation.metrics.metric import Bools, Floats, ratio
from medgraft.evaluation.predictions import Study

LEAST_CASES = 5
"""Of fewer validation cases one more or less is a fifth of the sensitivity."""


@dataclass(frozen=True)
class Rate:
    """A share of patients with its 95 % interval, mean over runs; and in how many draws undefined.

    name: sensitivity, specificity, "PPV", "NPV" or flagged.
    """

    name: str
    value: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class Threshold:
    """What acting at the threshold for a wanted sensitivity does.

    least, most: the replicas' thresholds.
    """

    strategy: str
    wanted: float
    least: float
    most: float
    rates: list[Rate]


def highest(probability: Floats, case: Bools, *, sensitivity: float) -> float:
    """Return the highest threshold from which on at least this share of the cases is flagged."""
    cases = np.sort(probability[case])[::-1]
    return float(cases[int(np.ceil(sensitivity * len(cases) - 1e-9)) - 1])


def threshold(
    study: Study, strategy: str, *, sensitivity: float, draws: int, seed: int
) -> Threshold | str:
    """Choose the threshold of every replica and judge all of them; or say why there is none."""
    if study.task != "binary":
        return f"a threshold needs two classes, the outcome is {study.task}"
    result, chosen = study.strategies[strategy], []
    flagged = np.zeros(result.fold.shape, dtype=bool)
    for run, fold, rows, said in result.validated():
        case = study.everyone[rows] == 1
        if case.sum() < LEAST_CASES:
            return f"it needs {LEAST_CASES} validation cases in every fold; one has {case.sum()}"
        chosen.append(highest(said[:, 1], case, sensitivity=sensitivity))
        mine = result.fold[run] == fold
        flagged[run, mine] = result.test[run, mine, 1] >= chosen[-1]
    statistics = {name: partial(of, flagged, study.outcome == 1) for name, of in RATES.items()}
    resampled = resample(statistics, study.sample, draws=draws, seed=seed)
    rates = []
    for name, one in resampled.items():
        found = estimate(one)
        low, high = np.clip(found.interval(), 0, 1).tolist()
        rates.append(Rate(name, found.value, low, high, one.undefined))
    return Threshold(strategy, sensitivity, min(chosen), max(chosen), rates)


def _share(among: Bools, of: Bools, weight: Floats) -> Floats:
    """Share of `of` [K, n] that is `among` too, under every weight row: [B, K]."""
    return ratio(weight @ (among & of).T.astype(float), weight @ of.T.astype(float))


RATES: dict[str, Callable[[Bools, Bools, Floats], Floats]] = {
    "sensitivity": lambda flag, case, w: _share(flag, np.broadcast_to(case, flag.shape), w),
    "specificity": lambda flag, case, w: _share(~flag, np.broadcast_to(~case, flag.shape), w),
    "PPV": lambda flag, case, w: _share(np.broadcast_to(case, flag.shape), flag, w),
    "NPV": lambda flag, case, w: _share(np.broadcast_to(~case, flag.shape), ~flag, w),
    "flagged": lambda flag, _, w: _share(flag, np.ones_like(flag), w),
}

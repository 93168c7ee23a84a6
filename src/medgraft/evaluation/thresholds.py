"""A threshold chosen on validation patients for a stated aim, and what it does in the test.

A threshold chosen on the patients who test it promises more than it keeps (Leeflang et al. 2008,
Clin. Chem. 54:729), so every replica's is chosen on its own validation patients.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import binomtest

from medgraft.evaluation.intervals import Resampled, estimate, resample
from medgraft.evaluation.metrics.metric import Bools, Floats, Integers, ratio
from medgraft.evaluation.predictions import Study

LEAST_CASES = 5
"""Of fewer validation cases one more or less is a fifth of the sensitivity."""


@dataclass(frozen=True)
class Rate:
    """A share of patients with its 95 % interval, mean over runs; and in how many draws undefined.

    name: sensitivity, specificity, "PPV", "NPV" or flagged; cost, a mean and no share, where one
    was stated.
    """

    name: str
    value: float
    low: float
    high: float
    undefined: int


@dataclass(frozen=True)
class Sensitivity:
    """The highest threshold that flags this share of the cases."""

    wanted: float

    def choose(self, probability: Floats, case: Bools) -> float:
        """Return it, given probabilities [n] and who is a case [n]."""
        cases = np.sort(probability[case])[::-1]
        return float(cases[int(np.ceil(self.wanted * len(cases) - 1e-9)) - 1])


@dataclass(frozen=True)
class Cost:
    """The threshold of least cost, where a missed case costs as much as `wanted` false alarms.

    Of a calibrated model it is the risk 1 / (1 + wanted), in the long run (Elkan 2001, IJCAI, 973).
    """

    wanted: float

    def choose(self, probability: Floats, case: Bools) -> float:
        """Return it, given probabilities [n] and who is a case [n]; infinity: flag nobody."""
        order = np.argsort(-probability)
        ranked, cases = probability[order], case[order]
        missed = cases.sum() - np.append(0, np.cumsum(cases))  # the first 0, 1, .. n flagged
        alarms = np.append(0, np.cumsum(~cases))
        apart = np.append(True, np.append(np.diff(ranked) != 0, True))  # equals go together
        best = np.argmin((self.wanted * missed + alarms)[apart])
        return float(np.append(np.inf, ranked)[apart][best])

    def of(self, flagged: Bools, case: Bools) -> Floats:
        """What each decision costs, in false alarms."""
        return np.where(flagged, (~case).astype(float), self.wanted * case)

    def without_model(self, case: Bools) -> dict[str, float]:
        """What flagging all patients, and none, would cost each of them."""
        none = np.zeros_like(case)
        return {
            name: float(self.of(f, case).mean()) for name, f in (("all", ~none), ("none", none))
        }


Aim = Sensitivity | Cost


@dataclass(frozen=True)
class Threshold:
    """What acting at the threshold for an aim does.

    least, most: the replicas' thresholds; infinity flags nobody.
    """

    strategy: str
    wanted: float
    least: float
    most: float
    rates: list[Rate]


def threshold(study: Study, strategy: str, *, aim: Aim, draws: int, seed: int) -> Threshold | str:
    """Choose the threshold of every replica and judge all of them; or say why there is none."""
    if study.task != "binary":
        return f"a threshold needs two classes, the outcome is {study.task}"
    result, chosen = study.strategies[strategy], []
    flagged = np.zeros(result.fold.shape, dtype=bool)
    for run, fold, rows, said in result.validated():
        case = study.everyone[rows] == 1
        if case.sum() < LEAST_CASES:
            return f"it needs {LEAST_CASES} validation cases for every model; one has {case.sum()}"
        chosen.append(aim.choose(said[:, 1], case))
        mine = result.fold[run] == fold
        flagged[run, mine] = result.test[run, mine, 1] >= chosen[-1]
    case = study.outcome == 1
    parts = {name: of(flagged, case) for name, of in RATES.items()}
    if isinstance(aim, Cost):
        parts["cost"] = aim.of(flagged, case), np.ones_like(flagged)
    statistics = {name: partial(_mean, *both) for name, both in parts.items()}
    resampled = resample(statistics, study.sample, draws=draws, seed=seed)
    rates = [
        _rate(name, one, fewest=_fewest(parts[name][1], study.sample.patient))
        for name, one in resampled.items()
    ]
    return Threshold(strategy, aim.wanted, min(chosen), max(chosen), rates)


def told(found: Mapping[str, Threshold | str]) -> dict[str, Any]:
    """What readings.json holds, by strategy; only why there is none, where no strategy has one."""
    if not any(isinstance(one, Threshold) for one in found.values()):
        return {"why": next(iter(found.values()))}
    return {
        "strategies": {
            name: {"why": one} if isinstance(one, str) else asdict(one)
            for name, one in found.items()
        }
    }


def _mean(value: Bools | Floats, of: Bools, weight: Floats) -> Floats:
    """Mean of a value over these rows, both [K, n], under every weight row: [B, K]."""
    return ratio(weight @ (value * of).T.astype(float), weight @ of.T.astype(float))


def _fewest(of: Bools, patient: Integers) -> int:
    """How many patients the share is of, in the run with the fewest."""
    return min(len(np.unique(patient[rows])) for rows in of)


def _rate(name: str, one: Resampled, *, fewest: int) -> Rate:
    """The share; all of some patients stay all when resampled, so that is given the exact interval.

    Clopper & Pearson 1934 (Biometrika 26:404).
    """
    found = estimate(one)
    low, high = np.clip(found.interval(), 0, np.inf if name == "cost" else 1).tolist()
    if name != "cost" and found.error == 0 and found.value in (0, 1) and fewest:
        exact = binomtest(round(found.value * fewest), fewest).proportion_ci()
        low, high = exact.low, exact.high
    return Rate(name, found.value, low, high, one.undefined)


RATES: dict[str, Callable[[Bools, Bools], tuple[Bools | Floats, Bools]]] = {
    "sensitivity": lambda flag, case: (flag, np.broadcast_to(case, flag.shape)),
    "specificity": lambda flag, case: (~flag, np.broadcast_to(~case, flag.shape)),
    "PPV": lambda flag, case: (np.broadcast_to(case, flag.shape), flag),
    "NPV": lambda flag, case: (np.broadcast_to(~case, flag.shape), ~flag),
    "flagged": lambda flag, _: (flag, np.ones_like(flag)),
}
"""From who is flagged [K, n] and who is a case [n]: the rows counted, and of which rows."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

from medgraft.evaluation.metrics.metric import Floats, Integers, Metric

Key = TypeVar("Key")
Statistic = Callable[[Floats], Floats]
"""From weights of the rows [B, n] to a value for every run [B, K]."""

IN_CACHE = 65_536
"""So many weights at a time stay in the processor's cache, nearly twice as fast as all at once."""
IN_MEMORY = 20_000_000
"""Most weights at a time; up to it, 64 draws share the sorting of a large cohort."""
LEAST_DEFINED = 0.9
"""Under this share of defined draws the spread of the others says nothing trustworthy."""
LEAST_P = 1e-50
"""Smaller p values are given as this one: scipy's Student quantiles break down far below it."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows as a sample of patients like these.

    patient: [n] codes 0..P-1. fewest: patients of the rarest class; so few are as good as what is
    known of their spread. training: what the patients' part of a variance is multiplied by, since
    they trained the networks which they tested (`training_factor`).
    """

    patient: Integers
    fewest: int
    training: float = 1.0


def training_factor(patient: Integers, tested: Sequence[Any], learned: Sequence[Any]) -> float:
    """Return by how much having trained the networks as well raises the variance from patients.

    Another cohort would test other patients and train other networks. For an algorithm that learns
    from n1 patients and is tested on n2 others, Nadeau & Bengio 2003 (Mach. Learn. 52:239) count a
    correlated variance of n2/n1 times that of one test; with the variance s²/n2 of a test on n2
    patients that is s²/n1. What the algorithm does with its n1 patients is its own affair, so
    those who stop the training are among them. Where every patient tests and trains, as in
    cross-validation, this is all their variance, n/n1 times the s²/n of the test; where those who
    test never train, as with a given split, it comes on top.

    Args:
        patient: [n] codes.
        tested: rows that test each replica.
        learned: rows that each replica learns from, those that stop its training included.
    """
    both = [[set(patient[list(rows)]) for rows in parts] for parts in (tested, learned)]
    testers, learners = (set().union(*parts) for parts in both)
    mean = np.mean([len(people) for people in both[1]])
    return float(len(testers) / mean + len(testers - learners) / len(testers))


@dataclass(frozen=True)
class Resampled:
    """A statistic on the plain data and on resampled patients, for every run.

    by_run: [K]. draws: [B, K]; draw b weighs the patients alike in all runs, for all strategies and
    metrics, so that subtracting two of these gives the paired difference. fewest and training: see
    `Sample`.
    """

    by_run: Floats
    draws: Floats
    fewest: int
    training: float = 1.0

    def __sub__(self, other: "Resampled") -> "Resampled":
        by_run, draws = self.by_run - other.by_run, self.draws - other.draws
        return replace(self, by_run=by_run, draws=draws)

    @property
    def undefined(self) -> int:
        """How many draws left the statistic undefined in some run."""
        return int(np.isnan(self.draws).any(axis=1).sum())


@dataclass(frozen=True)
class Estimate:
    """A mean over runs with what patients and what runs add to its variance.

    `of_patients` and `of_runs` both contain the variance of their interaction; `error` counts it
    once (two-way clustering: Cameron, Gelbach & Miller 2011, J. Bus. Econ. Stat. 29:238).
    """

    value: float
    of_patients: float
    of_runs: float
    interaction: float
    fewest: int
    runs: int

    @classmethod
    def combine(
        cls,
        value: float,
        *,
        of_patients: float,
        of_runs: float,
        interaction: float,
        fewest: int,
        training: float,
        runs: int,
    ) -> "Estimate":
        """Combine measured variances, neither part of which can be less than the interaction.

        Only what patients add by themselves is multiplied for having trained the networks: what
        differs between runs of one cohort does not come from the choice of the cohort.
        """
        own = training * max(of_patients - interaction, 0.0)
        shared = (own + interaction, max(of_runs, interaction), interaction)
        return cls(value, *shared, fewest, runs)

    @cached_property
    def error(self) -> float:
        """The standard error."""
        return float(np.sqrt(self.of_patients + self.of_runs - self.interaction))

    def critical(self, p: float) -> float:
        """Return how many standard errors off a value must be for a two-sided p.

        Student's quantiles for patients and for runs, weighted by what each adds to the variance
        (Cochran & Cox 1950, Experimental Designs): few runs are believed as little as they deserve.
        """
        alone = self.of_runs - self.interaction
        if not self.error > 0:
            return float("nan")
        quantile = self.of_patients * stdtrit(self.fewest - 1, p / 2)
        if alone > 0:
            quantile += alone * stdtrit(self.runs - 1, p / 2)
        return float(-quantile / (self.of_patients + alone))

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Return the low and high end of the confidence interval."""
        if self.error == 0:
            return self.value, self.value
        reach = self.critical(1 - level) * self.error
        return self.value - reach, self.value + reach

    @cached_property
    def p(self) -> float:
        """The two-sided p for a true value of 0: under 0.05 when the 95 % interval leaves 0 out."""
        if np.isnan(self.error) or np.isnan(self.value):
            return float("nan")
        if self.error == 0:
            return float(self.value == 0)
        return _level_of(abs(self.value) / self.error, self.critical)


def draw(patient: Integers, *, draws: int, seed: int) -> Iterator[Floats]:
    """Yield weights of the rows, [b, n] at a time and `draws` in all.

    The rows of a patient share a weight. patient: [n] codes 0..P-1. Each draw takes P - 1
    of the P patients with replacement, which makes the variance of a mean over draws unbiased (Rao
    & Wu 1988, J. Am. Stat. Assoc. 83:231). The weights of draw b depend on the seed alone, not on
    how many come at a time.
    """
    patients = int(patient.max()) + 1
    generator = np.random.default_rng(seed)
    at_once = max(1, IN_CACHE // len(patient), min(64, IN_MEMORY // len(patient)))
    for start in range(0, draws, at_once):
        size = min(at_once, draws - start)
        counts = generator.multinomial(
            max(patients - 1, 1), np.full(patients, 1 / patients), size=size
        )
        yield counts.T[patient].astype(np.float64).T


def resample(
    statistics: Mapping[Key, Statistic], sample: Sample, *, draws: int, seed: int
) -> dict[Key, Resampled]:
    """Compute every statistic on the plain data and on the same resampled patients.

    Patients, one fewer than there are: Rao & Wu 1988 (J. Am. Stat. Assoc. 83:231).
    """
    whole = np.ones((1, len(sample.patient)))
    plain = {key: statistic(whole)[0] for key, statistic in statistics.items()}
    pieces: dict[Key, list[Floats]] = {key: [] for key in statistics}
    for weight in draw(sample.patient, draws=draws, seed=seed):
        for key, statistic in statistics.items():
            pieces[key].append(statistic(weight))
    return {
        key: Resampled(plain[key], np.concatenate(pieces[key]), sample.fewest, sample.training)
        for key in statistics
    }


def by_run(
    weight: Floats, *, metric: Metric, outcome: Floats, prediction: Floats, fold: Integers
) -> Floats:
    """Compute a metric for every run, [B, K].

    weight: [B, n]. outcome: [n]. prediction: [K, n, C]. fold: [K, n].
    """
    runs = zip(prediction, fold, strict=True)
    return np.stack([metric(outcome, of_run, weight, folds) for of_run, folds in runs], axis=1)


def estimate(resampled: Resampled) -> Estimate:
    """Split the variance of the mean over runs into patients, runs and their interaction.

    Two-way clustering: Cameron, Gelbach & Miller 2011 (J. Bus. Econ. Stat. 29:238).

    The spread over draws gives what patients add; the spread over runs needs no resampling, being
    that of a mean of K values. The variances are NaN for a single patient, an undefined value, or
    where under 90 % of the draws are defined.
    """
    value, runs = float(resampled.by_run.mean()), len(resampled.by_run)
    fewest, draws = resampled.fewest, resampled.draws
    defined = draws[~np.isnan(draws).any(axis=1)]
    if fewest < 2 or np.isnan(value) or len(defined) < LEAST_DEFINED * len(draws):
        return Estimate(value, np.nan, np.nan, np.nan, fewest, runs)
    common = defined.mean(axis=1)
    variances = {"of_patients": float(common.var()), "of_runs": 0.0, "interaction": 0.0}
    if runs > 1:
        own = (defined - common[:, None]).var(axis=0).sum() / (runs * (runs - 1))
        of_runs = resampled.by_run.var(ddof=1) / runs
        variances |= {"of_runs": float(of_runs), "interaction": float(own)}
    return Estimate.combine(
        value, **variances, fewest=fewest, training=resampled.training, runs=runs
    )


def _level_of(deviation: float, critical: Callable[[float], float]) -> float:
    if deviation >= critical(LEAST_P):
        return LEAST_P
    log_p = brentq(lambda log: critical(np.exp(log)) - deviation, np.log(LEAST_P), 0.0, xtol=1e-9)
    return float(np.exp(log_p))

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from medgraft.errors import ConfigError, StageError
from medgraft.evaluation.intervals import Resampled, estimate, resample
from medgraft.evaluation.metrics.metric import Floats, ratio
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.tasks import task as tasks

GUARD = 0.98
"""Level of the interval that must leave 0 out before a model with the source ships.

Of sources that do no good, one in a hundred then ships by chance. Student's quantile goes by the
few patients who validate one network; by all patients, simulated studies of 40 shipped a harmful
source in 2 of 100 (docs/statistics.md).
"""


@dataclass(frozen=True)
class Candidate:
    """A strategy on validation patients: its mean loss, and how far it is from its group's best.

    The groups are the strategies that use the source cohort and those that do not. low and high:
    the 95 % interval of the difference. chosen: the simplest within one standard error of the best.
    """

    strategy: str
    uses_source: bool
    fitted_parameters: int
    loss: float
    best: str
    difference: float
    low: float
    high: float
    chosen: bool


@dataclass(frozen=True)
class Champion:
    """The strategy to ship, why, and everything it was chosen from.

    overruled: the guard's choice where its users ship another; None where they follow it.
    """

    strategy: str
    reason: str
    uses_source: bool
    candidates: tuple[Candidate, ...]
    overruled: str | None = None


def choose_champion(study: Study, *, draws: int, seed: int) -> Champion:
    """Choose the strategy to ship, from validation predictions alone.

    Among the strategies without the source cohort, and among those with it, take the simplest
    within one standard error of the best (Breiman et al. 1984, Classification and Regression
    Trees, 3.4.3); ship the one with the source only if the `GUARD` interval says that it beats the
    best without. A loss is the log loss, or the squared error; of several labels, the mean over
    those a row recorded, and of survival, that of the interval of the grid. Standard errors and
    intervals are the paired ones of `intervals`. Raises StageError when no strategy has validation
    predictions.
    """
    losses = validation_losses(study, draws=draws, seed=seed)
    groups = [_group(study, losses, uses_source=uses_source) for uses_source in (False, True)]
    baseline, transfer = (next((c for c in group if c.chosen), None) for group in groups)
    winner, reason = _decide(baseline, transfer, losses, tasks.of(study.task).loss)
    return Champion(winner.strategy, reason, winner.uses_source, (*groups[0], *groups[1]))


def overrule(champion: Champion, study: Study, *, strategy: str, why: str) -> Champion:
    """Ship a strategy that the guard did not choose, and say so wherever the reason is read.

    Raises ConfigError if the study has no such strategy; the guard's own choice stays its choice.
    """
    if strategy == champion.strategy:
        return champion
    if strategy not in study.strategies:
        known = ", ".join(study.strategies)
        raise ConfigError(f"evaluation.ship: expected one of {known}, got {strategy!r}")
    return replace(
        champion,
        strategy=strategy,
        uses_source=study.strategies[strategy].uses_source,
        reason=(
            f"Shipped against the guard, for this reason given: {why} The guard's choice is "
            f"{champion.strategy}. {champion.reason}"
        ),
        overruled=champion.strategy,
    )


def validation_losses(study: Study, *, draws: int, seed: int) -> dict[str, Resampled]:
    """Resample the mean validation loss of every strategy that has validation predictions."""
    statistics = {
        name: partial(_mean_over_rows, row_losses(study, result))
        for name, result in study.strategies.items()
        if len(result.validation)
    }
    if not statistics:
        raise StageError("no strategy has validation predictions, so no champion can be chosen")
    return resample(statistics, study.sample_of_validation, draws=draws, seed=seed)


def row_losses(study: Study, result: StrategyResult) -> Floats:
    """Return the validation loss of every row in every run, [K, n].

    The mean over the folds that had the row in validation; NaN where none had.
    """
    outcome = study.everyone[result.validation_row]
    horizons = np.asarray(study.horizons)
    loss = tasks.of(study.task).row_losses(outcome, result.validation, horizons)
    total, times = np.zeros((2, study.runs, len(study.everyone)))
    at = (result.validation_run, result.validation_row)
    np.add.at(total, at, loss)
    np.add.at(times, at, 1.0)
    return ratio(total, times)


def _mean_over_rows(losses: Floats, weight: Floats) -> Floats:
    seen = ~np.isnan(losses)
    return ratio(weight @ np.where(seen, losses, 0.0).T, weight @ seen.T.astype(np.float64))


def _group(
    study: Study, losses: Mapping[str, Resampled], *, uses_source: bool
) -> tuple[Candidate, ...]:
    names = [name for name in losses if study.strategies[name].uses_source == uses_source]
    if not names:
        return ()
    mean = {name: float(losses[name].by_run.mean()) for name in names}
    size = {name: study.strategies[name].fitted_parameters for name in names}
    best = min(names, key=lambda name: (mean[name], size[name], name))
    gap = {name: estimate(losses[name] - losses[best]) for name in names}
    near = [name for name in names if name == best or gap[name].value <= gap[name].error]
    chosen = min(near, key=lambda name: (size[name], mean[name], name))
    return tuple(
        Candidate(
            name,
            uses_source,
            size[name],
            mean[name],
            best,
            gap[name].value,
            *gap[name].interval(),
            name == chosen,
        )
        for name in names
    )


def _decide(
    baseline: Candidate | None,
    transfer: Candidate | None,
    losses: Mapping[str, Resampled],
    loss_name: str,
) -> tuple[Candidate, str]:
    if transfer is None:
        assert baseline is not None  # validation_losses has refused an empty study
        return baseline, f"No strategy uses the source cohort; {_standing(baseline)}."
    if baseline is None:
        return transfer, f"Every strategy uses the source cohort; {_standing(transfer)}."
    gap = estimate(losses[transfer.strategy] - losses[baseline.best])
    low, high = gap.interval(GUARD)
    numbers = f"{gap.value:+.3g} in {loss_name} ({100 * GUARD:.0f} % CI {low:+.3g} to {high:+.3g})"
    if high < 0:
        return transfer, (
            f"On validation patients {transfer.strategy}, which uses the source cohort, beats "
            f"{baseline.best}, the best that does not: {numbers}."
        )
    simpler = "" if baseline.strategy == baseline.best else f"; {_standing(baseline)}"
    return baseline, (
        f"On validation patients {transfer.strategy}, which uses the source cohort, does not beat "
        f"{baseline.best}, the best that does not use it: {numbers}{simpler}."
    )


def _standing(candidate: Candidate) -> str:
    if candidate.strategy == candidate.best:
        return f"{candidate.strategy} is the best on validation patients"
    return (
        f"{candidate.strategy} is the simplest within one standard error of {candidate.best}, the "
        "best on validation patients"
    )

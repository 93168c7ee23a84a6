# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
import numpy as np

from medgraft.evaluation.metrics.metric import REGRESSION, Floats, Integers, Metric, mean, ratio


class Rmse(Metric):
    """Root of the mean squared error, in the unit of the outcome."""

    name = "rmse"
    label = "RMSE"
    tasks = REGRESSION
    higher_is_better = False
    bounds = (0.0, np.inf)
    citation = "Gauss 1823, Theoria combinationis observationum"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the RMSE [B]; see `Metric`."""
        return np.sqrt(mean((outcome - prediction[:, 0]) ** 2, weight))


class Mae(Metric):
    """Mean absolute error, in the unit of the outcome."""

    name = "mae"
    label = "MAE"
    tasks = REGRESSION
    higher_is_better = False
    bounds = (0.0, np.inf)
    citation = "Willmott & Matsuura 2005, Clim. Res. 30:79"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the mean absolute error [B]; see `Metric`."""
        return mean(np.abs(outcome - prediction[:, 0]), weight)


class R2(Metric):
    """Share of the outcome's variance explained. Undefined where the outcome does not vary."""

    name = "r2"
    label = "R²"
    tasks = REGRESSION
    higher_is_better = True
    bounds = (-np.inf, 1.0)
    citation = "Kvålseth 1985, Am. Stat. 39:279"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return R² [B]; see `Metric`."""
        centred = outcome - outcome.mean()
        spread = weight @ centred**2 - (weight @ centred) * mean(centred, weight)
        # One patient drawn n times leaves rounding noise instead of 0.
        spread[spread <= 1e-12 * (weight @ centred**2)] = 0.0
        return 1 - ratio(weight @ (outcome - prediction[:, 0]) ** 2, spread)

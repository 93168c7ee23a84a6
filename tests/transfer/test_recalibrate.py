import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import softmax
from scipy.stats import norm

from medgraft.transfer.recalibrate import PRECISION, intercept, intercept_and_slope

MANY = 20_000


def binary(n, level=0.0, spread=1.0, seed=0):
    """Outputs whose true log-odds are ``level + spread * output``."""
    rng = np.random.default_rng(seed)
    outputs = rng.normal(0, 1.5, (n, 1))
    chance = 1 / (1 + np.exp(-(level + spread * outputs[:, 0])))
    return outputs, (rng.random(n) < chance).astype(float)


def test_binary_equals_logistic_regression():
    outputs, y = binary(MANY, level=-0.8, spread=0.5)
    fit = sm.Logit(y, sm.add_constant(outputs)).fit(disp=0)
    (level,), spread = intercept_and_slope(outputs, y, "binary")
    # The prior weighs as much as one patient in thousands: a hundredth of a standard error.
    assert np.all(np.abs([level, spread] - fit.params) < 0.02 * fit.bse)


def test_intercept_equals_offset_regression():
    outputs, y = binary(MANY, level=0.6)
    fit = sm.GLM(y, np.ones(MANY), family=sm.families.Binomial(), offset=outputs[:, 0]).fit()
    (level,), spread = intercept(outputs, y, "binary")
    assert abs(level - fit.params[0]) < 0.02 * fit.bse[0]
    assert spread == 1


def test_distortion_is_undone():
    outputs, y = binary(MANY)
    (level,), spread = intercept_and_slope(3 * outputs + 1, y, "binary")
    design = sm.add_constant(3 * outputs + 1)
    errors = sm.Logit(y, design).fit(disp=0).bse
    # Within four standard errors: wrong for two seeds in 16,000.
    z = np.abs([level + 1 / 3, spread - 1 / 3]) / errors
    assert z.max() < norm.isf(1 / 32_000)


def test_small_sample_has_the_prior():
    outputs, y = binary(12, level=1.0, seed=3)
    (level,), spread = intercept_and_slope(outputs, y, "binary")

    def penalised(c):
        margin = np.where(y == 1, 1, -1) * (c[0] + c[1] * outputs[:, 0])
        prior = norm.logpdf(c, [0, 1], PRECISION**-0.5).sum()
        return np.log1p(np.exp(-margin)).sum() - prior

    expected = minimize(penalised, [0, 1], method="Nelder-Mead", options={"xatol": 1e-7}).x
    np.testing.assert_allclose([level, spread], expected, atol=1e-3)


def test_separated_patients_stay_finite():
    outputs, y = np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 0.0, 1.0, 1.0])
    (level,), spread = intercept_and_slope(outputs, y, "binary")
    assert level == pytest.approx(0, abs=1e-4)
    assert 1 < spread < 1 + 3 * 2.5  # three standard deviations of the prior
    (alone,), _ = intercept(outputs, np.ones(4), "binary")
    assert 0 < alone < 3 * 2.5


def test_multiclass_distortion_is_undone():
    rng = np.random.default_rng(1)
    true = rng.normal(0, 1.5, (MANY, 3))
    y = np.array([rng.choice(3, p=p) for p in softmax(true, axis=1)], float)
    shift = np.array([1.0, -2.0, 0.5])
    levels, spread = intercept_and_slope(2 * true + shift, y, "multiclass")
    corrected = softmax(levels + spread * (2 * true + shift), axis=1)
    # A level is known to about 0.02 logits here, a spread to 2 %: four errors of a probability.
    assert np.abs(corrected - softmax(true, axis=1)).max() < 0.04
    only, one = intercept(true + shift, y, "multiclass")
    assert one == 1
    np.testing.assert_allclose(np.diff(only), -np.diff(shift), atol=0.12)


def test_regression_is_least_squares():
    rng = np.random.default_rng(2)
    outputs = rng.normal(5, 2, (60, 1))
    y = 3 - 0.7 * outputs[:, 0] + rng.normal(0, 1, 60)
    (level,), spread = intercept_and_slope(outputs, y, "regression")
    np.testing.assert_allclose([spread, level], np.polyfit(outputs[:, 0], y, 1), rtol=1e-9)
    (shift,), one = intercept(outputs, y, "regression")
    assert (shift, one) == (pytest.approx((y - outputs[:, 0]).mean()), 1)


def test_equal_outputs_correct_level():
    (level,), spread = intercept_and_slope(np.full((4, 1), 2.0), np.arange(4.0), "regression")
    assert (level, spread) == (-0.5, 1)


HORIZONS = np.arange(1.0, 11.0)


def survivors(n, level=0.0, spread=1.0, seed=0):
    """Said log hazard ratios and log cumulative hazards [n, T]; the true ones have another level
    and spread."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(0, 1, n)
    time = rng.exponential(8 * np.exp(-level - spread * risk))
    censored = rng.uniform(2, 14, n)
    y = np.stack([np.minimum(time, censored), time <= censored], axis=1)
    return risk, np.log(HORIZONS / 8) + risk[:, None], y


def test_survival_slope_is_cox():
    """The slope is the Cox coefficient of what the source says: its calibration slope."""
    risk, outputs, y = survivors(4000, level=0.5, spread=0.4)
    _, slope = intercept_and_slope(outputs, y, "survival", HORIZONS)
    fit = sm.PHReg(y[:, 0], risk, status=y[:, 1]).fit()
    assert abs(slope - fit.params[0]) < fit.bse[0]


def test_survival_level_is_expected_deaths():
    """With the level alone, observed over expected events (Poisson), as the hazards are right."""
    _, outputs, y = survivors(8000, level=-0.7)
    level, slope = intercept(outputs, y, "survival", HORIZONS)
    assert slope == 1
    assert np.ptp(level) < 1e-9
    risk = outputs[:, -1] - np.log(HORIZONS[-1] / 8)
    followed = np.minimum(y[:, 0], HORIZONS[-1])
    events = (y[:, 1] == 1) & (y[:, 0] <= HORIZONS[-1])
    observed = events.sum() / (np.exp(risk) * followed / 8).sum()
    assert level[0] == pytest.approx(np.log(observed), abs=0.03)


def test_survival_right_already_stays():
    _, outputs, y = survivors(8000)
    level, slope = intercept_and_slope(outputs, y, "survival", HORIZONS)
    assert slope == pytest.approx(1, abs=0.05)
    assert np.abs(level).max() < 0.1


def test_harmful_survival_is_turned_round():
    """A source that ranks in reverse gets a negative slope, and the curves still fall."""
    _, outputs, y = survivors(2000, spread=-1.0)
    level, slope = intercept_and_slope(outputs, y, "survival", HORIZONS)
    assert slope < -0.5
    assert (np.diff(level + slope * outputs, axis=1) > 0).all()


def test_labels_are_recalibrated_together():
    """One level for each label and one slope for all; what was not recorded changes nothing."""
    rng = np.random.default_rng(4)
    outputs = rng.normal(0, 1.5, (MANY, 2))
    y = (rng.random((MANY, 2)) < 1 / (1 + np.exp(-(0.5 * outputs + [1.0, -1.0])))).astype(float)
    y[: MANY // 2, 1] = np.nan
    levels, slope = intercept_and_slope(outputs, y, "multilabel")
    rows = ~np.isnan(y.ravel())
    design = np.column_stack([np.tile(np.eye(2), (MANY, 1)), outputs.ravel()])[rows]
    fit = sm.Logit(y.ravel()[rows], design).fit(disp=0)
    assert np.all(np.abs([*levels, slope] - fit.params) < 0.02 * fit.bse)

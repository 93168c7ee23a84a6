import numpy as np
import pytest
from scipy.optimize import approx_fprime
from statsmodels.duration.hazard_regression import PHReg

from medgraft.errors import ConfigError
from medgraft.transfer.baselines.cox import cox, partial_likelihood
from medgraft.transfer.baselines.learner import learner

HORIZONS = (1.0, 3.0, 6.0)


def patients(n=300, *, ties=False):
    rng = np.random.default_rng(1)
    x = rng.normal(size=(n, 3))
    time, cut = rng.exponential(4 * np.exp(-x @ [1.0, -0.5, 0.0])), rng.exponential(8, n)
    y = np.stack([np.minimum(time, cut), time <= cut], axis=1)
    return x, np.column_stack([np.ceil(2 * y[:, 0]) / 2, y[:, 1]]) if ties else y


@pytest.mark.parametrize("ties", [False, True])
def test_coefficients_are_statsmodels(ties):
    x, y = patients(ties=ties)
    fitted = cox("survival", 0, horizons=HORIZONS, ridge=0.0).fit(x, y, seed=0)
    expected = PHReg(y[:, 0], x, status=y[:, 1], ties="breslow").fit().params
    np.testing.assert_allclose(fitted.arrays["coefficients"], expected, rtol=1e-4, atol=1e-4)


def test_ridge_is_statsmodels():
    x, y = patients(80)
    fitted = cox("survival", 0, horizons=HORIZONS, ridge=20.0).fit(x, y, seed=0)
    model = PHReg(y[:, 0], x, status=y[:, 1], ties="breslow")
    expected = model.fit_regularized(alpha=20.0 / len(y), L1_wt=0.0).params
    np.testing.assert_allclose(fitted.arrays["coefficients"], expected, atol=2e-3)


def test_gradient_is_finite_differences():
    x, y = patients(40, ties=True)
    order = np.argsort(-y[:, 0])
    time, event, risk = y[order, 0], y[order, 1] == 1, x[order, 0]
    numeric = approx_fprime(risk, lambda at: partial_likelihood(at, time, event)[0])
    np.testing.assert_allclose(partial_likelihood(risk, time, event)[1], numeric, atol=1e-4)


def test_expected_events_are_the_observed():
    """Breslow's baseline makes the hazards accumulated by all patients the events they had."""
    x, y = patients()
    followed = np.unique(y[:, 0])
    recipe = cox("survival", 0, horizons=followed, ridge=1.0)
    hazards = np.exp(recipe.fit(x, y, seed=0).outputs(x))
    own = hazards[np.arange(len(y)), np.searchsorted(followed, y[:, 0])]
    assert own.sum() == pytest.approx(y[:, 1].sum(), rel=0.01)


def test_more_ridge_is_smaller():
    x, y = patients()
    sizes = [
        np.abs(
            cox("survival", 0, horizons=HORIZONS, ridge=r).fit(x, y, seed=0).arrays["coefficients"]
        )
        for r in (0.0, 30.0, 1e6)
    ]
    assert (sizes[0][:2] > sizes[1][:2]).all()
    assert sizes[2].max() < 1e-3


def test_other_tasks_are_refused():
    spec = {"_target_": "medgraft.transfer.baselines.cox.cox"}
    with pytest.raises(ConfigError) as error:
        learner(spec, {"name": "died", "task": "binary", "classes": ["no", "yes"]})
    assert str(error.value) == "the Cox baseline learns survival, not a binary outcome"


def test_classifier_refuses_survival():
    spec = {"_target_": "medgraft.transfer.baselines.trees.gradient_boosting"}
    outcome = {"name": "relapse", "task": "survival", "classes": [], "horizons": HORIZONS}
    with pytest.raises(ConfigError) as error:
        learner(spec, outcome)
    assert str(error.value) == (
        "the baseline gradient_boosting does not learn survival (relapse); "
        "leave it out of strategies, or take cox (sequences: kmer_cox, images: pixel_cox)"
    )


def test_labels_are_fitted_one_by_one():
    """Each label's answers are those of a binary baseline on the rows that recorded it."""
    x, _ = patients(120)
    y = (x[:, :2] > [0.0, 0.7]).astype(float)
    y[:40, 1] = np.nan
    for name in ("linear.logistic_regression", "trees.gradient_boosting"):
        spec = {"_target_": f"medgraft.transfer.baselines.{name}"}
        both = learner(spec, {"name": "findings", "task": "multilabel", "classes": ["a", "b"]})
        alone = learner(spec, {"name": "b", "task": "binary", "classes": ["no", "yes"]})
        outputs = both.fit(x, y, seed=0).outputs(x)
        np.testing.assert_allclose(outputs[:, 1:], alone.fit(x[40:], y[40:, 1], seed=0).outputs(x))


def test_label_without_case_is_rare():
    x, _ = patients(50)
    y = np.column_stack([x[:, 0] > 0, np.zeros(50)]).astype(float)
    spec = {"_target_": "medgraft.transfer.baselines.linear.logistic_regression"}
    recipe = learner(spec, {"name": "findings", "task": "multilabel", "classes": ["a", "b"]})
    chance = 1 / (1 + np.exp(-recipe.fit(x, y, seed=0).outputs(x)[:, 1]))
    assert 0 < chance.max() < 0.1


def test_what_has_positions_is_refused():
    _, y = patients(40)
    with pytest.raises(ConfigError) as error:
        cox("survival", 0, horizons=HORIZONS).fit(np.zeros((40, 4, 30)), y, seed=0)
    assert str(error.value) == (
        "this learner reads tables and genes, not sequences or images; leave it out of "
        "strategies, or take kmer_cox (sequences) or pixel_cox (images)"
    )

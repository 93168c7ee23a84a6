import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from statsmodels.duration.hazard_regression import PHReg

from medgraft.transfer.baselines.pixels import pixel_cox, pixel_regression

X = np.random.default_rng(0).normal(size=(60, 1, 6, 5))
OUTCOMES = {
    "binary": (X.mean((1, 2, 3)) > 0).astype(float),
    "multiclass": np.digitize(X[:, 0, 0, 0], [-0.5, 0.5]).astype(float),
    "regression": X[:, 0, 2, 2] * 3 + 7,
}


@pytest.mark.parametrize("task", OUTCOMES)
def test_weights_answer_as_scikit_learn(task):
    """One weight a pixel says what the two fitted steps say, one after the other."""
    y, classes = OUTCOMES[task], 3 if task == "multiclass" else 2
    fitted = pixel_regression(task, classes, components=8).fit(X, y, seed=3)
    last = Ridge(alpha=1) if task == "regression" else LogisticRegression(max_iter=2000)
    known = make_pipeline(PCA(8, whiten=True, random_state=3), last).fit(X.reshape(60, -1), y)
    found = fitted.outputs(X)
    if task == "multiclass":
        np.testing.assert_allclose(found, known.predict_log_proba(X.reshape(60, -1)), atol=1e-5)
    else:
        score = known.predict if task == "regression" else known.decision_function
        np.testing.assert_allclose(found[:, 0], score(X.reshape(60, -1)), atol=1e-5)
    assert fitted.arrays["coefficients"].shape[1] == 30


def test_hazards_are_those_of_the_components():
    """Coefficients as statsmodels, on scikit-learn's components; one weight a pixel says both."""
    stream = np.random.default_rng(1)
    y = np.column_stack([stream.exponential(np.exp(-5 * X.mean((1, 2, 3)))), np.ones(60)])
    fitted = pixel_cox("survival", 0, horizons=(0.5, 2.0), components=8).fit(X, y, seed=3)
    parts = PCA(8, whiten=True, random_state=3).fit_transform(X.reshape(60, -1))
    model = PHReg(y[:, 0], parts, status=y[:, 1], ties="breslow")
    expected = parts @ model.fit_regularized(alpha=1 / 60, L1_wt=0.0).params
    found = fitted.outputs(X)
    np.testing.assert_allclose(found[:, 0] - found[0, 0], expected - expected[0], atol=0.02)
    hazards = np.exp(found[:, 1] - found[:, 0])
    np.testing.assert_allclose(hazards, hazards[0])  # in proportion
    assert hazards[0] > 1
    assert fitted.arrays["coefficients"].shape == (30,)


def test_few_patients_have_few_components():
    fitted = pixel_regression("binary", 2).fit(X[:9], OUTCOMES["binary"][:9], seed=0)
    assert np.isfinite(fitted.outputs(X)).all()


@pytest.mark.parametrize("distinct", [60, 6, 1])
def test_pixels_that_never_vary_tell_nothing(distinct):
    """A black frame in training, and fewer different films than components: a speck there, or a
    film unlike all of them, moves no answer without bound."""
    films = np.repeat(X[:distinct], 60 // distinct, axis=0).copy()
    films[..., 2:] = 0
    fitted = pixel_regression("binary", 2).fit(films, np.arange(60) % 2.0, seed=0)
    specks = films.copy()
    specks[..., 2:] = 1
    np.testing.assert_allclose(fitted.outputs(specks), fitted.outputs(films), atol=1e-6)
    assert np.abs(fitted.arrays["coefficients"]).max() < 10

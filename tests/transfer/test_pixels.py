import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline

from medgraft.transfer.baselines.pixels import pixel_regression

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

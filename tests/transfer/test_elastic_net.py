import numpy as np
import pytest
from scipy.special import logit, softmax

from medgraft.transfer.baselines.elastic_net import elastic_net
from medgraft.transfer.baselines.linear import logistic_regression

CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}


def patients(task, n=80, genes=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, genes))
    score = 2 * x[:, 0] - 2 * x[:, 1] + rng.normal(0, 0.3, n)
    bounds = {"binary": [0.0], "multiclass": [-1.0, 1.0]}
    return x, score if task == "regression" else np.digitize(score, bounds[task]).astype(float)


@pytest.mark.parametrize("task", list(CLASSES))
def test_outputs_equal_scikit_learns(task):
    x, y = patients(task)
    recipe = elastic_net(task, CLASSES[task], C=0.5)
    estimator = recipe.make(0).fit(x, y)
    found = recipe.fit(x, y, seed=0).outputs(x)
    if task == "regression":
        expected = estimator.predict(x)[:, None]
    elif task == "binary":
        expected = logit(estimator.predict_proba(x)[:, 1:])
    else:
        expected, found = estimator.predict_proba(x), softmax(found, axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("task", list(CLASSES))
def test_most_genes_are_left_out(task):
    """Of 200 genes 2 matter: lasso keeps them and few others, where ridge keeps all."""
    x, y = patients(task)
    kept = elastic_net(task, CLASSES[task], C=0.3, l1_ratio=1).fit(x, y, seed=0).arrays
    used = (np.abs(kept["coefficients"]) > 1e-6).any(axis=0)
    assert used[:2].all()
    assert used.sum() < 40
    ridge = logistic_regression(task, CLASSES[task], C=0.3).fit(x, y, seed=0).arrays
    assert (np.abs(ridge["coefficients"]) > 1e-6).any(axis=0).all()


def test_patients_twice_is_twice_the_evidence():
    """The loss is a sum: all patients twice with half the C is the same fit."""
    for task in ("binary", "regression"):
        x, y = patients(task)
        once = elastic_net(task, 2, C=0.4).fit(x, y, seed=0).outputs(x)
        twice = elastic_net(task, 2, C=0.2).fit(np.tile(x, (2, 1)), np.tile(y, 2), seed=0)
        np.testing.assert_allclose(twice.outputs(x), once, rtol=0.02, atol=0.02)

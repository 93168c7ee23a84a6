import numpy as np
import pytest
from scipy.special import logit, softmax

from medgraft.errors import ConfigError
from medgraft.transfer.baselines.elastic_net import elastic_net
from medgraft.transfer.baselines.linear import logistic_regression
from medgraft.transfer.baselines.recipe import EDGE
from medgraft.transfer.baselines.trees import NODE_FIELDS, gradient_boosting

CLASSES = {"binary": 2, "multiclass": 3, "regression": 0}
TASKS = pytest.mark.parametrize("task", list(CLASSES))


def patients(task, n=150, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    score = x[:, 0] + x[:, 1] ** 2 + rng.normal(0, 0.5, n)
    bounds = {"binary": [1.0], "multiclass": [0.3, 1.5]}
    return x, score if task == "regression" else np.digitize(score, bounds[task]).astype(float)


def learners(task):
    linear = logistic_regression(task, CLASSES[task], C=0.7)
    return linear, gradient_boosting(task, CLASSES[task], trees=20)


def sklearns(recipe, x, y):
    """The raw outputs scikit-learn itself gives."""
    estimator = recipe.make(0).fit(x, y)
    if recipe.task == "regression":
        return estimator.predict(x)[:, None]
    probability = estimator.predict_proba(x)
    return logit(probability[:, 1:]) if recipe.task == "binary" else np.log(probability)


@TASKS
def test_outputs_equal_scikit_learns(task):
    x, y = patients(task)
    for recipe in learners(task):
        outputs = recipe.fit(x, y, seed=0).outputs(x)
        np.testing.assert_allclose(outputs, sklearns(recipe, x, y), rtol=1e-6, atol=1e-9)


def walk(nodes, patient):
    """The leaf value one patient reaches in one tree ``[nodes, fields]``."""
    at = 0
    while True:
        node = dict(zip(NODE_FIELDS, nodes[at], strict=True))
        if node["is_leaf"]:
            return node["value"]
        value = patient[int(node["feature_idx"])]
        missing = np.isnan(value)
        left = node["missing_go_to_left"] if missing else value <= node["num_threshold"]
        at = int(node["left"] if left else node["right"])


@TASKS
def test_arrays_say_every_tree(task):
    x, y = patients(task)
    x[::7, 1] = np.nan
    recipe = gradient_boosting(task, CLASSES[task], trees=6)
    arrays = recipe.fit(x, y, seed=0).arrays
    rounds, start = arrays["nodes"], arrays["start"]
    scores = start + np.array(
        [[sum(walk(trees[c], p) for trees in rounds) for c in range(len(start))] for p in x]
    )
    expected = sklearns(recipe, x, y)
    if task == "multiclass":
        scores, expected = softmax(scores, axis=1), softmax(expected, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


@TASKS
def test_padding_changes_no_output(task):
    x, y = patients(task)
    for recipe in learners(task):
        fitted = recipe.fit(x, y, seed=0)
        padded = dict(fitted.arrays)
        if "nodes" in padded:  # fewer rounds and smaller trees than another replica's
            sizes = [(0, 3), (0, 0), (0, 5), (0, 0)]
            padded["nodes"] = np.pad(padded["nodes"], sizes, constant_values=np.nan)
        assert np.array_equal(recipe.outputs_from(padded, x), fitted.outputs(x))


def test_fitted_numbers_are_counted():
    for task, expected in [("binary", 5), ("multiclass", 15), ("regression", 5)]:
        linear, boosting = learners(task)
        assert linear.fit(*patients(task), seed=0).parameters == expected
    estimator = boosting.make(0).fit(*patients("regression"))
    nodes = sum(len(trees[0].nodes) for trees in estimator._predictors)
    fitted = boosting.fit(*patients("regression"), seed=0)
    assert fitted.parameters == nodes * len(NODE_FIELDS) + 1


@pytest.mark.parametrize("absent", [0, 1, 2])
def test_absent_class_is_least_likely(absent):
    x, y = patients("multiclass")
    x, y = x[y != absent], y[y != absent]
    for recipe in learners("multiclass"):
        outputs = recipe.fit(x, y, seed=0).outputs(x)
        np.testing.assert_allclose(outputs[:, absent], np.log(EDGE))
        assert (outputs.argmin(1) == absent).all()
        expected = recipe.make(0).fit(x, y).predict_proba(x)
        np.testing.assert_allclose(np.exp(np.delete(outputs, absent, 1)), expected, rtol=1e-6)


def test_certain_answers_stay_finite():
    linear = logistic_regression("binary", 2)
    arrays = {"coefficients": np.array([[1.0]]), "intercepts": np.zeros(1)}
    outputs = linear.outputs_from(arrays, np.array([[90.0], [-90.0]]))
    np.testing.assert_allclose(outputs[:, 0], [logit(1 - EDGE), logit(EDGE)])


def test_large_seed_is_accepted():
    x, y = patients("binary")
    boosting = gradient_boosting("binary", 2, trees=3)
    one, two = (boosting.fit(x, y, seed=seed).outputs(x) for seed in (2**40 + 1, 1))
    assert np.array_equal(one, two)


@TASKS
@pytest.mark.parametrize("shape", [(150, 4, 30), (150, 1, 8, 8)], ids=["sequences", "images"])
def test_what_has_positions_is_refused(shape, task):
    """By a sentence, as these learners are among the default strategies."""
    x = np.random.default_rng(0).normal(size=shape)
    for recipe in (*learners(task), elastic_net(task, CLASSES[task])):
        with pytest.raises(ConfigError) as caught:
            recipe.fit(x, patients(task)[1], seed=0)
        assert str(caught.value) == (
            "this learner reads tables and genes, not sequences or images; leave it out of "
            "strategies, or take kmer_logistic (sequences) or pixel_regression (images)"
        )

"""What every metric of conf/metrics promises on whatever answers hypothesis makes up.

Predictions lie on coarse grids, so that ties, certain mistakes and absent classes come up.
"""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from medgraft.construct import construct
from medgraft.evaluation.metrics.metric import CLASSIFICATION
from medgraft.evaluation.metrics.survival import SURVIVAL

from . import found

HORIZONS = np.array([0.5, 1.0, 2.0])
CLASSES = {"binary": 2, "multiclass": 3}
METRICS = {path.stem: construct(found.read(path)) for path in found.of("metrics")}
CASES = [(name, task) for name, metric in METRICS.items() for task in sorted(metric.tasks)]
RANKING = [(name, task) for name, task in CASES if METRICS[name].within_folds]
LEARNED = [(name, task) for name, task in CASES if task in CLASSIFICATION]

metrics = pytest.mark.parametrize(("name", "task"), CASES)
bounded = settings(max_examples=15, deadline=None)


def grid(shape, low, high, step=1.0):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda n: n * step)


@st.composite
def answers(draw, task, *, least=1):
    """Outcomes ``[n, ...]``, predictions ``[n, C]`` and folds ``[n]`` of a few rows."""
    rows = draw(st.integers(least, 14))
    outcome, prediction = OUTCOMES[task](draw, rows)
    return outcome, prediction, draw(grid(rows, 0, 1)).astype(np.int64)


def classified(classes):
    def made(draw, rows):
        scores = draw(grid((rows, classes), 0, 3))
        scores[scores.sum(axis=1) == 0] = 1  # nobody knows
        return draw(grid(rows, 0, classes - 1)), scores / scores.sum(axis=1, keepdims=True)

    return made


def measured(draw, rows):
    return draw(grid(rows, -4, 4, 0.5)), draw(grid((rows, 1), -4, 4, 0.5))


def labelled(draw, rows):
    outcome = draw(grid((rows, 2), 0, 2))
    outcome[outcome == 2] = np.nan  # not recorded
    return outcome, draw(grid((rows, 2), 0, 4, 0.25))


def followed(draw, rows):
    """Curves fall by nothing, a part or all of what is left at each horizon."""
    outcome = np.stack([draw(grid(rows, 1, 12, 0.25)), draw(grid(rows, 0, 1))], axis=1)
    return outcome, np.cumprod(draw(grid((rows, len(HORIZONS)), 0, 4, 0.25)), axis=1)


OUTCOMES = {
    **{task: classified(classes) for task, classes in CLASSES.items()},
    "regression": measured,
    "multilabel": labelled,
    "survival": followed,
}


def values(name, outcome, prediction, fold, weight=None):
    """The metric under every row of weights ``[B]``; all ones where there are none."""
    weight = np.ones((1, len(outcome))) if weight is None else weight
    return METRICS[name].at(HORIZONS)(outcome, prediction, weight, fold)


@metrics
@bounded
@given(data=st.data())
def test_order_of_patients_is_irrelevant(name, task, data):
    told = data.draw(answers(task))
    weight = data.draw(grid((3, len(told[0])), 0, 3))
    order = data.draw(st.permutations(range(len(told[0]))))
    shuffled = values(name, *(part[order] for part in told), weight[:, order])
    np.testing.assert_allclose(shuffled, values(name, *told, weight), atol=1e-6)


@metrics
@bounded
@given(data=st.data())
def test_value_is_within_bounds_or_undefined(name, task, data):
    told = data.draw(answers(task))
    found = values(name, *told, data.draw(grid((3, len(told[0])), 0, 3)))
    low, high = METRICS[name].bounds
    assert not np.isinf(found).any()
    assert (np.isnan(found) | ((low - 1e-9 <= found) & (found <= high + 1e-9))).all()


@metrics
@bounded
@given(data=st.data())
def test_many_weightings_at_once_equal_one_at_a_time(name, task, data):
    told = data.draw(answers(task))
    weight = data.draw(grid((4, len(told[0])), 0, 3))
    alone = [values(name, *told, weight[[row]])[0] for row in range(len(weight))]
    np.testing.assert_allclose(values(name, *told, weight), alone, atol=1e-9)


@metrics
@bounded
@given(data=st.data())
def test_weight_is_how_often_a_row_counts(name, task, data):
    told = data.draw(answers(task))
    times = data.draw(grid(len(told[0]), 1, 3)).astype(np.int64)
    repeated = [np.repeat(part, times, axis=0) for part in told]
    weighted = values(name, *told, times[None].astype(float))
    np.testing.assert_allclose(weighted, values(name, *repeated), atol=1e-6)


@pytest.mark.parametrize(("name", "task"), LEARNED)
@bounded
@given(data=st.data())
def test_one_class_alone_has_no_filler(name, task, data):
    """Undefined, or an answer to what was predicted: the same value whatever was is a filler."""
    rows, only = data.draw(st.integers(6, 14)), data.draw(st.integers(0, CLASSES[task] - 1))
    outcome, fold = np.full(rows, float(only)), np.zeros(rows, dtype=np.int64)
    stream = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    guesses = stream.dirichlet(np.ones(CLASSES[task]), (20, rows))
    found = np.array([values(name, outcome, guess, fold)[0] for guess in guesses])
    # Of those predicted positive none was: a share that was seen.
    if name != "precision":
        assert np.isnan(found).all() or len(set(found[~np.isnan(found)])) > 1


@pytest.mark.parametrize(("name", "task"), RANKING)
@bounded
@given(data=st.data())
def test_ranking_asks_for_order_alone(name, task, data):
    outcome, said, fold = data.draw(answers(task))
    at = slice(0, 1) if {task} <= SURVIVAL else slice(None)  # of a curve, each time ranks apart

    def value(prediction):
        metric = METRICS[name].at(HORIZONS[at])
        return float(metric(outcome, prediction[:, at], np.ones((1, len(outcome))), fold)[0])

    plain = value(said)
    np.testing.assert_allclose(value(said**3), plain)
    np.testing.assert_allclose(value(1 - said), 1 - plain, atol=1e-12)


def classwise(score):
    return lambda y, said, **of: score(
        y, said.argmax(axis=1), average="binary" if said.shape[1] == 2 else "macro", **of
    )


def predicted(score):
    return lambda y, said, **of: score(y, said.argmax(axis=1), **of)


def ranked(score):
    def of(y, said, **of):
        one_hot = np.eye(said.shape[1])[y.astype(int)]
        columns = range(1, 2) if said.shape[1] == 2 else range(said.shape[1])
        return np.mean([score(one_hot[:, c], said[:, c], **of) for c in columns])

    return of


def brier(y, said, sample_weight):
    squares = (said - np.eye(said.shape[1])[y.astype(int)]) ** 2
    return np.average(squares.sum(axis=1) / (2 if said.shape[1] == 2 else 1), weights=sample_weight)


def log_loss(y, said, **of):
    return sk.log_loss(y, said, labels=range(said.shape[1]), **of)


def flat(score):
    return lambda y, said, **of: score(y, said[:, 0], **of)


THEIRS = {
    "accuracy": predicted(sk.accuracy_score),
    "mcc": predicted(sk.matthews_corrcoef),
    "precision": classwise(sk.precision_score),
    "recall": classwise(sk.recall_score),
    "f1": classwise(sk.f1_score),
    "auroc": ranked(sk.roc_auc_score),
    "auprc": ranked(sk.average_precision_score),
    "brier": brier,
    "log_loss": log_loss,
    "rmse": flat(sk.root_mean_squared_error),
    "mae": flat(sk.mean_absolute_error),
    "r2": flat(sk.r2_score),
}


@pytest.mark.parametrize(("name", "task"), [case for case in CASES if case[0] in THEIRS])
@bounded
@given(data=st.data())
def test_defined_values_are_scikit_learns(name, task, data):
    outcome, said, _ = data.draw(answers(task, least=4))
    weight = data.draw(grid(len(outcome), 1, 3))
    (ours,) = values(name, outcome, said, np.zeros(len(outcome), dtype=np.int64), weight[None])
    if not math.isnan(ours):
        assert ours == pytest.approx(THEIRS[name](outcome, said, sample_weight=weight), abs=1e-9)

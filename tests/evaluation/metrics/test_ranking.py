import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from medgraft.evaluation.metrics.metric import silent_folds
from medgraft.evaluation.metrics.ranking import Auprc, Auroc

ONE_FOLD = np.zeros(60, dtype=np.int64)


def binary(score):
    return np.stack([1 - score, score], axis=1)


# Scores on a grid of five values tie often; weights of 0 drop rows.
rows = st.lists(
    st.tuples(st.booleans(), st.integers(0, 4), st.integers(0, 3), st.integers(0, 2)),
    min_size=4,
    max_size=40,
)


@settings(deadline=None)
@given(rows)
def test_ties_and_weights_equal_sklearn(table):
    case, score, weight, _ = (np.array(column, dtype=float) for column in zip(*table, strict=True))
    assume(0 < weight @ case < weight.sum())
    fold = np.zeros(len(case), dtype=np.int64)
    given_to = (case, binary(score / 4), weight[None], fold)
    theirs = {"y_score": score, "sample_weight": weight}
    assert Auroc()(*given_to)[0] == pytest.approx(roc_auc_score(case, **theirs), abs=1e-12)
    expected = average_precision_score(case, **theirs)
    assert Auprc()(*given_to)[0] == pytest.approx(expected, abs=1e-12)


@settings(deadline=None)
@given(rows)
def test_auroc_counts_pairs_within_folds(table):
    case, score, weight, fold = (np.array(c, dtype=float) for c in zip(*table, strict=True))
    pair = np.outer(weight * case, weight * (1 - case)) * (fold[:, None] == fold)
    won = (score[:, None] > score) + (score[:, None] == score) / 2
    assume(pair.sum() > 0)
    found = Auroc()(case, binary(score / 4), weight[None], fold.astype(np.int64))
    assert found[0] == pytest.approx((pair * won).sum() / pair.sum(), abs=1e-12)


def test_weight_two_equals_row_twice():
    generator = np.random.default_rng(0)
    case, score = generator.integers(0, 2, 60).astype(float), generator.random(60).round(1)
    weight = generator.integers(0, 3, 60)
    twice = np.repeat(np.arange(60), weight)
    for metric in (Auroc(), Auprc()):
        weighted = metric(case, binary(score), weight[None].astype(float), ONE_FOLD)
        ones = np.ones((1, len(twice)))
        repeated = metric(case[twice], binary(score)[twice], ones, ONE_FOLD[:1].repeat(len(twice)))
        np.testing.assert_allclose(weighted, repeated, rtol=1e-12)


def test_auroc_ignores_calibration_between_folds():
    generator = np.random.default_rng(1)
    case, fold = np.tile([0.0, 1.0], 30), np.repeat(np.arange(3), 20)
    score = generator.random(60) / 4 + case / 8
    shifted = score + np.array([0.0, 0.3, 0.6])[fold]
    plain = Auroc()(case, binary(score), np.ones((1, 60)), fold)
    assert Auroc()(case, binary(shifted), np.ones((1, 60)), fold) == plain
    assert roc_auc_score(case, shifted) < plain[0] - 0.1


def test_multiclass_macro_equals_sklearn():
    generator = np.random.default_rng(2)
    outcome = generator.integers(0, 3, 60).astype(float)
    prediction = generator.dirichlet(np.ones(3), 60)
    weight = generator.integers(0, 3, (4, 60)).astype(float)
    expected = [
        roc_auc_score(outcome, prediction, multi_class="ovr", sample_weight=w) for w in weight
    ]
    np.testing.assert_allclose(Auroc()(outcome, prediction, weight, ONE_FOLD), expected)
    one_hot = np.eye(3)[outcome.astype(int)]
    expected = [average_precision_score(one_hot, prediction, sample_weight=w) for w in weight]
    np.testing.assert_allclose(Auprc()(outcome, prediction, weight, ONE_FOLD), expected)


def test_fold_of_one_class_is_counted():
    """Two runs: the one case lies alone in a fold, then beside controls."""
    case, fold = np.array([1.0, 0, 0, 0]), np.array([[0, 1, 1, 0], [0, 1, 1, 1]])
    said = np.stack([binary(np.array([0.2, 0.8, 0.3, 0.1]))] * 2)
    assert silent_folds(Auroc(), case, said, fold) == 3
    assert silent_folds(Auprc(), case, said, fold) == 0


def test_undefined_without_comparable_pair():
    case, fold = np.array([0.0, 1.0]), np.array([0, 1])
    assert np.isnan(Auroc()(case, binary(np.array([0.2, 0.8])), np.ones((1, 2)), fold))
    nobody = np.array([[1.0, 0.0]])
    assert np.isnan(Auprc()(case, binary(np.array([0.2, 0.8])), nobody, fold))

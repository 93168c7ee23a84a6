import numpy as np
import pytest
from sklearn import metrics as sk

from medgraft.evaluation.metrics.confusion import F1, Accuracy, Mcc, Precision, Recall, Specificity

GENERATOR = np.random.default_rng(3)
FOLD = np.zeros(80, dtype=np.int64)


def data(classes):
    outcome = GENERATOR.integers(0, classes, 80).astype(float)
    prediction = GENERATOR.dirichlet(np.ones(classes), 80)
    return outcome, prediction, GENERATOR.integers(0, 4, (5, 80)).astype(float)


def specificity(y, predicted, sample_weight, average):
    return np.mean(
        [sk.recall_score(y != c, predicted != c, sample_weight=sample_weight) for c in np.unique(y)]
        if average == "macro"
        else sk.recall_score(y, predicted, pos_label=0, sample_weight=sample_weight)
    )


def without_average(score):
    return lambda y, predicted, sample_weight, average: score(  # noqa: ARG005
        y, predicted, sample_weight=sample_weight
    )


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (Precision(), sk.precision_score),
        (Recall(), sk.recall_score),
        (F1(), sk.f1_score),
        (Specificity(), specificity),
        (Accuracy(), without_average(sk.accuracy_score)),
        (Mcc(), without_average(sk.matthews_corrcoef)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_equals_sklearn_with_weights(metric, theirs, classes):
    outcome, prediction, weight = data(classes)
    average = "binary" if classes == 2 else "macro"
    expected = [
        theirs(outcome, prediction.argmax(axis=1), sample_weight=w, average=average) for w in weight
    ]
    np.testing.assert_allclose(metric(outcome, prediction, weight, FOLD), expected, rtol=1e-12)


@pytest.mark.parametrize("metric", [Precision(), Mcc()], ids=lambda m: m.name)
def test_undefined_without_predicted_positive(metric):
    outcome = np.array([0.0, 1.0, 1.0])
    never = np.tile([0.9, 0.1], (3, 1))
    assert np.isnan(metric(outcome, never, np.ones((1, 3)), FOLD[:3]))


def test_recall_undefined_when_weights_drop_class():
    outcome, sure = np.array([0.0, 1.0]), np.eye(2)
    weight = np.array([[1.0, 1.0], [2.0, 0.0]])
    np.testing.assert_equal(Recall()(outcome, sure, weight, FOLD[:2]), [1.0, np.nan])


def test_half_counts_as_negative():
    even = np.full((1, 2), 0.5)
    assert Accuracy()(np.zeros(1), even, np.ones((1, 1)), FOLD[:1]) == 1.0

import numpy as np
import pytest
from sklearn import metrics as sk

from medgraft.evaluation.metrics.error import R2, Mae, Rmse

FOLD = np.zeros(40, dtype=np.int64)


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [(Rmse(), sk.root_mean_squared_error), (Mae(), sk.mean_absolute_error), (R2(), sk.r2_score)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_equals_sklearn_with_weights(metric, theirs):
    generator = np.random.default_rng(7)
    outcome = 1000 + generator.standard_normal(40)
    prediction = outcome + generator.standard_normal(40)
    weight = generator.integers(0, 3, (6, 40)).astype(float)
    expected = [theirs(outcome, prediction, sample_weight=w) for w in weight]
    np.testing.assert_allclose(metric(outcome, prediction[:, None], weight, FOLD), expected)


def test_r2_undefined_for_one_patient():
    outcome, weight = np.array([0.1, 0.7, 1.3]), np.array([[1.0, 1.0, 1.0], [0.0, 3.0, 0.0]])
    found = R2()(outcome, outcome[:, None] + 0.1, weight, FOLD[:3])
    np.testing.assert_equal(np.isnan(found), [False, True])

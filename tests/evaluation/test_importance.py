import numpy as np

from medgraft.evaluation.importance import importance


def test_interval_covers_known_mean():
    """95 % intervals cover the truth in 90 % or more of 400 simulated two-way samples.

    Were the coverage 95 %, fewer than 360 of 400 would come once in 40,000 times.
    """
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        patients, replicas = rng.normal(0, 1, (1, 30, 1)), rng.normal(0, 0.5, (4, 1, 1))
        sizes = 10 + patients + replicas + rng.normal(0, 1, (4, 30, 1))
        _, low, high = importance(sizes, np.arange(30))
        covered += bool(low[0] <= 10 <= high[0])
    assert covered >= 360


def test_rows_of_a_patient_count_once():
    sizes = np.array([[[1.0], [1.0], [1.0], [5.0]]])
    value, _, _ = importance(sizes, np.array([7, 7, 7, 9]))
    assert value.tolist() == [3.0]


def test_one_patient_has_no_interval():
    value, low, high = importance(np.ones((2, 1, 3)), np.zeros(1, dtype=int))
    assert value.tolist() == [1.0] * 3
    assert np.isnan(low).all()
    assert np.isnan(high).all()

"""Metrics of survival against torchsurv's numbers and limiting cases."""

import math

import numpy as np
import pytest

from medgraft.evaluation.metrics.survival import (
    CIndex,
    GridLogLoss,
    IntegratedBrier,
    TimeAuroc,
    UnoCIndex,
)
from medgraft.evaluation.survival import brier_at, censoring, product_limit

HORIZONS = np.array([1.0, 2.0, 4.0, 6.0])
ROWS = 150


def patients(rows: int = ROWS, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times and events ``[n, 2]``, and survival curves that follow them, ``[n, T]``."""
    stream = np.random.default_rng(seed)
    risk = stream.normal(size=rows)
    time, censored = stream.exponential(5 * np.exp(-risk)), stream.exponential(10, size=rows)
    outcome = np.stack([np.minimum(time, censored), time <= censored], axis=1)
    said = risk + stream.normal(size=rows)
    return outcome, np.exp(-np.exp(said[:, None]) * HORIZONS / 5)


def value(metric, outcome, prediction, *, weight=None, fold=None) -> float:
    weight = np.ones((1, len(outcome))) if weight is None else weight
    fold = np.zeros(len(outcome), dtype=np.int64) if fold is None else fold
    (only,) = metric.at(HORIZONS)(outcome, prediction, weight, fold)
    return float(only)


def tensors(outcome, *others):
    torch = pytest.importorskip("torch")
    given = [torch.tensor(array) for array in others]
    return [torch.tensor(outcome[:, 1] == 1), torch.tensor(outcome[:, 0]), *given]


def weights(event, time):
    """The inverse probability of censoring at the rows' times and at the horizons."""
    ipcw = pytest.importorskip("torchsurv.stats.ipcw").get_ipcw
    return ipcw(event, time), ipcw(event, time, tensors(np.zeros((1, 2)), HORIZONS)[2])


def test_c_index_is_torchsurvs():
    module = pytest.importorskip("torchsurv.metrics.cindex")
    outcome, prediction = patients()
    event, time, risk = tensors(outcome, -prediction[:, 0])
    expected = float(module.ConcordanceIndex()(risk, event, time))
    assert value(CIndex(), outcome, prediction) == pytest.approx(expected, abs=1e-6)
    # Theirs leaves an event at the limit out just as ours does.
    weight, _ = weights(event, time)
    last = time.new_tensor(HORIZONS[-1])
    expected = float(
        module.ConcordanceIndex()(risk, event, time, weight=weight.double(), tmax=last)
    )
    assert value(UnoCIndex(), outcome, prediction) == pytest.approx(expected, abs=1e-6)


def test_time_auroc_is_torchsurvs():
    module = pytest.importorskip("torchsurv.metrics.auc")
    outcome, prediction = patients()
    event, time, risk, horizons = tensors(outcome, 1 - prediction, HORIZONS)
    weight, at_horizons = weights(event, time)
    expected = module.Auc()(
        risk, event, time, new_time=horizons, weight=weight, weight_new_time=at_horizons
    )
    fold = np.zeros(ROWS, dtype=np.int64)
    ours = TimeAuroc().at(HORIZONS).at_each(outcome, prediction, np.ones((1, ROWS)), fold)[:, 0]
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-6)


def test_brier_is_torchsurvs():
    module = pytest.importorskip("torchsurv.metrics.brier_score")
    outcome, prediction = patients()
    event, time, survival, horizons = tensors(outcome, prediction, HORIZONS)
    weight, at_horizons = weights(event, time)
    brier = module.BrierScore()
    expected = brier(
        survival, event, time, new_time=horizons, weight=weight, weight_new_time=at_horizons
    )
    ours = brier_at(outcome, prediction, HORIZONS, np.ones((1, ROWS)))[0]
    np.testing.assert_allclose(ours, expected.numpy(), atol=1e-6)
    assert value(IntegratedBrier(), outcome, prediction) == pytest.approx(
        float(brier.integral()), abs=1e-6
    )


def test_product_limit_is_statsmodels():
    survfunc = pytest.importorskip("statsmodels.duration.survfunc")
    outcome, _ = patients()
    outcome[:, 0] = np.ceil(4 * outcome[:, 0]) / 4  # ties
    times = np.random.default_rng(1).integers(0, 3, ROWS)
    repeated = outcome.repeat(times, axis=0)
    curve = survfunc.SurvfuncRight(repeated[:, 0], repeated[:, 1])
    at = np.searchsorted(curve.surv_times, HORIZONS, side="right") - 1
    event = outcome[:, 1] == 1
    ours = product_limit(outcome[:, 0], event, times[None].astype(float), at=HORIZONS)
    np.testing.assert_allclose(ours[0], curve.surv_prob[at])


def test_right_and_reversed_order_are_one_and_zero():
    """Everyone's event seen, and predicted in the right order, or in the reverse of it."""
    time = np.random.default_rng(2).permutation(20) / 3 + 0.1
    outcome = np.stack([time, np.ones(20)], axis=1)
    right = np.exp(-HORIZONS / time[:, None])
    reverse = np.exp(-HORIZONS * time[:, None] / 9)
    for metric in (CIndex(), UnoCIndex(), TimeAuroc()):
        assert value(metric, outcome, right) == 1.0
        assert value(metric, outcome, reverse) == 0.0
        assert value(metric, outcome, np.full((20, 4), 0.5)) == 0.5


def test_known_fate_has_no_error():
    time = np.array([0.5, 1.5, 3.0, 5.0, 9.0])
    outcome = np.stack([time, np.ones(5)], axis=1)
    told = (time[:, None] > HORIZONS).astype(float)
    assert value(IntegratedBrier(), outcome, told) == 0.0
    assert value(GridLogLoss(), outcome, told) == 0.0


def test_brier_of_kaplan_meier_is_binomial():
    """With one curve for all, the score at a horizon is S(1 - S), however patients are censored."""
    outcome, _ = patients(400, seed=4)
    everyone = np.ones((1, 400))
    curve = product_limit(outcome[:, 0], outcome[:, 1] == 1, everyone, at=HORIZONS)
    told = np.repeat(curve, 400, axis=0)
    scores = brier_at(outcome, told, HORIZONS, everyone)
    np.testing.assert_allclose(scores, curve * (1 - curve), atol=1e-12)


def test_survival_and_censoring_share_the_risk():
    """At ties too, being seen without event has the probability S(t) G(t)."""
    outcome, _ = patients(200, seed=6)
    outcome[:, 0] = np.ceil(outcome[:, 0])
    event, everyone = outcome[:, 1] == 1, np.ones((1, 200))
    both = product_limit(outcome[:, 0], event, everyone, at=HORIZONS) * censoring(
        outcome[:, 0], event, everyone, at=HORIZONS
    )
    np.testing.assert_allclose(both[0], (outcome[:, :1] > HORIZONS).mean(axis=0))


def test_only_pairs_of_one_fold_count():
    """Models of two folds that rank rightly, one of them with all risks far lower."""
    outcome, prediction = patients()
    fold = np.arange(ROWS) % 2
    shifted = np.where(fold[:, None] == 0, prediction, prediction ** (1 / 9))
    for metric in (CIndex(), UnoCIndex(), TimeAuroc()):
        plain = value(metric, outcome, prediction, fold=fold)
        assert value(metric, outcome, shifted, fold=fold) == pytest.approx(plain, abs=1e-12)
        assert value(metric, outcome, shifted) != pytest.approx(plain, abs=1e-3)


def test_follow_up_too_short_is_undefined():
    outcome, prediction = patients()
    outcome[:, 1] = np.where(outcome[:, 0] > 5, 0, outcome[:, 1])
    outcome[:, 0] = np.minimum(outcome[:, 0], 5)
    assert math.isnan(value(IntegratedBrier(), outcome, prediction))
    assert math.isnan(value(TimeAuroc(), outcome, prediction))
    assert 0.5 < value(CIndex(), outcome, prediction) < 1

"""What every metric promises."""

import math

import numpy as np
import pytest

from medgraft.construct import construct
from medgraft.evaluation.metrics.metric import CLASSIFICATION, REGRESSION, Metric
from medgraft.evaluation.metrics.multilabel import MULTILABEL
from medgraft.evaluation.metrics.survival import SURVIVAL

from . import found

TASKS = CLASSIFICATION | REGRESSION | MULTILABEL | SURVIVAL
HORIZONS = np.array([0.5, 1.0, 2.0])


def cases() -> list:
    metrics = [(path, construct({"_target_": targets(path)})) for path in found.of("metrics")]
    return [
        pytest.param(metric, task, id=f"{path.stem}-{task}")
        for path, metric in metrics
        for task in sorted(metric.tasks)
    ]


def targets(path) -> str:
    return found.read(path)["_target_"]


def answers(task: str, rows: int = 60, *, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes ``[n, ...]`` and predictions ``[n, C]`` that follow them, less the more noise."""
    stream = np.random.default_rng(5)
    if task == "survival":
        return survivors(stream, rows, noise)
    if task == "multilabel":
        y = (np.arange(rows)[:, None] % [2, 3, 4] == 0).astype(float)
        y[::7, 1] = np.nan
        score = 2 * np.nan_to_num(y) - 1 + noise * stream.normal(size=y.shape)
        return y, 1 / (1 + np.exp(-score))
    if task == "regression":
        y = stream.normal(size=rows)
        return y, (y + noise * stream.normal(size=rows))[:, None]
    classes = {"binary": 2, "multiclass": 3}[task]
    y = np.arange(rows) % classes
    score = 2 * np.eye(classes)[y] + noise * stream.normal(size=(rows, classes))
    share = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    return y.astype(float), share


def survivors(stream: np.random.Generator, rows: int, noise: float) -> tuple:
    """Times and events, a third of them censored, and the survival said at HORIZONS."""
    risk = stream.normal(size=rows)
    time, censored = stream.exponential(np.exp(-risk)), stream.exponential(4, size=rows)
    censored[:4] = 5.0
    time[:4] = 9.0
    said = np.exp(risk + (noise - 1) * stream.normal(size=rows))
    y = np.stack([np.minimum(time, censored), time <= censored], axis=1)
    return y, np.exp(-said[:, None] * HORIZONS)


def value(metric: Metric, y, prediction, weight=None, fold=None) -> float:
    weight = np.ones((1, len(y))) if weight is None else weight
    fold = np.zeros(len(y), dtype=np.int64) if fold is None else fold
    (only,) = metric.at(HORIZONS)(y, prediction, weight, fold)
    return float(only)


@pytest.mark.parametrize("path", found.of("metrics"), ids=found.name)
def test_facts_are_stated(path):
    metric = construct(found.read(path))
    assert metric.name == path.stem
    assert metric.label
    assert metric.citation
    assert metric.tasks
    assert metric.tasks <= TASKS
    assert metric.bounds[0] < metric.bounds[1]
    assert metric.higher_is_better in (True, False, None)


@pytest.mark.parametrize(("metric", "task"), cases())
def test_weight_two_is_twice(metric, task):
    """A weight is how often a row counts; the bootstrap rests on it."""
    y, prediction = answers(task)
    times = np.random.default_rng(1).integers(0, 3, len(y))
    repeated = np.repeat(np.arange(len(y)), times)
    weighted = value(metric, y, prediction, times[None].astype(float))
    assert weighted == pytest.approx(value(metric, y[repeated], prediction[repeated]), abs=1e-6)


@pytest.mark.parametrize(("metric", "task"), cases())
def test_order_of_rows_is_irrelevant(metric, task):
    y, prediction = answers(task)
    other = np.random.default_rng(2).permutation(len(y))
    expected = value(metric, y, prediction)
    assert value(metric, y[other], prediction[other]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("metric", "task"), cases())
def test_better_predictions_score_better(metric, task):
    good, poor = (value(metric, *answers(task, 600, noise=noise)) for noise in (1.0, 5.0))
    low, high = metric.bounds
    assert low <= good <= high
    assert low <= poor <= high
    if metric.higher_is_better is not None:
        assert (good > poor) is metric.higher_is_better


@pytest.mark.parametrize(("metric", "task"), cases())
def test_no_rows_are_undefined(metric, task):
    y, prediction = answers(task)
    assert math.isnan(value(metric, y, prediction, np.zeros((1, len(y)))))

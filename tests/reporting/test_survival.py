import dataclasses
import re

import numpy as np
import pytest
from statsmodels.duration.survfunc import SurvfuncRight

from medgraft.reporting.cohorts import describe_outcome
from medgraft.reporting.labels import label_areas
from medgraft.reporting.survival import auroc_over_time, kaplan_meier_interval, risk_groups

from .simulated import HORIZONS, Simulated, simulate


@pytest.fixture(scope="module")
def survival(tmp_path_factory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("survival"), task="survival", patients=60)


def test_interval_agrees_with_statsmodels(survival):
    """The estimate and Greenwood's standard error; the interval is log(-log S) of them."""
    time, event = survival.study.outcome[:, 0], survival.study.outcome[:, 1] == 1
    curve = SurvfuncRight(time, event)
    at = curve.surv_times[:-1]
    estimate, low, high = kaplan_meier_interval(time, event, at)
    np.testing.assert_allclose(estimate, curve.surv_prob[:-1])
    error = curve.surv_prob_se[:-1] / (curve.surv_prob[:-1] * np.log(curve.surv_prob[:-1]))
    for sign, end in ((1, low), (-1, high)):
        expected = curve.surv_prob[:-1] ** np.exp(-sign * 1.959963984540054 * error)
        np.testing.assert_allclose(end, expected)


def test_interval_before_first_event_is_a_point():
    told = kaplan_meier_interval(np.array([3.0, 5.0]), np.array([True, True]), np.array([1.0, 9.0]))
    np.testing.assert_array_equal(told, [[1, 0], [1, 0], [1, 0]])


def test_thirds_are_equal_and_ordered(survival):
    result = survival.study.strategies["fine_tune"]
    group = risk_groups(survival.study, result)
    said = result.test.mean(axis=0).mean(axis=1)
    assert np.bincount(group).tolist() == [20, 20, 20]
    assert said[group == 0].min() > said[group == 1].max() > said[group == 2].max()


def test_mean_area_over_time_is_the_metric(survival):
    rows = survival.evaluation.metrics.filter(metric="time_auroc", strategy="fine_tune")
    areas = auroc_over_time(survival.study, survival.study.strategies["fine_tune"])
    assert len(areas) == len(HORIZONS)
    assert areas.mean() == pytest.approx(rows["value"].item())


def test_numbers_at_risk_begin_with_all(survival):
    caption = survival.figures["kaplan_meier"].caption
    assert "60 patients, 3 runs" in caption
    title = survival.figures["kaplan_meier"].title
    assert re.search(r"without relapse at 36 months were \d+% of the third at highest", title)


def test_undefined_labels_are_counted(tmp_path):
    """The third label has no case: left out, and said so."""
    multilabel = simulate(tmp_path, task="multilabel")
    figure = multilabel.figures["labels"]
    assert np.isnan(label_areas(multilabel.study, multilabel.study.strategies["scratch"])[2])
    assert "fracture" not in figure.title
    assert "1 label without a case and a non-case in any test part is undefined" in figure.caption


def test_events_and_follow_up_are_told(survival):
    from medgraft.preparation.arrays import read

    cohort = read(survival.prepared / "target")
    few = dataclasses.replace(
        cohort, y=np.array([[2, 1], [4, 0], [6, 1], [8, 0], [9, 0]], dtype="f4")
    )
    assert describe_outcome(few) == "relapse: 2 events (40%), median follow-up 8 months"

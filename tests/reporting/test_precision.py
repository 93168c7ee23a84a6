"""The precision-recall curve."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import precision_recall_curve

from medgraft.reporting import precision

from .simulated import STRATEGIES, simulate


@pytest.mark.parametrize("name", STRATEGIES)
def test_area_is_the_reported_average_precision(binary, name):
    this = (pl.col("strategy") == name) & (pl.col("metric") == "auprc")
    reported = binary.evaluation.metrics.filter(this)["value"].item()
    result = binary.study.strategies[name]
    found = precision.mean_average_precision(binary.study, result)
    assert found == pytest.approx(reported, abs=1e-12)
    # Of 500 equal steps; a case more or less is a step between two of them.
    assert precision.mean_precision(binary.study, result).mean() == pytest.approx(found, abs=0.01)


def test_curve_is_that_of_scikit_learn(binary):
    """Of one run: at each recall, the precision of the strictest threshold that finds so many."""
    case, score = binary.study.outcome == 1, binary.study.strategies["scratch"].test[0, :, 1]
    precisions, recalls, _ = precision_recall_curve(case, score, drop_intermediate=False)
    strictest = [np.flatnonzero(recalls >= one - 1e-9)[-1] for one in precision.RECALL]
    np.testing.assert_allclose(precision._run_precision(case, score), precisions[strictest])


def test_title_tells_what_flags_are_worth(binary):
    figure = binary.figures["precision_recall"]
    champion = binary.evaluation.champion.strategy
    curve = precision.mean_precision(binary.study, binary.study.strategies[champion])
    assert figure.title.startswith("To find 80% of “")
    assert f"{curve[399]:.0%} with {champion}" in figure.title


@pytest.mark.parametrize("outcome", [np.zeros(48), np.ones(48)])
def test_one_class_has_no_curve(tmp_path, outcome):
    assert "precision_recall" not in simulate(tmp_path, outcome=outcome).figures

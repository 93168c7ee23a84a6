from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm

from medgraft.evaluation.label_shift import estimated_shares, new_shares

from .planted import make_study


def posterior(outcome: np.ndarray, *, prior: float) -> np.ndarray:
    """Bayes' posteriors of N(0, 1) and N(2, 1) where the second class has this share."""
    x = np.random.default_rng(1).normal(size=len(outcome)) + 2 * outcome
    each = np.stack([(1 - prior) * norm.pdf(x), prior * norm.pdf(x, 2)], axis=1)
    return each / each.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.8])
def test_new_share_is_found_from_calibrated_posteriors(share):
    """4,000 patients: within 4 standard errors, as large as 0.01."""
    outcome = (np.arange(4000) < 4000 * share).astype(float)
    said = posterior(outcome, prior=0.3)
    found = new_shares(said, np.array([0.7, 0.3]), np.ones((1, 4000)))[0]
    assert found[1] == pytest.approx(share, abs=0.04)
    assert found.sum() == pytest.approx(1)


def test_answer_maximises_the_likelihood():
    """Saerens et al. 2002, section 2.3: the fixed point is the maximum of the likelihood."""
    said = posterior((np.arange(300) < 200).astype(float), prior=0.3)
    found = new_shares(said, np.array([0.7, 0.3]), np.ones((1, 300)))[0][1]
    grid = np.linspace(0.001, 0.999, 999)
    likelihood = [np.log(said @ [(1 - p) / 0.7, p / 0.3]).sum() for p in grid]
    assert found == pytest.approx(grid[np.argmax(likelihood)], abs=2e-3)


def test_only_the_unchanged_source_model_is_asked():
    study = make_study({"scratch": 1.0, "as_it_is": 1.0}, parameters={"as_it_is": 0})
    found = estimated_shares(study, np.repeat([0.0, 1.0], (70, 30)), seed=1)
    assert (found.strategy, found.source, found.observed) == ("as_it_is", [0.7, 0.3], [0.5, 0.5])
    assert found.low[1] < found.estimated[1] < found.high[1]
    without = replace(study, strategies={"scratch": study.strategies["scratch"]})
    assert estimated_shares(without, np.repeat([0.0, 1.0], 5), seed=1) is None
    assert estimated_shares(study, np.zeros(10), seed=1) is None

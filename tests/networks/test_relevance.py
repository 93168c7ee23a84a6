"""The group lasso against scikit-learn, and by its optimality conditions."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Lasso

from medgraft.networks import relevance as of
from medgraft.networks.heads.classification import BinaryHead, MulticlassHead
from medgraft.networks.heads.multilabel import MultilabelHead
from medgraft.networks.heads.regression import RegressionHead
from medgraft.networks.heads.survival import CoxHead, DiscreteTimeHead

OUTCOME = {"classes": ["one", "two", "three"], "horizons": [1.0, 2.0, 4.0]}
HEADS = (BinaryHead, MulticlassHead, RegressionHead, MultilabelHead, CoxHead, DiscreteTimeHead)


def patients(rows=120, features=30):
    """Standardised features ``[n, d]``, and a score that follows the fourth and the ninth."""
    stream = np.random.default_rng(0)
    x = stream.normal(size=(rows, features))
    x = (x - x.mean(0)) / x.std(0)
    return torch.tensor(x), x[:, 3] - 1.5 * x[:, 8] + stream.normal(0, 0.3, rows)


def outcomes(kind, score):
    late = np.exp(-score)
    known = {
        BinaryHead: score > 0,
        MulticlassHead: np.digitize(score, [-1, 1]),
        RegressionHead: score,
        MultilabelHead: np.c_[score > 0, score > 1, np.where(score > 3, np.nan, score < -1)],
        CoxHead: np.c_[late, np.ones(len(score))],
        DiscreteTimeHead: np.c_[late, np.ones(len(score))],
    }
    return torch.tensor(known[kind].astype(float))


def test_lasso_is_sklearns():
    """Of a value, a group is one weight; their loss is half the mean square."""
    x, score = patients()
    head = RegressionHead(1, OUTCOME)
    for name, value in head.fit(score).items():
        setattr(head, name, value.double())
    found = of.relevance(x, torch.tensor(score), head, strength=0.2)
    y = (score - score.mean()) / score.std()
    limit = np.abs(x.numpy().T @ y / len(y)).max()
    theirs = np.abs(Lasso(alpha=0.2 * limit, tol=1e-12).fit(x.numpy(), y).coef_)
    kept = theirs > 0
    np.testing.assert_allclose(found[kept], theirs[kept], atol=1e-5)
    assert (found[~kept] < 1e-6).all()


@pytest.mark.parametrize("kind", HEADS)
def test_informative_features_come_first(kind):
    x, score = patients()
    found = of.relevance(x, outcomes(kind, score), kind(5, OUTCOME), strength=0.1)
    assert set(found.argsort(descending=True)[:2].tolist()) == {3, 8}


@pytest.mark.parametrize("kind", HEADS)
def test_full_strength_is_where_features_come_in(kind):
    """Nothing is let in at 1, and the best is at the door; at half of it the two that matter are.

    The limit is not exact where labels are missing or hazards are learned.
    """
    x, score = patients()
    y = outcomes(kind, score)
    best = of.relevance(x, y, kind(5, OUTCOME), strength=1.0).max()
    assert best == pytest.approx(0, abs=0.1 if kind in (MultilabelHead, DiscreteTimeHead) else 1e-3)
    found = of.relevance(x, y, kind(5, OUTCOME), strength=0.5)
    assert (found > 0.01).nonzero().flatten().tolist() == [3, 8]


def test_one_class_tells_nothing_apart():
    x, score = patients()
    found = of.relevance(x, torch.ones(len(score)), BinaryHead(5, OUTCOME), strength=0.1)
    assert torch.isfinite(found).all()


def test_head_given_is_left_alone():
    x, score = patients()
    head = BinaryHead(5, OUTCOME)
    before = head.linear.weight.detach().clone()
    of.relevance(x, outcomes(BinaryHead, score), head, strength=0.1)
    assert torch.equal(head.linear.weight, before)

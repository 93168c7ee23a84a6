import numpy as np
import torch
from torch import nn

from medgraft.networks.heads.classification import BinaryHead, MulticlassHead
from medgraft.networks.heads.regression import RegressionHead

FEATURES = torch.randn(12, 5, generator=torch.Generator().manual_seed(0))


def test_binary_loss_equals_torchs():
    head, y = BinaryHead(5, {"classes": ["no", "yes"]}), torch.arange(12) % 2.0
    expected = nn.BCELoss(reduction="none")(torch.sigmoid(head(FEATURES)[:, 0]), y)
    torch.testing.assert_close(head.loss(head(FEATURES), y), expected)


def test_multiclass_loss_equals_torchs():
    head, y = MulticlassHead(5, {"classes": ["a", "b", "c"]}), torch.arange(12) % 3
    expected = nn.NLLLoss(reduction="none")(torch.log_softmax(head(FEATURES), 1), y)
    torch.testing.assert_close(head.loss(head(FEATURES), y.float()), expected)


def regression(y, weight):
    head = RegressionHead(5, {"classes": []})
    head.load_state_dict(head.fit(y) | {"linear.weight": weight, "linear.bias": torch.zeros(1)})
    return head


def test_regression_ignores_the_unit():
    rng = np.random.default_rng(0)
    grams, weight = rng.normal(3, 2, 12).astype(np.float32), torch.randn(1, 5)
    losses, values = [], []
    for y in (grams, 1000 * grams + 7):
        head = regression(y, weight)
        values.append(head(FEATURES))
        losses.append(head.loss(values[-1], torch.from_numpy(y)))
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(1000 * values[0] + 7, values[1], rtol=1e-5, atol=1e-2)


def test_untrained_regression_explains_nothing():
    y = np.random.default_rng(1).normal(50, 9, 12).astype(np.float32)
    head = regression(y, torch.zeros(1, 5))
    loss = head.loss(head(FEATURES), torch.from_numpy(y)).mean()
    # The mean predicts as well as the variance allows: 1 - R² = 1.
    torch.testing.assert_close(loss, torch.tensor(1.0))


def test_constant_outcome_stays_finite():
    head = regression(np.full(12, 4.0, np.float32), torch.zeros(1, 5))
    assert head.loss(head(FEATURES), torch.full((12,), 4.0)).tolist() == [0.0] * 12

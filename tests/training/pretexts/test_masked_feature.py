import numpy as np
import pytest
import torch

from medgraft.training.pretexts.masked_feature import MaskedFeature
from training import simulated as sim

SEX = {"name": "sex", "kind": "category", "categories": ["f", "m", "x"]}
SCHEMA = {
    "features": [*sim.schema()["features"][:2], SEX | {"may_be_missing": True, "origin": "shared"}]
}


def patients(n=400, seed=0):
    """Two numbers of which one tells the other, and a category that the first decides."""
    first = np.random.default_rng(seed).normal(50, 10, n)
    return np.column_stack([first, 3 * first + 7, first > 50]).astype(np.float32)


def network():
    restoration = MaskedFeature().network(sim.parts(), SCHEMA, seed=1)
    restoration.load_state_dict(
        restoration.state_dict() | restoration.fit(patients(), np.zeros(400))
    )
    return restoration


def test_hidden_value_is_anothers():
    x = patients()
    hidden, truth = MaskedFeature(0.3).batch(x, np.zeros(400), np.random.default_rng(0))
    assert truth is x
    numbers = hidden[:, :2] != x[:, :2]
    assert numbers.mean() == pytest.approx(0.3, abs=0.05)
    assert all(set(hidden[:, column]) <= set(x[:, column]) for column in range(3))


def test_same_generator_hides_the_same():
    one, two = (
        MaskedFeature().batch(patients(), np.zeros(400), np.random.default_rng(3))[0] for _ in "12"
    )
    assert np.array_equal(one, two)


def test_loss_is_of_hidden_values_alone():
    """By hand: a squared error in standard deviations, and the surprise at the true level."""
    restoration = network()
    y = torch.from_numpy(patients())[:3]
    x = y.clone()
    x[0, 0] = 99.0
    x[1, 2] = 2.0
    losses, restored = restoration(x, y), restoration(x)
    number = (
        restored[0, 0] - (y[0, 0] - restoration.truth.mean[0]) / restoration.truth.scale[0]
    ) ** 2
    level = torch.nn.functional.cross_entropy(restored[1, 2:], y[1, 2].long())
    torch.testing.assert_close(losses, torch.stack([number, level, torch.zeros(())]))


def test_never_recorded_is_not_asked():
    y = torch.from_numpy(patients())[:2]
    y[0] = torch.nan
    x = y + 1
    losses = network()(x, y)
    assert losses[0] == 0
    assert losses[1] > 0
    assert torch.isfinite(losses).all()


def test_training_restores_what_others_tell():
    """Hidden numbers are told by the other one: the error falls far below their variance, 1."""
    pretext, restoration = MaskedFeature(0.3), network()
    optimizer = torch.optim.Adam(restoration.parameters(), lr=0.01)
    generator, x = np.random.default_rng(0), patients()
    for _ in range(300):
        corrupted, truth = pretext.batch(x, x, generator)
        loss = restoration(torch.from_numpy(corrupted), torch.from_numpy(truth)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    y = torch.from_numpy(patients(seed=9))
    hidden = y.clone()
    hidden[:, 1] = y[:, 1].roll(1)
    asked = restoration.errors(restoration(hidden), y)[:, 1]
    assert asked.mean() < 0.5


def test_shared_layers_have_the_usual_names():
    """A target's network takes them over by name."""
    from medgraft.networks.model import build

    usual = build(sim.parts() | {"readout": sim.LAST}, sim.schema() | SCHEMA, seed=1)
    shared = {name for name in usual.state_dict() if name.startswith(("input.", "encoder."))}
    assert shared <= set(network().state_dict())

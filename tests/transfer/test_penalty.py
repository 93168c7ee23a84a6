"""Penalties against numbers of other implementations, by hand, and at their limits."""

import numpy as np
import pytest
import torch

from medgraft.transfer import penalty

from . import planted


def squared(values) -> float:
    return sum(float(value.detach().square().sum()) for value in values)


def test_l2_sp_by_hand():
    start, now = planted.network(0), planted.network(1)
    pairs = zip(now.encoder.parameters(), start.encoder.parameters(), strict=True)
    moved = squared(a - b for a, b in pairs)
    head = squared(now.head.parameters())
    found = penalty.L2Sp(now, alpha=0.3, beta=0.5)(planted.seen(now, start))
    assert found.item() == pytest.approx(0.15 * moved + 0.25 * head, rel=1e-6)


def test_l2_sp_of_the_start_is_its_head():
    start = planted.network()
    found = penalty.L2Sp(start)(planted.seen(start, start))
    assert found.item() == pytest.approx(0.005 * squared(start.head.parameters()), rel=1e-6)


@pytest.mark.parametrize(("k", "expected"), [(1, 29.4897600)])
def test_smallest_singular_value(k, expected):
    """The number of a public implementation of batch spectral shrinkage."""
    assert float(penalty.smallest_energy(planted.F, k=k)) == pytest.approx(expected, abs=1e-7)


def test_all_singular_values_are_the_norm():
    assert float(penalty.smallest_energy(planted.F, k=5)) == pytest.approx(squared([planted.F]))


def test_features_of_mixed_precision_are_widened():
    """There are no singular values of 8-bit numbers."""
    found = penalty.smallest_energy(planted.F.bfloat16(), k=1)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(29.48976, rel=0.01)


def test_shrinkage_pulls_the_weakest_direction():
    """Its gradient is 2 sigma u v': of rank one, and 0 for features of lower rank."""
    features = planted.F.clone().requires_grad_()
    penalty.smallest_energy(features, k=1).backward()
    assert torch.linalg.matrix_rank(features.grad) == 1
    flat = planted.F.clone()
    flat[:, 4] = flat[:, 0]
    assert float(penalty.smallest_energy(flat, k=1)) == pytest.approx(0, abs=1e-20)


def authors_distance(now, before, attention):
    """The loop of the authors' code, for maps [n, c, h, w]."""
    n, c, h, w = now.shape
    distance = torch.norm((now - before).reshape(n, c, h * w), 2, 2)
    return torch.sum(c * torch.mul(attention, distance**2) / (h * w))


@pytest.mark.parametrize("positions", [(), (6,), (2, 3)])
def test_map_distance_as_published(positions):
    generator = torch.Generator().manual_seed(1)
    now, before = torch.randn(2, 7, 4, *positions, generator=generator)
    attention = torch.softmax(torch.randn(4, generator=generator), dim=0)
    square = (7, 4, *positions, *[1] * (2 - len(positions)))
    expected = authors_distance(now.reshape(square), before.reshape(square), attention)
    torch.testing.assert_close(penalty.map_distance(now, before, attention), expected)
    assert penalty.map_distance(now, now, attention) == 0


def fitted(network, **options):
    made = penalty.Delta(network, **options)
    x, y = planted.batch(40)
    for name, value in made.fit(network.eval(), x.numpy(), y.numpy()).items():
        made.register_buffer(name, value)
    return made


def test_delta_of_equal_features_is_0():
    start, now = planted.network(0), planted.network(0)
    now.head.linear.weight.data += 1  # another head does not move the features
    guard = fitted(start, beta=0.0)
    assert guard(planted.seen(now, start)) == 0
    now.encoder.layers[0][0].weight.data += 0.1
    assert guard(planted.seen(now, start)) > 0


def test_attention_is_on_what_the_head_reads():
    """A last channel with weight 0 costs nothing to lose; the one with all the weight most."""
    start = planted.network()
    start.encoder.layers[1][0].bias.data += 3  # every channel is active
    start.head.linear.weight.data = torch.tensor([[0.0, 8.0, 0.0]])
    start.head.linear.bias.data = -8 * start.layers(planted.batch(40)[0])[1][:, 1].mean()[None]
    attention = fitted(start).attention_1
    assert float(attention.sum()) == pytest.approx(1)
    assert attention.argmax() == 1
    assert attention[0] == attention[2] < attention[1]


def test_attention_by_hand():
    """The softmax of how much the loss grows when a channel's outgoing weights are cut."""
    start = planted.network()
    x, y = planted.batch(40)
    losses = []
    for channel in range(4):
        cut = planted.network()
        cut.encoder.layers[1][0].weight.data[:, channel] = 0
        losses.append(cut(x, y).mean().item())
    expected = np.exp(losses) / np.exp(losses).sum()
    np.testing.assert_allclose(fitted(start).attention_0, expected, rtol=1e-5)

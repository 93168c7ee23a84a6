"""Low-rank changes of linear layers and convolutions."""

import copy
import re

import pytest
import torch
from torch import nn
from torch.func import functional_call

from medgraft.errors import ConfigError
from medgraft.transfer.adapter import LowRank, Unchanged
from medgraft.transfer.trainable import adapters

from . import planted


class Layers(nn.Module):
    """A linear layer, a convolution over one axis in two groups, one over two axes."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.ModuleList(
            [nn.Linear(12, 12), nn.Conv1d(4, 6, 3, groups=2), nn.Conv2d(6, 5, (1, 3))]
        )
        self.head = nn.Linear(5, 1)

    def forward(self, x):
        flat, one, two = self.encoder
        h = one(flat(x).reshape(-1, 4, 3)).reshape(-1, 6, 1, 1)
        return self.head(two(h.expand(-1, -1, 1, 3)).flatten(1))


def answer(network, values, r, x):
    """Of replica ``r``."""
    return functional_call(network, {name: value[r] for name, value in values.items()}, x)


def adapted(rank=2, alpha=3.0, seeds=(5, 6)):
    """The network, its values for two replicas, and both with changes."""
    torch.manual_seed(0)
    network, how = Layers(), LowRank(rank=rank, alpha=alpha)
    state = {name: torch.stack([v, v + 1]) for name, v in network.state_dict().items()}
    return network, state, how, *how.adapt(network, state, seeds)


def test_it_starts_as_the_source():
    """Hu et al.: up is 0, so the first step starts from the source, to the bit."""
    network, state, how, changed, values = adapted()
    x = torch.randn(7, 12)
    for r in range(2):
        before = functional_call(network, {k: v[r] for k, v in state.items()}, x)
        assert torch.equal(
            functional_call(changed, {k: v[r] for k, v in values.items()}, x), before
        )
    assert how.merge(values).keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in how.merge(values).items())


def moved(values):
    generator = torch.Generator().manual_seed(3)
    return {
        name: torch.randn(value.shape, generator=generator) if name.endswith(".up") else value
        for name, value in values.items()
    }


def test_merged_weights_answer_the_same():
    network, state, how, changed, values = adapted()
    values, x = moved(values), torch.randn(7, 12)
    merged = how.merge(values)
    for r in range(2):
        with_changes = functional_call(changed, {k: v[r] for k, v in values.items()}, x)
        alone = functional_call(network, {k: v[r] for k, v in merged.items()}, x)
        torch.testing.assert_close(with_changes, alone)
        assert not torch.equal(
            alone, functional_call(network, {k: v[r] for k, v in state.items()}, x)
        )


@pytest.mark.parametrize("rank", [1, 2])
def test_change_has_its_rank_and_scale(rank):
    _, state, how, _, values = adapted(rank=rank)
    values = moved(values)
    merged = how.merge(values)
    for name in ("encoder.0", "encoder.1", "encoder.2"):
        change = (merged[f"{name}.weight"] - state[f"{name}.weight"])[1].flatten(1)
        up, down = (values[f"{name}.parametrizations.weight.0.{k}"][1] for k in ("up", "down"))
        torch.testing.assert_close(change, 3.0 / rank * up @ down, rtol=1e-4, atol=1e-5)
        assert torch.linalg.matrix_rank(change, rtol=1e-4) == rank


def test_replicas_draw_alone_what_they_draw_together():
    *_, values = adapted(seeds=(5, 6))
    *_, swapped = adapted(seeds=(6, 6))
    downs = [name for name in values if name.endswith(".down")]
    assert len(downs) == 3
    for name in downs:
        assert torch.equal(values[name][1], swapped[name][0])
        assert not torch.equal(values[name][0], values[name][1])
        assert values[name].abs().max() <= values[name].shape[-1] ** -0.5


def test_only_changes_and_specific_layers_train():
    network = planted.network()
    state = {name: value[None] for name, value in network.state_dict().items()}
    changed, _ = LowRank(rank=2).adapt(network, state, [0])
    (phase,) = adapters(name for name, _ in changed.named_parameters())
    inside = "parametrizations.weight.0"
    assert phase.names == {
        f"encoder.layers.{i}.0.{inside}.{part}" for i in (0, 1) for part in ("up", "down")
    } | {"head.linear.weight", "head.linear.bias"}


def test_network_given_is_left_alone():
    network = planted.network()
    before = copy.deepcopy(network.state_dict())
    state = {name: value[None] for name, value in network.state_dict().items()}
    LowRank().adapt(network, state, [0])
    assert network.state_dict().keys() == before.keys() == state.keys()
    assert Unchanged().adapt(network, state, [0]) == (network, state)


def test_encoder_without_adaptable_layers_is_refused():
    """A volume's convolutions alone would leave a linear probe that calls itself LoRA."""
    network = nn.ModuleDict({"encoder": nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2))})
    network.encoder = network["encoder"]
    said = (
        "the encoder Sequential has no linear layer and no convolution over one or two axes, so a "
        "low-rank change has nothing to adapt; leave lora out of strategies, or take fine_tune"
    )
    with pytest.raises(ConfigError, match=re.escape(said)):
        LowRank().adapt(network, {}, [0])

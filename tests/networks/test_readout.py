import pytest
import torch

from medgraft.networks.readout import LastLayer, LayerMix


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return [torch.randn(6, 4) for _ in range(3)]


def test_last_layer_passes_through(layers):
    readout = LastLayer([4, 4, 4])
    assert readout(layers) is layers[-1]
    assert readout.width == 4


def test_mix_equals_peters_formula(layers):
    mix = LayerMix([4, 4, 4])
    with torch.no_grad():
        mix.scores.copy_(torch.tensor([0.5, -1.0, 2.0]))
        mix.gamma.fill_(1.7)
    weights = mix.scores.exp() / mix.scores.exp().sum()
    expected = 1.7 * sum(w * h for w, h in zip(weights, layers, strict=True))
    torch.testing.assert_close(mix(layers), expected)


def test_equal_scores_give_mean(layers):
    torch.testing.assert_close(LayerMix([4, 4, 4])(layers), torch.stack(layers).mean(0))


def test_other_widths_are_projected(layers):
    torch.manual_seed(1)
    mix = LayerMix([9, 4])
    wide = torch.randn(6, 9)
    projected = wide @ mix.projections[0].weight.T
    torch.testing.assert_close(mix([wide, layers[0]]), (projected + layers[0]) / 2)
    assert mix.projections[0].weight.shape == (4, 9)

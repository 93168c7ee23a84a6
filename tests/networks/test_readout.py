import pytest
import torch

from medgraft.errors import ConfigError
from medgraft.networks.heads.classification import BinaryHead
from medgraft.networks.readout import LastLayer, LayerMix, SelectedLayers


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


def selected(layers, y, **options):
    """The readout, fitted."""
    readout = SelectedLayers([layer.shape[1] for layer in layers], **options)
    readout.load_state_dict(readout.fit(layers, y, BinaryHead(readout.width, {})))
    return readout


def test_all_features_are_all_layers_side_by_side():
    """Of a fraction of 1 any linear head is one on the concatenation."""
    torch.manual_seed(2)
    layers = [5 + 3 * torch.randn(40, width) for width in (6, 4)]
    readout = selected(layers, (layers[0][:, 0] > 5).float(), fraction=1.0)
    together = torch.cat(layers, dim=1)
    expected = (together - together.mean(0)) / together.std(0, correction=0)
    torch.testing.assert_close(readout(layers), expected)
    weight = torch.linspace(-1, 1, 10)
    folded = weight / together.std(0, correction=0)
    torch.testing.assert_close(
        readout(layers) @ weight,
        together @ folded - together.mean(0) @ folded,
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize("place", [0, 1])
def test_planted_feature_of_a_middle_layer_is_selected(place):
    """One feature of thirty knows the outcome, and it is not in the last layer."""
    torch.manual_seed(3)
    layers = [torch.randn(60, 10) for _ in range(3)]
    y = (layers[place][:, 7] > 0).float()
    readout = selected(layers, y, fraction=0.1)
    assert readout.width == 3
    assert 10 * place + 7 in readout.kept
    assert readout.kept.tolist() == sorted(readout.kept.tolist())


def test_silent_feature_is_not_selected():
    torch.manual_seed(4)
    layers = [torch.cat([torch.full((50, 1), 3.0), torch.randn(50, 3)], dim=1)]
    readout = selected(layers, (layers[0][:, 2] > 0).float(), fraction=0.75)
    assert 0 not in readout.kept


@pytest.mark.parametrize("fraction", [0.0, 1.5])
def test_impossible_fraction_is_refused(fraction):
    with pytest.raises(ConfigError, match=f"fraction {fraction}: expected more than 0 and at"):
        SelectedLayers([4, 4], fraction=fraction)

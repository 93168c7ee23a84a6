import numpy as np
import pytest
import torch

from medgraft.errors import ConfigError
from medgraft.networks.model import build

SPEC = {
    "input": {"_target_": "medgraft.networks.inputs.table.TableInput"},
    "encoder": {"_target_": "medgraft.networks.encoders.mlp.Mlp", "widths": [6, 4]},
    "readout": {"_target_": "medgraft.networks.readout.LayerMix"},
    "head": {"_target_": "medgraft.networks.heads.regression.RegressionHead"},
}
NUMBER = {"kind": "number", "may_be_missing": False, "origin": "shared"}
SCHEMA = {"features": [NUMBER] * 3, "outcome": {"task": "regression", "classes": []}}


def network(seed=0):
    return build(SPEC, SCHEMA, seed=seed)


def test_build_leaves_generator_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    network()
    assert torch.equal(torch.rand(2), expected)


def test_weights_follow_the_seed():
    first, again, other = (dict(network(s).named_parameters()) for s in (5, 5, 6))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.linear.weight"], other["head.linear.weight"])


def test_losses_ignore_recalibration():
    net, x, y = network(), torch.randn(8, 3), torch.randn(8)
    net.load_state_dict(net.fit(x.numpy(), y.numpy()), strict=False)
    raw, losses = net(x), net(x, y)
    net.recalibration.intercept.fill_(10)
    net.recalibration.slope.fill_(2)
    torch.testing.assert_close(net(x), 10 + 2 * raw)
    assert torch.equal(net(x, y), losses)


def test_fit_finds_every_statistic():
    x, y = np.eye(3, dtype=np.float32), np.array([1, 2, 6], np.float32)
    found = network().fit(x, y)
    assert sorted(found) == ["head.centre", "head.spread", "input.mean", "input.scale"]
    assert found["head.centre"].item() == 3
    assert found["head.spread"].item() == pytest.approx(y.std())
    assert set(found) <= set(network().state_dict())


MODULES = "medgraft.networks."
DNA = {"kind": "sequence", "letters": "ACGT", "length": 12}
FILM = {"kind": "image", "channels": 1, "height": 8, "width": 8}


@pytest.mark.parametrize(
    ("given", "feature", "encoder", "told"),
    [
        ("image.ImageInput", FILM, "mlp.Mlp", ("tables and genes", "images")),
        ("table.TableInput", NUMBER, "compact_cnn.CompactCnn", ("images", "tables and genes")),
        ("sequence.SequenceInput", DNA, "compact_cnn.CompactCnn", ("images", "sequences")),
    ],
)
def test_encoder_of_another_kind_is_refused(given, feature, encoder, told):
    """By a sentence rather than by the shapes of matrices."""
    spec = SPEC | {
        "input": {"_target_": f"{MODULES}inputs.{given}"},
        "encoder": {"_target_": f"{MODULES}encoders.{encoder}", "widths": [8]},
    }
    with pytest.raises(ConfigError) as caught:
        build(spec, SCHEMA | {"features": [feature]}, seed=0)
    assert str(caught.value) == (
        f"the encoder {encoder.rpartition('.')[2]} reads {told[0]}, and preparation gives "
        f"{told[1]}: expected another encoder"
    )

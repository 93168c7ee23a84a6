import pytest

from medgraft.networks.model import build
from medgraft.transfer import trainable

NUMBER = {"kind": "number", "may_be_missing": False, "origin": "shared"}
SCHEMA = {"features": [NUMBER] * 3, "outcome": {"task": "binary", "classes": ["no", "yes"]}}


def names(encoder):
    spec = {
        "input": {"_target_": "medgraft.networks.inputs.table.TableInput"},
        "encoder": {"_target_": f"medgraft.networks.encoders.{encoder.pop('is')}", **encoder},
        "readout": {"_target_": "medgraft.networks.readout.LayerMix"},
        "head": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
    }
    return [name for name, _ in build(spec, SCHEMA, seed=0).named_parameters()]


MLP = names({"is": "mlp.Mlp", "widths": [4, 4, 4]})
RESNET = names({"is": "resnet.TabularResNet", "blocks": 2, "width": 4})
SPECIFIC = {"readout.scores", "readout.gamma", "head.linear.weight", "head.linear.bias"}


@pytest.mark.parametrize("network", [MLP, RESNET])
def test_ends_of_the_scale(network):
    assert trainable.nothing(network) == set()
    assert trainable.specific_layers(network) == SPECIFIC
    assert trainable.everything(network) == set(network)


def test_first_mlp_layers_stay():
    last = {"encoder.layers.2.0.weight", "encoder.layers.2.0.bias"}
    assert trainable.from_layer(MLP, first=2) == SPECIFIC | last
    assert trainable.from_layer(MLP, first=3) == SPECIFIC
    assert trainable.from_layer(MLP, first=0) == set(MLP)


def test_first_resnet_layers_stay():
    frozen = set(RESNET) - trainable.from_layer(RESNET, first=1)
    assert frozen == {"encoder.layers.0.weight", "encoder.layers.0.bias"}
    left = trainable.from_layer(RESNET, first=2) - SPECIFIC
    assert {name.split(".")[2] for name in left} == {"2"}


def test_tenth_layer_follows_ninth():
    deep = names({"is": "mlp.Mlp", "widths": [2] * 12})
    kept = trainable.from_layer(deep, first=10) - SPECIFIC
    assert {name.split(".")[2] for name in kept} == {"10", "11"}

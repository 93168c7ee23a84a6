from itertools import pairwise

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


def only(phases):
    """The names of the one phase."""
    (phase,) = phases
    assert phase.steps is None
    return phase.names


SPECIFIC = {"readout.scores", "readout.gamma", "head.linear.weight", "head.linear.bias"}


@pytest.mark.parametrize("network", [MLP, RESNET])
def test_ends_of_the_scale(network):
    assert trainable.nothing(network) == []
    assert only(trainable.specific_layers(network)) == SPECIFIC
    assert only(trainable.everything(network)) == set(network)


def test_first_mlp_layers_stay():
    last = {"encoder.layers.2.0.weight", "encoder.layers.2.0.bias"}
    assert only(trainable.from_layer(MLP, first=2)) == SPECIFIC | last
    assert only(trainable.from_layer(MLP, first=3)) == SPECIFIC
    assert only(trainable.from_layer(MLP, first=0)) == set(MLP)


def test_first_resnet_layers_stay():
    frozen = set(RESNET) - only(trainable.from_layer(RESNET, first=1))
    assert frozen == {"encoder.layers.0.weight", "encoder.layers.0.bias"}
    left = only(trainable.from_layer(RESNET, first=2)) - SPECIFIC
    assert {name.split(".")[2] for name in left} == {"2"}


def test_tenth_layer_follows_ninth():
    deep = names({"is": "mlp.Mlp", "widths": [2] * 12})
    kept = only(trainable.from_layer(deep, first=10)) - SPECIFIC
    assert {name.split(".")[2] for name in kept} == {"10", "11"}


def test_probe_comes_before_everything():
    probe, all_layers = trainable.probe_then_everything(MLP)
    assert (probe.names, all_layers.names) == (SPECIFIC, set(MLP))
    assert probe.steps is all_layers.steps is None


def test_layers_thaw_from_the_top():
    phases = trainable.gradual(MLP, steps=50)
    new = [b.names - a.names for a, b in pairwise(phases)]
    top_down = [{n for n in MLP if n.startswith(f"encoder.layers.{i}.")} for i in (2, 1, 0)]
    assert phases[0].names == SPECIFIC
    assert new == [*top_down, set()]
    assert [phase.steps for phase in phases] == [50, 50, 50, 50, None]


def test_names_may_come_once():
    """An iterator serves as well as a list."""
    assert trainable.gradual(iter(MLP), steps=1) == trainable.gradual(MLP, steps=1)
    assert trainable.probe_then_everything(iter(MLP)) == trainable.probe_then_everything(MLP)

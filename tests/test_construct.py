import pytest
import torch

from medgraft.construct import construct, locate
from medgraft.errors import ConfigError

MLP = "medgraft.networks.encoders.mlp.Mlp"


def message(call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_entries_and_given_are_passed():
    mlp = construct({"_target_": MLP, "widths": [4, 2]}, inputs=3)
    assert [tuple(layer[0].weight.shape) for layer in mlp.layers] == [(4, 3), (2, 4)]


@pytest.mark.parametrize("target", ["os.system", "torch.load", "medgraftish.evil", "builtins.eval"])
def test_outside_packages_are_refused(target):
    expected = f"_target_ {target!r}: expected a name in medgraft., torch.optim., sklearn.*"
    assert message(locate, target) == expected


@pytest.mark.parametrize("target", ["sklearn.utils._testing.check_output", "medgraft.config.Path"])
def test_borrowed_names_are_refused(target):
    module, _, name = target.rpartition(".")
    assert message(locate, target).startswith(f"_target_ {target!r}: {module} has no {name!r}")


def test_unknown_module_is_named():
    expected = (
        "_target_ 'medgraft.networks.encoder.mlp.Mlp': there is no module "
        "'medgraft.networks.encoder'"
    )
    assert message(locate, "medgraft.networks.encoder.mlp.Mlp") == expected


def test_misspelt_class_gets_suggestion():
    expected = (
        "_target_ 'medgraft.networks.encoders.mlp.MLP': medgraft.networks.encoders.mlp has no "
        "'MLP'; did you mean 'Mlp'?"
    )
    assert message(locate, "medgraft.networks.encoders.mlp.MLP") == expected


def test_misspelt_argument_gets_suggestion():
    found = message(construct, {"_target_": MLP, "width": [4]}, inputs=3)
    assert found == f"{MLP}: unknown argument 'width'; did you mean 'widths'?"


def test_strange_argument_lists_known():
    found = message(construct, {"_target_": MLP, "zzz": 1, "widths": [4]}, inputs=3)
    known = "activation, inputs, widths"
    assert found == f"{MLP}: unknown argument 'zzz'; expected one of {known}"


def test_missing_arguments_are_named():
    assert message(construct, {"_target_": MLP}) == f"{MLP}: missing argument 'inputs', 'widths'"


def test_missing_target_is_explained():
    found = message(construct, {"widths": [4]})
    assert found == "{'widths': [4]}: expected a _target_ that names a constructor"


@pytest.mark.parametrize(
    ("spec", "given", "expected"),
    [
        (
            {"_target_": MLP, "widths": 64},
            {"inputs": 3},
            "medgraft.networks.encoders.mlp.Mlp(widths=64): 'int' object is not iterable",
        ),
        (
            {"_target_": "torch.optim.SGD", "lr": -1.0},
            {"params": [torch.nn.Parameter(torch.zeros(1))]},
            "torch.optim.SGD(lr=-1.0): Invalid learning rate: -1.0",
        ),
    ],
    ids=["type", "value"],
)
def test_refused_value_is_one_sentence(spec, given, expected):
    assert message(construct, spec, **given) == expected

import re
import sys

import pytest
import torch

from medgraft.construct import complaint, construct, locate
from medgraft.errors import ConfigError

MLP = "medgraft.networks.encoders.mlp.Mlp"


def message(call, *args, **kwargs):
    with pytest.raises(ConfigError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def test_entries_and_given_are_passed():
    mlp = construct({"_target_": MLP, "widths": [4, 2]}, inputs=3)
    assert [tuple(layer[0].weight.shape) for layer in mlp.layers] == [(4, 3), (2, 4)]


OUTSIDE = (
    "os.system",
    "builtins.eval",
    "torch.load",
    "torch.hub.load",
    "medgraftish.evil",
    "medgraft.cli.main",
    "medgraft.raw_data.dvc",
    "medgraft.cohorts.catalogue.files.fetch",
    "medgraft.preparation.arrays.write_json",
    "sklearn.datasets.fetch_openml",
    "sklearn.linear_model.LogisticRegression",
)


@pytest.mark.parametrize("target", OUTSIDE)
def test_what_no_configuration_is_made_of_is_refused(target):
    found = message(locate, target)
    assert found.startswith(f"_target_ {target!r}: expected one of medgraft.cohorts.catalogue.*.ma")
    assert "sklearn" not in found.partition("expected")[2]


BORROWED = (
    "medgraft.transfer.alignment.torch",
    "medgraft.training.pretexts.checkpoint.Path",
    "medgraft.training.pretexts.checkpoint.checkpoints.trained",
    "torch.optim.Optimizer.load_state_dict",
    "torch.optim.lr_scheduler",
    "torch.optim.lr_scheduler.LambdaLR",
    "torch.optim._functional",
)


@pytest.mark.parametrize("target", BORROWED)
def test_borrowed_names_are_refused(target):
    """What a module imports, its private parts, and whatever of torch is no optimiser."""
    module, _, name = target.rpartition(".")
    found = message(locate, target)
    assert found.startswith(f"_target_ {target!r}: ")
    assert f"{module} has no {name!r}" in found or "there is no module" in found


def test_refused_module_is_not_imported():
    """A module may do anything when it is imported."""
    sys.modules.pop("this", None)
    message(locate, "this.s")
    assert "this" not in sys.modules


def test_every_constructor_of_the_project_is_allowed(root):
    """Whatever conf/ names can be located."""
    named = re.compile(r"_target_: *([\w.]+)")
    texts = [path.read_text() for path in (root / "conf").rglob("*.yaml")]
    targets = {target for text in texts for target in named.findall(text)}
    assert len(targets) > 60
    assert all(callable(locate(target)) for target in targets)


def test_unknown_module_is_named():
    expected = (
        "_target_ 'medgraft.networks.encoders.mpl.Mlp': there is no module "
        "'medgraft.networks.encoders.mpl'"
    )
    assert message(locate, "medgraft.networks.encoders.mpl.Mlp") == expected


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
            f"{MLP}: widths: got 64: input should be an instance of Sequence",
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


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("tracking.urii='https://me:pw@h/x': unknown", "tracking.urii='https://h/x': unknown"),
        ("postgresql://t0ken@db/mlflow failed", "postgresql://db/mlflow failed"),
        ("postgresql://db/x?password=pw&ssl=1", "postgresql://db/x?password=&ssl=1"),
        ("'https://h/?Token=t0ken' refused", "'https://h/?Token=' refused"),
        ("file:///data/a@b.csv, no address", "file:///data/a@b.csv, no address"),
        ("write to me@hospital.example", "write to me@hospital.example"),
    ],
)
def test_complaint_holds_no_password(written, said):
    """Whichever option an address was mistyped into."""
    assert complaint(written) == said

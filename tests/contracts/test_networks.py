"""What every encoder and every optimiser promises."""

import pytest
import torch
from torch import nn

from medgraft.construct import construct
from medgraft.deployment import onnx_export
from medgraft.deployment.graph import Ensemble
from medgraft.errors import ConfigError
from medgraft.evaluation import corrections
from medgraft.networks.model import Network
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from medgraft.training.sharding import is_cut, own, shard
from training.simulated import HEADS, LAST, schema

from . import found

ENCODERS = [pytest.param(path, id=path.stem) for path in found.of("encoder")]
TOGETHER = 3
CHANNELS = 4  # as many as letters of a DNA
POSITIONS = {0: (), 1: (40,), 2: (16, 16)}


class AsItIs(nn.Module):
    """An input that prepares nothing."""

    width = CHANNELS

    def forward(self, x):
        return x


def encoder(path):
    try:
        return construct(found.read(path), inputs=CHANNELS)
    except ConfigError as error:
        if "pip install" in str(error):
            pytest.skip(str(error))
        raise


def network(path, seed: int):
    torch.manual_seed(seed)
    shared = encoder(path)
    readout = construct(LAST, widths=shared.widths)
    head = construct(HEADS["binary"], width=readout.width, outcome=schema("binary")["outcome"])
    return Network(AsItIs(), shared, readout, head)


def patients(path, *rows: int):
    """Random inputs [*rows, channels, *positions] of the shape this encoder reads."""
    shape = (*rows, CHANNELS, *POSITIONS[encoder(path).places])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def stacked(path):
    return replicas.build(lambda seed: network(path, seed), range(TOGETHER))


@pytest.mark.parametrize("path", ENCODERS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_together_equals_alone(path, training):
    """Outputs of stacked replicas are those of each network by itself."""
    template, state = stacked(path)
    x = patients(path, TOGETHER, 7)
    together = Replicas(template, state).train(training)(x)
    for r in range(TOGETHER):
        template.load_state_dict({name: value[r] for name, value in state.items()})
        alone = template.train(training)(x[r])
        torch.testing.assert_close(together[r], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("path", ENCODERS)
def test_gradients_stay_apart(path):
    """A replica's loss moves that replica's values alone."""
    template, state = stacked(path)
    names = [name for name, _ in template.named_parameters()]
    together = Replicas(template, state, names)
    losses = together(patients(path, TOGETHER, 7), torch.ones(TOGETHER, 7))
    losses[1].mean().backward()
    moved = {name: together.parameter(name).grad.flatten(1).abs().sum(1) for name in names}
    assert all(m[0] == m[2] == 0 for m in moved.values())
    assert sum(float(m[1]) for m in moved.values()) > 0


@pytest.mark.usefixtures("one_process")
@pytest.mark.parametrize("path", ENCODERS)
def test_cut_equals_whole(path):
    """Under FSDP a layer's values are there while it is called, and not a moment longer."""
    whole, cut = network(path, 1), network(path, 1)
    shard(cut, torch.device("cpu"))
    for net in (whole, cut):
        torch.manual_seed(2)  # of dropout
        net(patients(path, 7), torch.ones(7)).mean().backward()
    for name, value in cut.named_parameters():
        assert is_cut(value), name
        torch.testing.assert_close(own(value.grad), whole.get_parameter(name).grad)


@pytest.mark.parametrize("path", ENCODERS)
def test_widths_are_true(path):
    """One output a layer, as wide as stated: readouts and frozen layers rely on it."""
    shared = encoder(path)
    pool = getattr(shared, "pool", lambda output: output)
    outputs = [pool(output) for output in shared(patients(path, 7))]
    assert [tuple(output.shape) for output in outputs] == [(7, width) for width in shared.widths]
    assert len(shared.layers) == len(shared.widths)
    owned = {name.split(".")[0] for name, _ in shared.named_parameters()}
    assert owned == {"layers"}, "a parameter outside the layers could not be frozen by layer"


@pytest.mark.parametrize("path", ENCODERS)
def test_seed_decides_weights(path):
    first, again, other = (network(path, seed).state_dict() for seed in (1, 1, 2))
    weights = [name for name, value in first.items() if bool((value != value.flatten()[0]).any())]
    assert any(name.startswith("encoder.") for name in weights)
    assert all(torch.equal(first[name], again[name]) for name in weights)
    assert not any(torch.equal(first[name], other[name]) for name in weights)


@pytest.mark.parametrize("path", [pytest.param(p, id=p.stem) for p in found.of("optimizer")])
def test_optimiser_works_elementwise(path):
    """Stacked tensors move as each would alone, which an optimiser with norms would not do."""

    def moved(start):
        values = torch.nn.Parameter(start.clone())
        optimizer = construct(found.read(path), params=[values])
        for _ in range(5):
            optimizer.zero_grad()
            (values**2 * torch.tensor([1.0, 30.0])[: len(values)]).sum().backward()
            optimizer.step()
        return values.detach()

    together = moved(torch.tensor([3.0, 0.1]))
    torch.testing.assert_close(together[:1], moved(torch.tensor([3.0])), rtol=0, atol=0)
    assert together[0] < 3.0


@pytest.mark.slow
@pytest.mark.parametrize("path", ENCODERS)
def test_exported_equals_torch(path, tmp_path):
    """As ONNX, for another number of patients than it was traced with, and for one alone."""
    each = [network(path, seed).eval() for seed in range(2)]
    whole = Ensemble(each, "binary", corrections.AsItIs()).eval()
    x = patients(path, 7)
    onnx_export.write(whole, x.numpy(), tmp_path / "a.onnx")
    ask = onnx_export.session(tmp_path / "a.onnx")
    with torch.no_grad():
        expected = whole(x)
    assert expected[:, 1].unique().numel() == 7
    for rows in (x, x[:1]):
        (got,) = ask.run([onnx_export.OUTPUT], {onnx_export.INPUT: rows.numpy()})
        torch.testing.assert_close(torch.from_numpy(got), expected[: len(rows)], atol=1e-5, rtol=0)

"""What every encoder and every optimiser promises."""

import pytest
import torch

from medgraft.construct import construct
from medgraft.networks.model import build
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from training.simulated import HEADS, LAST, TABLE, schema

from . import found

BINARY = schema("binary")
ENCODERS = [pytest.param(path, id=path.stem) for path in found.of("encoder")]
TOGETHER = 3


def network(path, seed: int):
    spec = {"input": TABLE, "encoder": found.read(path), "readout": LAST, "head": HEADS["binary"]}
    return build(spec, BINARY, seed=seed)


def fitted(path):
    """A template and three replicas, preparation as if from standardised patients."""
    template, state = replicas.build(lambda seed: network(path, seed), range(TOGETHER))
    state["input.mean"] = torch.zeros(TOGETHER, 5)
    state["input.scale"] = torch.ones(TOGETHER, 5)
    return template, state


@pytest.mark.parametrize("path", ENCODERS)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_together_equals_alone(path, training):
    """Outputs of stacked replicas are those of each network by itself."""
    template, state = fitted(path)
    x = torch.randn(TOGETHER, 7, 5, generator=torch.Generator().manual_seed(0))
    together = Replicas(template, state).train(training)(x)
    for r in range(TOGETHER):
        template.load_state_dict({name: value[r] for name, value in state.items()})
        alone = template.train(training)(x[r])
        torch.testing.assert_close(together[r], alone, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("path", ENCODERS)
def test_gradients_stay_apart(path):
    """A replica's loss moves that replica's values alone."""
    template, state = fitted(path)
    names = [name for name, _ in template.named_parameters()]
    stacked = Replicas(template, state, names)
    losses = stacked(torch.randn(TOGETHER, 7, 5), torch.ones(TOGETHER, 7))
    losses[1].mean().backward()
    moved = {name: stacked.parameter(name).grad.flatten(1).abs().sum(1) for name in names}
    assert all(m[0] == m[2] == 0 for m in moved.values())
    assert sum(float(m[1]) for m in moved.values()) > 0


@pytest.mark.parametrize("path", ENCODERS)
def test_widths_are_true(path):
    """One output a layer, as wide as stated: readouts and frozen layers rely on it."""
    encoder = construct(found.read(path), inputs=5)
    outputs = encoder(torch.randn(7, 5))
    assert [tuple(output.shape) for output in outputs] == [(7, width) for width in encoder.widths]
    assert len(encoder.layers) == len(encoder.widths)
    owned = {name.split(".")[0] for name, _ in encoder.named_parameters()}
    assert owned == {"layers"}, "a parameter outside the layers could not be frozen by layer"


@pytest.mark.parametrize("path", ENCODERS)
def test_seed_decides_weights(path):
    first, again, other = (network(path, seed).state_dict() for seed in (1, 1, 2))
    weights = [name for name in first if name.endswith("weight") and first[name].dim() > 1]
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

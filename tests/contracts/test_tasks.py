"""What every kind of outcome promises, whatever the shared layers before it read."""

import numpy as np
import pytest
import torch

from medgraft.construct import construct
from medgraft.networks.model import Network
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from training.simulated import LAST, OUTCOMES, schema

from . import found
from .test_networks import POSITIONS, TOGETHER, AsItIs, encoder, patients

ROWS = 7
# One network for each kind of input: none, one or two dimensions beside the channels.
SMALL = ("mlp", "dilated_cnn", "compact_cnn")
ENCODERS = [pytest.param(path, id=path.stem) for path in found.of("encoder") if path.stem in SMALL]
TASKS = [pytest.param(path, id=path.stem) for path in found.of("task")]


def network(shared, task, seed: int) -> Network:
    torch.manual_seed(seed)
    layers, said = encoder(shared), found.read(task)
    readout = construct(LAST, widths=layers.widths)
    outcome = schema(said["kind"])["outcome"]
    head = construct(said["head"], width=readout.width, outcome=outcome)
    return Network(AsItIs(), layers, readout, head)


def stacked(shared, task):
    """Replicas with the head's values fitted on outcomes, and those outcomes [R, n, ...]."""
    stream = np.random.default_rng(0)
    kind = found.read(task)["kind"]
    each = [OUTCOMES[kind](stream.normal(size=ROWS), stream) for _ in range(TOGETHER)]
    y = np.stack(each).astype(np.float32)
    template, state = replicas.build(lambda seed: network(shared, task, seed), range(TOGETHER))
    for name in template.head.fit(y[0]):
        values = [template.head.fit(mine)[name] for mine in y]
        state[f"head.{name}"] = torch.stack(values)
    return template, state, torch.tensor(y)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shared", ENCODERS)
def test_losses_together_equal_alone(shared, task):
    template, state, y = stacked(shared, task)
    x = patients(shared, TOGETHER, ROWS)
    together = Replicas(template, state)(x, y)
    assert together.shape == (TOGETHER, ROWS)
    for r in range(TOGETHER):
        template.load_state_dict({name: value[r] for name, value in state.items()})
        torch.testing.assert_close(together[r], template(x[r], y[r]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("shared", ENCODERS)
def test_padding_changes_no_loss(shared, task):
    """Rows without an outcome fill up what is asked: the losses of the others stay."""
    template, state, y = stacked(shared, task)
    x = patients(shared, TOGETHER, ROWS)
    padding = torch.full((TOGETHER, 2, *y.shape[2:]), torch.nan)
    stack = Replicas(template, state).eval()
    more = stack(torch.cat([x, x[:, :2]], dim=1), torch.cat([y, padding], dim=1))
    torch.testing.assert_close(more[:, :ROWS], stack(x, y), rtol=1e-4, atol=1e-5)


def test_every_kind_of_input_is_covered():
    assert {encoder(path).places for (path,) in (e.values for e in ENCODERS)} == set(POSITIONS)


@pytest.mark.parametrize("task", TASKS)
def test_outputs_are_counted(task):
    (shared,) = next(iter(ENCODERS)).values
    template = network(shared, task, 0)
    said = template(patients(shared, ROWS))
    assert said.shape == (ROWS, template.head.outputs)

import numpy as np
import pytest
import torch

from medgraft.networks.model import build
from medgraft.training import replicas
from medgraft.training.pretexts.masked_token import MaskedToken
from medgraft.training.replicas import Replicas
from networks.encoders.test_sequences import BOTH, CNN, INPUT, LENGTH, SCHEMA, TRANSFORMER
from training.simulated import HEADS, LAST

SPEC = {"input": INPUT, "encoder": CNN, "readout": LAST, "head": HEADS["binary"]}


def tokens(rows):
    return np.random.default_rng(0).integers(0, 4, (rows, LENGTH)).astype(np.uint8)


def hidden(share, run, rows=2000):
    x, truth = MaskedToken(share, run).hide(tokens(rows), None, np.random.default_rng(1))
    assert x.dtype == np.uint8
    return x != truth


@pytest.mark.parametrize("run", [1, 3])
def test_share_is_hidden_everywhere(run):
    """Within four standard errors, at the ends as in the middle."""
    found = hidden(0.2, run)
    error = np.sqrt(0.2 * 0.8 * run / len(found))
    assert abs(found.mean(0) - 0.2).max() < 4 * error


def test_same_stream_same_letters():
    one, two = (MaskedToken().hide(tokens(5), None, np.random.default_rng(3))[0] for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("encoder", [CNN, BOTH, TRANSFORMER], ids=["cnn", "both", "transformer"])
def test_shared_layers_carry_over(encoder):
    """Under the names, and of the shapes, of the network every strategy uses."""
    spec = SPEC | {"encoder": encoder}
    pretext = MaskedToken().network(spec, SCHEMA, seed=1).state_dict()
    shared = {n: v.shape for n, v in pretext.items() if n.startswith(("input.", "encoder."))}
    after = build(spec, SCHEMA, seed=2).state_dict()
    assert shared == {n: v.shape for n, v in after.items() if n.startswith(("input.", "encoder."))}
    assert not {name for name in pretext if name.startswith("head.")}


def test_loss_of_knowing_nothing():
    """Equal scores for all letters lose log 4 per hidden letter; nothing hidden, nothing lost."""
    net = MaskedToken().network(SPEC, SCHEMA, seed=1)
    torch.nn.init.zeros_(net.decoder.weight)
    torch.nn.init.zeros_(net.decoder.bias)
    truth = torch.from_numpy(tokens(3))
    seen = truth.clone()
    seen[0, :5] = 254
    seen[1, 7] = 254
    losses = net(seen, truth)
    assert losses.tolist() == pytest.approx([np.log(4), np.log(4), 0.0], abs=1e-6)


@pytest.mark.parametrize("encoder", [CNN, BOTH], ids=["cnn", "both"])
def test_scores_belong_to_positions(encoder):
    """A letter moves the scores near it alone: shrunk positions are spread out in order."""
    spec = SPEC | {"encoder": encoder | {"blocks": 0}}
    net = MaskedToken().network(spec, SCHEMA, seed=1)
    x = torch.from_numpy(tokens(1))
    moved = x.clone()
    moved[0, 2] = (moved[0, 2] + 1) % 4
    changed = (net(x) != net(moved)).any(1)[0]
    assert net(x).shape == (1, 4, LENGTH)
    assert changed[:6].any()
    assert not changed[15:].any()


def test_rule_is_learned():
    """Where every letter follows from its neighbours, replicas at once learn to tell it."""
    start = np.random.default_rng(2).integers(0, 4, (64, 1))
    x = ((start + np.arange(LENGTH)) % 4).astype(np.uint8)
    pretext = MaskedToken(share=0.15, run=1)
    template, state = replicas.build(
        lambda seed: pretext.network(SPEC, SCHEMA, seed=seed), range(2)
    )
    stacked = Replicas(template, state, [name for name, _ in template.named_parameters()])
    optimizer = torch.optim.Adam(stacked.parameters(), lr=0.01)
    for step in range(60):
        seen, truth = pretext.batch(x, None, np.random.default_rng(step))
        both = (torch.from_numpy(np.stack([each] * 2)) for each in (seen, truth))
        loss = stacked(*both).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.3 < np.log(4)


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="expected 0 < share < 1 and run of 1 or more"):
        MaskedToken(share=1.5)

"""The encoders of sequences: what every one promises, and what the convolutional one adds."""

import pytest
import torch

from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.networks.model import build
from medgraft.training import replicas
from medgraft.training.replicas import Replicas
from training.simulated import HEADS, LAST

CNN = {"_target_": "medgraft.networks.encoders.dilated_cnn.DilatedCnn", "channels": 8, "blocks": 2}
BOTH = CNN | {"both_strands": True}
STRETCHES = CNN | {"stretches": 4}
TRANSFORMER = {
    "_target_": "medgraft.networks.encoders.sequence_transformer.SequenceTransformer",
    "channels": 16,
    "blocks": 2,
}
INPUT = {"_target_": "medgraft.networks.inputs.sequence.SequenceInput"}
LENGTH = 31
SCHEMA = {
    "features": [
        {"name": "s", "kind": "sequence", "letters": "ACGT", "length": LENGTH, "origin": "shared"}
    ],
    "outcome": {"name": "ill", "task": "binary", "classes": ["no", "yes"]},
}
ENCODERS = {"cnn": CNN, "both": BOTH, "stretches": STRETCHES, "transformer": TRANSFORMER}
every = pytest.mark.parametrize("encoder", ENCODERS.values(), ids=ENCODERS)


def tokens(*shape, seed=0):
    return torch.randint(0, 4, shape, generator=torch.Generator().manual_seed(seed)).byte()


def network(encoder, seed):
    spec = {"input": INPUT, "encoder": encoder, "readout": LAST, "head": HEADS["binary"]}
    return build(spec, SCHEMA, seed=seed)


@every
def test_together_equals_alone(encoder):
    template, state = replicas.build(lambda seed: network(encoder, seed), range(3))
    x = tokens(3, 7, LENGTH)
    together = Replicas(template, state).eval()(x)
    for r in range(3):
        template.load_state_dict({name: value[r] for name, value in state.items()})
        torch.testing.assert_close(together[r], template.eval()(x[r]), rtol=1e-4, atol=1e-5)


@every
def test_gradients_stay_apart(encoder):
    template, state = replicas.build(lambda seed: network(encoder, seed), range(3))
    names = [name for name, _ in template.named_parameters()]
    stacked = Replicas(template, state, names)
    stacked(tokens(3, 7, LENGTH), torch.ones(3, 7))[1].mean().backward()
    moved = {name: stacked.parameter(name).grad.flatten(1).abs().sum(1) for name in names}
    assert all(m[0] == m[2] == 0 for m in moved.values())
    assert sum(float(m[1]) for m in moved.values()) > 0


@every
def test_pooled_widths_are_true(encoder):
    made = construct(encoder, inputs=4)
    outputs = made(torch.randn(7, 4, LENGTH))
    pooled = [made.pool(output) for output in outputs]
    assert [tuple(each.shape) for each in pooled] == [(7, width) for width in made.widths]
    assert len(made.layers) == len(made.widths)
    assert {name.split(".")[0] for name, _ in made.named_parameters()} == {"layers"}


def test_either_strand_same_answer():
    """The reverse complement of a sequence is the same DNA, and with `both_strands` gets the
    same answer; an unknown letter lies at its mirrored place."""
    x = tokens(5, LENGTH)
    x[0, 4] = 254
    other = torch.where(x < 4, 3 - x, x).flip(-1).byte()
    for encoder, same in ((BOTH, True), (CNN, False)):
        net = network(encoder, 1).eval()
        assert torch.allclose(net(x), net(other), atol=1e-5) is same


def test_motif_counts_anywhere():
    """A detector's maximum finds its motif wherever it lies, and its mean how often it does."""
    made = construct(CNN | {"blocks": 0, "shrink": 1, "motif": 5}, inputs=4)
    scan = made.layers[0].scan
    motif = torch.eye(4)[[0, 1, 2, 3, 0]].T
    with torch.no_grad():
        scan.weight.zero_()
        scan.bias.fill_(-4.0)
        scan.weight[0] = motif
    background = torch.full((3, 4, LENGTH), 0.25)
    background[1, :, 3:8] = motif
    background[2, :, 3:8], background[2, :, 20:25] = motif, motif
    pooled = made.pool(made(background)[0])
    most, mean = pooled[:, 8], pooled[:, 0]
    assert most[1] == most[2] > most[0]
    assert mean[2] > mean[1] > mean[0]


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (20, {"both_strands": True}, "both_strands: expected 4 letters, got 20"),
        (4, {"both_strands": True, "stretches": 2}, "the other strand has them in another order"),
        (4, {"motif": 8}, "motif and kernel: expected odd numbers, got 8 and 5"),
    ],
)
def test_impossible_options_are_refused(inputs, options, message):
    with pytest.raises(Exception, match=message):
        construct(CNN | options, inputs=inputs)


def test_stretches_keep_where():
    """The same motif at another place is another sequence to a window's stretches alone."""
    x = torch.zeros(2, LENGTH, dtype=torch.uint8)
    x[0, 7:12] = x[1, 19:24] = torch.tensor([1, 2, 3, 2, 1])
    net = network(STRETCHES | {"blocks": 0, "shrink": 1, "motif": 5}, 1).eval()
    whole = network(CNN | {"blocks": 0, "shrink": 1, "motif": 5}, 1).eval()
    assert not torch.allclose(net(x)[0], net(x)[1], atol=1e-3)
    assert torch.allclose(whole(x)[0], whole(x)[1], atol=1e-5)


def test_transformer_knows_places():
    """Without places attention could not tell a sequence from its words in another order."""
    net = network(TRANSFORMER, 1).eval()
    x = tokens(1, 32)
    shuffled = x.view(1, 8, 4)[:, torch.randperm(8, generator=torch.Generator().manual_seed(1))]
    assert not torch.allclose(net(x), net(shuffled.reshape(1, 32)), atol=1e-4)


def test_more_stretches_than_positions_are_refused():
    encoder = construct(CNN | {"stretches": 12, "shrink": 3}, inputs=4)
    maps = encoder(torch.zeros(2, 4, LENGTH))
    with pytest.raises(ConfigError, match="stretches: got 12, expected at most 11, the positions"):
        encoder.pool(maps[-1])

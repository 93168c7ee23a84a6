import pytest
import rtdl_revisiting_models as rtdl
import torch

from medgraft.networks.encoders.resnet import TabularResNet


@pytest.fixture
def pair():
    """Ours and the authors' network with the same weights."""
    torch.manual_seed(0)
    ours = TabularResNet(6, blocks=3, width=8, hidden_multiplier=2.0)
    torch.manual_seed(0)
    theirs = rtdl.ResNet(
        d_in=6,
        d_out=1,
        n_blocks=3,
        d_block=8,
        d_hidden_multiplier=2.0,
        dropout1=0.0,
        dropout2=0.0,
    )
    return ours, theirs


def test_output_equals_authors_network(pair):
    ours, theirs = pair
    # In training mode first: evaluation then uses the running statistics that left behind.
    for mode in (True, False):
        x = torch.randn(20, 6) * 3 + 1
        ours.train(mode), theirs.train(mode)
        torch.testing.assert_close(theirs.output.linear(ours(x)[-1]), theirs(x))


def test_layers_chain_to_last(pair):
    ours, _ = pair
    x = torch.randn(20, 6)
    outputs = ours.eval()(x)
    assert [output.shape[1] for output in outputs] == ours.widths == [8] * 4
    for layer, output in zip(ours.layers, outputs, strict=True):
        x = layer(x)
        assert torch.equal(output, x)

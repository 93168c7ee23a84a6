import pytest
import rtdl_revisiting_models as rtdl
import torch

from medgraft.networks.encoders.ft_transformer import FtTransformer


@pytest.fixture
def pair():
    """Ours and the authors' network with the same weights."""
    torch.manual_seed(0)
    ours = FtTransformer(6, blocks=3, width=8, heads=2)
    theirs = rtdl.FTTransformer(
        n_cont_features=6,
        cat_cardinalities=[],
        d_out=1,
        n_blocks=3,
        d_block=8,
        attention_n_heads=2,
        attention_dropout=0.0,
        ffn_d_hidden_multiplier=4 / 3,
        ffn_dropout=0.0,
        residual_dropout=0.0,
    )
    tokens, *blocks = ours.layers
    theirs.cls_embedding.weight.data = tokens.first.data[0]
    theirs.cont_embeddings.load_state_dict(tokens.inputs.state_dict())
    for mine, block in zip(blocks, theirs.backbone.blocks, strict=True):
        block.load_state_dict(mine.parts.state_dict())
    return ours, theirs


def test_output_equals_authors_network(pair):
    ours, theirs = pair
    x = torch.randn(20, 6) * 3 + 1
    expected = theirs(x, None)
    torch.testing.assert_close(theirs.backbone.output.linear(ours(x)[-1]), expected)


def test_blocks_let_inputs_interact(pair):
    """Two inputs' effects add up in the first layer; attention makes more of them than a sum."""
    ours, _ = pair
    x = torch.zeros(4, 6)
    x[:, :2] = 2 * torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    beyond_sum = [(h[3] - h[2] - h[1] + h[0]).abs().max() for h in ours(x)]
    assert beyond_sum[0] < 1e-6
    assert beyond_sum[-1] > 1e-3

import pytest
import torch
from torch.nn import functional

from medgraft.networks.encoders.mlp import Mlp


@pytest.mark.parametrize("activation", ["relu", "gelu", "tanh"])
def test_layers_equal_written_out(activation):
    torch.manual_seed(0)
    mlp, x = Mlp(5, [7, 3, 4], activation), torch.randn(9, 5)
    act = {"relu": torch.relu, "gelu": functional.gelu, "tanh": torch.tanh}[activation]
    outputs = mlp(x)
    for layer, output in zip(mlp.layers, outputs, strict=True):
        x = act(x @ layer[0].weight.T + layer[0].bias)
        torch.testing.assert_close(output, x)
    assert [output.shape[1] for output in outputs] == mlp.widths == [7, 3, 4]

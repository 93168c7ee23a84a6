import torch

from medgraft.networks.encoders.compact_cnn import CompactCnn


def test_each_layer_halves_the_image():
    maps = CompactCnn(1, [8, 16, 32])(torch.randn(2, 1, 28, 28))
    assert [tuple(m.shape[1:]) for m in maps] == [(8, 14, 14), (16, 7, 7), (32, 4, 4)]


def test_a_fresh_block_passes_on():
    """Residual blocks add nothing at first: the layer is its first convolution."""
    encoder = CompactCnn(1, [8], blocks=3)
    x = torch.randn(2, 1, 12, 12)
    first = encoder.layers[0][:2](x)
    torch.testing.assert_close(encoder(x)[0], first)


def test_other_patients_change_no_answer():
    """With batch normalisation they would, in training."""
    encoder = CompactCnn(1, [8, 16]).train()
    x = torch.randn(6, 1, 12, 12)
    torch.testing.assert_close(encoder(x)[-1][:2], encoder(x[:2])[-1])

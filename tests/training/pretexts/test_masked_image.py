import numpy as np
import pytest
import torch

from medgraft.training.pretexts.masked_image import MaskedImage

IMAGE = {"name": "film", "kind": "image", "channels": 1, "height": 14, "width": 10}
SPEC = {
    "input": {"_target_": "medgraft.networks.inputs.image.ImageInput"},
    "encoder": {
        "_target_": "medgraft.networks.encoders.compact_cnn.CompactCnn",
        "widths": [8, 16],
    },
}


def batch(rows=4, share=0.5):
    x = np.random.default_rng(0).integers(0, 256, (rows, 1, 14, 10), dtype=np.uint8)
    shown, wanted = MaskedImage(4, share).batch(x, np.zeros(rows), np.random.default_rng(1))
    return x, shown, wanted


def network(x):
    made = MaskedImage().network(SPEC, {"features": [IMAGE]}, seed=1)
    made.load_state_dict(made.state_dict() | made.fit(x, np.zeros(len(x))))
    return made


def test_half_of_the_patches_are_hidden():
    """14 × 10 pixels are 4 × 3 patches of 4, those at the edge cut off."""
    x, shown, wanted = batch()
    hidden = wanted[:, 1].astype(bool)
    np.testing.assert_array_equal(wanted[:, :1], x)
    np.testing.assert_array_equal(shown[:, 0][~hidden], x[:, 0][~hidden])
    assert [hidden[i, ::4, ::4].sum() for i in range(4)] == [6] * 4
    for i in range(4):
        assert set(shown[i, 0][hidden[i]]) == {int(x[i].mean())}


def test_visible_pixels_count_for_nothing():
    """Other wanted levels where nothing was hidden leave the loss as it was."""
    x, shown, wanted = batch()
    made = network(x)
    loss = made(torch.from_numpy(shown), torch.from_numpy(wanted))
    wanted[:, :1][wanted[:, 1:] == 0] = 99
    torch.testing.assert_close(made(torch.from_numpy(shown), torch.from_numpy(wanted)), loss)


def test_loss_is_mean_absolute_error():
    x, shown, wanted = batch()
    made = network(x)
    error = (made(torch.from_numpy(shown)) - made.input(torch.from_numpy(x))).abs().detach().numpy()
    found = made(torch.from_numpy(shown), torch.from_numpy(wanted)).detach().numpy()
    for i in range(4):
        expected = error[i][wanted[i, 1:].astype(bool)].mean()
        assert found[i] == pytest.approx(expected, rel=1e-5)


def test_padding_changes_nobody():
    x, shown, wanted = batch()
    made = network(x)
    loss = made(torch.from_numpy(shown), torch.from_numpy(wanted))[:3]
    wanted[3] = np.nan
    found = made(torch.from_numpy(shown), torch.from_numpy(wanted))[:3]
    torch.testing.assert_close(found, loss)


@pytest.mark.parametrize("share", [0, 1])
def test_something_is_hidden_and_something_shown(share):
    with pytest.raises(ValueError, match="share between 0 and 1"):
        MaskedImage(4, share)

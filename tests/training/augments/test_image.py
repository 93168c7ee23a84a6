import numpy as np
import pytest
import torch

from medgraft.errors import ConfigError
from medgraft.training.augments.image import RandomView

X = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 1, 8, 8), dtype=np.uint8))


def drawn(down=0.0, right=0.0, angle=0.0, zoom=1.0, mirror=1.0, light=0.0, contrast=1.0):
    return torch.tensor([[down, right, angle, zoom, mirror, light, contrast]]).expand(len(X), -1)


def test_nothing_asked_changes_nothing():
    still = RandomView()
    values = torch.from_numpy(still.draw(np.random.default_rng(1), len(X)))
    torch.testing.assert_close(still(X, values), X.float(), atol=1e-3, rtol=0)


def test_shift_is_a_roll():
    """A quarter of the height down, an eighth of the width to the right; edges are repeated."""
    found = RandomView()(X, drawn(down=2 * 0.25, right=2 * 0.125))
    torch.testing.assert_close(found[..., 2:, 1:], X.float()[..., :-2, :-1], atol=1e-3, rtol=0)


def test_mirror_is_left_to_right():
    found = RandomView()(X, drawn(mirror=-1.0))
    torch.testing.assert_close(found, X.float().flip(-1), atol=1e-3, rtol=0)


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_is_numpys(turns):
    found = RandomView()(X, drawn(angle=turns * np.pi / 2))
    expected = torch.rot90(X.float(), turns, dims=(-2, -1))
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)


def test_zoom_enlarges_the_middle():
    point = torch.zeros(1, 1, 8, 8)
    point[..., 3:5, 3:5] = 255
    larger = RandomView()(point, drawn(zoom=2.0)[:1])
    assert (larger > 127).sum() == 16


def test_light_and_contrast_are_affine():
    plain = X.float() / 4 + 90
    found = RandomView()(plain, drawn(light=10.0, contrast=1.5))
    mean = plain.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(found, mean + 1.5 * (plain - mean) + 10, atol=1e-2, rtol=0)


def test_levels_stay_in_range():
    strong = RandomView(brightness=1.0, contrast=5.0)
    found = strong(X, torch.from_numpy(strong.draw(np.random.default_rng(2), len(X))))
    assert 0 <= found.min() <= found.max() <= 255


def test_draws_keep_to_their_limits():
    view = RandomView(shift=0.1, rotation=10, zoom=0.2, flip=True, brightness=0.1, contrast=0.5)
    down, right, angle, zoom, mirror, light, contrast = view.draw(np.random.default_rng(3), 5000).T
    for found, limit in ((down, 0.2), (right, 0.2), (angle, np.deg2rad(10)), (light, 25.5)):
        assert np.abs(found).max() == pytest.approx(limit, rel=0.01)
        assert abs(found.mean()) < 0.05 * limit
    assert zoom.min() == pytest.approx(1 / 1.2, rel=0.01)
    assert contrast.max() == pytest.approx(1.5, rel=0.01)
    assert (mirror == -1).mean() == pytest.approx(0.5, abs=0.04)


def test_replicas_are_viewed_apart():
    """Stacked [k, R, b, …] images are those of each replica alone."""
    view = RandomView(shift=0.1, rotation=10, brightness=0.2)
    values = torch.from_numpy(view.draw(np.random.default_rng(4), 4)).view(2, 2, -1)
    together = view(X.view(2, 2, 1, 8, 8), values)
    torch.testing.assert_close(together[1], view(X[2:], values[1]))


@pytest.mark.parametrize("shape", [(4, 31), (2, 4, 31)], ids=["alone", "stacked"])
def test_patients_that_are_no_images_are_refused(shape):
    with pytest.raises(ConfigError) as caught:
        RandomView()(torch.zeros(shape), torch.zeros(*shape[:-1], 7))
    assert str(caught.value) == (
        "augment: views are of images, and patients are none: expected null"
    )

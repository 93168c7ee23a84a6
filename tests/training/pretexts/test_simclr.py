import numpy as np
import torch

from medgraft.training.pretexts.simclr import SimClr, contrast

VIEW = {"_target_": "medgraft.training.augments.image.RandomView", "shift": 0.1, "brightness": 0.1}


def directions(rows, seed):
    values = torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(values, dim=1)


def test_loss_is_the_papers_equation():
    """Chen et al. 2020, equation 1, written out for every one of the 2 n views."""
    one, other = directions(4, 1), directions(4, 2)
    views, losses = torch.cat([one, other]).double().numpy(), []
    for i in range(8):
        similar = np.exp(views @ views[i] / 0.5)
        losses.append(-np.log(similar[(i + 4) % 8] / (similar.sum() - similar[i])))
    expected = (np.array(losses[:4]) + losses[4:]) / 2
    found = contrast(one, other, torch.zeros(4, dtype=torch.bool), temperature=0.5)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_padding_changes_nobody():
    one, other = directions(6, 3), directions(6, 4)
    padding = torch.tensor([False] * 4 + [True] * 2)
    found = contrast(one, other, padding, temperature=0.2)[:4]
    alone = contrast(one[:4], other[:4], padding[:4], temperature=0.2)
    torch.testing.assert_close(found, alone)


def test_views_are_two_of_the_same():
    x = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    views, _ = SimClr(VIEW).batch(x, np.zeros(3), np.random.default_rng(1))
    assert views.shape == (3, 2, 8, 8)
    assert views.dtype == np.uint8
    assert not np.array_equal(views[:, :1], views[:, 1:])
    again, _ = SimClr(VIEW).batch(x, np.zeros(3), np.random.default_rng(1))
    np.testing.assert_array_equal(views, again)


def test_own_view_is_found_after_training():
    """Of sixteen films a view's nearest is the other view of the same, for 13 or more."""
    pretext = SimClr(VIEW, temperature=0.5, width=16)
    image = {"name": "film", "kind": "image", "channels": 1, "height": 8, "width": 8}
    spec = {
        "input": {"_target_": "medgraft.networks.inputs.image.ImageInput"},
        "encoder": {"_target_": "medgraft.networks.encoders.compact_cnn.CompactCnn",
                    "widths": [16, 32]},
    }  # fmt: skip
    network = pretext.network(spec, {"features": [image]}, seed=1)
    coarse = np.random.default_rng(2).uniform(0, 255, (16, 1, 2, 2))
    x = np.kron(coarse, np.ones((4, 4))).astype(np.uint8)
    network.load_state_dict(network.state_dict() | network.fit(x, np.zeros(16)))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    generator = np.random.default_rng(3)
    for _ in range(50):
        views, y = (torch.from_numpy(a) for a in pretext.batch(x, np.zeros(16), generator))
        loss = network(views, y).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    one, other = (network(view) for view in views.chunk(2, dim=1))
    assert ((one @ other.T).argmax(1) == torch.arange(16)).float().mean() >= 0.8

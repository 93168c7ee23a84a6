import numpy as np
import pytest
import torch

from medgraft.networks.inputs.image import ImageInput


def feature(channels):
    return [{"name": "film", "kind": "image", "channels": channels, "height": 5, "width": 4}]


@pytest.mark.parametrize("channels", [1, 3])
def test_statistics_equal_numpys(channels):
    rows = np.random.default_rng(0).integers(0, 256, (2500, channels, 5, 4), dtype=np.uint8)
    found = ImageInput(feature(channels)).fit(rows)
    exact = rows.astype(np.float64)
    np.testing.assert_allclose(found["mean"], exact.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found["scale"], exact.std((0, 2, 3)), rtol=1e-6)


def test_memory_map_is_read_in_parts(tmp_path, monkeypatch):
    """Never more than a chunk of images at a time, and the same values."""
    rows = np.random.default_rng(1).integers(0, 256, (3000, 1, 5, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", rows)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    taken = []

    class Watched:
        def __len__(self):
            return len(mapped)

        def __getitem__(self, part):
            taken.append(len(mapped[part]))
            return mapped[part]

    found = ImageInput(feature(1)).fit(Watched())
    assert max(taken) <= 1024
    assert torch.equal(found["mean"], ImageInput(feature(1)).fit(rows)["mean"])


def test_bytes_and_floats_are_alike():
    image = ImageInput(feature(1))
    rows = np.random.default_rng(2).integers(0, 256, (50, 1, 5, 4), dtype=np.uint8)
    image.load_state_dict(image.fit(rows))
    x = torch.from_numpy(rows)
    torch.testing.assert_close(image(x), image(x.float()))
    assert abs(float(image(x).mean())) < 1e-5
    assert float(image(x).std()) == pytest.approx(1, abs=1e-3)


def test_one_shade_keeps_unit():
    assert ImageInput(feature(1)).fit(np.full((9, 1, 5, 4), 7, np.uint8))["scale"].item() == 1

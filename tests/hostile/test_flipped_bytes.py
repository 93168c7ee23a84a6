"""Any other byte in what one stage leaves to the next is found when it is read."""

import shutil

import pytest

from deployment.simulated import run_pipeline
from medgraft.errors import StageError
from medgraft.preparation.arrays import read, read_design
from medgraft.training import weights

READ = {
    "prepared": lambda folder: read_design(folder / "design.parquet"),
    "prepared/source": read,
    "prepared/target": read,
    "pretrained": weights.read,
    "finetuned/network": weights.read,
}
FLIPS = 12  # bytes of each file, its first and its last among them


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A pipeline's results, a network its champion."""
    return run_pipeline(tmp_path_factory.mktemp("ward"), "binary", "network").work


@pytest.fixture
def place(work, tmp_path):
    return shutil.copytree(work, tmp_path / "work")


@pytest.mark.parametrize("name", READ)
def test_flipped_byte_is_found(place, name):
    """In every file of every folder, its list of sums included."""
    folder, looked_at = place / name, 0
    READ[name](folder)
    for path in sorted(one for one in folder.iterdir() if one.is_file()):
        sound = path.read_bytes()
        for at in {round(share * (len(sound) - 1) / (FLIPS - 1)) for share in range(FLIPS)}:
            path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
            with pytest.raises(StageError):
                READ[name](folder)
            looked_at += 1
        path.write_bytes(sound)
    READ[name](folder)
    assert looked_at > FLIPS

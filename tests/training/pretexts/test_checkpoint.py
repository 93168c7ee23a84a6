import pytest

from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.training.pretexts.checkpoint import Checkpoint, describe
from networks.tiny_checkpoint import LETTERS, write

pytest.importorskip("transformers")


def test_description_rebuilds_the_checkpoint(tmp_path):
    """The yaml alone shapes the encoder: the folder may be gone by then."""
    folder = write(tmp_path / "tiny", "bert")
    told = describe(str(folder), letters=LETTERS)
    built = construct(told["encoder"], inputs=4)
    built.adopt(checkpoints.trained(folder))
    assert told["pretext"]["sha256"] == checkpoints.digest(folder)
    assert told["encoder"]["letters"] == [8, 7, 6, 5]
    shapes = {name: value.shape for name, value in built.state_dict().items()}
    (folder / "model.safetensors").unlink()
    again = construct(told["encoder"], inputs=4).state_dict()
    assert {name: value.shape for name, value in again.items()} == shapes


def test_reading_one_way_is_refused(tmp_path):
    folder = write(tmp_path / "tiny", "bert", is_decoder=True)
    with pytest.raises(ConfigError) as error:
        describe(str(folder), letters=LETTERS)
    assert "only encoders that read both ways can be used" in str(error.value)


def test_changed_weights_are_refused(tmp_path):
    folder = write(tmp_path / "tiny", "bert")
    with pytest.raises(ConfigError) as error:
        Checkpoint(str(folder), sha256="0" * 64)
    found = checkpoints.digest(folder)[:12]
    assert str(error.value) == (
        f"{folder}: its weights have sha256 {found}…, expected 000000000000…: they are not those "
        "that were chosen"
    )

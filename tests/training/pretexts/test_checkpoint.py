from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from medgraft.config import FitConfig, PretrainConfig, Strategy
from medgraft.construct import construct
from medgraft.errors import ConfigError
from medgraft.networks import checkpoints
from medgraft.preparation.arrays import Prepared
from medgraft.training import weights
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretexts.checkpoint import Checkpoint, describe
from medgraft.training.pretrain import pretrain
from networks.tiny_checkpoint import LETTERS, write, write_seeing

from .. import simulated as sim

pytest.importorskip("transformers")

ROWS = 120
PROBE = Path(__file__).parents[3] / "conf" / "strategies" / "linear_probe.yaml"


def sequences(seed: int) -> Prepared:
    """Twelve letters; those with many A are ill."""
    x = np.random.default_rng(seed).integers(0, 4, (ROWS, 12)).astype(np.uint8)
    y = (x == 0).sum(axis=1) > 3
    people = pl.DataFrame({"row": np.arange(ROWS), "patient": np.arange(ROWS)})
    feature = {"name": "dna", "kind": "sequence", "letters": LETTERS, "length": 12}
    schema = sim.schema() | {"features": [feature | {"origin": "shared"}]}
    return Prepared(x, y.astype(np.float32), people, schema)


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


def test_image_checkpoint_is_described(tmp_path):
    """No letters are asked for, and the yaml alone shapes an encoder of grey images."""
    folder = write_seeing(tmp_path / "tiny")
    told = describe(str(folder))
    built = construct(told["encoder"], inputs=1)
    built.adopt(checkpoints.trained(folder))
    assert told["encoder"].keys() == {"_target_", "settings"}
    assert built(torch.zeros(1, 1, 24, 24))[-1].shape == (1, 16, 3, 3)


def test_image_checkpoint_without_maps_is_refused(tmp_path):
    folder = write_seeing(tmp_path / "tiny", "swin")
    with pytest.raises(ConfigError) as error:
        describe(str(folder))
    assert str(error.value) == (
        f"{folder}: not every layer of a swin checkpoint answers with a map of the image; those "
        "of ViT, DINOv2, ResNet and ConvNeXt do"
    )


def test_letters_are_for_sequences(tmp_path):
    seeing, reading = write_seeing(tmp_path / "seeing"), write(tmp_path / "reading", "bert")
    with pytest.raises(ConfigError) as error:
        describe(str(seeing), letters=LETTERS)
    assert str(error.value) == (
        f"{seeing}: a vit checkpoint sees images; --letters is for sequences"
    )
    with pytest.raises(ConfigError) as error:
        describe(str(reading))
    assert str(error.value) == f"{reading}: a bert checkpoint reads sequences: expected --letters"


def test_changed_weights_are_refused(tmp_path):
    folder = write(tmp_path / "tiny", "bert")
    with pytest.raises(ConfigError) as error:
        Checkpoint(str(folder), sha256="0" * 64)
    found = checkpoints.digest(folder)[:12]
    assert str(error.value) == (
        f"{folder}: its weights have sha256 {found}…, expected 000000000000…: they are not those "
        "that were chosen"
    )


def test_source_is_the_checkpoint(tmp_path):
    """Pretraining trains nothing; what strategies do starts from the checkpoint's weights."""
    folder = write(tmp_path / "tiny", "bert")
    told = describe(str(folder), letters=LETTERS)
    given = construct(told["encoder"], inputs=4)
    given.adopt(checkpoints.trained(folder))
    expected = {f"encoder.{name}": value for name, value in given.state_dict().items()}
    parts = sim.parts(encoder=told["encoder"])
    parts["input"] = {"_target_": "medgraft.networks.inputs.sequence.SequenceInput"}
    config = {"optimizer": sim.ADAM, "batch_size": 16}
    trainer, plan = sim.trainer(max_steps=20), sim.design((50, 40), ROWS)
    pretrain(
        sequences(1),
        plan,
        spec=parts | {"readout": sim.LAST},
        config=PretrainConfig(**config, hide_probability=0, pretext=told["pretext"]),
        trainer=trainer,
        out=tmp_path / "pretrained",
    )
    state, description = weights.read(tmp_path / "pretrained")
    assert description["schema"]["outcome"]["name"] == f"checkpoint {checkpoints.digest(folder)}"
    assert pl.read_parquet(tmp_path / "pretrained" / "history.parquet").is_empty()
    (folder / "model.safetensors").unlink()
    study = Study(sequences(2), plan, parts, tmp_path / "pretrained", FitConfig(**config), trainer)
    probe = Strategy(**yaml.safe_load(PROBE.read_text()))
    finetune("linear_probe", probe, study, out=tmp_path / "probed")
    probed, _ = weights.read(tmp_path / "probed")
    for name, value in expected.items():
        for found in (*state[name], *probed[name]):
            assert torch.equal(found, value), name
    assert (probed["head.linear.weight"] != state["head.linear.weight"]).any()

"""What strategies add, on feature maps of every shape: vectors, sequences, images, tokens."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from contracts import found
from medgraft.config import FitConfig, PretrainConfig, Strategy
from medgraft.networks.heads.classification import BinaryHead
from medgraft.networks.model import Network, build
from medgraft.networks.readout import LastLayer
from medgraft.preparation.arrays import Prepared
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretrain import pretrain
from medgraft.transfer.penalty import Delta, losses_without, silenced
from medgraft.transfer.seen import Seen
from networks import tiny_checkpoint
from networks.encoders.test_sequences import BOTH, CNN, INPUT, LENGTH, SCHEMA, TRANSFORMER

from . import simulated as sim
from .test_views import PARTS, films

NAMES = ("delta", "l2_sp", "bss", "co_tuning", "lora", "coral", "mmd", "dann", "head2toe")
SHORT = sim.trainer(max_steps=10, check_every=5)
FT = {"_target_": "medgraft.networks.encoders.ft_transformer.FtTransformer", "width": 8, "heads": 2}


def reads(rows: int, *, seed: int = 0) -> Prepared:
    """Random letters; the ill have more of the first one."""
    stream = np.random.default_rng([seed, rows])
    y = np.arange(rows) % 2
    x = stream.integers(0, 4, (rows, LENGTH))
    x = np.where(y[:, None] & (stream.random(x.shape) < 0.2), 0, x)
    people = pl.DataFrame({"row": np.arange(rows), "patient": np.arange(rows)})
    schema = SCHEMA | {"modality": "sequence", "sites": ["here"]}
    return Prepared(x.astype(np.uint8), y.astype(np.float32), people, schema)


@pytest.fixture(scope="module", params=[BOTH, TRANSFORMER], ids=["cnn", "transformer"])
def study(request, tmp_path_factory):
    parts = {"input": INPUT, "encoder": request.param, "head": sim.HEADS["binary"]}
    out, source, plan = tmp_path_factory.mktemp("s"), reads(60, seed=1), sim.design((40, 40), 60)
    config = PretrainConfig(optimizer=sim.ADAMW, batch_size=8, hide_probability=0.5)
    spec = parts | {"readout": sim.LAST}
    pretrain(source, plan, spec=spec, config=config, trainer=SHORT, out=out)
    fit = FitConfig(optimizer=sim.ADAMW, batch_size=8)
    return Study(reads(60), sim.design((20, 20), 60), parts, out, fit, SHORT, source, plan)


@pytest.mark.parametrize("name", NAMES)
def test_sequences_train_alone_as_together(name, study, tmp_path):
    (path,) = [path for path in found.of("strategies") if path.stem == name]
    strategy = Strategy.model_validate(found.read(path))
    answers = []
    for design in (study.design, study.design[1:]):
        given = dataclasses.replace(study, design=design)
        finetune(name, strategy, given, out=tmp_path / str(len(design)))
        frame = pl.read_parquet(tmp_path / str(len(design)) / "predictions.parquet")
        answers.append(frame.filter(replica=1)["output_0"])
    np.testing.assert_allclose(*answers, rtol=2e-3, atol=2e-4)


SHAPES = {
    "vectors": (sim.parts(), sim.cohort(40)),
    "tokens": (sim.parts(encoder=FT), sim.cohort(40)),
    "sequences": ({"input": INPUT, "encoder": CNN}, reads(40)),
    "both strands": ({"input": INPUT, "encoder": BOTH}, reads(40)),
    "words": ({"input": INPUT, "encoder": TRANSFORMER}, reads(40)),
    "images": (PARTS, films(40)),
}
every_shape = pytest.mark.parametrize(("parts", "cohort"), SHAPES.values(), ids=SHAPES)


def made(parts, cohort, seed=0):
    """A network fitted on the cohort, whose layers all do something; patients and outcomes."""
    spec = {"readout": sim.LAST, "head": sim.HEADS["binary"]} | parts
    network = build(spec, cohort.schema, seed=seed)
    network.load_state_dict(network.fit(cohort.x, cohort.y), strict=False)
    torch.manual_seed(seed)
    for value in network.encoder.parameters():
        value.data += 0.1 * torch.randn(value.shape)
    return network.eval(), torch.from_numpy(cohort.x), torch.from_numpy(cohort.y).float()


@every_shape
def test_channel_is_silenced_in_every_shape(parts, cohort):
    """Of the last layer: as if its channel of the feature map were 0."""
    as_if_0(*made(parts, cohort))


@pytest.mark.parametrize("kind", ["bert", "esm", "distilbert"])
def test_channel_of_a_published_model_is_silenced(kind, tmp_path):
    pytest.importorskip("transformers")
    from networks.encoders.test_hugging_face import encoder as published

    encoder = published(tiny_checkpoint.write(tmp_path, kind))
    cohort = reads(40)
    network, x, y = made({"input": INPUT, "encoder": CNN}, cohort)
    readout = LastLayer(encoder.widths)
    network = Network(network.input, encoder, readout, BinaryHead(readout.width, {})).eval()
    for value in network.head.parameters():
        value.data *= 10
    as_if_0(network, x, y)
    for layer in range(len(encoder.layers) - 1):
        assert np.ptp(losses_without(network, layer, x, y).numpy()) > 0


class Stages(nn.Module):
    """Answers with the maps of all its stages, as timm's networks do."""

    def forward(self, x):
        return [x, 2 * x]


def test_channel_of_the_last_of_several_maps_is_silenced():
    x = torch.rand(5, 3, 4, 4) + 1
    layer = Stages()
    with silenced(layer, 1, x.shape):
        first, last = layer(x)
    assert torch.equal(first, x)
    assert (last[:, 1] == 0).all()
    assert torch.equal(last[:, [0, 2]], 2 * x[:, [0, 2]])
    assert torch.equal(layer(x)[1], 2 * x)


def as_if_0(network, x, y):
    """Compare with the head's loss on a feature map whose channel is set to 0."""
    maps = [one.detach() for one in network.maps(x)]
    expected = []
    for channel in range(maps[-1].shape[1]):
        without = maps[-1].clone()
        without[:, channel] = 0
        features = network.readout(network.pooled([*maps[:-1], without]))
        expected.append(network.head.loss(network.head(features), y).mean().item())
    found = losses_without(network, len(maps) - 1, x, y)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.ptp(expected) > 0


@every_shape
def test_delta_of_equal_features_is_0_in_every_shape(parts, cohort):
    network, x, y = made(parts, cohort)
    other, _, _ = made(parts, cohort, seed=1)
    guard = Delta(network, beta=0.0)
    for name, value in guard.fit(network, cohort.x, cohort.y.astype(np.float32)).items():
        guard.register_buffer(name, value)
    shapes = [one.shape[1] for one in network.maps(x)]
    assert [len(getattr(guard, f"attention_{i}")) for i in range(len(shapes))] == shapes
    assert guard(Seen(network, x, y, start=network)) == 0
    assert guard(Seen(other, x, y, start=network)) > 0

"""Whatever a strategy adds to the error, it adds to images that are changed on the device too."""

import numpy as np
import polars as pl
import pytest
import torch

from contracts import found
from medgraft.config import FitConfig, PretrainConfig, Strategy
from medgraft.networks.model import build
from medgraft.preparation.arrays import read_json
from medgraft.training import weights
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretrain import pretrain

from .simulated import ADAMW, LAST, design, trainer
from .test_views import PARTS, VIEW, films

ADDED = ("adapter", "penalty", "alignment", "learn_from")
FILES = [
    pytest.param(path, id=path.stem)
    for path in found.of("strategies")
    if any(part in found.read(path) for part in ADDED)
    and "unlabelled" not in path.stem
    and "baseline" not in found.read(path)
]
SHORT = trainer(max_steps=10, check_every=5)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Two replicas with a source network each, and the source's images."""
    out, source, plan = tmp_path_factory.mktemp("source"), films(60, seed=1), design((40, 40), 60)
    pretrain(
        source,
        plan,
        spec=PARTS | {"readout": LAST},
        config=PretrainConfig(optimizer=ADAMW, batch_size=8, hide_probability=0.5),
        trainer=SHORT,
        out=out,
    )
    config = FitConfig(optimizer=ADAMW, batch_size=8, augment=VIEW)
    return Study(films(60), design((20, 20), 60), PARTS, out, config, SHORT, source, plan)


def answers(folder, replica: int) -> pl.DataFrame:
    return pl.read_parquet(folder / "predictions.parquet").filter(replica=replica)


@pytest.mark.parametrize("path", FILES)
def test_images_train_alone_as_together(path, study, tmp_path):
    strategy = Strategy.model_validate(found.read(path))
    finetune(path.stem, strategy, study, out=tmp_path / "both")
    lonely = Study(**(vars(study) | {"design": study.design[1:]}))
    finetune(path.stem, strategy, lonely, out=tmp_path / "one")
    both, one = answers(tmp_path / "both", 1), answers(tmp_path / "one", 1)
    np.testing.assert_allclose(both["output_0"], one["output_0"], rtol=2e-3, atol=2e-4)
    saved_network_answers(tmp_path / "both", study, both)


def saved_network_answers(folder, study, expected: pl.DataFrame) -> None:
    """What is saved is a plain network: nothing that was added for training is needed."""
    state, described = weights.read(folder)[0], read_json(folder / "network.json")
    net = build(described["network"], described["schema"], seed=0).eval()
    net.load_state_dict({name: value[1] for name, value in state.items()})
    with torch.no_grad():
        found = net(torch.from_numpy(study.target.x[expected["row"].to_numpy()]))[:, 0]
    np.testing.assert_allclose(found, expected["output_0"], rtol=1e-4, atol=1e-5)

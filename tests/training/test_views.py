"""Images changed on the device while they are trained on."""

import numpy as np
import polars as pl
import pytest
import torch

from medgraft.config import FitConfig, PretrainConfig, Strategy
from medgraft.networks.model import build
from medgraft.preparation.arrays import Prepared, read_json
from medgraft.training import replicas, weights
from medgraft.training.augments.image import RandomView
from medgraft.training.batches import Batches
from medgraft.training.finetune import Study, finetune
from medgraft.training.fit import fit
from medgraft.training.pretrain import fitted, patients_of, pretrain

from .simulated import ADAMW, HEADS, LAST, design, trainer

VIEW = {
    "_target_": "medgraft.training.augments.image.RandomView",
    "shift": 0.1,
    "rotation": 10,
    "brightness": 0.1,
}
PARTS = {
    "input": {"_target_": "medgraft.networks.inputs.image.ImageInput"},
    "encoder": {
        "_target_": "medgraft.networks.encoders.compact_cnn.CompactCnn",
        "widths": [8, 16],
    },
    "head": HEADS["binary"],
}
FILM = {"name": "film", "kind": "image", "channels": 1, "height": 8, "width": 8}
PRETEXTS = {
    "masked_image": {"_target_": "medgraft.training.pretexts.masked_image.MaskedImage"},
    "simclr": {"_target_": "medgraft.training.pretexts.simclr.SimClr", "view": VIEW},
}


def films(rows: int, *, seed: int = 0) -> Prepared:
    """Noise; the ill are brighter in the upper half than in the lower."""
    stream = np.random.default_rng([seed, rows])
    y = np.arange(rows) % 2
    x = stream.integers(60, 160, (rows, 1, 8, 8))
    x[y == 1, :, :4] += 40
    schema = {
        "modality": "image",
        "features": [FILM | {"may_be_missing": False, "origin": "shared"}],
        "outcome": {"name": "ill", "task": "binary", "classes": ["no", "yes"]},
        "sites": ["here"],
    }
    people = pl.DataFrame({"row": np.arange(rows), "patient": np.arange(rows)})
    return Prepared(x.astype(np.uint8), y.astype(np.float32), people, schema)


def batches(rows, seeds, **more) -> Batches:
    x = np.zeros((40, 1, 8, 8), np.uint8)
    given = {"size": 6, "steps": 4, "chunk": 4, "view": RandomView(shift=0.1, brightness=0.1)}
    return Batches(x=x, y=np.zeros(40, np.float32), rows=rows, seeds=seeds, **(given | more))


def test_replica_draws_alike_alone():
    """Whatever the others, and however many steps are taken together."""
    rows, seeds = [range(20), range(20, 40), range(10, 30)], [5, 6, 7]
    (_, _, together) = next(iter(batches(rows, seeds)))
    parts = [drawn for _, _, drawn in batches(rows[1:2], seeds[1:2], chunk=1)]
    torch.testing.assert_close(torch.cat(parts)[:, 0], together[:, 1], rtol=0, atol=0)
    assert len(together.flatten(0, 2).unique(dim=0)) == 4 * 3 * 6, "no two views alike"


def test_processes_share_one_draw():
    (_, _, whole) = next(iter(batches([range(20)], [5])))
    for rank in range(2):
        (_, _, part) = next(iter(batches([range(20)], [5], rank=rank, world=2)))
        torch.testing.assert_close(part, whole[:, :, rank::2], rtol=0, atol=0)


def trained(which: list[int]):
    cohort, table = films(80), design((30, 30, 30), 80)
    table = table.filter(pl.col("replica").is_in(which))
    patients = patients_of(cohort, table)
    spec = PARTS | {"readout": LAST}
    template, state = replicas.build(
        lambda seed: build(spec, cohort.schema, seed=seed), patients.seeds
    )
    return fit(
        template,
        state | fitted(template, patients),
        patients,
        trained={name for name, _ in template.named_parameters()},
        config=FitConfig(optimizer=ADAMW, batch_size=8, augment=VIEW),
        trainer=trainer(max_steps=20),
    )


def test_viewed_replica_equals_alone():
    together, _ = trained([0, 1, 2])
    alone, _ = trained([1])
    for name, value in alone.items():
        torch.testing.assert_close(together[name][1], value[0], rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("pretext", PRETEXTS)
def test_source_without_outcomes_lends_its_layers(pretext, tmp_path):
    """Shared layers start as the source's; the new head is not, and nothing else may be asked."""
    source = tmp_path / "pretrained"
    pretrain(
        films(100, seed=1),
        pl.DataFrame(design((60, 60), 100)),
        spec=PARTS | {"readout": LAST},
        config=PretrainConfig(
            optimizer=ADAMW, batch_size=8, hide_probability=0.5, pretext=PRETEXTS[pretext]
        ),
        trainer=trainer(max_steps=20),
        out=source,
    )
    assert read_json(source / "network.json")["schema"]["outcome"]["task"] == "pretext"
    config = FitConfig(optimizer=ADAMW, batch_size=8, augment=VIEW)
    short = trainer(max_steps=20)
    study = Study(films(80), design((30, 30), 80), PARTS, source, config, short)
    probe = Strategy(
        description="probe",
        uses_source=True,
        init={"_target_": "medgraft.transfer.init.source_shared"},
        trainable={"_target_": "medgraft.transfer.trainable.specific_layers"},
        readout=LAST,
    )
    finetune("linear_probe", probe, study, out=tmp_path / "probe")
    (mine, _), (theirs, _) = weights.read(tmp_path / "probe"), weights.read(source)
    name = "encoder.layers.0.0.0.weight"
    torch.testing.assert_close(mine[name], theirs[name][study.design["source_seed"].to_list()])

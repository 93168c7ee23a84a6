"""Do pseudo-features do what they are for? A laboratory value that only the source measures."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from medgraft.config import PretrainConfig
from medgraft.networks.model import build
from medgraft.preparation.arrays import Prepared
from medgraft.training import weights
from medgraft.training.fit import outputs
from medgraft.training.pretrain import pretrain

from . import simulated as sim

PSEUDO = {"_target_": "medgraft.networks.inputs.pseudo.PseudoInput"}
MARKERS, SEEDS = 10, 4


def hospital(rows, *, seed, measures=True):
    """Ill are those whose enzyme is far from normal, up or down; ten markers tell 90 % of it."""
    stream = np.random.default_rng(seed)
    markers = stream.normal(size=(rows, MARKERS))
    enzyme = 0.95 * markers.sum(1) / np.sqrt(MARKERS) + 0.31 * stream.normal(size=rows)
    ill = stream.random(rows) < 1 / (1 + np.exp(-4 * (np.abs(enzyme) - 0.8)))
    shown = enzyme if measures else np.full(rows, np.nan)
    x = np.column_stack([markers, shown]).astype(np.float32)
    people = pl.DataFrame({"row": np.arange(rows), "patient": np.arange(rows)})
    return Prepared(x, ill.astype(np.float32), people, sim.schema("binary", MARKERS + 1, lost=1))


def without_enzyme(full):
    return Prepared(full.x[:, :-1], full.y, full.patients, sim.schema("binary", MARKERS))


def auroc(source, target, out, *, first):
    """Of the source's networks as they are, on the target: the mean over source seeds."""
    spec = sim.parts() | {"input": first, "readout": sim.LAST}
    pretrain(
        source,
        sim.design((240,) * SEEDS, len(source)),
        spec=spec,
        config=PretrainConfig(optimizer=sim.ADAMW, batch_size=32, hide_probability=0.5),
        trainer=sim.trainer(max_steps=400, patience=8),
        out=out,
    )
    state, _ = weights.read(out)
    template = build(spec, target.schema, seed=0)
    answers = outputs(template, state, target.x, [range(len(target))] * SEEDS)
    return np.mean([roc_auc_score(target.y, answer[:, 0]) for answer in answers])


@pytest.mark.slow
def test_source_model_gains_from_pseudo_features(tmp_path):
    """A value with its meaning learned is worth more than the outcome alone teaches of its parts.

    The enzyme itself, measured, is the bound.
    """
    source, target = hospital(300, seed=1), hospital(3000, seed=2, measures=False)
    measured = hospital(3000, seed=2)
    shared = auroc(
        without_enzyme(source), without_enzyme(target), tmp_path / "shared", first=sim.TABLE
    )
    masked = auroc(source, target, tmp_path / "masked", first=sim.TABLE)
    pseudo = auroc(source, target, tmp_path / "pseudo", first=PSEUDO)
    bound = auroc(source, measured, tmp_path / "bound", first=PSEUDO)
    assert pseudo > max(shared, masked) + 0.05
    assert pseudo < bound

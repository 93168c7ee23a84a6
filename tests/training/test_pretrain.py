import numpy as np
import polars as pl
import pytest
import torch

from medgraft.config import PretrainConfig
from medgraft.training import replicas, weights
from medgraft.training.pretrain import pretrain

from . import simulated as sim

SPEC = sim.parts() | {"readout": sim.LAST}
PLAN = sim.design((80, 60), 150)


def run(out, *, lost=0, hide=0.5, spec=SPEC, optimizer=sim.SGD):
    cohort = sim.cohort(150, seed=1, lost=lost)
    pretrain(
        cohort,
        PLAN,
        spec=spec,
        config=PretrainConfig(optimizer=optimizer, batch_size=16, hide_probability=hide),
        trainer=sim.trainer(max_steps=40),
        out=out,
    )
    return weights.read(out), cohort


def fresh(cohort):
    """The weights pretraining started from."""
    seeds = PLAN["init_seed"].to_list()
    return replicas.build(lambda seed: sim.build_one(SPEC, cohort.schema, seed), seeds)[1]


def test_folder_says_what_was_trained(tmp_path):
    (state, description), cohort = run(tmp_path)
    assert description == {"network": SPEC, "schema": cohort.schema}
    assert {len(value) for value in state.values()} == {2}
    history = pl.read_parquet(tmp_path / "history.parquet")
    assert history["step"].to_list() == [10, 20, 30, 40] * 2
    assert history["replica"].to_list() == [0] * 4 + [1] * 4


def test_preparation_is_own_training(tmp_path):
    (state, _), cohort = run(tmp_path)
    for r in range(2):
        x = cohort.x[PLAN["train"][r].to_list()].astype(float)
        np.testing.assert_allclose(state["input.mean"][r], x.mean(0), rtol=1e-6)
        np.testing.assert_allclose(state["input.scale"][r], x.std(0), rtol=1e-6)


def test_hidden_features_teach_nothing(tmp_path):
    """Always hidden, the two lost features enter as 0: their weights stay as drawn."""
    first = "encoder.layers.0.0.weight"
    (state, _), cohort = run(tmp_path / "hidden", lost=2, hide=1.0)
    moved = (state[first] != fresh(cohort)[first]).any(1)
    assert moved.tolist() == [[True, True, True, False, False, True, True]] * 2
    (state, _), _ = run(tmp_path / "seen", lost=2, hide=0.0)
    moved = (state[first] != fresh(cohort)[first]).any(1)
    # Seen always, it is the two flags of a missing value that stay 0.
    assert moved.tolist() == [[True] * 5 + [False] * 2] * 2


def test_shared_features_are_never_hidden(tmp_path):
    one, two = (run(tmp_path / str(hide), hide=hide)[0][0] for hide in (0.0, 1.0))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("lost", [0, 2])
def test_written_bytes_repeat(tmp_path, lost):
    for folder in "12":
        run(tmp_path / folder, lost=lost)
    for path in (tmp_path / "1").iterdir():
        assert path.read_bytes() == (tmp_path / "2" / path.name).read_bytes(), path.name

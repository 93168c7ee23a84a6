"""A trial's score is a validation score, and test patients are out of its reach."""

import numpy as np
import polars as pl
import pytest

from medgraft.config import validate
from medgraft.errors import StageError
from medgraft.preparation.arrays import read, read_design
from medgraft.stages import finetune, preprocess, pretrain
from medgraft.sweep.run import Sweep
from medgraft.sweep.score import mean_of_defined, validation_scores

from .conftest import SMALL

PART = np.array(["train", "train", "train", "validation", "test"])


def published_split(project, *, destroyed: bool) -> None:
    """Say in the files who tests; with ``destroyed``, turn these patients' outcomes over."""
    mine = project / "data" / "mine"
    description = (mine / "cohort.yaml").read_text()
    split = "split: {column: part, train: [train], validation: [validation], test: [test]}\n"
    description = description.replace("columns:\n", split + "columns:\n", 1)
    for site in ("alike", "chance"):
        description = description.replace(f"{site}.csv}}", f"{site}.csv, without: [part]}}")
    (mine / "cohort.yaml").write_text(description)
    frame = pl.read_csv(mine / "small.csv")
    part = PART[np.arange(len(frame)) // 2 % 5]
    frame = frame.with_columns(pl.Series("part", part))
    if destroyed:
        turned = pl.when(pl.col("part") == "test").then(1 - pl.col("died"))
        frame = frame.with_columns(turned.otherwise(pl.col("died")).alias("died"))
    frame.write_csv(mine / "small.csv")


def scores(project) -> dict:
    sweep = Sweep.read(project, list(SMALL), mirror=None)
    return sweep.bench.scores(sweep.compose({"finetune.optimizer.lr": 0.03}), sweep.metrics)


@pytest.fixture
def blinded(project):
    """What trials are handed, of a cohort that is divided into folds."""
    sweep = Sweep.read(project, [*SMALL, "design.sizes=[20]"], mirror=None)
    return sweep.bench.prepared(sweep.compose({}))


def test_trials_are_handed_nobody_to_test_on(blinded):
    design = read_design(blinded / "design.parquet")
    assert design["test"].list.len().to_list() == [0, 0]
    assert design["use"].to_list() == ["compare", "compare"]
    assert design["train"].list.len().min() > 0


def test_outcomes_of_test_patients_change_no_score(root, tmp_path, monkeypatch):
    """Turned over in the raw files, every score stays the same to the last bit."""
    from sites import lay

    found = []
    for destroyed in (False, True):
        folder = tmp_path / str(destroyed)
        folder.mkdir()
        monkeypatch.chdir(folder)
        published_split(lay(root, folder), destroyed=destroyed)
        found.append(scores(folder))
    assert found[0] == found[1]
    assert 0 < found[0]["fine_tune"]["auroc"] <= 1


def test_outcomes_of_test_patients_are_not_even_there(project):
    published_split(project, destroyed=False)
    sweep = Sweep.read(project, list(SMALL), mirror=None)
    target = read(sweep.bench.prepared(sweep.compose({})) / "target")
    tests = PART[np.arange(len(target)) // 2 % 5] == "test"
    assert np.isnan(target.y[tests]).all()
    assert not np.isnan(target.y[~tests]).any()


def test_score_is_that_of_the_pipeline(project, tmp_path):
    """The same mean over replicas, from what the stages write when there are test patients."""
    sweep = Sweep.read(project, list(SMALL), mirror=None)
    params = sweep.compose({"finetune.optimizer.lr": 0.03})
    mine = sweep.bench.scores(params, sweep.metrics)
    config = validate(params)
    prepared, pretrained, out = (tmp_path / name for name in ("prepared", "pretrained", "tuned"))
    preprocess.carry_out(config, out=prepared)
    pretrain.carry_out(config, prepared=prepared, out=pretrained)
    for name in ("scratch", "fine_tune"):
        finetune.carry_out(name, config, prepared=prepared, pretrained=pretrained, out=out / name)
        piped = validation_scores(prepared, out / name, sweep.metrics)
        assert mine[name] == pytest.approx(piped, abs=1e-6)


def test_what_trials_do_not_vary_is_made_once(project, monkeypatch):
    """Preparation and pretraining are kept by the parameters that DVC's stages declare."""
    sweep = Sweep.read(project, list(SMALL), mirror=None)
    made = []
    monkeypatch.setattr(pretrain, "carry_out", lambda *_, out, **__: made.append(out))
    for values in (
        {"finetune.optimizer.lr": 0.1},
        {"finetune.optimizer.lr": 0.2},
        {"pretrain.optimizer.lr": 0.1},
        {"encoder.widths": "[4]"},
        {"encoder.widths": "[4]", "finetune.batch_size": 8},
    ):
        params = sweep.compose(values)
        sweep.bench.pretrained(params, sweep.bench.prepared(params))
    assert len(made) == 3
    assert len([*sweep.bench.folder.glob("prepared-*/")]) == 1


def test_undefined_replica_does_not_count():
    assert mean_of_defined([0.5, float("nan"), 1.0]) == 0.75
    assert np.isnan(mean_of_defined([float("nan")]))


def test_prediction_that_is_not_finite_is_no_score(blinded, tmp_path):
    frame = pl.DataFrame(
        {"replica": [0], "row": [0], "part": ["validation"], "output_0": [float("nan")]},
        schema_overrides={"replica": pl.Int32, "row": pl.Int32},
    )
    frame.write_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(StageError, match="not finite; training diverged"):
        validation_scores(blinded, tmp_path, {})

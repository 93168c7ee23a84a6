import json

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, softmax

from medgraft.errors import StageError
from medgraft.evaluation.predictions import load_study

FOLDS = [[0, 1, 2], [3, 4, 5]]


def design():
    """Two runs of two folds over six rows, and a final replica on all of them."""
    parts = [(run, fold) for run in (0, 1) for fold in (0, 1)]
    compared = [
        {
            "replica": i,
            "use": "compare",
            "run": run,
            "fold": fold,
            "train": FOLDS[1 - fold][:2],
            "validation": FOLDS[1 - fold][2:],
            "test": FOLDS[fold],
        }
        for i, (run, fold) in enumerate(parts)
    ]
    final = {"replica": 4, "use": "final", "run": 0, "fold": 0, "train": [0], "validation": [5]}
    return pl.DataFrame([*compared, final | {"test": []}])


def predictions(outputs=1):
    made = [
        {"replica": row["replica"], "row": i, "part": part}
        | {f"output_{j}": 0.1 * i + row["replica"] + j for j in range(outputs)}
        for row in design().iter_rows(named=True)
        for part in ("validation", "test")
        for i in row[part]
    ]
    return pl.DataFrame(made).with_columns(pl.col("replica", "row").cast(pl.Int32))


@pytest.fixture
def write(tmp_path):
    def write(frame, *, task="binary"):
        target, folder = tmp_path / "prepared" / "target", tmp_path / "finetuned" / "tuned"
        target.mkdir(parents=True)
        folder.mkdir(parents=True)
        np.save(target / "y.npy", np.array([0, 1, 0, 1, 0, 1], dtype=np.float32))
        pl.DataFrame({"row": range(6), "patient": [7, 7, 2, 3, 4, 5]}).write_parquet(
            target / "patients.parquet"
        )
        outcome = {"name": "death", "task": task, "classes": ["a", "b", "c"], "unit": ""}
        (target / "schema.json").write_text(json.dumps({"outcome": outcome}))
        design().write_parquet(tmp_path / "prepared" / "design.parquet")
        frame.write_parquet(folder / "predictions.parquet")
        summary = {"uses_source": True, "fitted_parameters": 12, "description": "all layers"}
        (folder / "summary.json").write_text(json.dumps({"strategy": "tuned", **summary}))
        return tmp_path / "prepared", tmp_path / "finetuned"

    return write


def test_predictions_land_in_run_and_row(write):
    study = load_study(*write(predictions().sample(fraction=1, shuffle=True, seed=1)))
    tuned = study.strategies["tuned"]
    logits = 0.1 * np.arange(6) + np.array([[0, 0, 0, 1, 1, 1], [2, 2, 2, 3, 3, 3]])
    np.testing.assert_allclose(tuned.test[:, :, 1], expit(logits), rtol=1e-12)
    np.testing.assert_array_equal(tuned.fold, np.tile([0, 0, 0, 1, 1, 1], (2, 1)))
    assert sorted(zip(tuned.validation_run, tuned.validation_row, strict=True)) == [
        (0, 2), (0, 5), (1, 2), (1, 5),
    ]  # fmt: skip
    assert (tuned.uses_source, tuned.fitted_parameters) == (True, 12)
    assert (study.patients, study.runs) == (5, 2)


def test_multiclass_outputs_become_softmax(write):
    study = load_study(*write(predictions(outputs=3), task="multiclass"))
    expected = softmax([0.5, 1.5, 2.5])
    np.testing.assert_allclose(study.strategies["tuned"].test[0, 5], expected, rtol=1e-6)


def test_missing_row_is_named(write):
    holed = predictions().filter(~((pl.col("replica") == 3) & (pl.col("row") == 4)))
    with pytest.raises(StageError, match="strategy tuned, run 1: row 4 was predicted 0 times"):
        load_study(*write(holed))


def test_row_predicted_twice_is_named(write):
    with pytest.raises(StageError, match="strategy tuned, run 0: row 0 was predicted 2 times"):
        load_study(*write(pl.concat([predictions(), predictions().filter(part="test").head(1)])))


def test_replica_off_plan_is_named(write):
    swapped = predictions().with_columns(
        replica=pl.when(pl.col("part") == "test")
        .then(pl.col("replica").replace({0: 1, 1: 0}))
        .otherwise("replica")
    )
    with pytest.raises(StageError, match="tuned: replica 1 predicted row 0 as test, but"):
        load_study(*write(swapped))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None])
def test_non_finite_output_is_named(write, value):
    spoiled = predictions().with_columns(
        output_0=pl.when((pl.col("replica") == 2) & (pl.col("row") == 1))
        .then(pl.lit(value, dtype=pl.Float64))
        .otherwise("output_0")
    )
    message = r"strategy tuned: replica 2 predicted (nan|inf|None) for row 1, expected a finite"
    with pytest.raises(StageError, match=message):
        load_study(*write(spoiled))


def test_wrong_number_of_outputs_is_named(write):
    with pytest.raises(StageError, match="expected 3 output columns for a multiclass"):
        load_study(*write(predictions(), task="multiclass"))


def test_unknown_task_is_named(write):
    with pytest.raises(StageError, match="expected a task among binary, multiclass, multilabel"):
        load_study(*write(predictions(), task="ranking"))


def test_no_strategy_is_named(write, tmp_path):
    prepared, _ = write(predictions())
    with pytest.raises(StageError, match=r"no strategy in .*empty"):
        load_study(prepared, tmp_path / "empty")

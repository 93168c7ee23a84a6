import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.special import expit, logit

from medgraft.deployment import model as module
from medgraft.deployment.model import TOO_FAR, load
from medgraft.errors import StageError
from medgraft.evaluation.corrections import Platt

from .simulated import rows


def test_served_equals_finetuned(any_run):
    # The same patients, as raw text through the champion and as prepared arrays in training.
    model = load(any_run.champion)
    x, problems = model.records.read(any_run.raw)
    served = model.outputs(x)
    design = pl.read_parquet(any_run.work / "prepared" / "design.parquet")
    folder = any_run.work / "finetuned" / any_run.strategy
    saved = pl.read_parquet(folder / "predictions.parquet")
    assert not any(problems)
    for outputs, replica in zip(
        served, design.filter(pl.col("use") == "final")["replica"], strict=True
    ):
        mine = saved.filter(pl.col("replica") == replica)
        expected = mine.select(pl.col("^output_.*$")).to_numpy()
        assert len(expected)
        np.testing.assert_allclose(outputs[mine["row"]], expected, rtol=1e-5, atol=1e-5)


def test_answer_is_corrected_replica_mean(ward):
    model = replace(load(ward.champion), correction=Platt(0.5, 2.0))
    logits = model.outputs(model.records.read(ward.raw)[0])[..., 0]
    answers = model.predict(ward.raw)
    assert logits.shape == (2, 60)
    expected = expit(0.5 + 2 * logit(expit(logits).mean(0)))
    np.testing.assert_allclose(answers["probability_ill"], expected, rtol=1e-6)
    likely = np.where(expected > 0.5, "ill", "well")
    assert answers["predicted"].to_list() == likely.tolist()


def test_other_rows_change_nothing(any_run):
    model, raw = load(any_run.champion), any_run.raw
    broken = raw.with_columns(age=pl.lit("old"))
    mixed = model.predict(pl.concat([broken.head(3), raw.reverse()]))
    alone = pl.concat([model.predict(raw[row]) for row in range(len(raw))])
    together = model.predict(raw)
    assert_frame_equal(together, alone, rel_tol=0, abs_tol=1e-5)
    assert_frame_equal(mixed[3:].reverse(), together, rel_tol=0, abs_tol=1e-5)


def test_blocks_change_nothing(ward, monkeypatch):
    model = load(ward.champion)
    together = model.predict(ward.raw)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert_frame_equal(model.predict(ward.raw), together, rel_tol=0, abs_tol=1e-6)


def test_typed_values_equal_text(any_run):
    typed = any_run.raw.with_columns(
        pl.col("age", "extra").cast(pl.Float64),
        pl.col("sex").cast(pl.Int8),
        pl.col("lab").replace({"?": None, "0": None, "": None}).cast(pl.Float32).fill_null(np.nan),
    )
    model = load(any_run.champion)
    assert_frame_equal(model.predict(typed), model.predict(any_run.raw), abs_tol=1e-6)


def test_refused_row_has_no_answer(any_run):
    model = load(any_run.champion)
    raw = any_run.raw.with_columns(
        age=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("999")).otherwise("age")
    )
    refused = model.predict(raw).row(4)
    assert refused == (
        *[None] * (len(refused) - 1),
        'column age: got "999", expected a number in years between 0 and 110',
    )


def test_file_without_rows_is_answered(any_run):
    model = load(any_run.champion)
    empty = model.predict(any_run.raw.head(0))
    assert empty.schema == model.predict(any_run.raw).schema
    assert len(empty) == 0


def test_endless_answer_is_refused(ward, monkeypatch):
    model = load(ward.champion)
    x, _ = model.records.read(ward.raw)
    outputs = model.outputs(x)
    outputs[1, 5] = np.nan
    broken = replace(model, outputs=lambda _: outputs)
    assert broken.predict(ward.raw).row(5) == (None, None, None, None, TOO_FAR)
    assert broken.predict(ward.raw)["problem"].to_list().count("") == 59


def test_missing_champion_is_named(tmp_path):
    with pytest.raises(StageError, match=r"nowhere/SHA256SUMS not found: run the stage"):
        load(tmp_path / "nowhere")


ANSWERS = {
    "binary": ["predicted", "probability_well", "probability_ill", "plausible"],
    "multiclass": [
        "predicted",
        "probability_none",
        "probability_mild",
        "probability_grave",
        "plausible",
    ],
    "regression": ["predicted", "low", "high"],
    "multilabel": ["probability_fever", "probability_cough"],
    "survival": ["survival_1", "survival_2", "survival_4"],
}


def test_answers_are_named_by_task(any_run):
    """The columns a user reads; shares lie within 0 and 1, and survival never rises."""
    model = load(any_run.champion)
    answers = model.predict(any_run.raw)
    task = model.outcome["task"]
    assert answers.columns == [*ANSWERS[task], "problem"]
    assert set(answers["problem"]) == {""}
    shares = answers.select("^(probability|survival)_.*$").to_numpy()
    assert ((shares >= 0) & (shares <= 1)).all()
    if task == "survival":
        assert (np.diff(shares, axis=1) <= 0).all()


def test_plausible_answers_hold_the_likeliest(any_run):
    answers = load(any_run.champion).predict(any_run.raw)
    if "plausible" in answers.columns:
        pairs = zip(answers["predicted"], answers["plausible"], strict=True)
        assert all(said in among.split(" or ") for said, among in pairs)
    elif "low" in answers.columns:
        assert (answers["low"] < answers["predicted"]).all()
        assert (answers["predicted"] < answers["high"]).all()


def test_plausible_answers_hold_the_truth_of_new_patients(ward):
    """600 new patients of the same site; sets of 60 hold 0.9 of truths, give or take 0.08."""
    model = load(ward.champion)
    new = rows(600, "binary", seed=77).drop("marker")
    answers = model.predict(new.cast(pl.String)).with_columns(new["end"])
    given = answers.filter(pl.col("problem") == "")
    held = [t in s.split(" or ") for t, s in given.select("end", "plausible").iter_rows()]
    assert len(held) > 560
    assert 0.82 < np.mean(held) < 0.98


def test_patient_unlike_all_others_gets_no_answer(ward):
    """Every value is possible, together they are not what the site sees; another's stays."""
    model = load(ward.champion)
    odd = ward.raw.head(2).with_columns(extra=pl.Series(["5.0", "900"]))
    first, second = model.predict(odd).iter_rows(named=True)
    assert first["problem"] == ""
    assert second["predicted"] is second["plausible"] is None
    assert second["problem"].startswith(
        "no answer: unlike the 60 patients learned from, most of all in extra (distance "
    )
    assert "900" not in second["problem"]


def test_few_new_patients_of_the_same_site_get_no_answer(any_run):
    """One in 61 by construction; of 600, more than 40 would happen once in a million times."""
    new = rows(600, "binary", seed=78).drop("marker").cast(pl.String)
    task = load(any_run.champion).outcome["task"]
    new = new if task != "survival" else new.with_columns(ended=pl.lit("1"))
    problems = load(any_run.champion).predict(new)["problem"]
    assert (problems != "").sum() <= 40


def test_example_is_answered_and_nobody(any_run):
    """Beside the champion, and MLflow's input example."""
    example = json.loads((any_run.champion / "example.json").read_text())
    assert load(any_run.champion).predict(pl.DataFrame([example]))["problem"].to_list() == [""]
    assert str(example["age"]) not in any_run.raw["age"].to_list()

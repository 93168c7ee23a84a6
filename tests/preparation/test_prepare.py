import json

import numpy as np
import polars as pl
import pytest

from medgraft.cohorts.schema import Column
from medgraft.errors import LeakError
from medgraft.preparation.arrays import read, read_design
from medgraft.preparation.prepare import prepare
from medgraft.preparation.splits import SCHEMA, SOURCE_SCHEMA, Plan
from medgraft.preparation.table import Tables

from .simulated import STAGE, STAY, cohort, spoil, with_cells, with_column

PLAN = Plan(runs=2, folds=3, validation_fraction=0.2, sizes=(10,), sources=2, seed=7)


def run(out, source=None, target=None, mode="shared"):
    sources = [cohort("registry", rows=200), cohort("laboratory", rows=100, numbers=7)]
    targets = [target or cohort("clinic", visits=2)]
    return prepare(
        [source] if source else sources, targets, modality=Tables(mode), plan=PLAN, out=out
    )


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_folder_is_as_documented(tmp_path):
    run(tmp_path / "prepared", mode="masked")
    source, target = (read(tmp_path / "prepared" / role) for role in ("source", "target"))
    assert (source.x.shape, target.x.shape) == ((300, 8), (80, 8))
    assert source.schema["features"] == target.schema["features"]
    assert [f["origin"] for f in target.schema["features"]] == ["shared"] * 6 + [
        "source_only",
        "shared",
    ]
    assert target.schema["outcome"] == {
        "name": "disease",
        "task": "binary",
        "classes": ["no", "yes"],
        "unit": "",
        "horizons": [],
    }
    assert source.schema["sites"] == ["registry", "laboratory"]
    assert dict(target.patients.schema) == {
        "row": pl.Int32,
        "patient": pl.Int32,
        "site": pl.String,
        "sex": pl.String,
    }
    assert target.patient.tolist() == np.repeat(np.arange(40), 2).tolist()
    assert dict(read_design(tmp_path / "prepared" / "design.parquet").schema) == SCHEMA
    design = read_design(tmp_path / "prepared" / "source_design.parquet")
    assert dict(design.schema) == SOURCE_SCHEMA


def test_values_survive_unchanged(tmp_path):
    target = cohort("clinic")
    run(tmp_path / "prepared", source=cohort("registry"), target=target)
    prepared = read(tmp_path / "prepared" / "target")
    assert np.array_equal(prepared.x, target.values.astype(np.float32), equal_nan=True)
    assert np.array_equal(prepared.y, target.y)


def test_two_preparations_are_byte_identical(tmp_path):
    run(tmp_path / "one")
    run(tmp_path / "two")
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 14


def test_no_identifier_is_written(tmp_path):
    summary = run(tmp_path / "prepared")
    assert not [
        name for name, content in files(tmp_path / "prepared").items() if b"secret" in content
    ]
    patients = read(tmp_path / "prepared" / "target").patients
    assert not any("secret" in str(cell) for row in patients.iter_rows() for cell in row)
    assert "secret" not in summary.text()


def test_every_patient_is_accounted_for(tmp_path):
    text = run(tmp_path / "prepared").text()
    assert text.splitlines()[:5] == [
        "source registry (registry.csv): 202 rows read, 200 used (200 patients), 2 excluded "
        "(no outcome 2)",
        "source laboratory (laboratory.csv): 102 rows read, 100 used (100 patients), 2 excluded "
        "(no outcome 2)",
        "target clinic (clinic.csv): 82 rows read, 80 used (40 patients), 2 excluded "
        "(no outcome 2)",
        "features: 7 shared, 1 source only (m6); mode shared",
        "replicas: 6 compare, 6 curve, 2 final",
    ]
    content = json.loads((tmp_path / "prepared" / "audit.json").read_text())
    assert sum(entry["rows_used"] for entry in content["accounting"]) == 380


def leaky():
    source, target = cohort("registry"), cohort("clinic")
    patient = target.patient.copy()
    patient[0] = source.patient[0]
    marker = Column("marker", "number")
    noise = np.random.default_rng(0).normal(size=80)
    return {
        "the same patient": (source, spoil(target, patient=patient)),
        "the same row": (source, with_cells(target, 0, source.values[0])),
        "the outcome": (
            with_column(source, marker, noise),
            with_column(target, marker, 10 * target.y),
        ),
    }


@pytest.mark.parametrize("name", leaky())
def test_leak_stops_before_writing(tmp_path, name):
    source, target = leaky()[name]
    with pytest.raises(LeakError, match="test information would reach training"):
        run(tmp_path / "prepared", source, target)
    assert list(tmp_path.iterdir()) == []


def test_copies_share_every_part(tmp_path):
    target = cohort("clinic")
    copied = with_cells(target, 50, target.values[3])
    summary = run(tmp_path / "prepared", source=cohort("registry"), target=copied)
    assert "warning: 2 rows of the target identical to the row of another patient" in summary.text()
    design = read_design(tmp_path / "prepared" / "design.parquet")
    for part in ("train", "validation", "test"):
        rows = design[part].to_list()
        assert all((3 in chosen) == (50 in chosen) for chosen in rows)


@pytest.mark.parametrize("outcome", [STAGE, STAY], ids=lambda outcome: outcome.task)
def test_other_tasks_are_prepared(tmp_path, outcome):
    run(tmp_path / "prepared", target=cohort("clinic", outcome=outcome))
    prepared = read(tmp_path / "prepared" / "target")
    assert prepared.schema["outcome"]["task"] == outcome.task
    assert prepared.schema["outcome"]["unit"] == outcome.unit


def test_given_split_is_prepared(tmp_path):
    parts = np.repeat(["train", "train", "validation", "test"] * 10, 2)
    run(tmp_path / "prepared", target=spoil(cohort("clinic", visits=2), split=parts))
    design = read_design(tmp_path / "prepared" / "design.parquet")
    assert (
        design.filter(pl.col("use") == "compare")["test"].to_list()
        == [np.flatnonzero(parts == "test").tolist()] * 2
    )

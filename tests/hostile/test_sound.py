"""The cohorts that the corpus spoils are sound: otherwise every refusal would be cheap."""

import json

import pytest

from medgraft.stages.preprocess import preprocess
from medgraft.stages.run import run

from .cohorts import PATIENTS, archives_project, project, scans_project

MADE = {
    **{name: lambda at, name=name: project(at, name) for name in
       ("table", "sequence", "image", "expression")},
    "npz": archives_project,
    "dicom": scans_project,
}  # fmt: skip


@pytest.mark.parametrize("kind", MADE)
def test_sound_cohort_is_prepared(kind, tmp_path, monkeypatch):
    """Every patient is accounted for, and no leak is found."""
    if kind == "dicom":
        pytest.importorskip("pydicom")
    monkeypatch.chdir(MADE[kind](tmp_path / "project"))
    run(preprocess, name="preprocess")
    audit = json.loads((tmp_path / "project/work/prepared/audit.json").read_text())
    assert [(e["rows_read"], e["rows_used"]) for e in audit["accounting"]] == [(PATIENTS,) * 2] * 2
    assert [f for f in audit["findings"] if f["severity"] == "leak"] == []

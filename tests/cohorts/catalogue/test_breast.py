import hashlib
from pathlib import Path

import pytest

from medgraft.cohorts.catalogue import breast
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_materialises_same_bytes_twice(tmp_path: Path) -> None:
    for name in ("one", "two"):
        breast.materialise(tmp_path / name / "breast", None)
    first = contents(tmp_path / "one" / "breast")
    assert first == contents(tmp_path / "two" / "breast")
    assert {name: hashlib.sha256(first[name]).hexdigest() for name in breast.FILES} == breast.FILES
    assert set(first) == {"cohort.yaml", *breast.FILES}


def test_cohorts_share_prevalence_not_patients(tmp_path: Path) -> None:
    breast.materialise(tmp_path / "breast", None)
    laboratory = load(tmp_path / "breast", "reference_laboratory", "diagnosis")
    clinic = load(tmp_path / "breast", "clinic", "diagnosis")
    assert laboratory.values.shape == (497, 30)
    assert clinic.values.shape == (72, 10)
    assert not set(laboratory.patient) & set(clinic.patient)
    assert abs(clinic.y.mean() - 212 / 569) < 0.5 / 72
    assert all(name.startswith("mean_") for name in clinic.measured)


def test_other_published_numbers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header, rows, malignant = breast._published()
    changed = [["P0001", "malignant", "18.0", *rows[0][3:]], *rows[1:]]
    monkeypatch.setattr(breast, "_published", lambda: (header, changed, malignant))
    with pytest.raises(CohortError, match="from scikit-learn's breast cancer data: has sha256"):
        breast.materialise(tmp_path / "breast", None)
    assert not list(tmp_path.iterdir())


def test_edited_description_is_kept(tmp_path: Path) -> None:
    breast.materialise(tmp_path / "breast", None)
    breast.materialise(tmp_path / "breast", None)
    edited = tmp_path / "breast" / "cohort.yaml"
    edited.write_text("mine")
    with pytest.raises(CohortError, match=r"differs in cohort.yaml; move it away to write it anew"):
        breast.materialise(tmp_path / "breast", None)
    assert edited.read_text() == "mine"

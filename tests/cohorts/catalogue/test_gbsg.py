import builtins
import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medgraft.cohorts.catalogue import gbsg
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


@pytest.fixture(scope="module")
def folder(cohorts_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("h5py")
    folder = tmp_path_factory.mktemp("data") / "gbsg"
    gbsg.materialise(folder, cohorts_folder)
    return folder


def test_cohorts_are_deepsurvs(folder: Path) -> None:
    """Sizes and event rates of Katzman et al. 2018, table 1 and its PROVENANCE."""
    for site, patients, events in (("rotterdam", 1546, 968), ("gbsg", 686, 299)):
        cohort = load(folder, site, "relapse")
        assert len(cohort) == patients
        assert cohort.y[:, 1].sum() == events
        assert cohort.outcome.task == "survival"
        assert cohort.outcome.horizons[-1] == 60


def test_columns_are_the_trials(folder: Path) -> None:
    """The counts that were published with names for the same 686 patients (GBSG2 in TH.data)."""
    cohort = load(folder, "gbsg", "relapse")
    published = {
        "hormonal_therapy": {"no": 440, "yes": 246},
        "postmenopausal": {"no": 290, "yes": 396},
        "tumour_size": {"up to 20 mm": 180, "21 to 50 mm": 453, "above 50 mm": 53},
    }
    for place, column in enumerate(cohort.columns):
        if column.name in published:
            counts = [int((cohort.values[:, place] == i).sum()) for i in range(3)]
            told = dict(zip(column.categories, counts, strict=False))
            assert told == published[column.name]
    ages = cohort.values[:, cohort.measured.index("age")]
    assert (ages.min(), ages.max()) == (21, 80)


def test_times_keep_their_bits(folder: Path, cohorts_folder: Path) -> None:
    """What is written reads back as the published float32."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(cohorts_folder / gbsg.MIRRORED) as published, (folder / "gbsg.csv").open() as f:
        months = [np.float32(row["months"]) for row in csv.DictReader(f)]
        assert (published["test"]["t"][:] == months).all()


def test_absent_h5py_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "h5py":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(CohortError) as error:
        gbsg.materialise(tmp_path / "gbsg", tmp_path)
    assert str(error.value) == (
        "the gbsg cohort is published as HDF5, which h5py reads: pip install 'medgraft[h5ad]'"
    )
    assert not list(tmp_path.iterdir())

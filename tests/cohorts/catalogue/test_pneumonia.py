import numpy as np
import pytest

from medgraft.cohorts.catalogue import pneumonia
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


@pytest.fixture(scope="module")
def cohorts(cohorts_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "pneumonia"
    pneumonia.materialise(folder, cohorts_folder)
    return {site: load(folder, site, "pneumonia") for site in ("archive", "clinic")}


def test_published_counts_are_kept(cohorts):
    """Yang et al. 2023, table 3: 4,708 to train, 524 to stop, 624 to test; 1,583 normal."""
    archive, clinic = cohorts["archive"], cohorts["clinic"]
    parts = {part: int((clinic.split == part).sum()) for part in ("train", "validation", "test")}
    assert parts["train"] + len(archive) == 4708
    assert (parts["validation"], parts["test"]) == (524, 624)
    assert abs(parts["train"] - len(archive)) < 10
    assert (archive.y == 0).sum() + (clinic.y == 0).sum() == 1583
    assert clinic.y[clinic.split == "test"].sum() == 390
    assert archive.split is None


def test_equal_films_go_the_same_way(cohorts):
    clinic = cohorts["clinic"]
    trains = clinic.values[clinic.split == "train"]
    ours, theirs = ({image.tobytes() for image in x} for x in (cohorts["archive"].values, trains))
    assert not ours & theirs


def test_classes_are_shared_out_evenly(cohorts):
    clinic = cohorts["clinic"]
    share = clinic.y[clinic.split == "train"].mean()
    assert cohorts["archive"].y.mean() == pytest.approx(share, abs=0.005)


def test_same_bytes_again(cohorts_folder, tmp_path):
    for name in ("one", "two"):
        pneumonia.materialise(tmp_path / name, cohorts_folder, source_share=0.9)
    for file in ("archive.npz", "clinic.npz", "cohort.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()
    with np.load(tmp_path / "one" / "archive.npz") as archive:
        assert len(archive["train_images"]) == pytest.approx(0.9 * 4708, abs=10)


def test_no_mirror_is_said(tmp_path):
    with pytest.raises(CohortError) as caught:
        pneumonia.materialise(tmp_path / "pneumonia", None)
    assert str(caught.value) == (
        "the reconstructed PneumoniaMNIST lies at no public address; give a folder that holds "
        "pneumoniamnist_reconstructed/pneumoniamnist_28_reconstructed.npz with --mirror"
    )

import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from medgraft.cohorts.catalogue import heart
from medgraft.cohorts.load import describe
from medgraft.errors import CohortError


@pytest.fixture
def mirror(cohorts_folder: Path, tmp_path: Path) -> Path:
    kept = tmp_path / "mirror" / heart.MIRRORED
    kept.mkdir(parents=True)
    for name in heart.FILES:
        shutil.copyfile(cohorts_folder / heart.MIRRORED / name, kept / name)
    return kept.parent


def test_published_bytes_are_kept(mirror: Path, tmp_path: Path) -> None:
    heart.materialise(tmp_path / "heart", mirror)
    for name in heart.FILES:
        published = (mirror / heart.MIRRORED / name).read_bytes()
        assert (tmp_path / "heart" / name).read_bytes() == published
    assert set(describe(tmp_path / "heart").sites) == {
        "cleveland",
        "hungary",
        "switzerland",
        "long_beach",
    }


def test_changed_byte_is_refused(mirror: Path, tmp_path: Path) -> None:
    last = mirror / heart.MIRRORED / "processed.va.data"
    last.write_bytes(last.read_bytes().replace(b"63", b"64", 1))
    with pytest.raises(CohortError, match=r"processed.va.data: has sha256 .* not the same file"):
        heart.materialise(tmp_path / "data" / "heart", mirror)
    assert not (tmp_path / "data").exists()


def test_absent_mirror_is_named(tmp_path: Path) -> None:
    with pytest.raises(CohortError) as error:
        heart.materialise(tmp_path / "heart", tmp_path)
    path = tmp_path / "uci_heart_disease" / "processed.cleveland.data"
    assert str(error.value) == (
        f"{path}: cannot be read from the mirror: No such file or directory"
    )


def test_no_network_names_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: Any, **__: Any) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    with pytest.raises(CohortError) as error:
        heart.materialise(tmp_path / "heart", None)
    assert str(error.value) == (
        f"{heart.URL}/processed.cleveland.data: could not be fetched "
        "(<urlopen error no route to host>); without a network, "
        "give a folder that holds uci_heart_disease/processed.cleveland.data with --mirror"
    )
    assert not list(tmp_path.iterdir())

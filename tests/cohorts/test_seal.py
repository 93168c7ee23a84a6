import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medgraft.cohorts import seal
from medgraft.errors import SealError


@pytest.fixture(scope="module")
def sealed_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder sealed by the real DVC: names that sort differently as paths and as texts."""
    root = tmp_path_factory.mktemp("sealed")
    for name in ("heart/va.data", "heart.txt", "breast/cohort.yaml", "Ärzte/ä b.csv", "empty"):
        path = root / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if name == "empty" else f"contents of {name}\n")
    for command in (["init", "--no-scm", "-q"], ["add", "-q", "data"]):
        subprocess.run([sys.executable, "-m", "dvc", *command], cwd=root, check=True)
    return root


@pytest.fixture
def sealed(sealed_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sealed_once, tmp_path / "copy")


def refusal(root: Path) -> list[str]:
    with pytest.raises(SealError) as error:
        seal.check(root / "data", root / "data.dvc")
    return str(error.value).replace(f"{root}/", "").splitlines()


WAY_OUT = "`dvc checkout data.dvc` restores what was sealed, `dvc add data` seals this instead"


def test_agrees_with_dvc(sealed: Path) -> None:
    seal.check(sealed / "data", sealed / "data.dvc")
    assert not seal.changes(sealed / "data", sealed / "data.dvc")


def test_every_difference_is_named(sealed: Path) -> None:
    """But for the names of files that only their makers know: of images, they may be patients'."""
    data = sealed / "data"
    (data / "breast" / "cohort.yaml").write_text("sites: {here: {file: heart.txt}}")
    (data / "heart.txt").write_text("Contents of heart.txt\n")
    (data / "new.csv").write_text("1")
    (data / "empty").unlink()
    assert refusal(sealed) == [
        "data/breast/cohort.yaml: changed since it was sealed",
        "data/heart.txt: changed since it was sealed",
        "data: 1 file that no cohort.yaml names: added since it was sealed",
        "data: 1 file that no cohort.yaml names: removed since it was sealed",
        WAY_OUT,
    ]
    assert seal.changes(data, sealed / "data.dvc") == seal.Changes(
        changed=("breast/cohort.yaml", "heart.txt"), added=("new.csv",), removed=("empty",)
    )


def test_folder_called_as_a_description_describes_nothing(sealed: Path) -> None:
    path = sealed / "data" / "mine" / "cohort.yaml" / "new.csv"
    path.parent.mkdir(parents=True)
    path.write_text("1")
    told = "data/mine: 1 file that no cohort.yaml names: added since it was sealed"
    assert refusal(sealed) == [told, WAY_OUT]


def test_without_cache_whole_differs(sealed: Path) -> None:
    shutil.rmtree(sealed / ".dvc" / "cache")
    seal.check(sealed / "data", sealed / "data.dvc")
    (sealed / "data" / "new.csv").write_text("1")
    assert refusal(sealed) == [
        "data: not the bytes that data.dvc names; which files differ is not known here",
        WAY_OUT,
    ]
    assert not seal.changes(sealed / "data", sealed / "data.dvc").known


def test_forged_manifest_is_not_believed(sealed: Path) -> None:
    (manifest,) = (sealed / ".dvc" / "cache" / "files" / "md5").glob("*/*.dir")
    manifest.chmod(0o644)
    manifest.write_text(manifest.read_text().replace("heart.txt", "hearts.txt"))
    (sealed / "data" / "new.csv").write_text("1")
    assert not seal.changes(sealed / "data", sealed / "data.dvc").known


def test_absent_parts_are_named(sealed: Path) -> None:
    shutil.rmtree(sealed / "data")
    assert refusal(sealed) == ["data: the folder is absent; `dvc checkout data.dvc` restores it"]
    (sealed / "data.dvc").unlink()
    assert refusal(sealed) == ["data.dvc: is absent; `dvc add data` seals the raw data"]


@pytest.mark.parametrize(
    "text", ["", "[1]", "outs: []", "outs: [{path: data}]", "{", "\0", "[" * 20_000]
)
def test_broken_seal_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "data.dvc").write_text(text)
    assert refusal(tmp_path) == ["data.dvc: not a seal written by `dvc add data`"]


def test_seal_of_old_dvc(tmp_path: Path) -> None:
    (tmp_path / "data.dvc").write_text("outs: [{md5: 0123.dir, path: data}]")
    assert refusal(tmp_path) == [
        "data.dvc: not the seal of a folder by DVC 3; `dvc add data` writes one"
    ]

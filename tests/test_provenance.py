"""Where a result comes from: the commit, and whether that is what ran."""

import shutil
import subprocess

import pytest

from medgraft import composition
from medgraft.config import write_params
from medgraft.provenance import provenance


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A committed project that chose something; its path and its commit."""
    for name in ("conf", "dvc.yaml", "params.yaml", "dvc.lock"):
        (shutil.copytree if (root / name).is_dir() else shutil.copy)(root / name, tmp_path / name)
    (tmp_path / "design.parquet").write_bytes(b"who trains, who tests")
    monkeypatch.chdir(tmp_path)
    git = ("git", "-c", "user.name=me", "-c", "user.email=me@example.org")
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "--message", "a"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    return tmp_path, head.stdout.strip()


def test_running_is_no_change(project):
    """What a run writes of itself is told by the command; anything else was never committed."""
    root, commit = project
    composition.record(root, ["experiment=heart", "design.runs=3"])
    write_params(root, composition.compose_chosen(root))
    (root / "dvc.lock").write_text("stages: {}\n")
    told = provenance(root)
    assert (told["git_commit"], told["git_dirty"]) == (commit, "false")
    repro = "medgraft repro experiment=heart design.runs=3"
    assert told["reproduce"] == f"git checkout {commit} && {repro}"
    assert told["data"] == "unknown (dvc.lock does not name it)"
    (root / "dvc.yaml").write_text("stages: {}\n")
    assert provenance(root)["git_dirty"] == "true"


def test_folder_without_a_commit_is_not_known_to_be_unchanged(project):
    root, _ = project
    shutil.rmtree(root / ".git")
    told = provenance(root)
    assert (told["git_commit"], told["git_dirty"]) == ("unknown (not a git checkout)", "unknown")


def test_what_no_overrides_say_is_not_made_up(project):
    root, _ = project
    params = composition.compose_chosen(root)
    del params["design"]["folds"]
    write_params(root, params)
    assert provenance(root)["reproduce"].startswith("unknown (params.yaml holds what no overrides")

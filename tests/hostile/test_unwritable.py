"""Whatever stands where a command writes: one line, exit code 2, and nothing half-written."""

import errno
import os
from pathlib import Path

import pytest

from medgraft import config, sources
from medgraft.reporting import comparison
from medgraft.stages.ending import disk_refuses
from medgraft.stages.preprocess import preprocess
from medgraft.stages.run import run as run_stage

from . import cohorts

COMPARE = ("report", "--compare", "a", "b", "--output")
DRAFT = ("init-cohort", "a.csv", "--outcome", "died", "--into")
SOURCES = ("sources", "target=b", "sources=[a]")
CASES = {
    "parameters": ("folder", "params.yaml", ("compose", "seed=3")),
    "choices": ("folder", "conf/chosen.yaml", ("compose", "seed=3")),
    "raw data": ("file", "data", ("fetch",)),
    "locks": ("file", ".dvc/tmp", ("repro",)),
    "sources": ("file", "work", SOURCES),
    "scores": ("folder", "work/sources.json", SOURCES),
    "comparison": ("folder", "page.html", (*COMPARE, "page.html")),
    "comparison's folder": ("file", "pages", (*COMPARE, "pages/page.html")),
    "no files there": ("file", "pages", (*COMPARE, "/proc/pages/page.html")),
    "linked to itself": ("loop", "mine", (*DRAFT, "mine")),
    "encoders": ("file", "conf/encoder", ("checkpoint", "x", "--name", "mine")),
}


@pytest.fixture
def quick(monkeypatch):
    """What is written is known without a study."""
    monkeypatch.setattr(sources, "asked", lambda _: (["b"], [], []))
    monkeypatch.setattr("medgraft.runs.read_run", lambda name: name)
    monkeypatch.setattr(comparison, "side_by_side", lambda _: {})
    monkeypatch.setattr(comparison, "page", lambda _: "<html>")
    monkeypatch.setattr(
        "medgraft.training.pretexts.checkpoint.describe", lambda *_, **__: {"encoder": {}}
    )


def put(what: str, path: Path) -> None:
    if path.is_dir():
        path.rename("moved")
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    if what == "loop":
        path.symlink_to(path)
        return
    path.mkdir() if what == "folder" else path.write_text("in the way")


@pytest.mark.parametrize("name", CASES)
def test_what_stands_in_the_way_is_said(name, project, run, quick):
    what, path, arguments = CASES[name]
    put(what, Path(path))
    before = sorted(Path().rglob("*"))
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith("medgraft: ")
    assert err.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_stage_says_what_stands_in_the_way(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(cohorts.project(tmp_path / "project"))
    Path("work").write_text("in the way")
    with pytest.raises(SystemExit) as ended:
        run_stage(preprocess, name="preprocess")
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith("preprocess: the disk refuses: ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR]
)
def test_half_a_file_is_taken_back(number, tmp_path, monkeypatch):
    """The file that was there stays, and the refusal is told as one by the disk."""
    path = tmp_path / "params.yaml"
    config.write_if_changed(path, "seed: 1\n")

    def refuse(_: Path, __: Path) -> None:
        raise OSError(number, "the system's own words", str(path))

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="own words"):
        config.write_if_changed(path, "seed: 2\n")
    assert [one.read_text() for one in tmp_path.iterdir()] == ["seed: 1\n"]
    assert "the disk refuses" in disk_refuses(OSError(number, os.strerror(number)))


def test_path_too_long_is_no_fault_of_the_disk(tmp_path):
    with pytest.raises(OSError, match="too long") as caught:
        (tmp_path / ("x" * 400)).mkdir()
    told = disk_refuses(caught.value)
    assert told.startswith(f"the path is too long for this file system: {str(tmp_path)[:40]}")
    assert "disk refuses" not in told
    assert "x" * 300 not in told


def test_fault_of_ours_is_no_refusal():
    assert disk_refuses(FileNotFoundError(errno.ENOENT, "No such file or directory")) == ""
    assert disk_refuses(ValueError("shapes differ")) == ""

"""Tutorials of docs/extending: their files are written, their commands run, as a reader would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from stages.project import ROOT, clone

PAGES = sorted((ROOT / "docs" / "extending").glob("*.md"))
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
# What a contributor's checkout holds besides the pipeline.
BESIDE = ("tests/contracts", "tests/training", "tests/conftest.py", "pyproject.toml", "docs")
BESIDE += ("params.yaml",)
NUMBER = re.compile(r"[-+]?\d+(\.\d+)?")

Block = tuple[str, str, str]


def blocks(page: Path) -> list[Block]:
    """(language, path of the file it is, text) in order; the path is empty for commands."""
    return BLOCK.findall(page.read_text())


def checkout(folder: Path) -> Path:
    clone(folder)
    for name in BESIDE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def run(script: str, folder: Path) -> str:
    private = {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    own = {"PYTHONPATH": str(folder / "src"), "PATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | private | own,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    assert "\x1b" not in done.stdout + done.stderr, "colours or bars where nobody watches"
    return done.stdout


def numberless(line: str) -> str:
    """The words of a line: digits, and how wide they are, may differ elsewhere."""
    return " ".join(NUMBER.sub("#", line).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_one_module_and_one_yaml(page):
    """What docs/architecture.md promises of every extension."""
    files = [Path(name) for _, name, _ in blocks(page) if name]
    assert sorted(path.suffix for path in files) == [".py", ".yaml"]
    assert not [path for path in files if (ROOT / path).exists()], "would overwrite the project's"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_tutorial_does_what_it_says(page, tmp_path):
    folder = checkout(tmp_path / "medgraft")
    printed = ""
    for language, name, text in blocks(page):
        if name:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        elif language == "bash":
            printed += run(text, folder)
        else:
            told = "\n".join(map(numberless, printed.splitlines()))
            assert [line for line in text.splitlines() if numberless(line) not in told] == [], told


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_modules_are_clean(page, tmp_path):
    """What a reader copies passes the project's own linter."""
    for language, name, text in blocks(page):
        if language == "python":
            path = tmp_path / name
            path.parent.mkdir(parents=True)
            path.write_text(text)
    settings = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", str(tmp_path)]
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, *settings]
        done = subprocess.run(ruff, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

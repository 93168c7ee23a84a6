import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")

# A test says the same of the same code every time. To look for new examples:
# pytest --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout the tests belong to."""
    return ROOT


@pytest.fixture(scope="session")
def cohorts_folder() -> Path:
    """Real cohorts beside the checkout; named by MEDGRAFT_COHORTS where they lie elsewhere."""
    folder = Path(os.environ.get("MEDGRAFT_COHORTS", ROOT.parent / "shared" / "cohorts"))
    if not folder.is_dir():
        pytest.skip(f"needs the real cohorts in {folder} (or set MEDGRAFT_COHORTS)")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """The system's Chromium without a window."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"needs a browser: one of {', '.join(BROWSERS)}")
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        # Containers run as root, where Chromium's sandbox does not start.
        started = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def one_process(monkeypatch):
    """A group of this process alone: what is cut is in one part, and not for everybody to read."""
    from torch import distributed

    monkeypatch.setattr(os, "environ", os.environ.copy())  # Lightning leaves ranks there
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A project folder without data or results, as the working directory."""
    shutil.copytree(root / "conf", tmp_path / "conf")
    for name in ("dvc.yaml", "data.dvc", "params.yaml"):
        shutil.copy(root / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(capsys):
    """Calls the command; returns exit code, output and errors."""

    from medgraft import cli

    def _run(*arguments: str):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return _run

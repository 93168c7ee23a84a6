import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

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

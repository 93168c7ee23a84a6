from pathlib import Path

import pytest

from .simulated import Simulated, simulate


@pytest.fixture(scope="package")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    return simulate(tmp_path_factory.mktemp("binary"))


@pytest.fixture(
    scope="package", params=["binary", "multiclass", "regression", "multilabel", "survival"]
)
def any_task(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    folder: Path = tmp_path_factory.mktemp("any")
    return simulate(folder, task=request.param)

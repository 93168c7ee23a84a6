import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medgraft.reporting import card, checklists

from .papers import facts
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


@pytest.fixture(scope="package")
def papers(
    any_task: Simulated, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], Path]:
    """The facts of a study, and the folder with the card and the checklists made of them."""
    folder: Path = tmp_path_factory.mktemp("papers")
    told = facts(any_task, folder)
    card.write(folder, told)
    checklists.write(folder, told)
    return told, folder


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, Any]]:
    """Call it with a module of reporting: what it draws is there, by name, before it is an SVG."""

    def watch(module: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        there = importlib.import_module(f"medgraft.reporting.{module}")
        real = there.finish

        def finish(figure: Any, name: str, **told: str) -> Any:
            found[name] = figure
            return real(figure, name, **told)

        monkeypatch.setattr(there, "finish", finish)
        return found

    return watch

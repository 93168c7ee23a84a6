import pytest

from medgraft import cli
from sites import OWN, lay

SMALL = (
    *(one for one in OWN if "design" not in one and "max_steps" not in one),
    "design.runs=1", "design.sources=1", "design.folds=2", "trainer.max_steps=20",
    "strategies=[scratch,fine_tune]",
)  # fmt: skip


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lay(root, tmp_path)


@pytest.fixture
def unlogged(monkeypatch):
    """Without MLflow, whose database takes longer to make than a small sweep."""
    monkeypatch.setattr("medgraft.sweep.best.log", lambda *_: None)


@pytest.fixture
def ask(capsys):
    """Calls `medgraft sweep`; returns exit code, output and errors."""

    def _ask(*arguments: str):
        with pytest.raises(SystemExit) as end:
            cli.main(["sweep", *arguments])
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return _ask

import json
import shutil

import pytest
import yaml

from medgraft.errors import StageError
from medgraft.stages.deploy import deploy


@pytest.fixture
def project(ward, root, tmp_path, monkeypatch):
    """A checkout in which everything before deploy has run."""
    shutil.copy(root / "dvc.yaml", tmp_path)
    shutil.copytree(ward.work, tmp_path / "work")
    shutil.rmtree(tmp_path / "work" / "champion")
    cohort = {
        "folder": str(ward.cohort),
        "source": ["big"],
        "target": ["small"],
        "outcome": {"source": "fate", "target": "fate"},
        "origin": None,
        "notice": "",
    }
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"cohort": cohort}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_stage_ships_the_verdict_champion(project, ward, capsys):
    deploy()
    assert capsys.readouterr().out == "champion: network, in work/champion\n"
    shipped = (project / "work" / "champion" / "weights.safetensors").read_bytes()
    assert shipped == (ward.champion / "weights.safetensors").read_bytes()
    made = json.loads((project / "work" / "champion" / "champion.json").read_text())["made"]
    assert sorted(made) == ["data", "design", "versions"]


def test_stage_names_missing_strategy(project):
    shutil.rmtree(project / "work" / "finetuned" / "network")
    with pytest.raises(StageError, match=r"finetuned/network/weights.safetensors not found"):
        deploy()

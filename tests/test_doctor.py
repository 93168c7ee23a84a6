import json
import shutil
import sys

import pytest

from medgraft import cli, doctor


@pytest.fixture
def project(root, project):
    """A clone before anything was run, as the working directory."""
    shutil.copy(root / "constraints.txt", project)
    return project


def remedies(project) -> dict[str, str]:
    return {check.name: check.remedy for check in doctor.examine(project) if check.remedy}


def test_sound_project_needs_a_commit_alone(project):
    assert set(remedies(project)) == {"git"}  # the copy is no repository


def test_other_release_than_results_were_made_with_is_told(project):
    text = (project / "constraints.txt").read_text()
    (project / "constraints.txt").write_text(text.replace("scipy==", "scipy==0.0."))
    told = remedies(project)["scipy"]
    assert "pip install -c constraints.txt 'scipy==0.0." in told


def test_unknown_setting_is_told(project):
    (project / "conf" / "chosen.yaml").write_text("trainer: {patienec: 3}\n")
    assert remedies(project)["configuration"] == "medgraft compose --defaults"


def test_changed_raw_data_are_told(project):
    (project / "data").mkdir()
    (project / "data" / "stray.csv").write_text("a\n1\n")
    (project / "params.yaml").write_text("cohort: {folder: data/breast}\n")
    assert "raw data" in remedies(project)


def test_full_disk_is_told(project, monkeypatch):
    monkeypatch.setattr(doctor, "ROOM", 2**60)
    assert "GiB free" in remedies(project)["disk"]


def test_programs_read_json_and_the_exit_code(project, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert left.value.code == 1
    assert {"name", "found", "remedy"} == set(told[0])


def test_installation_without_torch_is_examined_all_the_same(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (project / "constraints.txt").unlink()
    assert "cores" in {check.name for check in doctor.examine(project)}

import json
import shutil
import subprocess
import sys

import pytest

from medgraft import cli, doctor
from medgraft.raw_data import add


@pytest.fixture
def project(root, project):
    """A clone before anything was run, as the working directory."""
    shutil.copy(root / "constraints.txt", project)
    return project


def remedies(project) -> dict[str, str]:
    return {check.name: check.remedy for check in doctor.examine(project) if check.remedy}


def test_sound_project_needs_a_commit_alone(project):
    assert set(remedies(project)) == {"commit"}  # the copy is no repository


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


@pytest.mark.parametrize("state", ["fresh clone", "sealed before"])
def test_described_folder_is_sealed_by_the_command_that_init_cohort_prints(state, project, run):
    rows = "".join(f"{40 + n % 31}.5,{n % 2}\n" for n in range(40))
    for site in ("large", "small"):
        (project / f"{site}.csv").write_text(f"age,died\n{rows}")
    (project / "data").mkdir()
    if state == "sealed before":
        subprocess.run(["git", "init", "--quiet"], check=True)
        subprocess.run(["dvc", "init", "--quiet"], check=True)
        (project / "data" / "other.csv").write_text("a\n1\n")
        add(project)
    printed = run("init-cohort", "large.csv", "small.csv", "--outcome=died", "--into=data/mine")[1]
    assert remedies(project)["raw data"] == printed.splitlines()[-1].strip()
    (project / "data" / "mine" / "cohort.yaml").write_text("name: ")
    assert remedies(project)["raw data"] == "see README, Your own cohorts"


def test_full_disk_is_told(project, monkeypatch):
    monkeypatch.setattr(doctor, "ROOM", 2**60)
    assert "GiB free" in remedies(project)["disk"]


def test_programs_read_json_and_the_exit_code(project, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["doctor", "--json"])
    told = json.loads(capsys.readouterr().out)
    assert left.value.code == 1
    assert {"name", "found", "remedy"} == set(told[0])


def test_outside_a_project_the_installation_is_examined(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    code, out, _ = run("doctor")
    assert code == 0
    for name in ("Python", *doctor.OURS, "git", "disk"):
        assert f"ok  {name}: " in out
    assert f"ok  project: left out (commit, configuration, raw data): {tmp_path}: expected" in out


def test_absent_package_is_told_where_nothing_is_pinned(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "OURS", ("no-such-package",))
    assert remedies(tmp_path) == {"no-such-package": "pip install no-such-package"}


def test_installation_without_torch_is_examined_all_the_same(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    (project / "constraints.txt").unlink()
    assert "cores" in {check.name for check in doctor.examine(project)}

import json
import re
import shutil
import subprocess
import sys

import pytest

from medgraft import __version__, cli, composition, raw_data

VERDICT = {
    "primary": "auroc",
    "reference": "scratch",
    "sentence": "Transfer learning helps: fine_tune reaches AUROC 0.900, 0.100 more than scratch.",
    "strategies": {
        "fine_tune": {
            "value": 0.9,
            "difference": 0.1,
            "low": 0.05,
            "high": 0.15,
            "p_holm": 0.0004,
            "verdict": "helps",
            "higher_is_better": True,
        }
    },
    "champion": {"strategy": "fine_tune", "reason": "On validation patients it beats scratch."},
}


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

    def _run(*arguments: str):
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return _run


def test_help_lists_every_command(run):
    code, out, _ = run("--help")
    listed = re.findall(r"^    (\w+) +\S", out, re.MULTILINE)
    known = ["repro", "compose", "fetch", "sources", "pairs", "predict", "explain"]
    known += ["verdict"]
    assert (code, listed) == (0, known)
    assert "example: medgraft repro experiment=heart --mirror ../cohorts" in out


def test_version_is_the_packages(run):
    assert run("--version") == (0, f"medgraft {__version__}\n", "")


def test_unknown_command_is_refused(run):
    code, _, err = run("train")
    assert code == 2
    assert "invalid choice: 'train' (choose from " in err


def test_verdict_is_printed(project, run):
    (project / "work" / "evaluation").mkdir(parents=True)
    (project / "work" / "evaluation" / "verdict.json").write_text(json.dumps(VERDICT))
    assert run("verdict")[:2] == (
        0,
        """\
Transfer learning helps: fine_tune reaches AUROC 0.900, 0.100 more than scratch.

strategy   auroc  difference [95 % CI]     p (Holm)  verdict
fine_tune  0.900  +0.100 [+0.050, +0.150]  <0.001    helps
Differences are from scratch.

Champion: fine_tune. On validation patients it beats scratch.

Report: work/evaluation/report.html
""",
    )


def test_verdict_before_repro(project, run):
    path = project / "work" / "evaluation" / "verdict.json"
    assert run("verdict") == (2, "", f"medgraft: {path} not found: run `medgraft repro` first\n")


def test_mistake_is_one_line(project):
    """The real command: exit code 2, one message, no traceback."""
    command = [sys.executable, "-m", "medgraft.cli", "compose", "encoder=mpl"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    expected = "medgraft: encoder=mpl: there is no conf/encoder/mpl.yaml; did you mean 'mlp'?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_outside_project_is_said(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    message = f"medgraft: {tmp_path}: expected a medgraft project (a folder with dvc.yaml)\n"
    assert run("compose") == (2, "", message)


def test_overrides_last_until_replaced(project, run):
    def widths():
        return cli.config.read_params(project)["encoder"]["widths"]

    run("compose", "encoder.widths=[8]")
    assert widths() == [8]
    run("compose")
    assert widths() == [8]
    run("compose", "seed=3")
    assert widths() == [64, 64]
    run("compose", "--defaults")
    assert widths() == [64, 64]
    assert cli.config.read_params(project)["seed"] == 2026


def test_refused_overrides_are_forgotten(project, run):
    run("compose", "encoder.widths=[8]")
    assert run("compose", "design.folds=1")[0] == 2
    assert composition.compose(project)["encoder"]["widths"] == [8]


# Raw data. Copying is enough to seal here: what DVC does with it is tested where it runs.


@pytest.fixture
def sealing(project, monkeypatch):
    """Notes what would have been sealed."""
    calls = []
    monkeypatch.setattr(raw_data, "dvc", lambda _, *arguments: calls.append(arguments) or 0)
    return calls


ADD = ("add", "--quiet", "data")


def test_fresh_clone_gets_sealed_data(project, sealing, run):
    """The data made here are the bytes that data.dvc names."""
    assert run("fetch") == (0, "", "")
    assert sealing == [ADD]  # into DVC's cache; data.dvc says so already
    assert (project / "data" / "breast" / "clinic.csv").is_file()


def test_changed_byte_is_refused(project, sealing, run):
    """In a clone whose DVC cache cannot tell which bytes were sealed."""
    run("fetch")
    path = project / "data" / "breast" / "clinic.csv"
    path.write_bytes(path.read_bytes().replace(b"malignant", b"benignant", 1))
    sealing.clear()
    code, out, err = run("fetch")
    assert (code, out, sealing) == (2, "", [])
    assert err == (
        f"medgraft: {project}/data/breast: exists and differs in clinic.csv; "
        "move it away to write it anew\n"
    )


def test_own_folder_joins_seal(project, sealing, run):
    """A fresh clone, another cohort first: the sealed one is made, the new one added."""
    own = project / "data" / "mine"
    own.mkdir(parents=True)
    (own / "a.csv").write_text("1")
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    assert run("fetch")[:2] == (0, "sealed 1 new files of data/mine in data.dvc\n")
    assert sealing == [ADD]


def test_foreign_file_is_refused(project, sealing, run):
    """Only the configured cohort's own folder may grow: not one whose name ends alike."""
    (project / "data" / "my_mine").mkdir(parents=True)
    (project / "data" / "my_mine" / "a.csv").write_text("1")
    (project / "data" / "mine").mkdir()
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    code, _, err = run("fetch")
    assert (code, sealing) == (2, [])
    assert "data: not the bytes that" in err


def test_absent_own_folder_is_named(project, sealing, run):
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    code, _, err = run("fetch")
    assert (code, sealing) == (2, [])
    assert err == (
        f"medgraft: {project}/data/mine: the folder is absent; "
        "cohort.folder must name your raw files\n"
    )


def test_mirror_replaces_network(project, sealing, run, cohorts_folder, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", None)
    run("compose", "experiment=heart")
    assert run("fetch", "--mirror", str(cohorts_folder))[0] == 0
    kept = cohorts_folder / "uci_heart_disease" / "processed.va.data"
    assert (project / "data" / "heart" / kept.name).read_bytes() == kept.read_bytes()


def test_empty_mirror_is_named(project, sealing, run, tmp_path):
    run("compose", "experiment=heart")
    code, _, err = run("fetch", "--mirror", str(tmp_path / "none"))
    missing = tmp_path / "none" / "uci_heart_disease" / "processed.cleveland.data"
    assert code == 2
    assert err == (
        f"medgraft: {missing}: cannot be read from the mirror: No such file or directory\n"
    )
    assert not (project / "data" / "heart").exists()


def test_failed_sealing_is_said(project, monkeypatch, run):
    monkeypatch.setattr(raw_data, "dvc", lambda *_: 1)
    assert run("fetch") == (2, "", "medgraft: DVC could not seal data/; it has said why\n")

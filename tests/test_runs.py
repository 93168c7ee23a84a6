"""Finished runs, found in folders and in MLflow, and `medgraft report`."""

import json
import shutil

import pytest
import yaml

from medgraft import cli, runs
from medgraft.config import read_params
from medgraft.errors import MedgraftError
from medgraft.tracking import recall, track
from test_tracking import PARAMS, SENTENCE, TAGS, _make_work

STRATEGIES = PARAMS | {
    "finetune@fine_tune": {"seed": 1, "strategies": {"fine_tune": {"init": "source"}}}
}


def lock(params: dict) -> str:
    """A ``dvc.lock``, which has the parameters of a stage under dotted names."""
    stages = {
        "preprocess": {
            "deps": [{"path": "src", "md5": "c0de.dir"}, {"path": "data/heart", "md5": "d4ta.dir"}],
            "params": {"params.yaml": params},
        },
        "finetune@fine_tune": {"params": {"params.yaml": {"strategies.fine_tune": {"last": 2}}}},
        "finetune@forgotten": {"params": {"params.yaml": {"strategies.forgotten": {"last": 9}}}},
        "track": {"params": {"params.yaml": {"tracking": {"uri": "elsewhere"}}}},
    }
    return yaml.safe_dump({"schema": "2.0", "stages": stages})


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a finished run."""
    root = tmp_path / "checkout"
    _make_work(root / "work")
    (root / "dvc.lock").write_text(
        lock({"seed": 7, "design": {"folds": 5}, "cohort": {"folder": "data/heart"}})
    )
    return root


def test_checkout_and_its_results_are_the_same_run(checkout):
    whole = runs.read_run(str(checkout))
    inside = runs.read_run(str(checkout / "work" / "evaluation"))
    assert whole.verdict["sentence"] == SENTENCE
    assert (whole.params, whole.hashes, whole.sizes) == (inside.params, inside.hashes, inside.sizes)
    assert whole.hashes["raw data"] == "d4ta.dir"
    assert whole.sizes["target"] == {"name": "va", "patients": 100}


def test_parameters_are_those_the_results_were_made_with(checkout):
    """Not of the address of MLflow, nor of a strategy that is no longer studied."""
    assert runs.read_run(str(checkout)).params == {
        "seed": "7",
        "design.folds": "5",
        "cohort.folder": "data/heart",
        "strategies.fine_tune.last": "2",
    }


def test_results_alone_are_enough(checkout, tmp_path):
    """Two files that somebody mailed: what is not beside them is not known, and not made up."""
    alone = tmp_path / "mailed"
    alone.mkdir()
    for name in ("verdict.json", "metrics.json"):
        shutil.copy(checkout / "work" / "evaluation" / name, alone)
    found = runs.read_run(str(alone))
    assert (found.params, found.sizes) == ({}, {})
    assert not any(found.hashes.values())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "verdict.json").unlink(), "no finished run: expected verdict"),
        (lambda folder: (folder / "metrics.json").write_text("{"), "not JSON"),
        (lambda folder: (folder / "verdict.json").write_text("{}"), "verdict.json lacks champion"),
    ],
)
def test_unfinished_run_is_refused(spoil, message, checkout):
    spoil(checkout / "work" / "evaluation")
    with pytest.raises(MedgraftError, match=message):
        runs.read_run(str(checkout))


@pytest.fixture(scope="module")
def store(root, tmp_path_factory):
    """A project whose MLflow has two runs of one name: its folder, the address, their ids."""
    project = tmp_path_factory.mktemp("project")
    for name in ("dvc.yaml", "params.yaml"):
        shutil.copy(root / name, project)
    stages = {stage: {"params": {"params.yaml": own}} for stage, own in STRATEGIES.items()}
    (project / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    work = _make_work(project / "work")
    uri = runs.located(read_params(project)["tracking"]["uri"], project)
    told = {
        "uri": uri,
        "experiment": "heart",
        "tags": TAGS | {"data": "d4ta"},
        "reused": set(),
        "previous": {},
    }
    made = [track(work, params=STRATEGIES, **told)["pipeline"] for _ in range(2)]
    return project, uri, made


@pytest.fixture
def logged(store, monkeypatch):
    """The same, as the working directory."""
    monkeypatch.chdir(store[0])
    return store


def test_run_of_mlflow_is_that_of_the_folder(logged):
    project, _, (first, _) = logged
    found, folder = runs.read_run(first), runs.read_run(str(project))
    assert found.verdict == folder.verdict
    assert found.metrics == folder.metrics
    assert found.sizes == folder.sizes
    assert found.params == folder.params
    assert {role: found.hashes[role] for role in found.sizes} == {
        role: folder.hashes[role] for role in folder.sizes
    }
    assert found.hashes["raw data"] == "d4ta"
    assert found.params["strategies.fine_tune.init"] == "source"


def test_name_of_two_runs_is_refused_with_their_ids(logged):
    ids = logged[2]
    name = runs.read_run(ids[0]).name
    with pytest.raises(MedgraftError, match=r"2 runs at .* are called so; give an id: ") as error:
        runs.read_run(name)
    assert all(one in str(error.value) for one in ids)


def test_run_logged_without_results_is_refused(logged, tmp_path):
    project, uri, (_, second) = logged
    next((project / "mlflow").rglob(f"{second}/artifacts/verdict.json")).unlink()
    with pytest.raises(MedgraftError, match=r"lacks verdict.json: .* name the folder"):
        recall(second, uri=uri, work=project / "work", into=tmp_path)


def test_unknown_run_is_one_line(logged, run):
    code, out, err = run("report", "--compare", logged[2][0], "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("medgraft: nowhere: neither a folder nor the name or id of a finished")
    assert err.count("\n") == 1


def test_folder_that_is_none_is_one_line_without_mlflow(project, run):
    code, _, err = run("report", "--compare", "nowhere", "nowhere")
    assert code == 2
    assert err.startswith("medgraft: nowhere: no such folder, and no MLflow run: there is no ")
    assert not (project / "mlflow").exists(), "asking makes no database"


def test_one_run_is_no_comparison(checkout, run):
    code, _, err = run("report", "--compare", str(checkout))
    assert code == 2
    assert err == f"medgraft: --compare: expected two runs or more, got {checkout} alone\n"


def test_report_says_where_it_is(project, run):
    path = project / "work" / "evaluation" / "report.html"
    missing = f"medgraft: {path} not found: run `medgraft repro` first\n"
    assert run("report") == (2, "", missing)
    _make_work(project / "work")
    assert run("report") == (0, f"{path}\n", "")
    assert json.loads(run("report", "--json")[1]) == {"report": str(path)}


def test_compared_for_a_reader_and_for_programs(checkout, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "other"
    shutil.copytree(checkout, other)
    (other / "dvc.lock").write_text((other / "dvc.lock").read_text().replace("seed: 7", "seed: 8"))
    code, out, _ = run("report", "--compare", "checkout", "other")
    assert code == 0
    assert out.count(SENTENCE[:40]) == 2
    assert "seed       7  8" in out
    assert out.endswith("Page: work/comparison.html\n")
    assert "checkout" in (tmp_path / "work" / "comparison.html").read_text()
    told = json.loads(run("report", "--compare", "checkout", "other", "--json")[1])
    assert told["parameters"] == {"seed": ["7", "8"]}
    assert [one["name"] for one in told["runs"]] == ["checkout", "other"]


def test_command_is_listed():
    assert "report" in cli.RUNS

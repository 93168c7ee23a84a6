"""What users of DVC are used to: experiments, a queue, comparison, a remote."""

import csv
import json
import re
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from .project import STRATEGIES, commit, done, dvc, git, medgraft, python, ran
from .test_pipeline import ALL, JUDGED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

QUEUED = {"draws-1": 300, "draws-2": 400}
SGD = ("-S", "optimizer@finetune.optimizer=sgd", "-S", "finetune.optimizer.lr=0.02")
# What `dvc exp show` lists besides results and parameters.
FILES = "src.*|work.*|conf"
STORE = "sqlite:///mlflow/mlflow.db"


def drain(folder: Path) -> None:
    """Run what is queued with two workers; return when they have gone, whatever happened."""
    done(dvc(folder, "queue", "start", "--jobs", "2"))
    limit = time.monotonic() + 600
    try:
        while re.search("Queued|Running", done(dvc(folder, "queue", "status"))):
            assert time.monotonic() < limit, "the queue does not end"
            time.sleep(1)
    finally:
        dvc(folder, "queue", "stop", *([] if time.monotonic() < limit else ["--kill"]))
        while working(folder) and time.monotonic() < limit + 60:
            time.sleep(0.5)


def working(folder: Path) -> list[int]:
    """Processes whose working directory is the project or within."""
    found = []
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder):
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


@dataclass
class Explored:
    """A project after a queue of two experiments and a third one in the workspace."""

    folder: Path
    queue: str
    workspace: str
    afterwards: str


@pytest.fixture(scope="module")
def explored(finished_once, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explored") / "project"
    shutil.copytree(finished_once, folder, symlinks=True)
    commit(folder)
    values = ",".join(str(value) for value in QUEUED.values())
    done(dvc(folder, "exp", "run", "--queue", "-n", "draws", "-S", f"evaluation.draws={values}"))
    drain(folder)
    return Explored(
        folder,
        queue=done(dvc(folder, "queue", "status")),
        workspace=done(dvc(folder, "exp", "run", "-n", "descent", *SGD)),
        afterwards=done(dvc(folder, "repro")),
    )


@pytest.fixture(scope="module")
def logged(explored):
    """Every MLflow run as (experiment of DVC, stage) -> parameters and tags."""
    code = f"""
import json, mlflow
client = mlflow.MlflowClient({STORE!r})
ids = [one.experiment_id for one in client.search_experiments()]
runs = [
    {{"id": run.info.run_id, "status": run.info.status, "files": run.info.artifact_uri}}
    | run.data.params | run.data.tags
    for run in client.search_runs(ids)
]
versions = [one.run_id for one in client.search_model_versions()]
print(json.dumps([runs, versions]))
"""
    runs, versions = json.loads(done(python(explored.folder, "-c", code)))
    return {(run.get("dvc_exp", ""), run["dvc_stage"]): run for run in runs}, versions


# A run in the workspace


def test_group_and_value_reach_their_stages(explored, logged):
    """A Hydra group and a value; pretraining has an optimiser of its own and is not repeated."""
    assert ran(explored.workspace) == ["compose", *ALL, *JUDGED]
    for strategy in STRATEGIES:
        run = logged[0]["descent", f"finetune@{strategy}"]
        chosen = run["finetune.optimizer"], run["finetune.optimizer.lr"]
        assert chosen == ("SGD", "0.02")


def test_repro_after_experiment_does_nothing(explored):
    assert ran(explored.afterwards) == []
    assert "Data and pipelines are up to date." in explored.afterwards


# A queue


def test_both_queued_succeed_and_leave_no_process(explored):
    assert {name: explored.queue.count(name) for name in QUEUED} == dict.fromkeys(QUEUED, 1)
    assert (explored.queue.count("Success"), explored.queue.count("Failed")) == (2, 0)
    assert working(explored.folder) == []


def test_queued_runs_are_in_the_projects_store(explored, logged):
    """And so is the report; the copy of the project they ran in is gone."""
    runs = logged[0]
    assert not list((explored.folder / ".dvc" / "tmp" / "exps").glob("tmp*"))
    for name, draws in QUEUED.items():
        assert runs[name, "pipeline"]["status"] == "FINISHED"
        assert runs[name, "evaluate"]["evaluation.draws"] == str(draws)
        place = runs[name, "pipeline"]["files"].removeprefix("file://")
        assert (Path(place) / "report.html").is_file()


def test_queued_runs_point_to_what_they_reused(explored, logged):
    """Two that end together: each result keeps the run that made it, none is lost."""
    runs = logged[0]
    for name in QUEUED:
        for stage in ("preprocess", "pretrain", *ALL):
            assert runs[name, stage]["reused_from"] == runs["", stage]["id"]
        assert "reused" not in runs[name, "evaluate"]
    made = json.loads((explored.folder / "mlflow" / "made.json").read_text())
    judged = {run for name, run in made.items() if name.startswith("evaluate ")}
    assert judged == {runs[name, "evaluate"]["id"] for name in ("", "descent", *QUEUED)}


def test_queue_serves_nothing(logged):
    """What is tried out in a queue does not become the champion that others are served."""
    runs, versions = logged
    assert versions
    assert set(versions) <= {runs[name, "pipeline"]["id"] for name in ("", "descent")}


# Comparison


def shown(folder: Path, *arguments: str) -> dict[str, dict[str, str]]:
    """The table of `dvc exp show`, by experiment."""
    text = done(dvc(folder, "exp", "show", "--csv", *arguments))
    rows = list(csv.DictReader(text.splitlines()))
    return {row["Experiment"] or row["rev"]: row for row in rows}


def headline(folder: Path) -> dict[str, dict[str, float]]:
    return json.loads((folder / "work" / "evaluation" / "headline.json").read_text())


def test_show_has_parameters_and_headline(explored):
    table = shown(explored.folder)
    assert table.keys() == {"workspace", "master", "descent", *QUEUED}
    for strategy, numbers in headline(explored.folder).items():
        assert float(table["descent"][f"{strategy}.auroc"]) == numbers["auroc"]
    assert [table[name]["evaluation.draws"] for name in ("master", *QUEUED)] == [
        "200",
        "300",
        "400",
    ]


def test_show_is_narrow_when_asked(explored):
    """Parameters that differ and nothing else but results."""
    table = shown(explored.folder, "--only-changed", "--drop", FILES)
    columns = {key for key in table["descent"] if "." in key}
    parameters = {key for key in columns if key.split(".")[0] not in STRATEGIES}
    assert parameters == {
        "evaluation.draws",
        "finetune.optimizer._target_",
        "finetune.optimizer.lr",
        "finetune.optimizer.momentum",
        "finetune.optimizer.weight_decay",
    }


def test_diffs_say_what_changed(explored):
    folder = explored.folder
    params = json.loads(done(dvc(folder, "params", "diff", "HEAD", "draws-1", "--json")))
    assert params == {"params.yaml": {"evaluation.draws": {"old": 200, "new": 300, "diff": 100}}}
    metrics = json.loads(done(dvc(folder, "metrics", "diff", "HEAD", "descent", "--json")))
    changed = metrics["work/evaluation/headline.json"]["scratch.auroc"]
    assert changed["old"] != changed["new"] == headline(folder)["scratch"]["auroc"]


def test_plots_show_every_figure(explored):
    """Under its name, as evaluated; the page asks no other machine for anything."""
    folder = explored.folder
    done(dvc(folder, "plots", "diff", "HEAD", "descent"))
    page = (folder / "dvc_plots" / "index.html").read_text()
    figures = sorted((folder / "work" / "evaluation" / "figures").glob("*.svg"))
    assert {figure.stem for figure in figures} == {
        "calibration", "comparison", "drift", "flow", "learning", "performance",
        "precision_recall", "recalibration", "roc", "sample_size", "sets", "utility",
    }, "no threshold: too few validation cases"  # fmt: skip
    titles = [f"work/evaluation/figures/{figure.name}" for figure in figures]
    assert re.findall(r"<p>(.*?)</p>", page) == [
        text for title in titles for text in (title, "HEAD", "descent")
    ]
    for figure in figures:
        (now,) = (folder / "dvc_plots" / "static").glob(f"descent_*_{figure.name}")
        assert f'src="static/{now.name}"' in page
        assert now.read_bytes() == figure.read_bytes()
    assert "http" not in page


# An experiment becomes the project's


def test_applied_experiment_stays(explored, tmp_path):
    """DVC has nothing to do, and composing again does not undo what was applied."""
    folder = shutil.copytree(explored.folder, tmp_path / "project", symlinks=True)
    done(dvc(folder, "exp", "apply", "draws-2"))
    assert ran(done(dvc(folder, "repro"))) == []
    output = done(medgraft(folder, "repro"))
    kept = "kept from the experiment, in conf/chosen.yaml: evaluation.draws=400"
    assert output.splitlines()[0] == kept
    assert ran(output) == ["compose"]  # conf/ has changed; nothing that follows from it
    assert yaml.safe_load((folder / "params.yaml").read_text())["evaluation"]["draws"] == 400
    again = done(medgraft(folder, "repro"))
    assert (ran(again), kept in again) == ([], False)


SERVED = f"""
import pathlib, mlflow
from medgraft.deployment.registry import fingerprint_of
version = mlflow.MlflowClient({STORE!r}).get_model_version_by_alias("medgraft-breast", "champion")
print(version.tags["fingerprint"] == fingerprint_of(pathlib.Path("work/champion")))
"""


def test_applied_champion_is_served_once_tracked(explored, tmp_path):
    folder = shutil.copytree(explored.folder, tmp_path / "project", symlinks=True)
    done(dvc(folder, "exp", "apply", "draws-2"))
    assert done(python(folder, "-c", SERVED)).strip() == "False"
    assert ran(done(dvc(folder, "repro", "--force", "--single-item", "track"))) == ["track"]
    assert done(python(folder, "-c", SERVED)).strip() == "True"


# A remote


def test_pulled_clone_trains_nothing(finished, tmp_path):
    remote, fresh = tmp_path / "remote", tmp_path / "fresh"
    done(dvc(finished, "remote", "add", "--default", "backup", str(remote)))
    done(dvc(finished, "push"))
    commit(finished)
    git(tmp_path, "clone", "--quiet", str(finished), str(fresh))
    done(dvc(fresh, "pull"))
    output = done(dvc(fresh, "repro"))
    assert (ran(output), "Data and pipelines are up to date." in output) == ([], True)
    output = done(medgraft(fresh, "repro"))
    assert ran(output) == []
    assert output.endswith(done(medgraft(finished, "verdict")))

"""The tutorial of README and docs/own-cohort.md: undescribed files, one command, the pipeline."""

import json
import shlex

import pytest

from medgraft.cohorts.catalogue import breast

from .project import SMALL, clone, medgraft

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path):
    """A fresh clone beside two files that nobody has described."""
    folder = clone(tmp_path / "project")
    breast.materialise(tmp_path / "published", None)
    for site in ("reference_laboratory", "clinic"):
        (tmp_path / f"{site}.csv").write_bytes((tmp_path / f"published/{site}.csv").read_bytes())
    return folder


def test_own_files_get_a_verdict_from_two_commands(project):
    files = ["../reference_laboratory.csv", "../clinic.csv"]
    chosen = ["--outcome", "diagnosis", "--patient", "patient_id", "--into", "data/mine"]
    drafted = medgraft(project, "init-cohort", *files, *chosen)
    assert drafted.returncode == 0, drafted.stderr
    program, *arguments = shlex.split(drafted.stdout.strip().split("\n")[-1])
    assert program == "medgraft"
    answered = medgraft(project, *arguments, *SMALL, "design.sizes=[10,20]")
    assert answered.returncode == 0, answered.stderr
    verdict = json.loads((project / "work/evaluation/verdict.json").read_text())
    assert set(verdict["strategies"]) >= {"fine_tune", "logistic_regression"}
    readings = json.loads((project / "work/evaluation/readings.json").read_text())
    saved = readings["patients_saved"]
    whole = 27  # of 72 patients half are tested, a fifth of the others decide when to stop
    assert [curve["size"] for curve in saved["curves"].values()] == [[10, 20, whole]] * 3
    spoken = [one["sentence"] for one in saved["savings"] if one["strategy"] == "fine_tune"]
    assert [words.split(" patients")[0] for words in spoken] == ["10", "20", f"{whole}"]
    assert spoken[0] in (project / "work/evaluation/report.html").read_text()

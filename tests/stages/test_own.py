"""Cohorts of one's own, whole; and the leaks that no run may survive."""

import json

import pytest

from .project import DESCRIPTION, OWN, SMALL, done, medgraft, replace

pytestmark = pytest.mark.slow

CHEAP = (*SMALL, "trainer.max_steps=200")
PRIMARY = {"binary": "auroc", "multiclass": "auroc", "regression": "r2"}
OUTCOME = {"binary": "died", "multiclass": "grade", "regression": "stay"}


def repro(project, *overrides: str):
    return medgraft(project, "repro", *OWN, *CHEAP, *overrides)


def task(kind: str) -> list[str]:
    return [f"task={kind}", f"cohort.outcome.target={OUTCOME[kind]}"]


def results(project) -> tuple[dict, dict]:
    folder = project / "work" / "evaluation"
    return tuple(json.loads((folder / f"{n}.json").read_text()) for n in ("verdict", "metrics"))


@pytest.mark.parametrize("kind", PRIMARY)
def test_own_cohort_is_judged(own, kind):
    """A clone, a folder of files, one command; what severity decides is found by every strategy."""
    output = done(repro(own, *task(kind)))
    assert "sealed 3 new files of data/mine in data.dvc" in output
    assert "source big (data/mine/big.csv): 120 rows read, 120 used (120 patients)" in output
    assert "target small (data/mine/small.csv): 80 rows read, 80 used (40 patients)" in output
    verdict, metrics = results(own)
    assert (verdict["task"], verdict["rows"], verdict["patients"]) == (kind, 80, 40)
    for name in ("fine_tune", "logistic_regression"):
        assert metrics[name][PRIMARY[kind]]["value"] > 0.7, name
    assert "Report: work/evaluation/report.html" in output


def test_masked_mode_keeps_features(own):
    """What the target lacks stays in the network, and is missing there."""
    output = done(
        repro(
            own, *task("binary"), "preparation.align.mode=masked", "strategies=[scratch,fine_tune]"
        )
    )
    assert "features: 6 shared, 1 source only (troponin); mode masked" in output
    network = json.loads((own / "work" / "finetuned" / "fine_tune" / "network.json").read_text())
    names = {feature["name"]: feature["origin"] for feature in network["schema"]["features"]}
    assert names["troponin"] == "source_only"
    assert results(own)[1]["fine_tune"]["auroc"]["value"] > 0.7


def test_other_outcome_transfers(own):
    """Pretraining on a number, predicting a class: shared layers are what is transferred."""
    roles = [
        "task@source_task=regression",
        "cohort.outcome.source=stay",
        "cohort.outcome.target=died",
    ]
    done(repro(own, *roles, "strategies=[scratch,fine_tune]"))
    assert results(own)[0]["task"] == "binary"


# Leaks


def refused(project, *overrides: str) -> str:
    """What the user reads; nothing was trained."""
    process = repro(project, *(overrides or task("binary")))
    assert process.returncode == 2, process.stdout + process.stderr
    assert "Traceback" not in process.stderr
    assert not (project / "work" / "pretrained").exists()
    return process.stderr


def test_patient_in_both_cohorts(own):
    """One person, the same identifier at both sites."""
    path = own / "data" / "mine" / "small.csv"
    path.write_text(path.read_text().replace("small-0,", "big-0,"))
    message = refused(own)
    assert message.startswith(
        "preprocess: test information would reach training:\n"
        "- 1 patient identifier of the target also in the source"
    )


def test_copied_record_in_both_cohorts(own):
    """One person under two identifiers: the measurements give the copy away."""
    mine = own / "data" / "mine"
    names, *records = [line.split(",") for line in (mine / "big.csv").read_text().splitlines()]
    record = records[1]
    del record[names.index("troponin")]  # not measured at the small site
    record[0] = "small-somebody"
    with (mine / "small.csv").open("a") as file:
        file.write(",".join(record) + "\n")
    message = refused(own)
    assert "test information would reach training:" in message
    assert "1 target row with every value equal to a source row" in message


def test_outcome_among_features(own):
    """A column that is the outcome under another name."""
    mine = own / "data" / "mine"
    for site in ("big", "small"):
        lines = (mine / f"{site}.csv").read_text().splitlines()
        died = lines[0].split(",").index("died")
        copied = [lines[0] + ",autopsy", *(f"{row},{row.split(',')[died]}" for row in lines[1:])]
        (mine / f"{site}.csv").write_text("\n".join(copied) + "\n")
    text = DESCRIPTION.replace("sites:", "  autopsy: {kind: number}\nsites:", 1)
    (mine / "cohort.yaml").write_text(text)
    assert "autopsy alone tells died in every source row that has it" in refused(own)


def test_patient_in_two_folds(own):
    """A design drawn over visits instead of patients is refused before anything trains on it."""
    replace(
        own / "src" / "medgraft" / "preparation" / "prepare.py",
        "design = draw(code, table.y",
        "design = draw(np.arange(len(table)), table.y",
    )
    message = refused(own)
    assert message.startswith("preprocess: the design table is not sound:\n- replica 0: ")
    assert "in both train and test" in message


def test_wrong_task_is_explained(own):
    for role, group in (("target", "task"), ("source", "task@source_task")):
        other = {"target": "source", "source": "target"}[role]
        outcomes = [f"cohort.outcome.{role}=stay", f"cohort.outcome.{other}=died"]
        assert refused(own, *outcomes).startswith(
            f"preprocess: {group}=binary, but outcome 'stay' is regression; "
            f"use {group}=regression\n"
        )

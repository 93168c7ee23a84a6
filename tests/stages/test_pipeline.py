"""The whole pipeline as a user runs it, on the default cohort made small."""

import json
import re

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import load_file

from .project import SMALL, STRATEGIES, clone, done, dvc, medgraft, ran, replace, results

pytestmark = pytest.mark.slow

TRAINED = [f"finetune@{name}" for name in STRATEGIES if name != "logistic_regression"]
ALL = [f"finetune@{name}" for name in STRATEGIES]


def test_two_runs_are_bit_identical(finished_once, tmp_path):
    again = clone(tmp_path / "again")
    done(medgraft(again, "repro", *SMALL))
    expected, found = results(finished_once), results(again)
    assert sum(name.endswith("weights.safetensors") for name in expected) >= 1 + len(STRATEGIES)
    assert [name for name, data in expected.items() if found[name] != data] == []


def test_second_repro_does_nothing(finished):
    output = done(dvc(finished, "repro"))
    assert ran(output) == []
    assert "Data and pipelines are up to date." in output


def test_repeated_command_prints_verdict(finished):
    output = done(medgraft(finished, "repro"))
    assert ran(output) == []
    assert output.endswith(done(medgraft(finished, "verdict")))


def test_flipped_byte_of_a_result_is_put_right(finished):
    """What holds no list of sums is known to DVC: the next run says so and restores it."""
    folders = [finished / "work" / name for name in ("evaluation", "explanation")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    sound = {path: path.read_bytes() for path in files}
    assert {path.name for path in sound} >= {"verdict.json", "report.html", "contributions.json"}
    for path, data in sound.items():
        path.unlink()  # it may be a link into the cache
        path.write_bytes(data[:-9] + bytes([data[-9] ^ 4]) + data[-8:])
    output = done(medgraft(finished, "repro"))
    assert "evaluate" in output
    assert "explain" in output
    assert [path.name for path, data in sound.items() if path.read_bytes() != data] == []


def test_every_patient_is_judged_once(finished_once):
    """72 patients in, 72 accounted for, each tested once per run by a network that had not seen
    them."""
    prepared = finished_once / "work" / "prepared"
    audit = json.loads((prepared / "audit.json").read_text())
    assert {e["cohort"]: (e["rows_read"], e["rows_used"]) for e in audit["accounting"]} == {
        "reference_laboratory": (497, 497),
        "clinic": (72, 72),
    }
    design = pl.read_parquet(prepared / "design.parquet").filter(pl.col("use") == "compare")
    for (_,), run in design.group_by("run"):
        assert sorted(run["test"].explode().to_list()) == list(range(72))
    for row in design.iter_rows(named=True):
        assert not set(row["test"]) & {*row["train"], *row["validation"]}


def fitted_elsewhere(work) -> list[str]:
    """Where a mean or a scale is not that of the replica's own training patients."""
    cohorts = {"pretrained": "source"} | {f"finetuned/{name}": "target" for name in STRATEGIES}
    wrong = []
    for folder, role in cohorts.items():
        design = "source_design" if role == "source" else "design"
        x = np.load(work / "prepared" / role / "x.npy").astype(float)
        weights = load_file(work / folder / "weights.safetensors")
        rows = pl.read_parquet(work / "prepared" / f"{design}.parquet")["train"].to_list()
        if "fine_tune" in folder:  # starts from the source's shared layers, its scales included
            chosen = pl.read_parquet(work / "prepared" / "design.parquet")["source_seed"].to_list()
            rows = pl.read_parquet(work / "prepared" / "source_design.parquet")["train"].to_list()
            rows = [rows[seed] for seed in chosen]
            x = np.load(work / "prepared" / "source" / "x.npy").astype(float)
        for name, statistic in (("mean", np.mean), ("scale", np.std)):
            expected = np.stack([statistic(x[train], axis=0) for train in rows])
            if not np.allclose(weights[f"input.{name}"], expected, rtol=1e-5):
                wrong.append(f"{folder} {name}")
    return wrong


def test_scales_are_of_training_patients(finished_once):
    assert fitted_elsewhere(finished_once / "work") == []


@pytest.mark.parametrize(
    ("file", "own", "all_patients", "stage"),
    [
        ("pretrain.py", "template.fit(patients.x[rows], ", "template.fit(patients.x, ", "pretrain"),
        ("classical.py", "read.fit(patients.x[rows])", "read.fit(patients.x)", "finetune"),
    ],
    ids=["networks", "baselines"],
)
def test_scales_of_everyone_fail_the_run(finished, file, own, all_patients, stage):
    """A pipeline that standardises over all patients, test ones included, gives no result."""
    replace(finished / "src" / "medgraft" / "training" / file, own, all_patients)
    failed = dvc(finished, "repro")
    assert failed.returncode != 0
    said = failed.stdout + failed.stderr
    assert re.search(rf"{stage}\S*: replica 0: input.mean was not computed from its own", said)


def test_changed_byte_is_refused(finished):
    path = finished / "data" / "breast" / "clinic.csv"
    path.chmod(0o644)
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content.replace(b"malignant", b"Malignant", 1))
    before = (finished / "data.dvc").read_bytes()
    refused = medgraft(finished, "repro")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"medgraft: {finished}/data/breast/clinic.csv: changed since it was sealed\n"
        f"`dvc checkout {finished}/data.dvc` restores what was sealed, "
        f"`dvc add {finished}/data` seals this instead\n"
    )
    assert (finished / "data.dvc").read_bytes() == before
    done(dvc(finished, "checkout", "--force", "data.dvc"))
    assert ran(done(medgraft(finished, "repro"))) == []


# Which stages an edit reruns


def settings(*changed: str) -> tuple[str, ...]:
    """The small run's overrides with some replaced."""
    keys = {one.split("=")[0] for one in changed}
    return (*(one for one in SMALL if one.split("=")[0] not in keys), *changed)


def edit(project, path: str) -> None:
    """A comment at the end of a source file."""
    file = project / "src" / "medgraft" / path
    file.write_text(file.read_text() + "# edited\n")


# From predictions that changed everything downstream is made anew.
JUDGED = ["evaluate", "deploy", "explain", "track"]
EDITS = {
    "bootstrap draws": (["evaluation.draws=300"], [], JUDGED),
    "hardware": (["trainer.accelerator=auto"], [], []),
    "evaluation source": ([], ["evaluation/verdict.py"], ["evaluate", "explain"]),
    "baseline source": ([], ["transfer/baselines/linear.py"], [*ALL, "deploy", "explain"]),
    "pretraining source": ([], ["training/pretrain.py"], ["pretrain", *ALL, "deploy", "explain"]),
    "new strategy": (
        ["strategies=[scratch,fine_tune,logistic_regression,linear_probe]"],
        [],
        ["finetune@linear_probe", *JUDGED],
    ),
    "removed strategy": (["strategies=[scratch,fine_tune]"], [], JUDGED),
    "seed": (["seed=1"], [], ["preprocess", "pretrain", *ALL, *JUDGED]),
}


@pytest.mark.parametrize("case", EDITS)
def test_edit_reruns_its_stages(finished, case):
    """Exactly these, besides compose, which is quick and always looks at conf/."""
    overrides, files, expected = EDITS[case]
    for file in files:
        edit(finished, file)
    output = done(medgraft(finished, "repro", *settings(*overrides)))
    assert [stage for stage in ran(output) if stage != "compose"] == expected
    assert ran(done(dvc(finished, "repro"))) == []


def test_revert_restores_results(finished):
    """Going back to earlier settings trains nothing: DVC's run cache has it."""
    predictions = finished / "work" / "finetuned" / "scratch" / "predictions.parquet"
    before = predictions.read_bytes()
    output = done(medgraft(finished, "repro", *settings("finetune.optimizer.lr=0.002")))
    assert ran(output) == ["compose", *ALL, *JUDGED]
    assert predictions.read_bytes() != before
    output = done(medgraft(finished, "repro", *SMALL))
    assert [stage for stage in ran(output) if stage.startswith("finetune")] == []
    assert predictions.read_bytes() == before


def test_own_yaml_reruns_plain_dvc(finished):
    """An edit in conf/ needs no command of ours: `dvc repro` composes."""
    replace(
        finished / "conf" / "evaluation" / "default.yaml", "sensitivity: 0.9", "sensitivity: 0.8"
    )
    assert ran(done(dvc(finished, "repro"))) == ["compose", "evaluate"]

"""What every strategy promises, carried out on a small simulated study of each task."""

import dataclasses
import re

import numpy as np
import polars as pl
import pytest

from medgraft.config import PretrainConfig, Strategy
from medgraft.construct import locate
from medgraft.errors import ConfigError
from medgraft.preparation.arrays import read_json
from medgraft.training.finetune import Study, finetune
from medgraft.training.pretrain import pretrain
from training.simulated import ADAMW, LAST, cohort, design, fit_config, parts, trainer

from . import found

# Of others than the tables below see tests/transfer.
OF_TABLES = [
    path for path in found.of("strategies") if "table" in found.read(path).get("reads", ["table"])
]
FILES = [pytest.param(path, id=path.stem) for path in OF_TABLES]
NO_SURVIVAL = (
    "the baseline {} does not learn survival (disease); leave it out of strategies, or take cox "
    "(sequences: kmer_cox, images: pixel_cox)"
)
TASKS = ("binary", "multiclass", "regression", "multilabel", "survival")
SHORT = trainer(max_steps=20)
COLUMNS = {"binary": 1, "multiclass": 3, "regression": 1, "multilabel": 2, "survival": 3}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """For each task a study, and the same one with another pretrained source."""

    def made(task: str, seed: int) -> Study:
        out = tmp_path_factory.mktemp(f"{task}{seed}")
        source = cohort(150, seed=1 + seed, task=task)
        plan = pl.DataFrame(design((90, 90), 150))
        pretrain(
            source,
            plan.with_columns(init_seed=pl.col("init_seed") + seed),
            spec=parts(task) | {"readout": LAST},
            config=PretrainConfig(optimizer=ADAMW, batch_size=16, hide_probability=0.5),
            trainer=SHORT,
            out=out,
        )
        target = cohort(80, task=task)
        ours = design((40, 20, 40), 80)
        return Study(target, ours, parts(task), out, fit_config(), SHORT, source, plan)

    return {task: (made(task, 0), made(task, 10**6)) for task in TASKS}


def carried_out(path, study: Study, out) -> tuple[pl.DataFrame, dict]:
    strategy = Strategy.model_validate(found.read(path))
    finetune(path.stem, strategy, study, out=out)
    return pl.read_parquet(out / "predictions.parquet"), read_json(out / "summary.json")


def outputs(frame: pl.DataFrame) -> np.ndarray:
    return frame.select(pl.selectors.starts_with("output_")).to_numpy()


def learns(path, task: str) -> bool:
    """Networks learn every task, classes where they relate classes; a baseline what it says."""
    said = found.read(path)
    penalty = said.get("penalty")
    if penalty and locate(penalty["_target_"]).needs_source:
        return task in ("binary", "multiclass")
    return task in said.get("learns", TASKS)


def task_of(path) -> str:
    """One it learns, binary where it does."""
    return "binary" if learns(path, "binary") else "survival"


def pairs(learned: bool) -> list:
    return [
        pytest.param(path, task, id=f"{path.stem}-{task}")
        for path in OF_TABLES
        for task in TASKS
        if learns(path, task) is learned
    ]


@pytest.mark.parametrize(("path", "task"), pairs(learned=False))
def test_what_is_not_learned_is_refused(path, task, studies, tmp_path):
    baseline = found.read(path).get("baseline")
    name = baseline["_target_"].rpartition(".")[2] if baseline else ""
    expected = NO_SURVIVAL.format(name) if task == "survival" else "learns survival, not a"
    expected = expected if baseline else f"the source's outcome (disease, {task}) has none"
    with pytest.raises(ConfigError, match=re.escape(expected)):
        carried_out(path, studies[task][0], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("path", "task"), pairs(learned=True))
def test_every_patient_is_answered(path, task, studies, tmp_path):
    """Each replica answers its validation and test rows, each once, with finite numbers."""
    study, _ = studies[task]
    frame, summary = carried_out(path, study, tmp_path / "out")
    expected = {
        (replica, row, part)
        for part in ("validation", "test")
        for replica, rows in zip(study.design["replica"], study.design[part], strict=True)
        for row in rows
    }
    answered = list(frame.select("replica", "row", "part").iter_rows())
    assert len(answered) == len(expected)
    assert set(answered) == expected
    assert outputs(frame).shape[1] == COLUMNS[task]
    assert np.isfinite(outputs(frame)).all()
    assert summary["strategy"] == path.stem


@pytest.mark.parametrize("path", found.of("strategies"), ids=found.name)
def test_learner_says_what_it_is_for(path):
    """So that others are refused before anything is trained."""
    said = found.read(path)
    assert ("baseline" in said) == ("reads" in said) == ("learns" in said)


@pytest.mark.parametrize("path", found.of("strategies"), ids=found.name)
def test_its_use_is_documented(path):
    """Its line of the table says when to use it."""
    page = (found.CONF.parent / "docs" / "strategies.md").read_text()
    lines = [
        line for line in page.splitlines() if line.startswith("| ") and f"`{path.stem}`" in line
    ]
    assert any(line.split("|")[3].strip() for line in lines)


@pytest.mark.parametrize("path", FILES)
def test_source_is_used_as_said(path, studies, tmp_path):
    """Offered another source, a strategy that says it uses it answers otherwise, and no other."""
    said = Strategy.model_validate(found.read(path))
    offered = said.model_copy(update={"uses_source": True})
    answers = []
    for i, study in enumerate(studies[task_of(path)]):
        finetune(path.stem, offered, study, out=tmp_path / str(i))
        answers.append(outputs(pl.read_parquet(tmp_path / str(i) / "predictions.parquet")))
    assert said.uses_source is not np.array_equal(*answers)


@pytest.mark.parametrize("path", FILES)
def test_test_patients_are_unused(path, studies, tmp_path):
    """Other outcomes and measurements of its test patients change no answer for the others."""
    study, _ = studies[task_of(path)]
    alone = dataclasses.replace(study, design=study.design[:1])
    x, y = study.target.x.copy(), study.target.y.copy()
    rows = alone.design["test"][0].to_list()
    x[rows], y[rows] = 10 * x[rows] + 5, y[rows][::-1]
    tampered = dataclasses.replace(alone, target=dataclasses.replace(study.target, x=x, y=y))
    one, two = (
        carried_out(path, each, tmp_path / str(i))[0].filter(part="validation")
        for i, each in enumerate((alone, tampered))
    )
    assert np.array_equal(outputs(one), outputs(two))


@pytest.mark.parametrize("path", FILES)
def test_same_study_same_bytes(path, studies, tmp_path):
    study, _ = studies[task_of(path)]
    for name in ("a", "b"):
        carried_out(path, study, tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert "weights.safetensors" in files
    for file in files:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file

"""From a checkpoint's folder to a verdict, in a project of its own."""

import json

import pytest

from networks.tiny_checkpoint import write

from .project import clone, done, medgraft

pytestmark = pytest.mark.slow
RUN = (
    "cohort=simulated_sequence",
    "cohort.origin.source_patients=120",
    "cohort.origin.target_patients=60",
    "preparation=sequence",
    "encoder=tiny",
    "pretext@pretrain.pretext=tiny",
    "strategies=[scratch,linear_probe]",
    "design.runs=2",
    "design.folds=2",
    "design.sources=2",
    "trainer.max_steps=30",
    "evaluation.draws=200",
)


def test_checkpoint_reaches_a_verdict(tmp_path):
    pytest.importorskip("transformers")
    project = clone(tmp_path / "project")
    folder = write(tmp_path / "tiny", "bert", max_position_embeddings=128)
    said = done(medgraft(project, "checkpoint", str(folder), "--name=tiny", "--letters=ACGT"))
    assert said == "choose it with: encoder=tiny pretext@pretrain.pretext=tiny\n"
    done(medgraft(project, "repro", *RUN))
    verdict = json.loads((project / "work/evaluation/verdict.json").read_text())
    assert set(verdict["strategies"]) == {"linear_probe"}

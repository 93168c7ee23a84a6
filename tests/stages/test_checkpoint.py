"""From a checkpoint's folder to a verdict, in a project of its own."""

import json

import pytest
import torch
from safetensors.torch import load_file

from networks.tiny_checkpoint import write, write_seeing

from .project import clone, done, medgraft

pytestmark = pytest.mark.slow
SEQUENCES = ("cohort=simulated_sequence", "preparation=sequence")
IMAGES = ("cohort=simulated_image", "preparation=image")
RUN = (
    "cohort.origin.source_patients=80",
    "cohort.origin.target_patients=60",
    "encoder=tiny",
    "pretext@pretrain.pretext=tiny",
    "strategies=[scratch,linear_probe]",
    "design.runs=2",
    "design.folds=2",
    "design.sources=2",
    "trainer.max_steps=10",
    "evaluation.draws=200",
)


def test_checkpoint_reaches_a_verdict(tmp_path):
    pytest.importorskip("transformers")
    project = clone(tmp_path / "project")
    folder = write(tmp_path / "tiny", "bert", max_position_embeddings=128)
    said = done(medgraft(project, "checkpoint", str(folder), "--name=tiny", "--letters=ACGT"))
    assert said == "choose it with: encoder=tiny pretext@pretrain.pretext=tiny\n"
    for name in ("../tiny", "tiny/other", ""):
        refused = medgraft(project, "checkpoint", str(folder), f"--name={name}")
        assert (refused.returncode, refused.stderr) == (
            2,
            f'medgraft: --name "{name}": expected a letter, then letters, digits and _\n',
        )
    taken = medgraft(project, "checkpoint", str(folder), "--name=mlp", "--letters=ACGT")
    assert taken.returncode == 2
    assert "conf/encoder/mlp.yaml: is there already and differs" in taken.stderr
    assert not (project / "conf/pretext/mlp.yaml").exists()
    done(medgraft(project, "repro", *SEQUENCES, *RUN))
    verdict = json.loads((project / "work/evaluation/verdict.json").read_text())
    assert set(verdict["strategies"]) == {"linear_probe"}


def test_image_checkpoint_reaches_a_verdict(tmp_path):
    """Grey films of 24 × 24 pixels, a checkpoint of colour photographs, all replicas at once.

    `linear_probe` trains a new head alone: the weights are those of the checkpoint.
    """
    pytest.importorskip("transformers")
    project = clone(tmp_path / "project")
    folder = write_seeing(tmp_path / "tiny")
    said = done(medgraft(project, "checkpoint", str(folder), "--name=tiny"))
    assert said == "choose it with: encoder=tiny pretext@pretrain.pretext=tiny\n"
    done(medgraft(project, "repro", *IMAGES, *RUN))
    verdict = json.loads((project / "work/evaluation/verdict.json").read_text())
    assert set(verdict["strategies"]) == {"linear_probe"}
    given = load_file(folder / "model.safetensors")
    probed = load_file(project / "work/finetuned/linear_probe/weights.safetensors")
    # The convolution that sees the pixels: [width, channels, h, w], and one for each replica.
    (first,) = (value for value in given.values() if value.dim() == 4 and value.shape[1] == 3)
    (kept,) = (value for value in probed.values() if value.dim() == 5 and value.shape[2] == 3)
    assert all(torch.equal(one, first) for one in kept)

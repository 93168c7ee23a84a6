"""Encoders, preparations and pretexts beyond the defaults, on simulated cohorts.

The stages' own code, from raw files to predictions, in one process: what a choice needs of the
others (which input an encoder reads, which maps a pretext predicts from) shows nowhere else.
"""

import json

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from medgraft import composition
from medgraft.construct import construct

from .carried import carry_out

pytestmark = pytest.mark.slow

SMALL = (
    "strategies=[scratch,linear_probe]",
    "cohort.origin.source_patients=400",
    "cohort.origin.target_patients=80",
    "design={runs: 2, folds: 2, sources: 2}",
    "trainer.check_every=10",
    "pretrain.max_steps=60",
    "finetune.max_steps=20",
)
TABLE = ("cohort=simulated_table", "cohort.origin.markers=6")
SEQUENCE = ("experiment=simulated_sequence",)
IMAGE = ("experiment=simulated_image",)
SMALL_WORDS = ("encoder=sequence_transformer", "encoder.channels=16")
# What is chosen, and what the source network is then said to predict.
CHOICES = {
    "sequence_transformer": ((*SEQUENCE, *SMALL_WORDS), "illness"),
    "masked_token": ((*SEQUENCE, "pretext@pretrain.pretext=masked_token"), "hidden letters"),
    "transformer and masked_token": (
        (*SEQUENCE, *SMALL_WORDS, "pretext@pretrain.pretext=masked_token"),
        "hidden letters",
    ),
    "masked_feature": ((*TABLE, "pretext@pretrain.pretext=masked_feature"), "hidden features"),
    "masked_image": ((*IMAGE, "pretext@pretrain.pretext=masked_image"), "hidden patches"),
    "simclr": ((*IMAGE, "pretext@pretrain.pretext=simclr"), "two views"),
    "ft_transformer": ((*TABLE, "encoder=ft_transformer", "encoder.width=16"), "illness"),
    "table_ple": ((*TABLE, "preparation=table_ple"), "illness"),
    "table_pseudo": ((*TABLE, "preparation=table_pseudo", "cohort.origin.panel=3"), "illness"),
}


@pytest.fixture(scope="module", params=CHOICES)
def carried_out(request, tmp_path_factory, root):
    """The folder in which a choice was prepared, pretrained and fine-tuned, and its outcome."""
    folder = tmp_path_factory.mktemp("choice")
    given, outcome = CHOICES[request.param]
    params = composition.compose(root, [*given, *SMALL])
    construct(params["cohort"]["origin"], folder=folder / "raw", mirror=None)
    carry_out(params, folder)
    return folder, outcome


def test_source_network_learns_what_it_is_told(carried_out):
    """Every source network predicts its own validation patients better than when it began."""
    folder, outcome = carried_out
    told = json.loads((folder / "pretrained/network.json").read_text())["schema"]["outcome"]
    assert told["name"] == outcome
    checks = pl.read_parquet(folder / "pretrained/history.parquet").sort("step")
    for _, one in checks.group_by("replica"):
        assert one["validation_loss"].min() < one["validation_loss"][0]


def test_probe_keeps_what_the_source_knows(carried_out):
    """`linear_probe` has the source network's shared layers, value by value; `scratch` has not."""
    folder, _ = carried_out
    source, probed, scratch = (
        load_file(folder / name / "weights.safetensors")
        for name in ("pretrained", "finetuned/linear_probe", "finetuned/scratch")
    )
    of = pl.read_parquet(folder / "prepared/design.parquet")["source_seed"].to_list()
    shared = [name for name in scratch if name.startswith("encoder.") and "weight" in name]
    assert shared
    for name in shared:
        assert torch.equal(probed[name], source[name][of])
    assert any((scratch[name] != probed[name]).any() for name in shared)


@pytest.mark.parametrize("strategy", ["scratch", "linear_probe"])
def test_every_patient_is_tested_once_per_run(carried_out, strategy):
    folder, _ = carried_out
    design = pl.read_parquet(folder / "prepared/design.parquet").select("replica", "run", "use")
    answers = pl.read_parquet(folder / "finetuned" / strategy / "predictions.parquet").filter(
        part="test"
    )
    tested = answers.join(design.filter(use="compare"), on="replica").sort("run", "row")
    patients = len(np.load(folder / "prepared/target/y.npy"))
    assert tested["row"].to_list() == 2 * list(range(patients))
    assert tested["output_0"].is_finite().all()

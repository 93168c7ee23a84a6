"""Champions of sequences and of images, made without a pipeline: their weights are drawn.

Nobody is too unlike to be answered.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from medgraft.deployment import novelty
from medgraft.deployment.answers import ANSWERS
from medgraft.deployment.records import EXAMPLE, records_of
from medgraft.evaluation.corrections import Temperature, told
from medgraft.networks.model import build
from medgraft.preparation.arrays import Prepared, seal, write_json
from medgraft.training import replicas, weights

OUTCOME = {"name": "ill", "task": "binary", "classes": ["no", "yes"], "unit": "", "horizons": []}
PARTS = {
    "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    "head": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
}
SEQUENCE = {
    "columns": {"site": {"kind": "sequence", "alphabet": "dna", "length": 8}},
    "features": [{"name": "site", "kind": "sequence", "letters": "ACGT", "length": 8}],
    "input": "medgraft.networks.inputs.sequence.SequenceInput",
    "encoder": {
        "_target_": "medgraft.networks.encoders.dilated_cnn.DilatedCnn",
        "channels": 8,
        "blocks": 2,
    },
}
IMAGE = {
    "columns": {"film": {"kind": "image", "height": 8, "width": 6}},
    "features": [{"name": "film", "kind": "image", "channels": 1, "height": 8, "width": 6}],
    "input": "medgraft.networks.inputs.image.ImageInput",
    "encoder": {
        "_target_": "medgraft.networks.encoders.compact_cnn.CompactCnn",
        "widths": [8, 8],
    },
}


def champion(folder: Path, made: dict[str, Any], x: np.ndarray, *, patient: str = "row") -> Path:
    """Two replicas with drawn weights, their preparation fitted on `x`."""
    folder.mkdir()
    features = [one | {"origin": "shared", "may_be_missing": False} for one in made["features"]]
    modality = made["features"][0]["kind"]
    schema = {"modality": modality, "features": features, "outcome": OUTCOME}
    spec = PARTS | {"input": {"_target_": made["input"]}, "encoder": made["encoder"]}
    template, state = replicas.build(lambda seed: build(spec, schema, seed=seed), [1, 2])
    for name, value in template.input.fit(x).items():
        state[f"input.{name}"][:] = value
    weights.write(folder, state, {"network": spec, "schema": schema})
    described = {
        "name": "made",
        "patient": patient,
        "columns": made["columns"],
        "outcomes": {"ill": {"task": "binary", "column": "ill", "negative": [0], "positive": [1]}},
        "sites": {"here": {"file": "new.csv"}},
    }
    (folder / "cohort.yaml").write_text(yaml.safe_dump(described))
    people = pl.DataFrame({"patient": np.arange(len(x))})
    known = novelty.learn(Prepared(x, np.zeros(len(x)), people, schema))
    novelty.write(folder, replace(known, reach=float("inf")))
    write_json({"correction": told(Temperature(2.0)), "reach": 0.8}, folder / ANSWERS)
    write_json(records_of(folder).example(), folder / EXAMPLE)
    seal(folder)
    return folder

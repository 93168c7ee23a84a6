"""The model card: what the champion is, for whom, and how good, from the artefacts alone.

Mitchell and others 2019 (Model Cards for Model Reporting, FAT*), in the format of Hugging Face.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medgraft.reporting.facts import UNKNOWN, Written, markdown

NAME = "model_card.md"
# What Hugging Face calls the task; others have no name there that fits.
PIPELINES = {
    ("table", "binary"): "tabular-classification",
    ("table", "multiclass"): "tabular-classification",
    ("table", "regression"): "tabular-regression",
    ("expression", "binary"): "tabular-classification",
    ("expression", "multiclass"): "tabular-classification",
    ("expression", "regression"): "tabular-regression",
    ("image", "binary"): "image-classification",
    ("image", "multiclass"): "image-classification",
}


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `folder`/model_card.md. facts: `facts.gather`. Equal facts give equal bytes."""
    told = yaml.safe_dump(front_matter(facts), sort_keys=False, allow_unicode=True, width=100)
    template = markdown().get_template(NAME)
    # yaml has quoted whatever came from the cohort.
    page = template.render(front_matter=Written(told), **facts)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(page, encoding="utf-8")


def front_matter(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What Hugging Face reads of a card; a metric that is undefined has no value to give it."""
    task, target = facts["outcome"]["task"], " + ".join(facts["sites"]["target"])
    pipeline = PIPELINES.get((facts["modality"], task))
    defined = [score for score in facts["scores"] if score["value"] is not None]
    result = {
        "task": {"type": pipeline or task, "name": task},
        "dataset": {"type": UNKNOWN, "name": target},
        "metrics": [
            {
                "type": score["name"],
                "name": score["label"],
                "value": score["value"],
                "args": {"interval_95": [score["low"], score["high"]]},
            }
            for score in defined
        ],
    }
    return {
        "license": UNKNOWN,
        "language": UNKNOWN,
        "library_name": "medgraft",
        **({"pipeline_tag": pipeline} if pipeline else {}),
        "tags": ["medgraft", "clinical-prediction-model", "transfer-learning", task],
        "metrics": [score["name"] for score in defined],
        "model-index": [
            {
                "name": f"{facts['outcome']['name']} in {target}: {facts['champion']['strategy']}",
                "results": [result],
            }
        ],
    }

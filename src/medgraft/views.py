"""Tables and charts of an MLflow experiment, as its pages keep what a reader has chosen to see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from medgraft.entries import PIPELINE, STRATEGY
from medgraft.notes import higher_is_better


def views(work: Path) -> dict[str, dict[str, Any]]:
    """Two tables to open instead of MLflow's own, which shows neither metric nor verdict.

    The strategies have charts, too.
    """
    verdict = json.loads((work / "evaluation" / "verdict.json").read_text(encoding="utf-8"))
    primary = verdict["primary"]
    names = [f"{name}{end}" for name in (primary, "difference") for end in ("", "_low", "_high")]
    columns = [f"metrics.`{name}`" for name in [*names, "p_holm"]]
    return {
        "strategies": {
            "searchFilter": f"tags.dvc_stage LIKE '{STRATEGY}%'",
            "orderByKey": columns[0],  # any but the time lists strategies without their parent
            "orderByAsc": not higher_is_better(verdict),
            "selectedColumns": ["tags.`verdict`", *columns, "tags.`dvc_exp`", "tags.`reused`"],
            **_bars(primary, "difference"),
        },
        "runs": {
            "searchFilter": f"tags.dvc_stage = '{PIPELINE}'",
            "selectedColumns": ["tags.`verdict`", "tags.`champion`", *columns, "tags.`dvc_exp`"],
        },
    }


def _bars(*metrics: str) -> dict[str, Any]:
    """Bar charts of these metrics side by side, as MLflow writes down the charts of a view."""
    kept = {"deleted": False, "isGenerated": False}
    section = {"uuid": "answer", "name": "Which strategy, by how much", "display": True}
    shape = {"columns": len(metrics), "cardHeight": 480, "isReordered": False}
    chart = {"type": "BAR", "metricSectionId": section["uuid"], "runsCountToCompare": 20} | kept
    return {
        "compareRunSections": [section | shape | kept],
        "compareRunCharts": [
            chart | {"uuid": name, "displayName": name, "metricKey": name} for name in metrics
        ],
    }

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.summary import Evaluation
from medgraft.preparation.arrays import Prepared, read, read_design, read_json
from medgraft.reporting import text
from medgraft.reporting.canvas import Figure
from medgraft.reporting.cohorts import MOST_FEATURES, distance, most_drifted, side_by_side
from medgraft.reporting.shift import rate

TEMPLATES = Path(__file__).parent / "templates"
MOST_DRIFT = 10
MOST_NAMES = 60
SIGNS = {"helps": "▲ helps", "harms": "▼ harms", "cannot tell": "○ cannot tell"}
DIRECTIONS = {True: "higher is better", False: "lower is better", None: "neither end is better"}


def write(
    path: Path,
    *,
    study: Study,
    evaluation: Evaluation,
    metrics: Mapping[str, Metric],
    prepared: Path,
    figures: Mapping[str, Figure],
    notice: str,
    provenance: Mapping[str, str],
) -> None:
    """Write one self-contained page, `path`, that a clinical team can read without anything else.

    prepared: `work/prepared`. notice: plain text that every reader must see, may be empty.
    provenance: what to print under "Where this comes from". What readings.json beside `path` holds
    is shown, too, if there is one. Equal inputs give equal bytes. Raises StageError when something
    prepared is missing.
    """
    page = (
        environment()
        .get_template("report.html")
        .render(
            notice=notice,
            provenance=provenance,
            figures=figures,
            readings=_read_off(path.with_name("readings.json")),
            **_results(study, evaluation, metrics),
            **_patients(study, prepared),
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _read_off(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.exists() else {}


def _results(study: Study, evaluation: Evaluation, metrics: Mapping[str, Metric]) -> dict[str, Any]:
    return {
        "verdict": evaluation.verdict,
        "primary": metrics[evaluation.verdict["primary"]],
        "descriptions": {name: result.description for name, result in study.strategies.items()},
        "strategies": _strategies(study, evaluation),
        "scores": _scores(study, evaluation),
        "measured": _measured(evaluation, metrics),
        "labels": {metric.name: metric.label for metric in metrics.values()},
        "candidates": [asdict(candidate) for candidate in evaluation.champion.candidates],
    }


def _patients(study: Study, prepared: Path) -> dict[str, Any]:
    audit = read_json(prepared / "audit.json")
    source, target = read(prepared / "source"), read(prepared / "target")
    return {
        "outcome": target.schema["outcome"]["name"],
        "sites": {"source": source.schema["sites"], "target": target.schema["sites"]},
        "design": _design(study, prepared),
        "flow": _flow(audit["accounting"], target.schema["sites"]),
        "findings": audit["findings"],
        **_cohorts(source, target, audit),
    }


def environment() -> Any:
    """How the pages' templates are filled in."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "shown": text.shown,
        "signed": text.signed,
        "p_value": text.p_value,
        "counted": counted,
        "rate": rate,
    }
    return environment


def _strategies(study: Study, evaluation: Evaluation) -> list[dict[str, Any]]:
    """One entry per strategy: the reference, then the others from helpful to harmful."""
    verdict = evaluation.verdict
    of_primary = evaluation.metrics.filter(pl.col("metric") == verdict["primary"])
    values = {row["strategy"]: row for row in of_primary.iter_rows(named=True)}
    compared = text.best_first({"name": n, **row} for n, row in verdict["strategies"].items())
    against = {row["name"]: row for row in compared}
    alone = [name for name in study.strategies if name not in against]
    return [
        {
            "name": name,
            "description": study.strategies[name].description,
            "uses_source": study.strategies[name].uses_source,
            "fitted_parameters": study.strategies[name].fitted_parameters,
            "score": text.score(values[name], draws=verdict["draws"]),
            "ships": name == evaluation.champion.strategy,
            **_against(against.get(name)),
        }
        for name in [*alone, *against]
    ]


def _against(comparison: Mapping[str, Any] | None) -> dict[str, str]:
    if comparison is None:
        return dict.fromkeys(("difference", "p", "verdict", "smallest_effect"), "")
    return {
        "difference": text.difference(comparison),
        "p": text.p_value(comparison["p_holm"]),
        "verdict": SIGNS[comparison["verdict"]],
        "smallest_effect": text.shown(comparison["smallest_effect"]),
    }


def _scores(study: Study, evaluation: Evaluation) -> dict[str, list[str]]:
    draws = evaluation.verdict["draws"]
    scores: dict[str, list[str]] = {name: [] for name in study.strategies}
    for row in evaluation.metrics.iter_rows(named=True):
        scores[row["strategy"]].append(text.score(row, draws=draws))
    return scores


def _measured(evaluation: Evaluation, metrics: Mapping[str, Metric]) -> list[dict[str, str]]:
    names = evaluation.metrics["metric"].unique(maintain_order=True)
    return [
        {
            "label": metrics[name].label,
            "direction": DIRECTIONS[metrics[name].higher_is_better],
            "citation": metrics[name].citation,
        }
        for name in names
    ]


def _design(study: Study, prepared: Path) -> dict[str, Any]:
    design = read_design(prepared / "design.parquet").filter(pl.col("use") == "compare")
    folds = [len(np.unique(run)) for result in study.strategies.values() for run in result.fold]
    parts = ("train", "validation", "test")
    sizes = {part: _span(design[part].list.len().to_list()) for part in parts}
    return {"folds": max(folds), "networks": design["source_seed"].n_unique(), **sizes}


def _span(sizes: Sequence[int]) -> str:
    low, high = min(sizes), max(sizes)
    return f"{low:,}" if low == high else f"{low:,}–{high:,}"


def _flow(accounting: Sequence[Mapping[str, Any]], targets: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {
            **entry,
            "role": "target" if entry["cohort"] in targets else "source",
            "excluded": sum(entry["excluded"].values()),
            "reasons": [f"{reason}: {n:,}" for reason, n in entry["excluded"].items()],
        }
        for entry in accounting
    ]


def _cohorts(source: Prepared, target: Prepared, audit: Mapping[str, Any]) -> dict[str, Any]:
    names = audit["alignment"]
    drift = most_drifted(audit["drift"])
    return {
        "side_by_side": side_by_side(source, target, drift=drift),
        "left_out": max(0, len(names["shared"]) - MOST_FEATURES),
        "features": {
            "shared": _names(names["shared"]),
            "source only": _names(names["source_only"]),
            "target only": _names(names["target_only"]),
        },
        "drift": [{**entry, "distance": distance(entry)} for entry in drift[:MOST_DRIFT]],
        "drift_measured": len(drift),
    }


def _names(names: Sequence[str]) -> str:
    if not names:
        return "none"
    told = f"{len(names):,}: {', '.join(names[:MOST_NAMES])}"
    return told if len(names) <= MOST_NAMES else f"{told} and {len(names) - MOST_NAMES:,} more"

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import counted
from medgraft.evaluation.summary import Evaluation
from medgraft.preparation.arrays import Prepared, read, read_design, read_json
from medgraft.reporting import text
from medgraft.reporting.canvas import Figure
from medgraft.reporting.cohorts import MOST_FEATURES, distance, most_drifted, side_by_side
from medgraft.reporting.design import Configured, evaluated, source_use
from medgraft.reporting.shift import rate

TEMPLATES = Path(__file__).parent / "templates"
MOST_DRIFT = 10
MOST_NAMES = 60
SIGNS = {"helps": "▲ helps", "harms": "▼ harms", "cannot tell": "○ cannot tell"}
PROVENANCE = {
    "git_commit": "Commit",
    "git_dirty": "Changed since that commit",
    "reproduce": "To reproduce, in a clone with the same raw data",
    "configuration": "Configuration (MD5 of params.yaml)",
    "data": "Raw data (DVC's hash of the cohort's folder)",
    "design": "Design (MD5 of design.parquet)",
    "versions": "Versions",
}
"""What the page calls them."""
DIRECTIONS = {True: "higher is better", False: "lower is better", None: "neither end is better"}


def write(
    path: Path,
    *,
    study: Study,
    evaluation: Evaluation,
    metrics: Mapping[str, Metric],
    prepared: Path,
    figures: Mapping[str, Figure],
    configured: Configured,
    provenance: Mapping[str, str],
) -> None:
    """Write one self-contained page, `path`, that a clinical team can read without anything else.

    prepared: `work/prepared`.
    provenance: what to print under "Where this comes from". What readings.json beside `path` holds
    is shown, too, if there is one. Equal inputs give equal bytes. Raises StageError when something
    prepared is missing.
    """
    readings = _read_off(path.with_name("readings.json"))
    page = (
        environment()
        .get_template("report.html")
        .render(
            notice=configured.notice,
            provenance={PROVENANCE.get(name, name): told for name, told in provenance.items()},
            figures=figures,
            readings=readings,
            absent={name: one["why"] for name, one in readings.items() if "why" in one},
            **_results(study, evaluation, metrics),
            **_patients(prepared, configured),
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


def _patients(prepared: Path, configured: Configured) -> dict[str, Any]:
    audit = read_json(prepared / "audit.json")
    source, target = read(prepared / "source"), read(prepared / "target")
    drawn = read_design(prepared / "design.parquet")
    design = evaluated(drawn, target.patients["patient"].to_numpy())
    return {
        "outcome": target.schema["outcome"]["name"],
        "sites": {"source": source.schema["sites"], "target": target.schema["sites"]},
        "design": design,
        "from_source": source_use(configured, networks=design["networks"]),
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

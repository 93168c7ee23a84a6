"""What the artefacts of a finished run say, for papers that may say nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.sentence import counted
from medgraft.preparation.arrays import read, read_design, read_json
from medgraft.reporting import text
from medgraft.reporting.cohorts import describe_outcome, most_drifted
from medgraft.reporting.design import Configured, evaluated, handed_over, source_use
from medgraft.reporting.readings import READINGS
from medgraft.reporting.report import DIRECTIONS, SIGNS, TEMPLATES

UNKNOWN = "author to supply"
"""Stands, literally, where the artefacts do not say."""
MOST_COLUMNS = 60
FURTHEST = 5
# What would be read as markdown or HTML inside a line, a table's cell, or an address.
SPECIAL = re.compile(r"([\\`*_\[\]|~$])")


def gather(
    evaluation: Path,
    *,
    prepared: Path,
    finetuned: Path,
    metrics: Mapping[str, Metric],
    configured: Configured,
    provenance: Mapping[str, str],
) -> dict[str, Any]:
    """Read what `work/evaluation`, `work/prepared` and the champion's `work/finetuned` hold.

    provenance: as in `report.write`. Nothing of a single patient is among it. Raises StageError
    naming the file that is missing.
    """
    verdict = read_json(evaluation / "verdict.json")
    champion = verdict["champion"]["strategy"]
    audit = read_json(prepared / "audit.json")
    cohorts = {role: read(prepared / role) for role in ("source", "target")}
    schema, summary = cohorts["target"].schema, read_json(finetuned / champion / "summary.json")
    readings = read_json(evaluation / READINGS)
    # An image is the input and no measurement.
    features, modality = schema.get("features", []), schema["modality"]
    measured = [feature for feature in features if feature.get("kind") != modality]
    drawn = read_design(prepared / "design.parquet")
    design = evaluated(drawn, cohorts["target"].patients["patient"].to_numpy())
    return {
        "verdict": verdict,
        "champion": verdict["champion"] | summary,
        "network": _constructors(finetuned / champion / "network.json"),
        "scores": _scores(read_json(evaluation / "metrics.json"), verdict, metrics),
        "compared": _compared(verdict["strategies"].get(champion)),
        "readings": readings,
        "unsettled": _unsettled(verdict, readings["sample_size"]["plans"]),
        "answers": read_json(evaluation / "answers.json"),
        "audit": audit,
        "furthest": [entry["feature"] for entry in most_drifted(audit["drift"])[:FURTHEST]],
        "sites": {role: cohort.schema["sites"] for role, cohort in cohorts.items()},
        "patients": {
            role: cohort.patients["patient"].n_unique() for role, cohort in cohorts.items()
        },
        "outcomes": {role: describe_outcome(cohort) for role, cohort in cohorts.items()},
        "outcome": schema["outcome"],
        "modality": modality,
        "features": measured[:MOST_COLUMNS],
        "left_out": max(0, len(measured) - MOST_COLUMNS),
        "predicts": predicts(schema["outcome"]),
        "design": design,
        "handed_over": handed_over(
            drawn,
            configured.strategies[champion],
            fitted=summary["fitted_parameters"] > 0,
            stopped=pl.read_parquet(finetuned / champion / "history.parquet").height > 0,
        ),
        "from_source": {
            "study": source_use(configured, networks=design["networks"]),
            "champion": source_use(configured.of(champion), networks=design["networks"]),
        },
        "notice": configured.notice,
        "provenance": provenance,
    }


def predicts(outcome: Mapping[str, Any]) -> str:
    """Write what the model answers, from `outcome` of schema.json."""
    name, classes = outcome["name"], outcome["classes"]
    at = ", ".join(f"{horizon:g}" for horizon in outcome["horizons"])
    told = {
        "binary": f"the probability of {name} = {classes[-1] if classes else ''}",
        "multiclass": f"the probability of each class of {name}: {', '.join(classes)}",
        "multilabel": f"the probability of each label of {name}: {', '.join(classes)}",
        "regression": f"{name}, in {outcome['unit'] or 'its own units'}",
        "survival": f"the probability of no {name} up to {at} {outcome['unit']}",
    }
    return told[outcome["task"]]


def _constructors(network: Path) -> dict[str, str]:
    """Name by role what the network is made of, with its settings; empty where none was saved."""
    parts = read_json(network)["network"] if network.exists() else {}
    return {
        role: _constructor(role, part) for role, part in parts.items() if isinstance(part, dict)
    }


def _constructor(role: str, part: Mapping[str, Any]) -> str:
    settings = [f"{key} {value}" for key, value in part.items() if key != "_target_"]
    named = str(part.get("_target_", "")).rpartition(".")[2]
    return f"{role} {named}" + (f" ({', '.join(settings)})" if settings else "")


def _scores(
    found: Mapping[str, Any], verdict: Mapping[str, Any], metrics: Mapping[str, Metric]
) -> list[dict[str, Any]]:
    """Every metric of the champion, and beside it the reference's, the primary one first."""
    champion, draws = verdict["champion"]["strategy"], verdict["draws"]
    reference = found.get(verdict["reference"], {})
    names = sorted(found[champion], key=lambda name: name != verdict["primary"])
    return [
        {
            "name": name,
            "label": metrics[name].label,
            "direction": DIRECTIONS[metrics[name].higher_is_better],
            "champion": text.score(found[champion][name], draws=draws),
            "reference": text.score(reference[name], draws=draws) if name in reference else "–",
            **{end: found[champion][name][end] for end in ("value", "low", "high")},
        }
        for name in names
    ]


def _compared(row: Mapping[str, Any] | None) -> dict[str, str]:
    """How the champion differs from the reference; empty where it is the reference."""
    if row is None:
        return {}
    return {
        "difference": text.difference(row),
        "p": text.p_value(row["p_holm"]),
        "verdict": SIGNS[row["verdict"]].split(" ", 1)[1],
    }


def _unsettled(verdict: Mapping[str, Any], plans: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Plans of the strategies that the study cannot tell from the reference, the best first."""
    compared = [{"name": name, **row} for name, row in verdict["strategies"].items()]
    return [
        plans[row["name"]]
        for row in text.best_first(compared)
        if row["verdict"] == "cannot tell" and "sentence" in plans[row["name"]]
    ]


class Written(str):
    """Markdown that is to stay as it is."""


def escaped(value: Any) -> Any:
    """Make text show as it is, on one line, wherever markdown or HTML might see more in it."""
    if not isinstance(value, str) or isinstance(value, Written):
        return value
    line = SPECIAL.sub(r"\\\1", re.sub(r"\s+", " ", value))
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown() -> Any:
    """How templates of markdown are filled in: what they are given is escaped, always."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # `finalize` escapes, for markdown as well as for HTML.
    environment = Environment(  # nosec B701
        loader=FileSystemLoader(TEMPLATES),
        finalize=escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"shown": text.shown, "counted": counted, "p_value": text.p_value}
    environment.globals["unknown"] = Written(f"**{UNKNOWN}**")
    return environment

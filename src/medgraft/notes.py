"""What MLflow shows as the description of a run: markdown, with a picture and links."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

NOTE = "mlflow.note.content"  # the tag MLflow keeps a description in
# Stand for what is known only once MLflow has made the runs; see `placed`.
_EXPERIMENT, _PIPELINE_RUN, _STRATEGY_RUNS = "EXPERIMENT-ID", "PIPELINE-RUN", "STRATEGY-RUNS"
_COMPARE = f"#/compare-runs?runs={_STRATEGY_RUNS}&experiments=%5B%22{_EXPERIMENT}%22%5D"
_REPORT = f"#/experiments/{_EXPERIMENT}/runs/{_PIPELINE_RUN}/artifacts/report.html"
# MLflow's pages drop data: URIs and let relative addresses through.
_FIGURE = (
    "![Difference of every strategy from the reference, with 95 % intervals]"
    f"(get-artifact?path=figures%2Fcomparison.svg&run_uuid={_PIPELINE_RUN})"
)
_GAP = "&emsp;"  # MLflow's tables have no space between columns
_STAGES = {
    "preprocess": "Who the patients are, and which of them each network may see.",
    "pretrain": "What the source cohort teaches; the loss is the mean over the source networks.",
    "evaluate": "What the predictions for patients never seen in training show.",
}
REUSED = "Reused: not run again, because nothing it depends on had changed."

# The strategy all others are compared with has no comparison of its own.
REFERENCE: dict[str, Any] = {
    "verdict": "reference",
    "description": "what every other strategy is compared with",
    "difference": None,
    "low": None,
    "high": None,
    "p_holm": None,
}


def placed(note: str, experiment: str, pipeline: str, strategies: Sequence[str] = ()) -> str:
    """The note with its picture and links in place.

    Args:
        note: as the functions below write it.
        experiment: MLflow's id of the experiment.
        pipeline: id of the run whose artifacts hold figures and report.
        strategies: ids of the runs to compare.
    """
    known = {_EXPERIMENT: experiment, _PIPELINE_RUN: pipeline}
    known[_STRATEGY_RUNS] = quote(json.dumps(list(strategies)))
    for name, value in known.items():
        note = note.replace(name, value)
    return note


def pipeline_note(verdict: dict[str, Any], metrics: dict[str, Any], evaluation: Path) -> str:
    """The answer, what ships, the figure, and the strategies, best first."""
    champion, primary, reference = (verdict[key] for key in ("champion", "primary", "reference"))
    base = metrics.get(reference, {}).get(primary, {}).get("value")
    rows = verdict["strategies"] | {reference: REFERENCE | {"value": base}}
    known = {name: row["value"] for name, row in rows.items() if row["value"] is not None}
    best_first = sorted(known, key=lambda name: known[name], reverse=higher_is_better(verdict))
    order = [*best_first, *(name for name in rows if name not in known)]
    table = "\n".join(_table_row(name, rows[name]) for name in order)
    columns = ("strategy", primary, f"minus {reference} (95 % CI)", "does it help?")
    head = f"{_GAP} | ".join(columns)
    return f"""**{verdict["sentence"]}**

Ships: **{champion["strategy"]}** – {champion["reason"]}

[Compare the strategies]({_COMPARE}) · [Report]({_REPORT})

{_figure(evaluation)}| {head} |
|---|---|---|---|
{table}"""


def strategy_note(
    row: dict[str, Any], verdict: dict[str, Any], numbers: dict[str, float], evaluation: Path
) -> str:
    """What the strategy is, whether it helps and by how much, and the figure of all of them."""
    primary = verdict["primary"]
    value, low, high = (
        _decimal(numbers.get(primary + end), ".3f") for end in ("", "_low", "_high")
    )
    told = f"{primary} {value} (95 % CI {low} to {high})"
    if row["difference"] is not None:
        told += f", {_difference(row)} compared with {verdict['reference']}"
    return f"**{row['verdict']}** – {row['description']}\n\n{told}\n\n{_figure(evaluation)}".strip()


def stage_note(stage: str, verdict: dict[str, Any], evaluation: Path) -> str:
    """What a stage that is no strategy is for, and what came of it all; empty for other runs."""
    told = _STAGES.get(stage, "")
    if not told or not verdict:
        return told
    return f"{told}\n\n**{verdict['sentence']}**\n\n{_figure(evaluation)}".strip()


def higher_is_better(verdict: dict[str, Any]) -> bool:
    """Whether more of the primary metric is better."""
    return all(row["higher_is_better"] for row in verdict["strategies"].values())


def _figure(evaluation: Path) -> str:
    return f"{_FIGURE}\n\n" if (evaluation / "figures" / "comparison.svg").exists() else ""


def _table_row(name: str, row: dict[str, Any]) -> str:
    cells = (name, _decimal(row["value"], ".3f"), _difference(row), row["verdict"])
    return f"| {' | '.join(cells)} |"


def _difference(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return "–"
    change, least, most = (_decimal(row[key], "+.3f") for key in ("difference", "low", "high"))
    return f"{change} ({least} to {most})"


def _decimal(number: float | None, pattern: str) -> str:
    return "–" if number is None else format(number, pattern)

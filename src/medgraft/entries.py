"""What MLflow is told about a pipeline run, read from what lies on disk; MLflow is not involved."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from medgraft.errors import StageError

Status = Literal["FINISHED", "FAILED", "KILLED"]

PIPELINE = "pipeline"
NOTE = "mlflow.note.content"  # what MLflow shows as the description, in markdown
_FOLDERS = {"preprocess": "prepared", "pretrain": "pretrained", "evaluate": "evaluation"}
_CURVES = ("train_loss", "validation_loss")
_PROSE = ("description", "notice", "origin")  # changes no result
_ANSWERS = ("helps", "cannot tell", "harms")  # the best that a strategy did is the answer
_NOTES = {
    "preprocess": "Who the patients are, and which of them each network may see.",
    "pretrain": "What the source cohort teaches; the loss is the mean over the source networks.",
    "evaluate": "What the predictions for patients never seen in training show.",
}
_REUSED = "Reused: not run again, because nothing it depends on had changed."
_LONGEST_KEY, _LONGEST_PARAM, _LONGEST_TAG = 250, 6000, 8000

# The strategy all others are compared with has no comparison of its own.
REFERENCE: dict[str, Any] = {
    "verdict": "reference",
    "description": "what every other strategy is compared with",
    "difference": None,
    "low": None,
    "high": None,
    "p_holm": None,
}


@dataclass(frozen=True)
class Entry:
    """What one MLflow run will say; `curves` maps (name, step) to a value."""

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[tuple[str, int], float] = field(default_factory=dict)
    artifacts: dict[Path, str | None] = field(default_factory=dict)


def check_stages(params: dict[str, dict[str, Any]], reused: set[str]) -> None:
    """Refuse keys that are no stage, and reused stages that take no part."""
    known = {*_FOLDERS, PIPELINE}
    unknown = sorted(k for k in params if k not in known and not k.startswith("finetune@"))
    if unknown:
        raise StageError(
            f"params name unknown stages {unknown}: expected {', '.join(sorted(known))} "
            "or finetune@<strategy>"
        )
    if absent := sorted(reused - set(params)):
        raise StageError(f"reused stages {absent} are not among those with params {list(params)}")


def entries(
    work: Path,
    *,
    params: dict[str, dict[str, Any]],
    tags: dict[str, str],
    status: Status,
) -> dict[str, Entry]:
    """The parent's entry and one for every stage that wrote something."""
    finished = status == "FINISHED"
    verdict = _json(work / "evaluation" / "verdict.json") if finished else {}
    metrics = _json(work / "evaluation" / "metrics.json") if finished else {}
    found = {PIPELINE: _parent(work, verdict=verdict, metrics=metrics, status=status)}
    for stage in [key for key in params if key != PIPELINE]:
        folder = _folder(work, stage)
        if folder.is_dir():
            found[stage] = _child(stage, folder, verdict=verdict, metrics=metrics)
        elif finished:
            raise StageError(f"{stage} finished, but its folder {folder} does not exist")
    told = params | {PIPELINE: _shared(params)}
    common = {key: value for key, value in tags.items() if value} | _source_tags(tags)
    for stage, entry in found.items():
        entry.params.update(_flatten(_telling(stage, told.get(stage, {}))))
        entry.tags.update(common | {"dvc_stage": stage})
    return found


def _shared(params: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The parent's parameters: those of all stages, and of the strategies their names."""
    merged: dict[str, Any] = {}
    for own in params.values():
        for section, value in own.items():
            both = isinstance(value, dict) and isinstance(merged.get(section), dict)
            merged[section] = merged[section] | value if both else value
    if "strategies" in merged:
        merged["strategies"] = list(merged["strategies"])
    return merged


def _telling(stage: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """A strategy's parameters under the same names as any other's, so that they can be compared."""
    told = dict(params)
    strategy = stage.partition("@")[2]
    if strategy and strategy in told.get("strategies", {}):
        told = {"strategy": {"name": strategy} | told.pop("strategies")[strategy]} | told
    if isinstance(told.get("metrics"), Mapping):
        told["metrics"] = list(told["metrics"])
    return told


def _folder(work: Path, stage: str) -> Path:
    if stage in _FOLDERS:
        return work / _FOLDERS[stage]
    return work / "finetuned" / stage.partition("@")[2]


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StageError(f"a finished run has {path}, but it does not exist") from None
    except json.JSONDecodeError as error:
        raise StageError(f"{path} is not JSON: {error}") from None


def _parent(
    work: Path, *, verdict: dict[str, Any], metrics: dict[str, Any], status: Status
) -> Entry:
    name = f"{_sites(work, 'source')} → {_sites(work, 'target')}"
    if not verdict:
        return Entry(name=f"{status.lower()}: {name}")
    champion = verdict["champion"]["strategy"]
    answer = _answer(verdict)
    return Entry(
        name=f"{answer}: {name}",
        tags={"champion": champion, "verdict": answer, NOTE: _pipeline_note(verdict, metrics)},
        metrics=_numbers(champion, verdict=verdict, metrics=metrics),
        artifacts=_artifacts(work / "evaluation"),
    )


def _answer(verdict: dict[str, Any]) -> str:
    """Whether transfer helps: the best verdict of a strategy that uses the source."""
    given = [row["verdict"] for row in verdict["strategies"].values() if row["uses_source"]]
    return min(given, key=_ANSWERS.index, default="no transfer")


def _sites(work: Path, cohort: str) -> str:
    schema = work / "prepared" / cohort / "schema.json"
    sites = _json(schema)["sites"] if schema.exists() else [cohort]
    return " + ".join(sites) if len(sites) <= 3 else f"{len(sites)} sites"


def _child(stage: str, folder: Path, *, verdict: dict[str, Any], metrics: dict[str, Any]) -> Entry:
    strategy = stage.partition("@")[2]
    curves = _curves(folder / "history.parquet")
    if not strategy or not verdict:
        note = {NOTE: _NOTES[stage]} if stage in _NOTES else {}
        return Entry(name=strategy or stage, tags=note, curves=curves)
    row = verdict["strategies"].get(strategy, REFERENCE)
    numbers = _numbers(strategy, verdict=verdict, metrics=metrics)
    return Entry(
        name=strategy,
        tags={"verdict": row["verdict"], NOTE: _strategy_note(row, verdict, numbers)},
        metrics=numbers,
        curves=curves,
    )


def _numbers(
    strategy: str, *, verdict: dict[str, Any], metrics: dict[str, Any]
) -> dict[str, float]:
    """The primary metric, its difference to the reference, the other metrics; nulls are left out.

    MLflow shows them in this order.
    """
    row = verdict["strategies"].get(strategy, REFERENCE)
    named: dict[str, float | None] = {}
    own, primary = metrics.get(strategy, {}), verdict["primary"]
    for metric in sorted(own, key=lambda name: name != primary):
        number = own[metric]
        named |= {metric: number["value"]}
        named |= {f"{metric}_low": number["low"], f"{metric}_high": number["high"]}
        if metric == primary:
            named |= {
                "difference": row["difference"],
                "difference_low": row["low"],
                "difference_high": row["high"],
                "p_holm": row["p_holm"],
            }
    return {key: float(value) for key, value in named.items() if value is not None}


def _curves(history: Path) -> dict[tuple[str, int], float]:
    """Mean over the replicas that have a value at that step; a stopped replica has none."""
    if not history.exists():
        return {}
    means = (
        pl.scan_parquet(history)
        .group_by("step")
        .agg(pl.col(_CURVES).fill_nan(None).mean())
        .sort("step")
        .collect()
    )
    long = means.unpivot(index="step", variable_name="curve", value_name="loss").drop_nulls()
    return {(curve, step): loss for step, curve, loss in long.iter_rows()}


def _artifacts(evaluation: Path) -> dict[Path, str | None]:
    figures = sorted(path for path in (evaluation / "figures").glob("*") if path.is_file())
    report = evaluation / "report.html"
    found: dict[Path, str | None] = dict.fromkeys(figures, "figures")
    return found | ({report: None} if report.exists() else {})


def _pipeline_note(verdict: dict[str, Any], metrics: dict[str, Any]) -> str:
    champion, primary, reference = (verdict[key] for key in ("champion", "primary", "reference"))
    base = metrics.get(reference, {}).get(primary, {}).get("value")
    rows = verdict["strategies"] | {reference: REFERENCE | {"value": base}}
    table = "\n".join(_table_row(name, row) for name, row in rows.items())
    return f"""**{verdict["sentence"]}**

Ships: **{champion["strategy"]}** – {champion["reason"]}

| strategy | {primary} | minus {reference} | 95 % from | to | does it help? |
|---|---|---|---|---|---|
{table}

Figures and `report.html` are under Artifacts."""


def _strategy_note(row: dict[str, Any], verdict: dict[str, Any], numbers: dict[str, float]) -> str:
    primary = verdict["primary"]
    value, low, high = (
        _decimal(numbers.get(primary + end), ".3f") for end in ("", "_low", "_high")
    )
    lines = [f"**{row['verdict']}** – {row['description']}", ""]
    lines += [f"{primary} {value} (95 % CI {low} to {high})"]
    if row["difference"] is not None:
        change, least, most = (_decimal(row[key], "+.3f") for key in ("difference", "low", "high"))
        lines[-1] += f", {change} ({least} to {most}) compared with {verdict['reference']}"
    return "\n".join(lines)


def _table_row(name: str, row: dict[str, Any]) -> str:
    value = _decimal(row["value"], ".3f")
    differences = [_decimal(row[key], "+.3f") for key in ("difference", "low", "high")]
    return "| " + " | ".join([name, value, *differences, row["verdict"]]) + " |"


def _decimal(number: float | None, pattern: str) -> str:
    return "–" if number is None else format(number, pattern)


def _source_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags MLflow's own columns "Source" and "Version" show."""
    source = {"mlflow.source.name": "medgraft", "mlflow.source.type": "PROJECT"}
    commit = tags.get("git_commit")
    return source | ({"mlflow.source.git.commit": commit} if commit else {})


def _flatten(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"a": {"_target_": "x.Y", "b": [1]}}` becomes `{"a": "Y", "a.b": "[1]"}`.

    In the characters and lengths MLflow takes, and without prose, which the notes say.
    """
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = prefix + re.sub(r"[^-\w./ ]", "_", str(key))
        if key in _PROSE:
            continue
        if key == "_target_":
            flat[prefix.rstrip(".")[:_LONGEST_KEY]] = str(value).rpartition(".")[2]
        elif isinstance(value, Mapping) and value:
            flat |= _flatten(value, f"{name}.")
        else:
            flat[name[:_LONGEST_KEY]] = short(_text(value), _LONGEST_PARAM)
    return flat


def _text(value: Any) -> str:
    """Words as they are, several of them with commas; anything else as JSON."""
    words = [value] if isinstance(value, str) else value
    if isinstance(words, list) and words and all(isinstance(word, str) for word in words):
        return ", ".join(words)
    return json.dumps(value, default=str)


def short(text: str, longest: int = _LONGEST_TAG) -> str:
    """The text, cut where MLflow would refuse it."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def views(work: Path) -> dict[str, dict[str, Any]]:
    """Two tables to open instead of MLflow's own, which shows neither metric nor verdict."""
    verdict = _json(work / "evaluation" / "verdict.json")
    primary = verdict["primary"]
    names = [f"{name}{end}" for name in (primary, "difference") for end in ("", "_low", "_high")]
    columns = [f"metrics.`{name}`" for name in [*names, "p_holm"]]
    return {
        "strategies": {
            "searchFilter": "tags.dvc_stage LIKE 'finetune%'",
            "orderByKey": columns[0],  # any but the time lists strategies without their parent
            "orderByAsc": not all(
                row["higher_is_better"] for row in verdict["strategies"].values()
            ),
            "selectedColumns": ["tags.`verdict`", *columns, "tags.`reused`"],
        },
        "runs": {
            "searchFilter": f"tags.dvc_stage = '{PIPELINE}'",
            "selectedColumns": ["tags.`verdict`", "tags.`champion`", *columns],
        },
    }


def mark_reused(found: dict[str, Entry], *, reused: set[str], previous: dict[str, str]) -> None:
    """Say of every reused stage that it is one and, where known, which run it comes from."""
    for stage in reused & set(found):
        tags = found[stage].tags
        tags["reused"] = "true"
        tags[NOTE] = "\n\n".join([*([tags[NOTE]] if NOTE in tags else []), _REUSED])
        if stage in previous:
            tags["reused_from"] = previous[stage]

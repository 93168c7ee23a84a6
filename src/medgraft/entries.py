"""What MLflow is told about a pipeline run, read from what lies on disk; MLflow is not involved."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from medgraft.errors import StageError
from medgraft.notes import (
    NOTE,
    REFERENCE,
    REUSED,
    pipeline_note,
    stage_note,
    strategy_note,
)

Status = Literal["FINISHED", "FAILED", "KILLED"]

PIPELINE, STRATEGY = "pipeline", "finetune@"  # keys; the second with the strategy's name behind
_FOLDERS = {"preprocess": "prepared", "pretrain": "pretrained", "evaluate": "evaluation"}
_PAGES = ("report.html", "model_card.md", "tripod_ai.md", "probast_ai.md")
RESULTS = ("verdict.json", "metrics.json")  # what a run is compared by
_CURVES = ("train_loss", "validation_loss")
_PROSE = ("description", "notice", "origin")  # changes no result
_ANSWERS = ("helps", "cannot tell", "harms")  # the best that a strategy did is the answer
# MLflow's words: a source cohort is only learned from, the target's patients are also predicted.
TRAINING, EVALUATION = "training", "evaluation"
_MOST_COLUMNS = 1000  # of a gene expression matrix, MLflow's page would show every gene
_LONGEST_KEY, _LONGEST_PARAM, _LONGEST_TAG = 250, 6000, 8000


# The reference minus itself; without a number MLflow's charts would drop the run they start from.
_NO_DIFFERENCE = REFERENCE | {"difference": 0.0, "low": 0.0, "high": 0.0}


@dataclass(frozen=True)
class CohortUsed:
    """A prepared cohort as MLflow's "dataset": how many patients and what was measured, no values.

    `digest` is the start of the SHA-256 of the cohort's ``SHA256SUMS``; `folder` is relative to
    the project. `context` says what the run used the patients for.
    """

    name: str
    digest: str
    folder: str
    context: str
    profile: dict[str, int]
    columns: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Entry:
    """What one MLflow run will say; `curves` maps (name, step) to a value.

    `usage` has how busy the machine was, by name, at a ``time`` in milliseconds since 1970.
    """

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[tuple[str, int], float] = field(default_factory=dict)
    artifacts: dict[Path, str | None] = field(default_factory=dict)
    cohorts: list[CohortUsed] = field(default_factory=list)
    usage: list[dict[str, float]] = field(default_factory=list)


def check_stages(params: dict[str, dict[str, Any]], reused: set[str]) -> None:
    """Refuse keys that are no stage, and reused stages that take no part."""
    known = {*_FOLDERS, PIPELINE}
    unknown = sorted(k for k in params if k not in known and not k.startswith(STRATEGY))
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
        if (folder := _folder(work, stage)).is_dir():
            found[stage] = _child(stage, work, verdict=verdict, metrics=metrics)
        elif finished:
            raise StageError(f"{stage} finished, but its folder {folder} does not exist")
    told = params | {PIPELINE: _shared(params)}
    common = {key: value for key, value in tags.items() if value} | _source_tags(tags)
    for stage, entry in found.items():
        entry.params.update(_flatten(_telling(stage, told.get(stage, {}))))
        entry.tags.update(common | {"dvc_stage": stage})
        entry.cohorts.extend(_cohorts(work, stage, told.get(stage, {})))
        entry.usage.extend(_usage(work / "ran" / stage))
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
        # Its name stands where a constructor's does, before its choices in every sorted list:
        # MLflow's charts start with the first parameter that differs.
        told = {"strategy": {"_target_": strategy} | told.pop("strategies")[strategy]} | told
    if isinstance(told.get("metrics"), Mapping):
        told["metrics"] = list(told["metrics"])
    return told


def _cohorts(work: Path, stage: str, params: Mapping[str, Any]) -> list[CohortUsed]:
    """The cohorts a stage learns from, and the one it is judged on."""
    kind, _, strategy = stage.partition("@")
    choices = params.get("strategies", {}).get(strategy, {}) if strategy else {}
    alone = kind == "evaluate" or not choices.get("uses_source", True)
    used = {} if alone else {"source": TRAINING}
    used |= {} if kind == "pretrain" else {"target": EVALUATION}
    folders = {cohort: work / "prepared" / cohort for cohort in used}
    return [_cohort(folder, used[cohort]) for cohort, folder in folders.items() if folder.is_dir()]


def cohorts_used(work: Path) -> list[CohortUsed]:
    """The source and the target that lie prepared in `work`."""
    contexts = {"source": TRAINING, "target": EVALUATION}
    folders = {work / "prepared" / cohort: context for cohort, context in contexts.items()}
    return [_cohort(folder, context) for folder, context in folders.items() if folder.is_dir()]


def _cohort(folder: Path, context: str) -> CohortUsed:
    schema = _json(folder / "schema.json")
    features = schema.get("features", [])
    patients = pl.scan_parquet(folder / "patients.parquet", glob=False)
    rows, people = patients.select(pl.len(), pl.n_unique("patient")).collect().row(0)
    seal = (folder / "SHA256SUMS").read_bytes()
    return CohortUsed(
        name=" + ".join(schema["sites"]),
        digest=hashlib.sha256(seal).hexdigest()[:12],
        folder=f"work/prepared/{folder.name}",
        context=context,
        profile={"patients": people, "rows": rows}
        | ({"columns": len(features)} if features else {}),
        columns={one["name"]: one["kind"] for one in features[:_MOST_COLUMNS]},
    )


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
        tags={
            "champion": champion,
            "verdict": answer,
            NOTE: pipeline_note(verdict, metrics, work / "evaluation"),
        },
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


def _child(stage: str, work: Path, *, verdict: dict[str, Any], metrics: dict[str, Any]) -> Entry:
    strategy = stage.partition("@")[2]
    curves = _curves(_folder(work, stage) / "history.parquet")
    if not strategy or not verdict:
        note = stage_note(stage, verdict, work / "evaluation")
        return Entry(name=strategy or stage, tags={NOTE: note} if note else {}, curves=curves)
    row = verdict["strategies"].get(strategy, REFERENCE)
    numbers = _numbers(strategy, verdict=verdict, metrics=metrics)
    return Entry(
        name=strategy,
        tags={
            "verdict": row["verdict"],
            NOTE: strategy_note(row, verdict, numbers, work / "evaluation"),
        },
        metrics=numbers,
        curves=curves,
    )


def _numbers(
    strategy: str, *, verdict: dict[str, Any], metrics: dict[str, Any]
) -> dict[str, float]:
    """The primary metric, its difference to the reference, the other metrics; nulls are left out.

    MLflow shows them in this order.
    """
    row = verdict["strategies"].get(strategy, _NO_DIFFERENCE)
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
        pl.scan_parquet(history, glob=False)
        .group_by("step")
        .agg(pl.col(_CURVES).fill_nan(None).mean())
        .sort("step")
        .collect()
    )
    long = means.unpivot(index="step", variable_name="curve", value_name="loss").drop_nulls()
    return {(curve, step): loss for step, curve, loss in long.iter_rows()}


def _usage(marker: Path) -> list[dict[str, float]]:
    """What was sampled while the stage ran; nothing of a stage that DVC did not run."""
    told = marker.read_text(encoding="utf-8") if marker.is_file() else ""
    return json.loads(told) if told else []


def _artifacts(evaluation: Path) -> dict[Path, str | None]:
    figures = sorted(path for path in (evaluation / "figures").glob("*") if path.is_file())
    pages = [path for name in (*_PAGES, *RESULTS) if (path := evaluation / name).exists()]
    return dict.fromkeys(figures, "figures") | dict.fromkeys(pages)


def _source_tags(tags: dict[str, str]) -> dict[str, str]:
    """Tags MLflow's own columns "Source" and "Version" show."""
    source = {"mlflow.source.name": "medgraft", "mlflow.source.type": "PROJECT"}
    commit = tags.get("git_commit")
    return source | ({"mlflow.source.git.commit": commit} if commit else {})


def flat(params: Mapping[str, Any]) -> dict[str, str]:
    """Parameters under the names and in the words that MLflow has for them."""
    return _flatten(_telling(PIPELINE, params))


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


def mark_reused(found: dict[str, Entry], *, reused: set[str], previous: dict[str, str]) -> None:
    """Say of every reused stage that it is one and, where known, which run it comes from."""
    for stage in reused & set(found):
        tags = found[stage].tags
        tags["reused"] = "true"
        tags[NOTE] = "\n\n".join([*([tags[NOTE]] if NOTE in tags else []), REUSED])
        if stage in previous:
            tags["reused_from"] = previous[stage]

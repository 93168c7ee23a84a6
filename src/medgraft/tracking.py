"""Logs a whole pipeline run to MLflow from what lies on disk; the only module that talks to MLflow.

Stages never do: importing MLflow takes seconds, and a dead server must not stop a training.
"""

import json
import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import polars as pl
from filelock import FileLock

from medgraft.errors import MedgraftError, StageError

if TYPE_CHECKING:
    from mlflow import MlflowClient

Status = Literal["FINISHED", "FAILED", "KILLED"]

PIPELINE = "pipeline"
_NOTE = "mlflow.note.content"  # what MLflow shows as the description, in markdown
_FOLDERS = {"preprocess": "prepared", "pretrain": "pretrained", "evaluate": "evaluation"}
_CURVES = ("train_loss", "validation_loss")
_PARAMS_PER_BATCH, _METRICS_PER_BATCH = 100, 1000  # MLflow refuses more
_LONGEST_KEY, _LONGEST_PARAM, _LONGEST_TAG = 250, 6000, 8000
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_EXPERIMENT_NOTE = """One row per pipeline run, named source → target; its + opens the strategies.
A metric has its 95 % interval in `_low` and `_high`. `difference` is the strategy minus the
reference, `p_holm` its p-value corrected for the number of strategies. A row tagged `reused` was
not trained again, because nothing it depends on had changed."""
# MLflow would retry for ten minutes; a user's own settings win.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}


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
class _Entry:
    """What one MLflow run will say; `curves` maps (name, step) to a value."""

    name: str
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curves: dict[tuple[str, int], float] = field(default_factory=dict)
    artifacts: dict[Path, str | None] = field(default_factory=dict)


def track(
    work: Path,
    *,
    params: dict[str, dict[str, Any]],
    uri: str,
    experiment: str,
    tags: dict[str, str],
    reused: set[str],
    previous: dict[str, str],
    status: Status = "FINISHED",
) -> dict[str, str]:
    """Log one pipeline run: a parent run, and a child for every stage and strategy.

    Keys are the names DVC gives the stages: `preprocess`, `pretrain`, `finetune@<strategy>` and
    `evaluate`; the parent is `pipeline`. No weights are logged: DVC owns them.

    Args:
        work: folder the stages wrote to.
        params: for each stage that takes part, the parameters it declares (nested is fine);
            `pipeline` is optional and goes to the parent.
        uri: `sqlite:///path/to/mlflow.db`, made when absent with its artifacts beside it, or a
            server.
        experiment: the clinical question, such as `heart`; one MLflow experiment.
        tags: what identifies the run (git commit, data hash, design hash); put on every run.
        reused: stages DVC did not run this time; tagged `reused` and `reused_from`.
        previous: what the last call returned.
        status: of the pipeline. An unfinished one has no verdict: what lies in `evaluation` may
            be that of an earlier run.

    Returns:
        The MLflow run id of each key.

    Raises:
        StageError: a key is not a stage, or a finished run lacks what a stage writes.
        MedgraftError: MLflow cannot be reached, or refuses.
    """
    _check_stages(params, reused)
    entries = _entries(work, params=params, tags=tags, status=status)
    _mark_reused(entries, reused=reused, previous=previous)
    with session(uri, work) as client:
        return _write(client, _experiment_id(client, experiment, uri), entries, status=status)


@contextmanager
def session(uri: str, work: Path) -> Iterator["MlflowClient"]:
    """A client of the database or server at `uri`; whatever fails inside says so in one line.

    Raises:
        MedgraftError: MLflow cannot be reached, or refuses; the results in `work` are kept.
    """
    with _one_line_errors(uri, work):
        yield _connect(uri)


# What to log: read from disk, MLflow not involved.


def _check_stages(params: dict[str, dict[str, Any]], reused: set[str]) -> None:
    known = {*_FOLDERS, PIPELINE}
    unknown = sorted(k for k in params if k not in known and not k.startswith("finetune@"))
    if unknown:
        raise StageError(
            f"params name unknown stages {unknown}: expected {', '.join(sorted(known))} "
            "or finetune@<strategy>"
        )
    if absent := sorted(reused - set(params)):
        raise StageError(f"reused stages {absent} are not among those with params {list(params)}")


def _entries(
    work: Path,
    *,
    params: dict[str, dict[str, Any]],
    tags: dict[str, str],
    status: Status,
) -> dict[str, _Entry]:
    finished = status == "FINISHED"
    verdict = _json(work / "evaluation" / "verdict.json") if finished else {}
    metrics = _json(work / "evaluation" / "metrics.json") if finished else {}
    parent = _parent(work, verdict=verdict, metrics=metrics, status=status)
    entries = {PIPELINE: parent}
    for stage in [key for key in params if key != PIPELINE]:
        folder = _folder(work, stage)
        if folder.is_dir():
            entries[stage] = _child(stage, folder, verdict=verdict, metrics=metrics)
        elif finished:
            raise StageError(f"{stage} finished, but its folder {folder} does not exist")
    for stage, entry in entries.items():
        entry.params.update(_flatten(params.get(stage, {})))
        entry.tags.update(tags | {"dvc_stage": stage} | _source_tags(tags))
    return entries


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
) -> _Entry:
    name = f"{_sites(work, 'source')} → {_sites(work, 'target')}"
    if not verdict:
        return _Entry(name=f"{name}: {status.lower()}")
    champion = verdict["champion"]["strategy"]
    return _Entry(
        name=f"{name}: {champion} ships",
        tags={
            "champion": champion,
            "verdict": verdict["strategies"].get(champion, REFERENCE)["verdict"],
            _NOTE: _pipeline_note(verdict),
        },
        metrics=_numbers(champion, verdict=verdict, metrics=metrics),
        artifacts=_artifacts(work / "evaluation"),
    )


def _sites(work: Path, cohort: str) -> str:
    schema = work / "prepared" / cohort / "schema.json"
    sites = _json(schema)["sites"] if schema.exists() else [cohort]
    return " + ".join(sites) if len(sites) <= 3 else f"{len(sites)} sites"


def _child(stage: str, folder: Path, *, verdict: dict[str, Any], metrics: dict[str, Any]) -> _Entry:
    strategy = stage.partition("@")[2]
    curves = _curves(folder / "history.parquet")
    if not strategy or not verdict:
        return _Entry(name=strategy or stage, curves=curves)
    row = verdict["strategies"].get(strategy, REFERENCE)
    return _Entry(
        name=strategy,
        tags={"verdict": row["verdict"], _NOTE: f"**{row['verdict']}** – {row['description']}"},
        metrics=_numbers(strategy, verdict=verdict, metrics=metrics),
        curves=curves,
    )


def _numbers(
    strategy: str, *, verdict: dict[str, Any], metrics: dict[str, Any]
) -> dict[str, float]:
    """Metrics and the difference to the reference, with intervals; nulls are left out."""
    row = verdict["strategies"].get(strategy, REFERENCE)
    named: dict[str, float | None] = {}
    for metric, number in metrics.get(strategy, {}).items():
        named |= {metric: number["value"]}
        named |= {f"{metric}_low": number["low"], f"{metric}_high": number["high"]}
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


def _pipeline_note(verdict: dict[str, Any]) -> str:
    champion, primary, reference = (verdict[key] for key in ("champion", "primary", "reference"))
    table = "\n".join(_table_row(name, row) for name, row in verdict["strategies"].items())
    return f"""**{verdict["sentence"]}**

Ships: **{champion["strategy"]}** – {champion["reason"]}

| strategy | {primary} | minus {reference} | 95 % from | to | verdict |
|---|---|---|---|---|---|
{table}

Figures and `report.html` are under Artifacts."""


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


def _flatten(params: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """`{"a": {"b": [1]}}` becomes `{"a.b": "[1]"}`, in the characters and lengths MLflow takes."""
    flat: dict[str, str] = {}
    for key, value in params.items():
        name = prefix + re.sub(r"[^-\w./ ]", "_", str(key))
        if isinstance(value, dict) and value:
            flat |= _flatten(value, f"{name}.")
        else:
            text = value if isinstance(value, str) else json.dumps(value, default=str)
            flat[name[:_LONGEST_KEY]] = _short(text, _LONGEST_PARAM)
    return flat


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _mark_reused(entries: dict[str, _Entry], *, reused: set[str], previous: dict[str, str]) -> None:
    for stage in reused & set(entries):
        entries[stage].tags["reused"] = "true"
        if stage in previous:
            entries[stage].tags["reused_from"] = previous[stage]


# How to log it.


@contextmanager
def _one_line_errors(uri: str, work: Path) -> Iterator[None]:
    """Turn whatever MLflow, its database or its server raise into one line without passwords."""
    _quiet()
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
        message = f"MLflow at {uri} failed: {_reason(error)}. The results in {work} are kept"
        advice = "check the address and track again"
        raise MedgraftError(re.sub(r"//[^/@\s]+@", "//", f"{message}; {advice}.")) from None


def _reason(error: BaseException) -> str:
    """First line of the error; of its cause in network or database, when that is what began it."""
    first = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    told = first if isinstance(first, OSError | sqlite3.Error) else error
    lines = str(told).strip().splitlines() or [type(told).__name__]
    return _short(lines[0].rstrip("."), 300)


def _quiet() -> None:
    """Telemetry off, short retries, no log lines: what MLflow logs as an error it also raises."""
    os.environ.update(_ENVIRONMENT)
    for key, value in _PATIENCE.items():
        os.environ.setdefault(key, value)
    import mlflow  # noqa: F401  sets its log levels at import, so ours come after

    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _connect(uri: str) -> "MlflowClient":
    from mlflow import MlflowClient

    database = _database(uri)
    if database is None:
        return MlflowClient(tracking_uri=uri)
    database.parent.mkdir(parents=True, exist_ok=True)
    # Two processes that create one database together break each other's migration.
    with FileLock(f"{database}.lock"):
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return client


def _database(uri: str) -> Path | None:
    """The file behind a sqlite uri; None for a server."""
    if not uri.startswith("sqlite:///"):
        return None
    return Path(uri.removeprefix("sqlite:///").partition("?")[0])


def _experiment_id(client: "MlflowClient", name: str, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is not None:
        return found.experiment_id
    database = _database(uri)
    root = (database.parent / "artifacts").resolve().as_uri() if database else None
    try:
        tags = {_NOTE: _EXPERIMENT_NOTE}
        return client.create_experiment(name, artifact_location=root, tags=tags)
    except MlflowException:
        # Another process may have made it a moment ago.
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return found.experiment_id


def _write(
    client: "MlflowClient", experiment: str, entries: dict[str, _Entry], *, status: Status
) -> dict[str, str]:
    parent = entries[PIPELINE]
    with _run(client, experiment, parent, status=status) as parent_id:
        ids = {PIPELINE: parent_id}
        # MLflow lists the newest first, so the last stage is logged first.
        for stage in reversed([key for key in entries if key != PIPELINE]):
            with _run(client, experiment, entries[stage], parent=parent_id) as run_id:
                ids[stage] = run_id
        return ids


@contextmanager
def _run(
    client: "MlflowClient",
    experiment: str,
    entry: _Entry,
    *,
    parent: str | None = None,
    status: Status = "FINISHED",
) -> Iterator[str]:
    """Open, fill and close a run; what goes wrong inside closes it as FAILED or KILLED."""
    tags = {key: _short(value, _LONGEST_TAG) for key, value in entry.tags.items()}
    tags |= {"mlflow.parentRunId": parent} if parent else {}
    run_id = client.create_run(experiment, run_name=entry.name, tags=tags).info.run_id
    try:
        _fill(client, run_id, entry)
        yield run_id
    except BaseException as error:
        with suppress(Exception):
            client.update_run(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    # Not set_terminated: MLflow would show the milliseconds of logging as the run's duration.
    client.update_run(run_id, status)


def _fill(client: "MlflowClient", run_id: str, entry: _Entry) -> None:
    from mlflow.entities import Metric, Param

    now = round(time.time() * 1000)
    points = {(name, 0): value for name, value in entry.metrics.items()} | entry.curves
    metrics = [Metric(name, value, now, step) for (name, step), value in points.items()]
    params = [Param(name, value) for name, value in entry.params.items()]
    for at in range(0, len(params), _PARAMS_PER_BATCH):
        client.log_batch(run_id, params=params[at : at + _PARAMS_PER_BATCH])
    for at in range(0, len(metrics), _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=metrics[at : at + _METRICS_PER_BATCH])
    for path, folder in entry.artifacts.items():
        client.log_artifact(run_id, str(path), folder)

"""Logs a whole pipeline run to MLflow from what lies on disk; the only module that talks to MLflow.

Stages never do: importing MLflow takes seconds, and a dead server must not stop a training.
"""

import json
import logging
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from medgraft.construct import SECRETS
from medgraft.entries import (
    PIPELINE,
    RESULTS,
    STRATEGY,
    CohortUsed,
    Entry,
    Status,
    check_stages,
    entries,
    mark_reused,
    short,
)
from medgraft.errors import MedgraftError
from medgraft.notes import NOTE, placed
from medgraft.views import views

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Run

# Tag: which project on which machine writes the run, hashed; only one process of it does at a time.
WRITER = "written_by"
_PARAMS_PER_BATCH, _METRICS_PER_BATCH = 100, 900  # MLflow refuses more, and more than 1000 in all
_LONGEST_DATASET_NAME = 500
_MOST_RUNS, _MOST_NAMED = 5000, 5
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
_EXPERIMENT_NOTE = """[Strategies, best first]({page}strategies) · \
[as bars]({page}strategies&compareRunsMode=CHART) · [pipeline runs]({page}runs)

A pipeline run is named after its answer, source → target; its + opens the strategies. A metric has
its 95 % interval in `_low` and `_high`. `difference` is the strategy minus the reference, `p_holm`
its p-value corrected for the number of strategies. A row tagged `reused` was not trained again,
because nothing it depends on had changed."""
# Where MLflow shows a view, in the half of its pages that is about models.
_PAGE = "#/experiments/{identity}/runs?workflowType=machine_learning&viewStateShareKey="
_VIEW = "mlflow.sharedViewState."
# MLflow would retry for ten minutes; a user's own settings win.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
}
# Else MLflow goes past a server to its store, with links that the server signs; only the server
# need be reached.
_THROUGH_SERVER = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
}


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
            `pipeline` is optional. The parent gets them all.
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
    check_stages(params, reused)
    found = entries(work, params=params, tags=tags, status=status)
    mark_reused(found, reused=reused, previous=previous)
    with session(uri, work) as client:
        identity = _experiment_id(client, experiment, uri)
        for name, view in (views(work) if status == "FINISHED" else {}).items():
            client.set_experiment_tag(identity, f"{_VIEW}{name}", json.dumps(view))
        return _write(client, identity, found, status=status)


def track_family(found: dict[str, Entry], *, uri: str, experiment: str, work: Path) -> str:
    """Log `found["pipeline"]` and, as its children, the others; the parent's MLflow run id.

    Raises:
        MedgraftError: MLflow cannot be reached, or refuses.
    """
    with session(uri, work) as client:
        identity = _experiment_id(client, experiment, uri)
        return _write(client, identity, found, status="FINISHED")[PIPELINE]


@contextmanager
def session(uri: str, work: Path) -> Iterator["MlflowClient"]:
    """A client of the database or server at `uri`; whatever fails inside says so in one line.

    Raises:
        MedgraftError: MLflow cannot be reached, or refuses; the results in `work` are kept.
    """
    with _one_line_errors(uri, work):
        yield _connect(uri)


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
        raise MedgraftError(SECRETS.sub("", f"{message}; {advice}.")) from None


def _reason(error: BaseException) -> str:
    """First line of the error; of its cause in network or database, when that is what began it."""
    first = error
    while (earlier := first.__cause__ or first.__context__) is not None:
        first = earlier
    told = first if isinstance(first, OSError | sqlite3.Error) else error
    lines = str(told).strip().splitlines() or [type(told).__name__]
    return short(lines[0].rstrip("."), 300)


def _quiet() -> None:
    """Telemetry off, short retries, no log lines: what MLflow logs as an error it also raises."""
    os.environ.update(_ENVIRONMENT)
    for key, value in (_PATIENCE | _THROUGH_SERVER).items():
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
        identity = client.create_experiment(name, artifact_location=root)
        page = _PAGE.format(identity=identity)
        client.set_experiment_tag(identity, NOTE, _EXPERIMENT_NOTE.format(page=page))
        return identity
    except MlflowException:
        # Another process may have made it a moment ago.
        if (found := client.get_experiment_by_name(name)) is None:
            raise
        return found.experiment_id


def _write(
    client: "MlflowClient", experiment: str, found: dict[str, Entry], *, status: Status
) -> dict[str, str]:
    parent = found[PIPELINE]
    left = _left_open(client, experiment, parent)
    with _run(client, experiment, parent, status=status) as parent_id:
        for run_id in left:
            client.set_tag(run_id, "resumed_by", parent_id)
            client.update_run(run_id, "KILLED")
        ids = {PIPELINE: parent_id}
        # MLflow lists the newest first, so the last stage is logged first.
        for stage in reversed([key for key in found if key != PIPELINE]):
            with _run(client, experiment, found[stage], parent=parent_id) as run_id:
                ids[stage] = run_id
        strategies = [ids[stage] for stage in found if stage.startswith(STRATEGY)]
        note = placed(parent.tags.get(NOTE, ""), experiment, parent_id, strategies)
        client.set_tag(parent_id, NOTE, short(note))
        return ids


def _left_open(client: "MlflowClient", experiment: str, parent: Entry) -> list[str]:
    """Runs of this very project that say they are running: whoever wrote them was ended."""
    if (writer := parent.tags.get(WRITER)) is None:
        return []
    asked = f"attributes.status = 'RUNNING' and tags.{WRITER} = '{writer}'"
    return [run.info.run_id for run in client.search_runs([experiment], asked)]


@contextmanager
def _run(
    client: "MlflowClient",
    experiment: str,
    entry: Entry,
    *,
    parent: str | None = None,
    status: Status = "FINISHED",
) -> Iterator[str]:
    """Open, fill and close a run; what goes wrong inside closes it as FAILED or KILLED."""
    tags = dict(entry.tags)
    note = tags.pop(NOTE, "")
    if parent:  # which gets its own note at last, with links to all runs
        tags |= {"mlflow.parentRunId": parent}
        tags |= {NOTE: placed(note, experiment, parent)} if note else {}
    tags = {key: short(value) for key, value in tags.items()}
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


def _fill(client: "MlflowClient", run_id: str, entry: Entry) -> None:
    from mlflow.entities import Metric, Param

    now = round(time.time() * 1000)
    points = {(name, 0): value for name, value in entry.metrics.items()} | entry.curves
    metrics = [Metric(name, value, now, step) for (name, step), value in points.items()]
    for step, sample in enumerate(entry.usage):
        at = int(sample["time"])
        metrics += [Metric(f"system/{k}", v, at, step) for k, v in sample.items() if k != "time"]
    params = [Param(name, value) for name, value in entry.params.items()]
    # Together: every request is several transactions, and sqlite waits for the disk each time.
    batches: Any = zip_longest(
        _batched(params, _PARAMS_PER_BATCH), _batched(metrics, _METRICS_PER_BATCH), fillvalue=[]
    )
    for some_params, some_metrics in batches:
        client.log_batch(run_id, metrics=some_metrics, params=some_params)
    if entry.cohorts:
        client.log_inputs(run_id, datasets=[_dataset(cohort) for cohort in entry.cohorts])
    for path, folder in entry.artifacts.items():
        client.log_artifact(run_id, str(path), folder)


def _dataset(cohort: CohortUsed) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    types = {"number": "double", "category": "string"}  # others, such as a sequence, as they are
    schema = [
        {"name": name, "type": types.get(kind, kind)} for name, kind in cohort.columns.items()
    ]
    dataset = Dataset(
        name=short(cohort.name, _LONGEST_DATASET_NAME),
        digest=cohort.digest,
        source_type="local",
        source=json.dumps({"uri": cohort.folder}),
        schema=json.dumps({"mlflow_colspec": schema}) if schema else None,
        profile=json.dumps(cohort.profile),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", cohort.context)])


def _batched(items: list[Any], size: int) -> list[list[Any]]:
    """The items in lists of at most ``size``."""
    return [items[at : at + size] for at in range(0, len(items), size)]


# What was logged, read again.


def recall(asked: str, *, uri: str, work: Path, into: Path) -> dict[str, Entry]:
    """What `track` had logged of the finished pipeline run with this id or name, by stage.

    The parent's `artifacts` are its `RESULTS`, copied to the folder `into`. Curves, metrics and
    notes are left out.

    Raises:
        MedgraftError: there is no such run, or several; or MLflow cannot be reached.
    """
    with session(uri, work) as client:
        run = _only(_finished(client, asked), asked, uri)
        run_id, experiment = run.info.run_id, run.info.experiment_id
        logged = {item.path for item in client.list_artifacts(run_id)}
        if lacking := sorted(set(RESULTS) - logged):
            raise MedgraftError(
                f"run {run_id} at {uri} lacks {', '.join(lacking)}: it was logged by an earlier "
                "version; name the folder of its results instead"
            )
        parent = _entry(run)
        for name in RESULTS:
            path = client.download_artifacts(run_id, name, str(into))
            parent.artifacts[Path(path)] = None
        children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{run_id}'")
        return {PIPELINE: parent} | {
            child.data.tags["dvc_stage"]: _entry(child)
            for child in children
            if "dvc_stage" in child.data.tags
        }


def _finished(client: "MlflowClient", asked: str) -> "list[Run]":
    """Finished pipeline runs of any experiment that are called so; an id is one run's alone."""
    experiments = [one.experiment_id for one in client.search_experiments()]
    runs = client.search_runs(
        experiments,
        f"tags.dvc_stage = '{PIPELINE}' and attributes.status = 'FINISHED'",
        max_results=_MOST_RUNS,
    )
    return [run for run in runs if asked in (run.info.run_id, run.info.run_name)]


def _only(found: "list[Run]", asked: str, uri: str) -> "Run":
    if len(found) == 1:
        return found[0]
    if not found:
        raise MedgraftError(
            f"{asked}: neither a folder nor the name or id of a finished pipeline run at {uri}"
        )
    ids = ", ".join(run.info.run_id for run in found[:_MOST_NAMED])
    raise MedgraftError(f"{asked}: {len(found)} runs at {uri} are called so; give an id: {ids}")


def _entry(run: "Run") -> Entry:
    inputs = run.inputs.dataset_inputs if run.inputs else []
    return Entry(
        name=run.info.run_name or run.info.run_id,
        params=dict(run.data.params),
        tags=dict(run.data.tags),
        cohorts=[_cohort_used(one) for one in inputs],
    )


def _cohort_used(given: "DatasetInput") -> CohortUsed:
    dataset, tags = given.dataset, {tag.key: tag.value for tag in given.tags}
    return CohortUsed(
        name=dataset.name,
        digest=dataset.digest,
        folder=json.loads(dataset.source)["uri"],
        context=tags.get("mlflow.data.context", ""),
        profile=json.loads(dataset.profile or "{}"),
    )

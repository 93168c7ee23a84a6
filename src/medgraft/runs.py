"""Finished runs, read from their folders or from MLflow, so that they can be set side by side."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from medgraft.config import project_root, read_params
from medgraft.entries import EVALUATION as TESTED
from medgraft.entries import PIPELINE, RESULTS, STRATEGY, CohortUsed, Entry, cohorts_used, flat
from medgraft.errors import MedgraftError
from medgraft.provenance import raw_data
from medgraft.reporting.comparison import FinishedRun
from medgraft.stages import run as places
from medgraft.stages.made import located

STAGES = ("preprocess", "pretrain", "evaluate")
"""Those whose parameters decide what comes out, beside the strategies' own."""

VERDICT = {"sentence", "primary", "reference", "champion", "strategies"}


def read_run(asked: str) -> FinishedRun:
    """The run in a folder, a project or its `work/evaluation`; else MLflow's of this name or id.

    Raises:
        MedgraftError: there is no such run, or it has not finished.
    """
    folder = Path(asked)
    return from_folder(asked, folder) if folder.is_dir() else from_mlflow(asked)


def from_folder(asked: str, folder: Path) -> FinishedRun:
    """A run whose results lie in a folder; what lies around it is told where it is there."""
    inside = folder / places.EVALUATION
    evaluation = inside if inside.is_dir() else folder
    verdict, metrics = _results(evaluation, asked)
    work = evaluation.resolve().parent
    root = work.parent
    design = work / "prepared" / "design.parquet"
    params = flat(_params(root, strategies=list(metrics)))
    return FinishedRun(
        name=asked,
        verdict=verdict,
        metrics=metrics,
        params=params,
        hashes={
            **_cohorts(cohorts_used(work)),
            "raw data": raw_data(root, params.get("cohort.folder", "")),
            "design": _md5(design) if design.is_file() else "",
        },
        sizes=_sizes(cohorts_used(work)),
    )


def from_mlflow(asked: str) -> FinishedRun:
    """A run that MLflow knows by this name or id, in the store of the project we are in."""
    from medgraft.tracking import recall

    root = project_root()
    uri = located(read_params(root)["tracking"]["uri"], root)
    database = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not database.is_file():
        raise MedgraftError(f"{asked}: no such folder, and no MLflow run: there is no {database}")
    with tempfile.TemporaryDirectory() as into:
        found = recall(asked, uri=uri, work=root / places.WORK, into=Path(into))
        verdict, metrics = _results(Path(into), asked)
    told = found[PIPELINE]
    return FinishedRun(
        name=told.name,
        verdict=verdict,
        metrics=metrics,
        params={key: value for key, value in told.params.items() if key != "strategies"}
        | _strategies(found),
        hashes={
            **_cohorts(_all_cohorts(found)),
            "raw data": told.tags.get("data", ""),
            "design": told.tags.get("design", ""),
        },
        sizes=_sizes(_all_cohorts(found)),
    )


def _results(folder: Path, asked: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What verdict.json and metrics.json hold."""
    verdict, metrics = (_json(folder / name, asked) for name in RESULTS)
    if lacking := sorted(VERDICT - set(verdict)):
        raise MedgraftError(f"{asked}: verdict.json lacks {', '.join(lacking)}")
    return verdict, metrics


def _json(path: Path, asked: str) -> dict[str, Any]:
    if not path.is_file():
        raise MedgraftError(
            f"{asked}: no finished run: expected {path.name} in it or in its {places.EVALUATION}"
        )
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise MedgraftError(f"{path}: not JSON ({error})") from None


def _params(root: Path, *, strategies: list[str]) -> dict[str, Any]:
    """What DVC last made the results with; empty where there is no ``dvc.lock``.

    It keeps strategies that are no longer among those studied.
    """
    lock = root / "dvc.lock"
    stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"] if lock.is_file() else {}
    known = {*STAGES, *(f"{STRATEGY}{name}" for name in strategies)}
    return _nested(
        [
            stage.get("params", {}).get("params.yaml", {})
            for name, stage in stages.items()
            if name in known
        ]
    )


def _nested(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """`[{"a.b": 1}, {"a.c": 2}]` becomes `{"a": {"b": 1, "c": 2}}`."""
    whole: dict[str, Any] = {}
    for name, value in [pair for one in stages for pair in one.items()]:
        *above, last = name.split(".")
        section = whole
        for key in above:
            section = section.setdefault(key, {})
        both = isinstance(value, dict) and isinstance(section.get(last), dict)
        section[last] = section[last] | value if both else value
    return whole


def _strategies(found: Mapping[str, Entry]) -> dict[str, str]:
    """The choices of every strategy, which MLflow has with the strategies' own runs."""
    own = "strategy."
    return {
        f"strategies.{stage.removeprefix(STRATEGY)}.{key.removeprefix(own)}": value
        for stage, entry in found.items()
        if stage.startswith(STRATEGY)
        for key, value in entry.params.items()
        if key.startswith(own)
    }


def _all_cohorts(found: Mapping[str, Entry]) -> list[CohortUsed]:
    return [cohort for entry in found.values() for cohort in entry.cohorts]


def _role(cohort: CohortUsed) -> str:
    return "target" if cohort.context == TESTED else "source"


def _cohorts(used: list[CohortUsed]) -> dict[str, str]:
    return {_role(cohort): cohort.digest for cohort in used}


def _sizes(used: list[CohortUsed]) -> dict[str, dict[str, Any]]:
    return {
        _role(cohort): {"name": cohort.name, "patients": cohort.profile.get("patients")}
        for cohort in used
    }


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()

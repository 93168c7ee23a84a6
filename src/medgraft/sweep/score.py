"""A configuration's score: what its replicas say of their validation patients."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from filelock import FileLock

from medgraft.cohorts.seal import folder_md5
from medgraft.config import Config, declared, pick, validate
from medgraft.construct import construct
from medgraft.errors import StageError
from medgraft.evaluation.metrics.metric import Metric
from medgraft.preparation.arrays import (
    Prepared,
    read,
    read_design,
    replacing,
    seal,
    write,
    write_table,
)
from medgraft.sources import raw_files
from medgraft.stages import finetune, preprocess, pretrain
from medgraft.tasks import task as tasks


class Bench:
    """Where trials are carried out: what they share is made once, by whoever comes first.

    Args:
        root: the project.
        folder: keeps raw files that are made, prepared cohorts and source networks.
        params: the configuration that trials vary.
        strategies: whose scores count.
        mirror: a folder that holds the published files.
    """

    def __init__(
        self,
        root: Path,
        folder: Path,
        params: Mapping[str, Any],
        *,
        strategies: list[str],
        mirror: Path | None,
    ) -> None:
        self.root, self.folder, self.strategies = root, folder, strategies
        place = made(
            folder / f"raw-{digest(params['cohort']['origin'])}",
            lambda fresh: raw_files(root, params, folder=fresh, mirror=mirror),
        )
        self.raw = raw_files(root, params, folder=place, mirror=mirror)
        self.data = folder_md5(self.raw)
        from medgraft.training.resume import code  # torch takes seconds to import

        self.code = digest(code())
        self.declared = {stage: declared(root, stage) for stage in ("preprocess", "pretrain")}

    def prepared(self, params: dict[str, Any]) -> Path:
        """The cohorts of these parameters, without anybody to test on."""
        own = pick(params, self.declared["preprocess"])
        place = self.folder / f"prepared-{digest([own, self.data, self.code])}"
        params["cohort"] |= {"folder": str(self.raw)}

        def make(fresh: Path) -> None:
            preprocess.carry_out(validate(params), out=fresh)
            blind(fresh)

        return made(place, make)

    def pretrained(self, params: dict[str, Any], prepared: Path) -> Path:
        """Source networks of these parameters."""
        own = pick(params, self.declared["pretrain"])
        return made(
            self.folder / f"pretrained-{digest([own, prepared.name])}",
            lambda out: pretrain.carry_out(validate(params), prepared=prepared, out=out),
        )

    def scores(
        self, params: dict[str, Any], metrics: Mapping[str, Metric]
    ) -> dict[str, dict[str, float]]:
        """Train every strategy that counts; {strategy: {metric: mean over replicas}}."""
        prepared = self.prepared(params)
        pretrained = self.pretrained(params, prepared)
        config = validate(params)
        with tempfile.TemporaryDirectory(prefix="medgraft-") as name:
            for one in self.strategies:
                out = Path(name) / one
                finetune.carry_out(one, config, prepared=prepared, pretrained=pretrained, out=out)
            return {
                one: validation_scores(prepared, Path(name) / one, metrics)
                for one in self.strategies
            }


def digest(content: Any) -> str:
    """A short name for content that JSON can hold."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def made(place: Path, make: Callable[[Path], Any]) -> Path:
    """The folder `place`, filled by `make` where nobody has filled it yet."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not place.is_dir():
            with replacing(place) as fresh:
                make(fresh)
    return place


def blind(prepared: Path) -> None:
    """Take from a prepared cohort whom trials must not see.

    The design keeps the replicas that strategies are compared on, without their test patients;
    the outcome of whoever is in no replica's training or validation part is not there any more.
    """
    path = prepared / "design.parquet"
    design = read_design(path).filter(pl.col("use") == "compare")
    write_table(design.with_columns(pl.col("test").list.head(0)), path)
    seal(prepared)
    target = read(prepared / "target")
    seen = np.unique(np.concatenate([*design["train"], *design["validation"]]))
    y = np.full_like(target.y, np.nan)
    y[seen] = target.y[seen]
    write(prepared / "target", Prepared(np.array(target.x), y, target.patients, target.schema))


def validation_scores(
    prepared: Path, tuned: Path, metrics: Mapping[str, Metric]
) -> dict[str, float]:
    """The mean of each metric over the replicas that strategies are compared on.

    A replica whose validation patients leave a metric undefined does not count; NaN if all do.
    """
    target = read(prepared / "target")
    compared = read_design(prepared / "design.parquet").filter(pl.col("use") == "compare")
    outcome = target.schema["outcome"]
    task, horizons = tasks.of(outcome["task"]), outcome.get("horizons") or ()
    frame = pl.read_parquet(tuned / "predictions.parquet", glob=False).filter(
        pl.col("part") == "validation", pl.col("replica").is_in(compared["replica"].to_list())
    )
    if frame.is_empty():
        raise StageError(f"{tuned.name}: no validation predictions to score")
    found: dict[str, list[float]] = {name: [] for name in metrics}
    for part in frame.partition_by("replica", maintain_order=True):
        rows = part["row"].to_numpy()
        said = task.probabilities(part.select(pl.col("^output_.*$")).to_numpy().astype(float))
        if not np.isfinite(said).all():
            raise StageError(f"{tuned.name}: a prediction is not finite; training diverged")
        y, weight, fold = target.y[rows].astype(float), np.ones((1, len(rows))), np.zeros(len(rows))
        for name, metric in metrics.items():
            value = metric.at(horizons)(y, said, weight, fold.astype(np.int64))
            found[name].append(float(value[0]))
    return {name: mean_of_defined(values) for name, values in found.items()}


def mean_of_defined(values: list[float]) -> float:
    """The mean without NaN, which it is where there is nothing else."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else float("nan")


def metrics_of(config: Config, calibration: str | None) -> dict[str, Metric]:
    """The primary metric, and the second score if one is asked for."""
    names = [config.task.primary, *([calibration] if calibration else [])]
    return {name: construct(config.metrics[name]) for name in names}

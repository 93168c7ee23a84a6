import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from medgraft.errors import ConfigError
from medgraft.evaluation.champion import Champion, choose_champion, overrule
from medgraft.evaluation.intervals import Resampled, Statistic, by_run, estimate, resample
from medgraft.evaluation.metrics.metric import Metric, silent_folds
from medgraft.evaluation.planning import Plan, plan, said
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.sentence import conclude, counted, in_short
from medgraft.evaluation.verdict import Comparison, against, compare

COMPARISON_TYPES = {
    "strategy": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "error": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
    "verdict": pl.String,
    "smallest_effect": pl.Float64,
    "higher_is_better": pl.Boolean,
    "undefined": pl.Int64,
    "joint_low": pl.Float64,
    "joint_high": pl.Float64,
}


@dataclass(frozen=True)
class Evaluation:
    """Everything the evaluation of a study found.

    metrics: a table of strategy, metric, value, low, high; undefined, the draws that leave it so;
    and folds, of which silent_folds have nothing that the metric compares. comparisons: a row per
    strategy and metric, the fields of `verdict.Comparison`. verdict: what verdict.json holds.
    plans: of every strategy compared, what would settle it on the primary metric (None: undefined).
    """

    metrics: pl.DataFrame
    comparisons: pl.DataFrame
    champion: Champion
    verdict: dict[str, Any]
    plans: dict[str, Plan | None] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Write metrics.json, headline.json, comparisons.parquet and verdict.json."""
        folder.mkdir(parents=True, exist_ok=True)
        nested: dict[str, dict[str, Any]] = {}
        for row in self.metrics.iter_rows(named=True):
            nested.setdefault(row.pop("strategy"), {})[row.pop("metric")] = row
        write_json(folder / "metrics.json", nested)
        write_json(folder / "headline.json", self._headline(nested))
        self.comparisons.write_parquet(folder / "comparisons.parquet")
        write_json(folder / "verdict.json", self.verdict)

    def _headline(self, metrics: dict[str, dict[str, Any]]) -> dict[str, dict[str, float | None]]:
        """Two numbers a strategy, few enough for `dvc exp show`: primary metric and difference."""
        primary, compared = self.verdict["primary"], self.verdict["strategies"]
        return {
            strategy: {
                primary: scores[primary]["value"],
                "difference": compared.get(strategy, {}).get("difference"),
            }
            for strategy, scores in metrics.items()
        }


def evaluate(
    study: Study,
    metrics: Mapping[str, Metric],
    *,
    primary: str,
    reference: str,
    draws: int,
    seed: int,
    worthwhile: float | None = None,
    ship: tuple[str, str] | None = None,
) -> Evaluation:
    """Score every strategy, compare it with the reference, and choose the champion.

    worthwhile: see `planning.plan`. ship: a strategy and the reason, see `champion.overrule`.
    Metrics of other tasks are left out. Raises ConfigError if the primary metric is not among those
    left or has no better direction, StageError if nothing was validated.
    """
    chosen = applicable(metrics, study.task, primary=primary)
    statistics = _statistics(study, chosen)
    resampled = resample(statistics, study.sample, draws=draws, seed=seed)
    comparisons = {
        name: compare(
            metric, {s: resampled[s, name] for s in study.strategies}, reference=reference
        )
        for name, metric in chosen.items()
    }
    champion = choose_champion(study, draws=draws, seed=seed)
    if ship:
        champion = overrule(champion, study, strategy=ship[0], why=ship[1])
    of_primary = {name: resampled[name, primary] for name in study.strategies}
    plans = _plans(study, against(of_primary, reference=reference), worthwhile)
    return Evaluation(
        pl.DataFrame([_score(study, s, chosen[name], r) for (s, name), r in resampled.items()]),
        _table(comparisons),
        champion,
        {
            "primary": primary,
            "reference": reference,
            **_size(study, draws),
            "strategies": {c.strategy: _entry(c, study) for c in comparisons[primary]},
            "champion": asdict(champion),
            **_said(study, chosen[primary], comparisons[primary], reference, plans),
        },
        plans,
    )


def _statistics(study: Study, metrics: Mapping[str, Metric]) -> dict[tuple[str, str], Statistic]:
    return {
        (strategy, name): partial(
            by_run,
            metric=metric.at(study.horizons),
            outcome=study.outcome,
            prediction=result.test,
            fold=result.fold,
        )
        for strategy, result in study.strategies.items()
        for name, metric in metrics.items()
    }


def applicable(metrics: Mapping[str, Metric], task: str, *, primary: str) -> dict[str, Metric]:
    """Keep the metrics of a task, by name; ConfigError if the primary one is not fit to decide."""
    kept = {metric.name: metric for metric in metrics.values() if task in metric.tasks}
    directed = [name for name, metric in kept.items() if metric.higher_is_better is not None]
    if primary not in directed:
        raise ConfigError(
            f"expected the primary metric among {', '.join(directed) or 'none'} "
            f"for a {task} outcome, got {primary!r}"
        )
    return kept


def _score(study: Study, strategy: str, metric: Metric, resampled: Resampled) -> dict[str, Any]:
    result = study.strategies[strategy]
    found = estimate(resampled)
    low, high = np.clip(found.interval(), *metric.bounds)
    return {
        "strategy": strategy,
        "metric": metric.name,
        "value": found.value,
        "low": float(low),
        "high": float(high),
        "undefined": resampled.undefined,
        "silent_folds": silent_folds(
            metric.at(study.horizons), study.outcome, result.test, result.fold
        ),
        "folds": result.folds,
    }


def _table(comparisons: Mapping[str, list[Comparison]]) -> pl.DataFrame:
    rows = [asdict(c) for of_metric in comparisons.values() for c in of_metric]
    return pl.DataFrame(rows, schema=COMPARISON_TYPES)


def _size(study: Study, draws: int) -> dict[str, Any]:
    return {
        "task": study.task,
        "patients": study.patients,
        "rows": len(study.outcome),
        "runs": study.runs,
        "draws": draws,
    }


def _entry(comparison: Comparison, study: Study) -> dict[str, Any]:
    result = study.strategies[comparison.strategy]
    entry = asdict(comparison)
    del entry["strategy"], entry["metric"]
    return {**entry, "description": result.description, "uses_source": result.uses_source}


def _plans(
    study: Study, differences: Mapping[str, Resampled], worthwhile: float | None
) -> dict[str, Plan | None]:
    return {
        name: plan(
            name,
            estimate(difference),
            comparisons=len(differences),
            patients=study.patients,
            worthwhile=worthwhile,
        )
        for name, difference in differences.items()
    }


def _said(
    study: Study,
    metric: Metric,
    comparisons: list[Comparison],
    reference: str,
    plans: Mapping[str, Plan | None],
) -> dict[str, str]:
    if reference not in study.strategies:
        sentence = (
            f"Whether transfer learning helps was not tested: the reference strategy {reference} "
            "is not in this study."
        )
        return {"sentence": sentence, "in_short": ""}
    transfer = [c for c in comparisons if study.strategies[c.strategy].uses_source]
    sentence = conclude(
        transfer,
        metric,
        reference=reference,
        tested=len(comparisons),
        size=f"{counted(study.patients, 'patient')}, {counted(study.runs, 'training run')}",
        plans={name: said(one, metric=metric.label) for name, one in plans.items() if one},
    )
    short = in_short(transfer, metric, reference=reference, patients=study.patients)
    return {"sentence": sentence, "in_short": short}


def write_json(path: Path, content: Any) -> None:
    """Write what `plain` makes of it."""
    path.write_text(json.dumps(plain(content), indent=2, ensure_ascii=False) + "\n")


def plain(content: Any) -> Any:
    """Round floats to six digits and write what is not finite as null, which JSON can hold."""
    if isinstance(content, dict):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    if isinstance(content, float):
        return float(f"{content:.6g}") if np.isfinite(content) else None
    return content

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.evaluation.sentence import counted
from medgraft.evaluation.survival import censoring
from medgraft.preparation.arrays import Prepared

MOST_FEATURES = 40


@dataclass(frozen=True)
class Row:
    """One line of the table that sets the cohorts side by side."""

    name: str
    unit: str
    source: str
    target: str


def side_by_side(
    source: Prepared, target: Prepared, *, drift: Sequence[Mapping[str, Any]]
) -> list[Row]:
    """Describe both cohorts: their size, the outcome, and the shared features.

    Of more than 40 shared features, the 40 that differ most. A sequence or an image is an input,
    no measurement.
    """
    both = (source, target)
    rows = [
        Row("rows", "", *(f"{len(cohort):,}" for cohort in both)),
        Row("patients", "", *(f"{len(np.unique(cohort.patient)):,}" for cohort in both)),
        Row("sites", "", *(", ".join(cohort.schema["sites"]) for cohort in both)),
        Row("outcome", "", *(describe_outcome(cohort) for cohort in both)),
    ]
    for position in _shown(source.schema, [entry["feature"] for entry in most_drifted(drift)]):
        feature = source.schema["features"][position]
        values = (describe(cohort.x[:, position], feature) for cohort in both)
        rows.append(Row(feature["name"], feature.get("unit") or "", *values))
    return rows


def most_drifted(drift: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Sort by how far the distributions are apart, the furthest first.

    The distance is Kolmogorov-Smirnov's for numbers and the total variation for categories, both 0
    to 1.
    """
    return sorted(drift, key=lambda entry: -(distance(entry) or 0.0))


def distance(entry: Mapping[str, Any]) -> float | None:
    """Return how far apart source and target are in a feature, 0 to 1; None where undefined."""
    return entry.get("ks") if entry.get("ks") is not None else entry.get("total_variation")


def describe_outcome(cohort: Prepared) -> str:
    """Write what happened: how often each class or label came, the mean value, or the events."""
    outcome = cohort.schema["outcome"]
    return f"{outcome['name']}: {OUTCOMES[outcome['task']](cohort.y, outcome)}"


def describe(values: NDArray[np.float32], feature: Mapping[str, Any]) -> str:
    """Write median [quartiles] of a number, counts of a category, and how many are missing."""
    known = values[~np.isnan(values)]
    if not len(known):
        return "not measured"
    if feature["kind"] == "category":
        text = _shares(known, feature["categories"])
    else:
        low, middle, high = np.quantile(known.astype(np.float64), (0.25, 0.5, 0.75))
        text = f"{middle:.4g} [{low:.4g}, {high:.4g}]"
    missing = len(values) - len(known)
    return f"{text}; {counted(missing, 'value')} missing" if missing else text


def _values(y: NDArray[np.float32], outcome: Mapping[str, Any]) -> str:
    deviation = f"{y.std(ddof=1):.4g}" if len(y) > 1 else "–"
    return f"mean {y.mean():.4g} (SD {deviation}) {outcome['unit']}"


def _classes(y: NDArray[np.float32], outcome: Mapping[str, Any]) -> str:
    return _shares(y, outcome["classes"])


def _labels(y: NDArray[np.float32], outcome: Mapping[str, Any]) -> str:
    cases, known = (y == 1).sum(axis=0), (~np.isnan(y)).sum(axis=0)
    told = [
        f"{label} {case:,} of {rows:,} ({case / max(rows, 1):.0%})"
        for label, case, rows in zip(outcome["classes"], cases, known, strict=True)
    ]
    more = len(told) - MOST_FEATURES
    return ", ".join(told[:MOST_FEATURES]) + (f" and {counted(more, 'label')} more" * (more > 0))


def _events(y: NDArray[np.float32], outcome: Mapping[str, Any]) -> str:
    """How many events, and the median follow-up by the reverse Kaplan-Meier method.

    Schemper & Smith 1996 (Control. Clin. Trials 17:343).
    """
    time, event = y[:, 0].astype(np.float64), y[:, 1] == 1
    at = np.unique(time)
    followed = censoring(time, event, np.ones((1, len(y))), at=at)[0] <= 0.5
    median = f"{at[followed][0]:.4g} {outcome['unit']}" if followed.any() else "not reached"
    events = f"{counted(int(event.sum()), 'event')} ({event.mean():.0%})"
    return f"{events}, median follow-up {median}"


OUTCOMES: dict[str, Callable[[NDArray[np.float32], Mapping[str, Any]], str]] = {
    "binary": _classes,
    "multiclass": _classes,
    "regression": _values,
    "multilabel": _labels,
    "survival": _events,
}


def _shares(values: NDArray[np.float32], labels: Sequence[str]) -> str:
    times = np.bincount(values.astype(np.int64), minlength=len(labels))
    return ", ".join(
        f"{label} {count:,} ({count / len(values):.0%})"
        for label, count in zip(labels, times, strict=True)
    )


def _shown(schema: Mapping[str, Any], by_drift: Sequence[str]) -> list[int]:
    features = schema["features"]
    shared = [
        i
        for i, feature in enumerate(features)
        if feature["origin"] == "shared" and feature["kind"] in ("number", "category")
    ]
    if len(shared) <= MOST_FEATURES:
        return shared
    rank = {name: place for place, name in enumerate(by_drift)}
    furthest = sorted(shared, key=lambda i: rank.get(features[i]["name"], len(rank)))
    return sorted(furthest[:MOST_FEATURES])

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.preparation.arrays import Prepared
from medgraft.reporting.text import counted

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

    Of more than 40 shared features, the 40 that differ most.
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
    """Write how often each class came, or mean and standard deviation of the values."""
    outcome = cohort.schema["outcome"]
    if outcome["task"] == "regression":
        deviation = f"{cohort.y.std(ddof=1):.4g}" if len(cohort) > 1 else "–"
        return f"{outcome['name']}: mean {cohort.y.mean():.4g} (SD {deviation}) {outcome['unit']}"
    return f"{outcome['name']}: {_shares(cohort.y, outcome['classes'])}"


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


def _shares(values: NDArray[np.float32], labels: Sequence[str]) -> str:
    times = np.bincount(values.astype(np.int64), minlength=len(labels))
    return ", ".join(
        f"{label} {count:,} ({count / len(values):.0%})"
        for label, count in zip(labels, times, strict=True)
    )


def _shown(schema: Mapping[str, Any], by_drift: Sequence[str]) -> list[int]:
    features = schema["features"]
    shared = [i for i, feature in enumerate(features) if feature["origin"] == "shared"]
    if len(shared) <= MOST_FEATURES:
        return shared
    rank = {name: place for place, name in enumerate(by_drift)}
    furthest = sorted(shared, key=lambda i: rank.get(features[i]["name"], len(rank)))
    return sorted(furthest[:MOST_FEATURES])

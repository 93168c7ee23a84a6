"""Whether a new patient is unlike all those learned from, so that no answer should be given.

The squared Mahalanobis distance of what was measured (`summary` of the modality), with the
covariance shrunk towards equal variances (Ledoit & Wolf 2004, J. Multivar. Anal. 88:365) and kept
as its largest components and one variance for all others (Tipping & Bishop 1999, J. R. Stat. Soc. B
61:611). A category adds twice its negative log share. What is missing adds nothing. How far is too
far is seen from patients whom the distance was not fitted on, as in conformal anomaly detection
(Laxhammar & Falkman 2010).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from medgraft.evaluation.exchangeable import least, threshold, worst
from medgraft.preparation.alignment import Summary
from medgraft.preparation.arrays import Prepared

FILE = "novelty.safetensors"
FAMILIAR = 0.99
"""Share of patients like those learned from who are answered; of fewer than 99, all but the last:
who is farther than everybody."""
COMPONENTS = 50
FOLDS = 10
MOST = 5000
"""Rows the distance is fitted on; more would not move it."""
BLOCK = 4096
"""Rows asked about at a time."""
NAMED = 3
"""Features that a reason names."""
FLOOR = 0.02
"""Variance, as a share of the mean one, that every direction has: rounding makes no distance."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Shape:
    """Where patients lie: of numbers center and scale [d], components [k, d] and their gain [k].

    The distance of numbers is base * |z|² - sum(gain * (components @ z)²), z in standard
    deviations from the center; scale is 0 where nothing varied: such a column is not looked at.
    Categories add what they cost, [d]: `cost` where a column is 1, `cost_without` where it is 0.
    """

    center: Floats
    scale: Floats
    components: Floats
    gain: Floats
    base: float
    cost: Floats
    cost_without: Floats

    def parts(self, rows: Floats) -> Floats:
        """What every column adds to the distance of every row, [n, d]."""
        z = standardised(rows, self.center, self.scale)
        within = (z @ self.components.T) * self.gain
        numbers = z * (self.base * z - within @ self.components)
        categories = rows * self.cost + (1 - rows) * self.cost_without
        return numbers + np.nan_to_num(categories)

    def distances(self, rows: Floats) -> Floats:
        """Distances [n] per column looked at: for numbers, about 1 where it was fitted."""
        looked_at = (self.scale > 0) | (self.cost > 0)
        found: Floats = self.parts(rows).sum(axis=1) / max(1, int(looked_at.sum()))
        return found


def standardised(rows: Floats, center: Floats, scale: Floats) -> Floats:
    """Rows [n, d] in standard deviations; 0 where missing or where nothing varied."""
    varied = scale > 0
    return np.where(varied, np.nan_to_num((rows - center) / np.where(varied, scale, 1)), 0)


@dataclass(frozen=True)
class Novelty:
    """The shape of the patients learned from and how far they reach; see `learn`."""

    shape: Shape
    reach: float
    patients: int
    modality: str
    features: Sequence[Mapping[str, Any]]

    def refuse(self, x: NDArray[Any], problems: list[list[str]]) -> None:
        """Add to the problems of every row [n, ...] that has none why it is not to be answered."""
        sound = [row for row, found in enumerate(problems) if not found]
        for start in range(0, len(sound), BLOCK):
            block = sound[start : start + BLOCK]
            for row, reason in zip(block, self.reasons(x[block]), strict=True):
                problems[row] += [reason] if reason else []

    def reasons(self, x: NDArray[Any]) -> list[str]:
        """Why a prepared row [n, ...] is not to be answered; empty where it is.

        It is too unlike, or tells nothing: what is missing makes no distance.
        """
        module = modality_of(self.modality)
        asked: Summary = module.summary(x, self.features)
        empty, how = module.emptiness(x, self.features)
        parts = self.shape.parts(asked.values)
        distance = self.shape.distances(asked.values)
        return [
            f"no answer: {how}"
            if nothing
            else self._reason(one, _largest(own, asked.owners))
            if one > self.reach
            else ""
            for nothing, one, own in zip(empty, distance, parts, strict=True)
        ]

    def typical(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record with its numbers at the mean of the patients: no patient, and not unlike."""
        widths = [n if n > 2 else 1 for n in (len(f["categories"]) for f in self.numbered)]
        places = np.cumsum([0, *widths])[:-1]
        means = {
            feature["name"]: float(f"{self.shape.center[place]:.4g}")
            for feature, place in zip(self.numbered, places, strict=True)
            if feature["kind"] == "number"
        }
        return {name: means.get(name, value) for name, value in record.items()}

    @property
    def numbered(self) -> Sequence[Mapping[str, Any]]:
        """The features that have columns of their own; none where rows are blocks."""
        return [feature for feature in self.features if feature["kind"] in ("number", "category")]

    def _reason(self, distance: float, names: Sequence[str]) -> str:
        most = f", most of all in {', '.join(names)}" if names else ""
        return (
            f"no answer: unlike the {self.patients} patients learned from{most} (distance "
            f"{distance:.3g}, theirs reach {self.reach:.3g})"
        )


def modality_of(name: str) -> Any:
    """The module whose `summary` and `emptiness` tell of prepared rows [n, ...]."""
    return importlib.import_module(f"medgraft.preparation.{name}")


def learn(cohort: Prepared) -> Novelty:
    """Fit the distance on a cohort, and see how far its patients reach."""
    rows = np.arange(len(cohort.x))
    if len(rows) > MOST:
        rows = np.sort(np.random.default_rng(0).permutation(len(rows))[:MOST])
    patient = cohort.patients["patient"].to_numpy()[rows]
    features = cohort.schema["features"]
    known = modality_of(cohort.schema["modality"]).summary(np.asarray(cohort.x[rows]), features)
    reach = _reach(known, np.unique(patient, return_inverse=True)[1])
    shape, count = fit(known.values, known.categories), cohort.patients["patient"].n_unique()
    return Novelty(shape, reach, count, cohort.schema["modality"], features)


def fit(rows: Floats, categories: Integers | None = None) -> Shape:
    """The shape of rows [n, d]; NaN is missing. categories: of a `Summary`; None: all numbers."""
    kinds = np.zeros(rows.shape[1], np.int64) if categories is None else categories
    seen = ~np.isnan(rows)
    number = seen.sum(axis=0)
    center = np.where(seen, rows, 0).sum(axis=0) / np.maximum(number, 1)
    spread = np.where(seen, (rows - center) ** 2, 0).sum(axis=0) / np.maximum(number, 1)
    scale = np.where(kinds == 0, np.sqrt(spread), 0)
    z = standardised(rows, center, scale)[:, scale > 0]
    axes, gain, base = _covariance(z)
    components = np.zeros((len(axes), rows.shape[1]))
    components[:, scale > 0] = axes
    # A category nobody had may be the next patient's: Laplace's rule of succession.
    of_categories = (kinds > 0) & (number > 0)
    share = np.where(of_categories, (center * number + 1) / (number + np.maximum(kinds, 1)), 0.5)
    cost = np.where(of_categories, -2 * np.log(share), 0)
    without = np.where(of_categories & (kinds == 2), -2 * np.log1p(-share), 0)
    return Shape(center, scale, components, gain, base, cost, without)


def _covariance(z: Floats) -> tuple[Floats, Floats, float]:
    """Axes [k, d] of standardised numbers, the gain of each, and the base; see `Shape`."""
    from sklearn.covariance import ledoit_wolf_shrinkage

    width = z.shape[1]
    if not width:
        return np.zeros((0, 0)), np.zeros(0), 1.0
    shrinkage = float(ledoit_wolf_shrinkage(z, assume_centered=True))
    _, singular, axes = np.linalg.svd(z, full_matrices=False)
    variance = singular**2 / len(z)
    mean = float(variance.sum()) / width
    kept = min(COMPONENTS, int((variance > 0).sum()))
    left = (1 - shrinkage) * float(variance[kept:].sum()) / max(width - kept, 1)
    rest = max(left + shrinkage * mean, FLOOR * mean)
    along = np.maximum((1 - shrinkage) * variance[:kept] + shrinkage * mean, FLOOR * mean)
    return axes[:kept], 1 / rest - 1 / along, 1 / rest


def _reach(known: Summary, patient: Integers) -> float:
    """The distance beyond which a patient is new: of those each fitted without themselves."""
    people = int(patient.max()) + 1
    part = np.random.default_rng(0).permutation(people) % FOLDS
    rows, apart = known.values, np.empty(len(known.values))
    for one in np.unique(part):
        mine = part[patient] == one
        if mine.all():
            return float("inf")
        apart[mine] = fit(rows[~mine], known.categories).distances(rows[mine])
    farthest = worst(patient, apart)
    return threshold(farthest, FAMILIAR) if people >= least(FAMILIAR) else float(farthest.max())


def _largest(parts: Floats, owners: Sequence[str]) -> list[str]:
    """The features that make up most of a distance, largest first; few, and none of no weight."""
    total: dict[str, float] = {}
    for name, part in zip(owners, parts, strict=bool(owners)):
        total[name] = total.get(name, 0.0) + float(part)
    ranked = sorted(total, key=lambda name: -total[name])[:NAMED]
    return [name for name in ranked if total[name] > 0.1 * parts.sum()]


def write(folder: Path, novelty: Novelty) -> None:
    """Write what `read` reads: means and directions, no patient."""
    shape = novelty.shape
    save_file(
        {
            "center": np.nan_to_num(shape.center),
            "scale": shape.scale,
            "components": np.ascontiguousarray(shape.components),
            "gain": shape.gain,
            "cost": shape.cost,
            "cost_without": shape.cost_without,
            "base": np.array([shape.base]),
            "reach": np.array([novelty.reach]),
            "patients": np.array([novelty.patients]),
        },
        folder / FILE,
    )


def read(folder: Path, schema: Mapping[str, Any]) -> Novelty:
    """The champion's; `schema` of its `network.json`."""
    stored = load_file(folder / FILE)
    shape = Shape(
        center=stored["center"],
        scale=stored["scale"],
        components=stored["components"],
        gain=stored["gain"],
        base=float(stored["base"][0]),
        cost=stored["cost"],
        cost_without=stored["cost_without"],
    )
    reach, patients = float(stored["reach"][0]), int(stored["patients"][0])
    return Novelty(shape, reach, patients, schema["modality"], schema["features"])

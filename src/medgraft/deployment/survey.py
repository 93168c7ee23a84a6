"""What the champion's answers rest on, over the target's patients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.deployment.explain import BLOCK, Explainer, load, place_names
from medgraft.evaluation.importance import importance
from medgraft.preparation.arrays import read, read_design, write_json

VALUES = 2**23  # contributions of all replicas and patients together
FEWEST, MOST = 16, 400  # rows explained

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Mean size of the contributions of every place, ``[P]``, with a 95 % interval.

    shape: of the places: features or positions ``[P]``, pixels ``[h, w]``. picture: the mean of the
    explained images ``[h, w]``, None for anything else. gap: the largest share of an answer's
    distance from the reference that the steps of the integral left over.
    """

    names: list[str]
    shape: tuple[int, ...]
    value: Floats
    low: Floats
    high: Floats
    patients: int
    replicas: int
    gap: float
    picture: Floats | None
    are_features: bool  # else positions or pixels, which have neighbours

    def write(self, path: Path) -> None:
        """Write what was found as json."""
        columns = zip(self.names, self.value, self.low, self.high, strict=True)
        places = [
            {"name": name, "value": float(value), "low": float(low), "high": float(high)}
            for name, value, low, high in columns
        ]
        facts = {"patients": self.patients, "replicas": self.replicas, "largest_gap": self.gap}
        write_json({**facts, "places": places}, path)


def survey(champion: Path, prepared: Path) -> Survey:
    """Explain the answers for patients the champion was made from; whom it refuses has none.

    Its replicas have no test patients: they learned from, or were stopped on, all of these.

    Raises:
        NotExplained: this kind of model is not explained.
        StageError: something prepared is missing.
    """
    model, target = load(champion), read(prepared / "target")
    final = read_design(prepared / "design.parquet").filter(pl.col("use") == "final")
    used = np.unique([row for part in ("train", "validation") for row in final[part].explode()])
    places = int(np.prod(model.shares(target.x[used[:1]]).parts.shape[3:]))
    rows = spread(used, VALUES // max(1, len(final) * places))
    reasons = model.novelty.reasons(np.asarray(target.x[rows]))
    rows = np.array([row for row, why in zip(rows, reasons, strict=True) if not why])
    sizes, gap, shape = sizes_of(model, target.x, rows)
    value, low, high = importance(sizes, target.patient[rows])
    names = place_names(model.records.features, shape)
    return Survey(
        names=names,
        are_features=names == list(model.records.features),
        shape=shape,
        value=value,
        low=low,
        high=high,
        patients=len(np.unique(target.patient[rows])),
        replicas=len(final),
        gap=gap,
        picture=np.mean(target.x[rows], axis=(0, 1)) if len(shape) == 2 else None,
    )


def spread(rows: NDArray[Any], wanted: int) -> NDArray[Any]:
    """As many of the rows as wanted, within bounds, evenly spaced."""
    count = min(len(rows), max(FEWEST, min(MOST, wanted)))
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]


def sizes_of(
    model: Explainer, x: NDArray[Any], rows: NDArray[Any]
) -> tuple[Floats, float, tuple[int, ...]]:
    """Sizes ``[R, n, P]``, the mean over the outputs; the largest relative gap; the places."""
    sizes, gaps, ranges = [], [], []
    shape: tuple[int, ...] = ()
    for start in range(0, len(rows), BLOCK):
        shares = model.shares(np.asarray(x[rows[start : start + BLOCK]]))
        shape = shares.parts.shape[3:]
        each = np.abs(shares.parts).mean(2)
        sizes.append(each.reshape(*each.shape[:2], -1))
        gaps.append(np.abs(shares.gap).max())
        ranges.append(np.abs(shares.outputs - shares.start[:, None]).max())
    return np.concatenate(sizes, axis=1), float(max(gaps) / max(*ranges, 1e-12)), shape

"""What `audit.json` says of the two cohorts as a whole: who can be told from whom, by what."""

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.preparation.alignment import Aligned
from medgraft.preparation.outcome_shift import comparable, outcome_shift
from medgraft.preparation.shift import both, chosen, missing, tell_apart

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]


def cohort_shift(
    aligned: Aligned,
    measurements: Callable[[Aligned], tuple[Floats, Floats]],
    *,
    patient: tuple[Integers, Integers],
    seed: int,
) -> dict[str, Any]:
    """Compare measurements and outcomes of all rows, before any is assigned to a test part.

    No model that predicts an outcome is fitted. `covariates`: by everything that both measured;
    `missing`: by what is missing alone, null where nothing is; `same_outcome`: as covariates, among
    patients of one class, null where the outcome has no classes or not the same ones.
    """
    source, target = aligned.tables
    classes = comparable(source.outcome, target.outcome) and bool(source.outcome.classes)
    y = (source.y, target.y) if classes and source.y.ndim == 1 else None
    here, there = chosen(patient, seed=seed)
    few = replace(aligned, source=source.take(here), target=target.take(there))
    rows = both(
        measurements(few),
        (patient[0][here], patient[1][there]),
        y=None if y is None else (y[0][here], y[1][there]),
    )
    gaps = missing(rows)
    return {
        "covariates": asdict(tell_apart(rows, seed=seed)),
        "missing": None if gaps is None else asdict(tell_apart(gaps, seed=seed)),
        "same_outcome": None
        if y is None
        else asdict(tell_apart(rows, seed=seed, within_classes=True)),
        "outcome": [_finite(asdict(one)) for one in outcome_shift(source, target, patient=patient)],
    }


def _finite(content: Any) -> Any:
    """JSON holds no NaN."""
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    return None if isinstance(content, float) and not math.isfinite(content) else content

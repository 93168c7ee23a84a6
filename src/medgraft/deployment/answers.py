"""What the columns of an answer are called, and what they hold, by task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def width(outcome: Mapping[str, Any]) -> int:
    """How many numbers an answer has: one per class, label or horizon, else the value."""
    return len(outcome["classes"] or outcome["horizons"]) or 1


def named(answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
    """Answers `[n, width]` as columns; NaN becomes empty. `outcome` as in `schema.json`."""
    return NAMED[outcome["task"]](answers, outcome)


def _classes(answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
    classes, given = outcome["classes"], ~np.isnan(answers[:, 0])
    likeliest = np.nan_to_num(answers).argmax(axis=1)
    labels = [classes[i] if has else None for i, has in zip(likeliest, given, strict=True)]
    return [
        pl.Series("predicted", labels, dtype=pl.String),
        *_named("probability", classes, answers),
    ]


def _value(answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
    del outcome
    return [pl.Series("predicted", answers[:, 0]).fill_nan(None)]


def _labels(answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
    return _named("probability", outcome["classes"], answers)


def _survival(answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
    return _named("survival", [f"{horizon:g}" for horizon in outcome["horizons"]], answers)


def _named(noun: str, of: Sequence[str], answers: Floats) -> list[pl.Series]:
    return [pl.Series(f"{noun}_{name}", answers[:, i]).fill_nan(None) for i, name in enumerate(of)]


NAMED: dict[str, Callable[[Floats, Mapping[str, Any]], list[pl.Series]]] = {
    "binary": _classes,
    "multiclass": _classes,
    "regression": _value,
    "multilabel": _labels,
    "survival": _survival,
}

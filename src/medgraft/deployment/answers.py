"""How answers are laid out: the columns whoever asks the champion gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.tasks import task as tasks

ANSWERS = "answers.json"


def frame(
    answers: NDArray[np.float64],
    problems: Sequence[str],
    *,
    outcome: Mapping[str, Any],
    reach: float | None,
) -> pl.DataFrame:
    """Answers `[n, outputs]` and each row's problem as a table; NaN becomes empty.

    Args:
        answers: class probabilities, or values.
        problems: empty, or why a row has no answer.
        outcome: as in `schema.json`.
        reach: up to which surprise an answer is plausible; None: that is not said.
    """
    task = tasks.of(outcome["task"])
    plausible = [] if reach is None else task.plausible(answers, reach, outcome)
    problem = pl.Series("problem", problems, dtype=pl.String)
    return pl.DataFrame([*task.columns(answers, outcome), *plausible, problem])

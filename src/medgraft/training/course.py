"""How one training goes, beyond what the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Course:
    """What is particular about one training.

    Args:
        start_counts: the values before the first step are those of a trained model and may turn
            out to be the best; untrained ones may not, however lucky on few validation patients.
        rates: what the learning rate of a parameter is multiplied by, where it is.
        first: steps of earlier trainings, whose batches are not repeated.
        chooses: validation patients tell which values are best; otherwise all steps are taken and
            the last values kept.
    """

    start_counts: bool = False
    rates: Mapping[str, float] = field(default_factory=dict)
    first: int = 0
    chooses: bool = True


PLAIN = Course()

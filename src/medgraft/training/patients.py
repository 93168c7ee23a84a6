"""Who trains a replica, who stops it, and how they are shown to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medgraft.training.batches import Augment


@dataclass(frozen=True)
class Patients:
    """Patients of one cohort and the parts each replica may use.

    ``x [n, ...]`` raw, ``y [n, ...]``; ``train`` and ``validation``: rows of each replica;
    ``seeds``: one per replica. ``augment`` changes what is trained on; ``question`` what is trained
    and validated on, the latter always in the same way. ``beside``: training patients of another
    cohort for the same replicas, shown with every batch.
    """

    x: np.ndarray
    y: np.ndarray
    train: Sequence[Sequence[int]]
    validation: Sequence[Sequence[int]]
    seeds: Sequence[int]
    augment: Augment | None = None
    question: Augment | None = None
    beside: Patients | None = None

    def some(self, which: slice) -> Patients:
        """The same patients for some of the replicas."""
        return replace(
            self,
            train=self.train[which],
            validation=self.validation[which],
            seeds=self.seeds[which],
            beside=self.beside.some(which) if self.beside else None,
        )

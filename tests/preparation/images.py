"""Cohorts of images small enough to look at."""

import numpy as np

from medgraft.cohorts.identifiers import TEXT
from medgraft.cohorts.schema import Accounting, Cohort, Column, Outcome

ILL = Outcome("ill", "binary", ("well", "ill"))


def cohort(name: str, images: np.ndarray, *, split=None, patient=None) -> Cohort:
    """One film uint8 [n, c, h, w] a row, outcomes in turn."""
    rows, channels, height, width = images.shape
    details = {"channels": channels, "height": height, "width": width}
    who = patient or [f"{name}:{i}" for i in range(rows)]
    return Cohort(
        name=name,
        columns=(Column("film", "image", may_be_missing=False, details=details),),
        values=images,
        outcome=ILL,
        y=np.arange(rows) % 2.0,
        patient=np.array(who, dtype=TEXT),
        subgroups={},
        accounting=Accounting(name, f"{name}.npz", rows, rows, len(set(who))),
        source_rows=np.arange(1, rows + 1),
        split=None if split is None else np.array(split, dtype=object),
    )


def films(count: int, *, seed: int = 0, side: int = 16, channels: int = 1) -> np.ndarray:
    """Smooth pictures, no two alike."""
    coarse = np.random.default_rng(seed).uniform(0, 255, (count, channels, 4, 4))
    return np.kron(coarse, np.ones((side // 4, side // 4))).astype(np.uint8)

"""Simulated tables whose truth is known: blood markers, and a disease that they are a sign of.

A marker is standard normal. What lies beyond its normal range adds to the risk, at the end that the
marker's weight names (see `simulated`).
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy.special import expit

from medgraft.cohorts.catalogue import simulated
from medgraft.cohorts.catalogue.simulated import Floats
from medgraft.config import Seed
from medgraft.errors import CohortError

NORMAL = 0.5  # deviations from 0 at which the normal range ends
LARGE, SMALL = "large", "small"
Shift = Annotated[float, Field(ge=-10, le=10)]  # readings within the range that is described
Markers = Annotated[int, Field(ge=0, le=10_000)]


@dataclass(frozen=True)
class World:
    """Every option, and what follows from them alone."""

    relatedness: float
    shift: float
    missing: float
    prevalence: float
    source_patients: int
    target_patients: int
    markers: int
    panel: int
    predictable: float
    signal: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("missing", "predictable"):
            if not 0 <= getattr(self, name) <= 1:
                raise CohortError(f"{name}: got {getattr(self, name):g}, expected a share, 0 to 1")

    @property
    def names(self) -> list[str]:
        """Of all markers, those that only the large hospital measures last."""
        shared = [f"marker_{i:02d}" for i in range(1, self.markers + 1)]
        return shared + [f"panel_{i:02d}" for i in range(1, self.panel + 1)]

    def values(self, count: int, random: np.random.RandomState) -> Floats:
        """True values [count, markers + panel], each standard normal; the panel follows from few.

        Each marker of the panel is a mean of three others, and noise.
        """
        shared = random.normal(size=(count, self.markers))
        noise = random.normal(size=(count, self.panel))
        draw = simulated.stream(self.seed, 2)
        mix = np.zeros((self.markers, self.panel))
        for column in mix.T:
            column[draw.permutation(self.markers)[:3]] = 1 / np.sqrt(3)
        told = shared @ mix
        panel = np.sqrt(self.predictable) * told + np.sqrt(1 - self.predictable) * noise
        return np.hstack([shared, panel])

    def score(self, values: Floats, weights: Floats) -> Floats:
        """Risk score [n] of true values [n, markers + panel]."""
        high, low = np.maximum(values - NORMAL, 0), np.maximum(-values - NORMAL, 0)
        return self.signal * simulated.burden(weights, high, low)

    def readings(self, values: Floats, random: np.random.RandomState) -> Floats:
        """What the small hospital's instruments show of `values`: each too high or too low."""
        side = simulated.stream(self.seed, 1).choice([-1.0, 1.0], values.shape[1])
        return self.lose(values + self.shift * side, random)

    def lose(self, values: Floats, random: np.random.RandomState) -> Floats:
        """`values` with some of them not recorded, NaN."""
        return np.where(random.uniform(size=values.shape) < self.missing, np.nan, values)


def materialise(  # noqa: PLR0913 - every option is documented where it is named
    folder: Path,
    mirror: Path | None,
    *,
    relatedness: float = 1.0,
    shift: Shift = 0.0,
    missing: float = 0.0,
    prevalence: float = 0.4,
    source_patients: simulated.Patients = 3000,
    target_patients: simulated.Patients = 300,
    markers: Markers = 12,
    panel: Markers = 0,
    predictable: float = 0.9,
    signal: simulated.Signal = 4.0,
    seed: Seed = 1,
) -> None:
    """Write large.csv, small.csv, cohort.yaml, truth.json and simulated.json into `folder`.

    Args:
        folder: Usually simulated/table; one made with other options is made anew.
        mirror: Not needed; every entry of the catalogue is called alike.
        relatedness: Of the target's mechanism to the source's, from 1 (same) to -1 (opposite).
        shift: By how many deviations the small hospital's instruments read too high or too low.
        missing: Share of the values that were not recorded, at random.
        prevalence: Of the disease, in both hospitals.
        source_patients: Of the large hospital.
        target_patients: Of the small hospital.
        markers: Measured by both hospitals.
        panel: How many more the large hospital measures; they count in both.
        predictable: Share of the panel's variance that follows from the markers.
        signal: How strongly the mechanism decides.
        seed: Another seed is another world with other patients.

    Raises:
        CohortError: an option out of range, or `folder` holds something that was not simulated.
    """
    del mirror
    world = World(
        relatedness, shift, missing, prevalence, source_patients, target_patients,
        markers, panel, predictable, signal, seed,
    )  # fmt: skip
    source, target = simulated.mechanisms(markers + panel, relatedness, seed=seed)
    large, known_large = _hospital(world, LARGE, source, source_patients)
    small, known_small = _hospital(world, SMALL, target, target_patients)
    simulated.write(
        folder,
        description=_description(world),
        contents={f"{LARGE}.csv": large, f"{SMALL}.csv": small},
        truth={"markers": world.names, LARGE: known_large, SMALL: known_small},
        options=asdict(world),
    )


def _hospital(world: World, name: str, weights: Floats, count: int) -> tuple[bytes, dict[str, Any]]:
    """One hospital's csv, and the truth about it."""
    everyone = world.score(world.values(simulated.HUGE, simulated.stream(world.seed, 3)), weights)
    intercept = simulated.intercept(everyone, world.prevalence)
    random = simulated.stream(world.seed, 4 + (name == SMALL))
    values = world.values(count, random)
    ill = random.uniform(size=count) < expit(intercept + world.score(values, weights))
    shown = world.readings(values, random) if name == SMALL else world.lose(values, random)
    measured = world.names[: world.markers] if name == SMALL else world.names
    columns = {
        "patient": [f"{name}-{i}" for i in range(count)],
        "sex": random.choice(["female", "male"], count).tolist(),
        **{column: shown[:, i] for i, column in enumerate(measured)},
        "ill": ill.astype(int),
    }
    best = simulated.best_auroc(expit(intercept + everyone))
    known = {"weights": weights.tolist(), "intercept": intercept, "best_auroc": best}
    return simulated.table(columns), known


def _description(world: World) -> dict[str, Any]:
    never = {} if world.missing else {"missing": "never"}
    marker = {"kind": "number", "unit": "SD", "range": [-20, 20], **never}
    sex = {"kind": "category", "categories": {"female": "female", "male": "male"}}
    return {
        "name": "simulated_table",
        "description": "Simulated; truth.json holds the mechanism, simulated.json the options.",
        "patient": "patient",
        "subgroups": ["sex"],
        "outcomes": {
            "illness": {
                "column": "ill",
                "task": "binary",
                "negative": [0],
                "positive": [1],
                "labels": ["well", "ill"],
            }
        },
        "columns": {"sex": {**sex, "missing": "never"}, **dict.fromkeys(world.names, marker)},
        "sites": {
            LARGE: {"file": f"{LARGE}.csv"},
            SMALL: {"file": f"{SMALL}.csv", "without": world.names[world.markers :]},
        },
    }

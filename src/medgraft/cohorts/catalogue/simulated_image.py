"""Simulated images whose truth is known: shadows on a cloudy film, and what they are signs of.

A shadow is a 7 × 7 pattern in one of the film's nine fields, whichever. Shadows come in pairs, as
`simulated` explains: stripes this way and that way, a cross and a saltire.
"""

import io
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from medgraft.cohorts.catalogue import simulated
from medgraft.cohorts.catalogue.simulated import Floats
from medgraft.config import Seed
from medgraft.errors import CohortError

FIELD, ACROSS = 8, 3  # pixels of a field, fields of the film each way
SIDE = FIELD * ACROSS
PRESENT = 0.5  # how often each shadow is there
CLOUD, SHADOW, GRAIN = 20.0, 30.0, 12.0  # levels
DARKER, FLATTER = 40.0, 0.5  # what a shift of 1 takes from light and contrast
LARGE, SMALL = "large", "small"
# The first of each pair stands before its decoy; 1 is bright, . is dark.
PATTERNS = (
    ("vertical stripes", "1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1 1.1.1.1"),
    ("horizontal stripes", "1111111 ....... 1111111 ....... 1111111 ....... 1111111"),
    ("rising stripes", "..1..1. .1..1.. 1..1..1 ..1..1. .1..1.. 1..1..1 ..1..1."),
    ("falling stripes", ".1..1.. ..1..1. 1..1..1 .1..1.. ..1..1. 1..1..1 .1..1.."),
    ("cross", "...1... ...1... ...1... 1111111 ...1... ...1... ...1..."),
    ("saltire", "1.....1 .1...1. ..1.1.. ...1... ..1.1.. .1...1. 1.....1"),
    ("ring", "..111.. .1...1. 1.....1 1.....1 1.....1 .1...1. ..111.."),
    ("disc", "..111.. .11111. 1111111 1111111 1111111 .11111. ..111.."),
)
PAIRS = len(PATTERNS) // 2


@dataclass(frozen=True)
class World:
    """Every option, and what follows from them alone."""

    relatedness: float
    shift: float
    missing: float
    prevalence: float
    source_patients: int
    target_patients: int
    signal: float
    seed: int

    def __post_init__(self) -> None:
        for name in ("missing", "shift"):
            if not 0 <= getattr(self, name) <= 1:
                raise CohortError(f"{name}: got {getattr(self, name):g}, expected a share, 0 to 1")

    def score(self, there: NDArray[np.bool_], weights: Floats) -> Floats:
        """Risk score [n] of shadows [n, 2 pairs] under weights [pairs]."""
        present = there.astype(float) - PRESENT
        return self.signal * simulated.burden(weights, present[:, ::2], present[:, 1::2])


def materialise(  # noqa: PLR0913 - every option is documented where it is named
    folder: Path,
    mirror: Path | None,
    *,
    relatedness: float = 1.0,
    shift: float = 0.0,
    missing: float = 0.0,
    prevalence: float = 0.4,
    source_patients: simulated.Patients = 2000,
    target_patients: simulated.Patients = 160,
    signal: simulated.Signal = 6.0,
    seed: Seed = 1,
) -> None:
    """Write large.npz, small.npz, cohort.yaml, truth.json and simulated.json into `folder`.

    Args:
        folder: Usually simulated/image; one made with other options is made anew.
        mirror: Not needed; every entry of the catalogue is called alike.
        relatedness: Of the target's mechanism to the source's, from 1 (same) to -1 (opposite).
        shift: How much darker and flatter the small hospital's films are, 0 to 1.
        missing: Share of the patients whose outcome was not recorded, at random.
        prevalence: Of the disease, in both hospitals.
        source_patients: Of the large hospital.
        target_patients: Of the small hospital.
        signal: How strongly the mechanism decides.
        seed: Another seed is another world with other patients.

    Raises:
        CohortError: an option out of range, or `folder` holds something that was not simulated.
    """
    del mirror
    world = World(
        relatedness, shift, missing, prevalence, source_patients, target_patients, signal, seed
    )
    source, target = simulated.mechanisms(PAIRS, relatedness, seed=seed)
    large, known_large = _hospital(world, LARGE, source, source_patients)
    small, known_small = _hospital(world, SMALL, target, target_patients)
    simulated.write(
        folder,
        description=_description(),
        contents={f"{LARGE}.npz": large, f"{SMALL}.npz": small},
        truth={
            "shadows": [name for name, _ in PATTERNS],
            LARGE: known_large,
            SMALL: known_small,
        },
        options=asdict(world),
    )


def _hospital(world: World, name: str, weights: Floats, count: int) -> tuple[bytes, dict[str, Any]]:
    """One hospital's archive, and the truth about it."""
    huge = _shadows(simulated.HUGE, simulated.stream(world.seed, 3))
    everyone = world.score(huge, weights)
    intercept = simulated.intercept(everyone, world.prevalence)
    random = simulated.stream(world.seed, 4 + (name == SMALL))
    there = _shadows(count, random)
    ill = random.uniform(size=count) < expit(intercept + world.score(there, weights))
    labels = np.where(random.uniform(size=count) < world.missing, -1, ill)
    films = developed(_films(there, random), world.shift if name == SMALL else 0.0)
    data = io.BytesIO()
    np.savez(data, train_images=films, train_labels=labels.astype(np.int8)[:, None])
    best = simulated.best_auroc(expit(intercept + everyone))
    known = {"weights": weights.tolist(), "intercept": intercept, "best_auroc": best}
    return data.getvalue(), known


def _shadows(count: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Which shadows each film has, [n, 2 pairs]."""
    return random.uniform(size=(count, len(PATTERNS))) < PRESENT


def _films(there: NDArray[np.bool_], random: np.random.RandomState) -> Floats:
    """Films [n, 24, 24] with the shadows that are there, each in a field of its own."""
    films = _clouds(len(there), random) + GRAIN * random.normal(size=(len(there), SIDE, SIDE))
    fields = random.uniform(size=(len(there), ACROSS**2)).argsort(axis=1)
    for i, (_, drawn) in enumerate(PATTERNS):
        pattern = np.array([[dot == "1" for dot in row] for row in drawn.split()])
        rows = np.flatnonzero(there[:, i])
        top, left = np.divmod(fields[rows, i], ACROSS)
        place = np.arange(pattern.shape[0])
        down = FIELD * top[:, None, None] + place[:, None]
        right = FIELD * left[:, None, None] + place
        # Without a mean, so that the light of a film says nothing about its shadows.
        films[rows[:, None, None], down, right] += 2 * SHADOW * (pattern - pattern.mean())
    return films


def _clouds(count: int, random: np.random.RandomState) -> Floats:
    """Slow changes of light about mid grey, [n, 24, 24]."""
    coarse = CLOUD * random.normal(size=(count, ACROSS + 1, ACROSS + 1))
    place = np.linspace(0, ACROSS, SIDE)
    tent = np.maximum(0, 1 - np.abs(place[:, None] - np.arange(ACROSS + 1)))
    smooth: Floats = 128 + tent @ coarse @ tent.T
    return smooth


def developed(films: Floats, shift: float) -> NDArray[np.uint8]:
    """Films as the hospital stores them: darker and flatter with `shift`."""
    shown = 128 + (films - 128) * (1 - FLATTER * shift) - DARKER * shift
    return np.rint(shown).clip(0, 255).astype(np.uint8)


def _description() -> dict[str, Any]:
    return {
        "name": "simulated_image",
        "description": "Simulated; truth.json holds the mechanism, simulated.json the options.",
        "format": {"reader": "medgraft.cohorts.readers.npz.read", "image": "film", "label": "ill"},
        "missing": ["", "-1"],
        "outcomes": {
            "illness": {
                "column": "ill",
                "task": "binary",
                "negative": [0],
                "positive": [1],
                "labels": ["well", "ill"],
            }
        },
        "columns": {"film": {"kind": "image", "height": SIDE, "width": SIDE, "mode": "grey"}},
        "sites": {LARGE: {"file": f"{LARGE}.npz"}, SMALL: {"file": f"{SMALL}.npz"}},
    }

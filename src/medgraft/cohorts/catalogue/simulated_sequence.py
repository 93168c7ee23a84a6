"""Simulated DNA whose truth is known: motifs in a random background, and what they are signs of.

A motif is eight letters that lie in one of eight fields of the sequence, or do not. Motifs come in
pairs, as `simulated` explains: the second has the letters of the first in another order, so that
the composition of a sequence says nothing.
"""

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

# The first of each pair stands before its decoy.
MOTIFS = (
    ("TGACTCAG", "GCTACGAT"),
    ("CACGTGAA", "GAACCTAG"),
    ("GGATTACT", "TAGCTGAT"),
    ("CCAATGCG", "GCACTGCA"),
)
PAIRS, WIDTH = len(MOTIFS), 8
FIELD, FIELDS = 10, 2 * PAIRS  # letters of a field, fields of a sequence
LENGTH = FIELD * FIELDS
PRESENT = 0.5  # how often each motif is there
RICHER = 0.3  # what a shift of 1 adds to the share of G and C in the small hospital
LETTERS = np.array([*"ACGT"])
LARGE, SMALL = "large", "small"


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
        """Risk score [n] of motifs [n, 2 pairs] under weights [pairs]."""
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
    source_patients: simulated.Patients = 3000,
    target_patients: simulated.Patients = 160,
    signal: simulated.Signal = 6.0,
    seed: Seed = 1,
) -> None:
    """Write each hospital's .fasta and labels, cohort.yaml, truth.json and simulated.json.

    Args:
        folder: Usually simulated/sequence; one made with other options is made anew.
        mirror: Not needed; every entry of the catalogue is called alike.
        relatedness: Of the target's mechanism to the source's, from 1 (same) to -1 (opposite).
        shift: How much richer in G and C the small hospital's background is, 0 to 1.
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
    weights = simulated.mechanisms(PAIRS, relatedness, seed=seed)
    contents: dict[str, bytes] = {}
    truth: dict[str, Any] = {"motifs": MOTIFS}
    patients = (source_patients, target_patients)
    for name, own, count in zip((LARGE, SMALL), weights, patients, strict=True):
        files, truth[name] = _hospital(world, name, own, count)
        contents |= files
    simulated.write(
        folder,
        description=_description(),
        contents=contents,
        truth=truth,
        options=asdict(world),
    )


def _hospital(
    world: World, name: str, weights: Floats, count: int
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """One hospital's files, and the truth about it."""
    everyone = world.score(_motifs(simulated.HUGE, simulated.stream(world.seed, 3)), weights)
    intercept = simulated.intercept(everyone, world.prevalence)
    random = simulated.stream(world.seed, 4 + (name == SMALL))
    there = _motifs(count, random)
    ill = random.uniform(size=count) < expit(intercept + world.score(there, weights))
    told = np.where(random.uniform(size=count) < world.missing, "", ill.astype(int))
    letters = _sequences(there, world.shift if name == SMALL else 0.0, random)
    ids = [f"{name}_{i}" for i in range(1, count + 1)]
    records = zip(ids, letters, strict=True)
    files = {
        f"{name}.fasta": "".join(f">{i}\n{''.join(row)}\n" for i, row in records).encode(),
        f"{name}_labels.csv": simulated.table({"id": ids, "ill": told}),
    }
    best = simulated.best_auroc(expit(intercept + everyone))
    return files, {"weights": weights.tolist(), "intercept": intercept, "best_auroc": best}


def _motifs(count: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Which motifs each sequence has, [n, 2 pairs]."""
    return random.uniform(size=(count, 2 * PAIRS)) < PRESENT


def _sequences(
    there: NDArray[np.bool_], shift: float, random: np.random.RandomState
) -> NDArray[np.str_]:
    """Letters [n, length] with the motifs that are there, each in a field of its own."""
    rich = (1 + RICHER * shift) / 4
    shares = np.array([0.5 - rich, rich, rich, 0.5 - rich])
    letters = LETTERS[random.choice(4, size=(len(there), LENGTH), p=shares)]
    fields = random.uniform(size=(len(there), FIELDS)).argsort(axis=1)
    starts = FIELD * fields + random.randint(FIELD - WIDTH + 1, size=fields.shape)
    for i, motif in enumerate(motif for pair in MOTIFS for motif in pair):
        rows = np.flatnonzero(there[:, i])
        letters[rows[:, None], starts[rows, i, None] + np.arange(WIDTH)] = [*motif]
    return letters


def _description() -> dict[str, Any]:
    return {
        "name": "simulated_sequence",
        "description": "Simulated; truth.json holds the mechanism, simulated.json the options.",
        "outcomes": {
            "illness": {
                "column": "ill",
                "task": "binary",
                "negative": [0],
                "positive": [1],
                "labels": ["well", "ill"],
            }
        },
        "columns": {"sequence": {"kind": "sequence", "alphabet": "dna", "length": LENGTH}},
        "sites": {
            name: {
                "file": f"{name}.fasta",
                "format": {
                    "reader": "medgraft.cohorts.readers.fasta.read",
                    "labels": f"{name}_labels.csv",
                },
            }
            for name in (LARGE, SMALL)
        },
    }

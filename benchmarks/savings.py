"""Do intervals of patients saved hold the truth? `python benchmarks/savings.py` prints the table.

Ridge regression from nothing (scratch) and towards a source's weights (transfer) on the design of
simulated studies, judged by `savings.patients_saved`. The truth: both learning curves as means over
training sets drawn anew, read backwards between the same sizes.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit
from tqdm import tqdm

from medgraft.cohorts.catalogue import simulated
from medgraft.cohorts.schema import Outcome
from medgraft.evaluation.intervals import training_factor
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import StrategyResult, Study, learned_from
from medgraft.evaluation.savings import Savings, equivalent, monotone, patients_saved
from medgraft.preparation.splits import Plan, draw

OUTCOME = Outcome("illness", "binary", ("well", "ill"))
MARKERS, STRENGTH, SOURCE_PATIENTS = 12, 1.5, 400
RUNS, FOLDS, SIZES = 5, 5, (20, 40, 80)
PENALTY = 10.0  # of the squared distance from where the weights start
TRUTHS, EVERYONE = 2000, 4000  # training sets behind the true curves, patients who test them
PATIENTS, RELATEDNESS = (150, 300), (1.0, 0.7, 0.0)


@dataclass(frozen=True)
class World:
    """Two hospitals: the target's weights [MARKERS], and a source network's for every run."""

    target: np.ndarray
    sources: np.ndarray

    @classmethod
    def drawn(cls, relatedness: float, random: np.random.Generator) -> World:
        """A mechanism of its own, with `RUNS` source cohorts."""
        source, target = simulated.mechanisms(
            MARKERS, relatedness, seed=int(random.integers(1 << 31))
        )
        cohorts = [patients(SOURCE_PATIENTS, STRENGTH * source, random) for _ in range(RUNS)]
        return cls(
            STRENGTH * target, np.array([ridge(x, y, np.zeros(MARKERS)) for x, y in cohorts])
        )


def patients(
    count: int, weights: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Markers [count, MARKERS] and outcomes [count] of people half of whom are ill."""
    x = random.standard_normal((count, MARKERS))
    return x, (random.random(count) < expit(x @ weights)).astype(float)


def ridge(x: np.ndarray, y: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Weights that fit the outcome, as -0.5 and 0.5, and stay near `start`."""
    gap = (y - 0.5) - x @ start
    moved: np.ndarray = np.linalg.solve(x.T @ x + PENALTY * np.eye(x.shape[1]), x.T @ gap)
    return start + moved


def starts(world: World) -> dict[str, np.ndarray]:
    """Where each strategy's weights start in every run."""
    return {"scratch": np.zeros_like(world.sources), "transfer": world.sources}


def auroc(score: np.ndarray, y: np.ndarray) -> float:
    """Of one model on everyone."""
    area: np.ndarray = Auroc()(y, answers(score), np.ones((1, len(y))), np.zeros(len(y), int))
    return float(area[0])


def answers(score: np.ndarray) -> np.ndarray:
    """Probabilities [n, 2] that rank as scores [n] do."""
    return np.stack([1 - expit(score), expit(score)], axis=-1)


def true_worth(world: World, sizes: tuple[int, ...], random: np.random.Generator) -> np.ndarray:
    """How many patients scratch needs for what transfer does with each size [T]."""
    x, y = patients(EVERYONE, world.target, random)
    areas: dict[str, list[list[float]]] = {name: [] for name in starts(world)}
    for number in range(TRUTHS // len(sizes)):
        mine, ill = patients(sizes[-1], world.target, random)
        for name, start in starts(world).items():
            fitted = [ridge(mine[:n], ill[:n], start[number % RUNS]) for n in sizes]
            areas[name].append([auroc(x @ weights, y) for weights in fitted])
    curve = {name: monotone(np.mean(rows, axis=0)[None]) for name, rows in areas.items()}
    at = np.array(sizes, dtype=float)
    return np.concatenate(
        [equivalent(curve["scratch"], at, curve["transfer"][:, place]) for place in range(len(at))]
    )


def study(world: World, count: int, seed: int) -> tuple[Savings, tuple[int, ...]]:
    """Draw a target cohort, train on its design and read the savings; and the sizes trained on."""
    random = np.random.default_rng([seed, 2])
    x, y = patients(count, world.target, random)
    plan = Plan(runs=RUNS, folds=FOLDS, validation_fraction=0.2, sizes=SIZES, seed=seed)
    design = draw(np.arange(count), y, OUTCOME, plan)
    whole = design.filter(pl.col("use") == "compare")
    curve = design.filter(pl.col("use") == "curve")
    by_size = {n: part for (n,), part in curve.sort("size").group_by("size", maintain_order=True)}
    by_size[int(whole["size"].median())] = whole  # type: ignore[arg-type]
    training = training_factor(np.arange(count), whole["test"].to_list(), learned_from(whole))
    studies = {
        int(n): judged(part, x, y, world, training)  # type: ignore[call-overload]
        for n, part in by_size.items()
    }
    found = patients_saved(studies, Auroc(), reference="scratch", draws=500, seed=seed)
    assert found is not None
    return found, tuple(studies)


def judged(
    design: pl.DataFrame, x: np.ndarray, y: np.ndarray, world: World, training: float
) -> Study:
    """What both strategies say with the training patients of this part of the design."""
    nobody = np.zeros(0, dtype=np.int64)
    strategies = {}
    for name, start in starts(world).items():
        test, fold = np.zeros((RUNS, len(y), 2)), np.zeros((RUNS, len(y)), dtype=np.int64)
        for replica in design.iter_rows(named=True):
            run, train, tested = replica["run"], replica["train"], replica["test"]
            test[run, tested] = answers(x[tested] @ ridge(x[train], y[train], start[run]))
            fold[run, tested] = replica["fold"]
        strategies[name] = StrategyResult(
            test, fold, nobody, nobody, nobody, np.zeros((0, 2)), name == "transfer", 0, ""
        )
    rows: tuple[Any, ...] = (y, np.arange(len(y)))
    return Study(*rows, *rows, "binary", OUTCOME.classes, strategies, training=training)


def main() -> None:
    """Print coverage and width, with the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=200)
    given = parser.parse_args()
    print("| cohort | relatedness | n | true worth | median found | covered | no upper limit |")
    print("|---|---|---|---|---|---|---|")
    for count in PATIENTS:
        for relatedness in RELATEDNESS:
            world = World.drawn(relatedness, np.random.default_rng([count, int(10 * relatedness)]))
            each = [study(world, count, seed) for seed in tqdm(range(given.studies), leave=False)]
            sizes = each[0][1]
            truth = true_worth(world, sizes, np.random.default_rng(1))
            for place, size in enumerate(sizes):
                said = [saved.savings[place] for saved, _ in each]
                worth, low, high = np.array([(s.worth, s.low, s.high) for s in said]).T
                covered = np.mean((low <= truth[place]) & (truth[place] <= high))
                print(
                    f"| {count} | {relatedness:g} | {size} | {truth[place]:.0f} | "
                    f"{np.median(worth):.0f} | {covered:.1%} | {np.mean(np.isinf(high)):.0%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()

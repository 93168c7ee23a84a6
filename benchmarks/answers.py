"""Are a shipped model's answers calibrated, and its sets and refusals as often right as stated?

`python benchmarks/answers.py` prints the table. Logistic regression of a ridge too weak or too
strong on the design of simulated studies (five runs of five folds); what ships is the mean of five
models, each of four fifths of all patients. Judged on patients nobody learned from: of the same
hospital, and of one where every third measurement is two standard deviations higher.
"""

from __future__ import annotations

import argparse
import warnings

import numpy as np
import polars as pl
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from tqdm import tqdm

from medgraft.deployment.novelty import learn
from medgraft.evaluation.answers import learn_answers
from medgraft.evaluation.corrections import AS_IT_IS, Platt, correction_of
from medgraft.evaluation.predictions import StrategyResult, Study
from medgraft.evaluation.recalibration import platt
from medgraft.preparation.arrays import Prepared
from medgraft.tasks import task as tasks

MARKERS, RUNS, FOLDS, LEVEL = 12, 5, 5, 0.9
NEW = 4000
PATIENTS = (40, 100, 300)
RIDGES = {"too weak": 1e4, "fitting": 0.3, "too strong": 0.003}
HEADER = ("patients", "ridge", "corrected", "log loss", "after", "slope", "after", "in set", "one")
MORE = ("refused", "elsewhere")


def drawn(n: int, weights: np.ndarray, stream: np.random.Generator) -> tuple[np.ndarray, ...]:
    x = stream.normal(size=(n, MARKERS))
    return x, (stream.random(n) < expit(x @ weights - 1)).astype(float)


def model(x: np.ndarray, y: np.ndarray, ridge: float) -> LogisticRegression:
    return LogisticRegression(C=ridge, max_iter=300).fit(x, y)


def both_classes(n: int, weights: np.ndarray, stream: np.random.Generator) -> tuple:
    """A cohort whose folds can all be learned from."""
    while True:
        x, y = drawn(n, weights, stream)
        if FOLDS <= y.sum() <= n - FOLDS:
            return x, y


def study_of(x: np.ndarray, y: np.ndarray, ridge: float, stream: np.random.Generator) -> Study:
    """Every patient answered once in every run, by a model that never saw them."""
    test, fold = np.zeros((RUNS, len(y), 2)), np.zeros((RUNS, len(y)), np.int64)
    for run in range(RUNS):
        order = np.argsort(y + stream.random(len(y)) / 2)  # stratified
        fold[run, order] = np.arange(len(y)) % FOLDS
        for one in range(FOLDS):
            mine = fold[run] == one
            test[run, mine] = model(x[~mine], y[~mine], ridge).predict_proba(x[mine])
    none = np.zeros(0, np.int64)
    result = StrategyResult(test, fold, none, none, none, np.zeros((0, 2)), False, MARKERS, "")
    rows = (y, np.arange(len(y)))
    return Study(*rows, *rows, "binary", ("well", "ill"), {"ridge": result})


def shipped(
    x: np.ndarray, y: np.ndarray, ridge: float, new: np.ndarray, stream: np.random.Generator
) -> np.ndarray:
    """Mean probabilities [new, 2] of five models of four fifths of the patients."""
    said = []
    while len(said) < RUNS:
        rows = stream.permutation(len(y))[: len(y) * 4 // 5]
        if 0 < y[rows].sum() < len(rows):
            said.append(model(x[rows], y[rows], ridge).predict_proba(new))
    return np.mean(said, axis=0)


def one_study(n: int, ridge: float, stream: np.random.Generator) -> list[float]:
    weights = stream.normal(size=MARKERS) * 0.5
    x, y = both_classes(n, weights, stream)
    new, truth = drawn(NEW, weights, stream)
    learned = learn_answers(study_of(x, y, ridge, stream), "ridge", level=LEVEL)
    said = shipped(x, y, ridge, new, stream)
    corrected = correction_of(learned["correction"])(said)
    at = (np.arange(NEW), truth.astype(int))
    kept = (1 - corrected <= learned["reach"]) | (corrected == corrected.max(1, keepdims=True))
    features = [{"name": f"m{i}", "categories": []} for i in range(MARKERS)]
    people = pl.DataFrame({"row": np.arange(n), "patient": np.arange(n)})
    novelty = learn(Prepared(x, y, people, {"modality": "table", "features": features}))
    elsewhere = new[:500] + 2.0 * (np.arange(MARKERS) % 3 == 0)
    return [
        learned["correction"]["method"] != AS_IT_IS,
        tasks.of("binary").row_losses(truth, said).mean(),
        tasks.of("binary").row_losses(truth, corrected).mean(),
        slope(said, truth),
        slope(corrected, truth),
        kept[at].mean(),
        (kept.sum(1) == 1).mean(),
        np.mean([reason != "" for reason in novelty.reasons(new[:1000])]),
        np.mean([reason != "" for reason in novelty.reasons(elsewhere)]),
    ]


def slope(said: np.ndarray, truth: np.ndarray) -> float:
    """Of the logit of what came true: 1 is right, under 1 too sure (of 4,000 patients)."""
    line: Platt = platt(said, truth.astype(np.int64))
    return line.slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100)
    studies = parser.parse_args().studies
    warnings.filterwarnings("ignore")  # a ridge of next to nothing does not converge
    print("| " + " | ".join((*HEADER, *MORE)) + " |")
    print("|" + "---|" * len((*HEADER, *MORE)))
    for n in PATIENTS:
        for name, ridge in RIDGES.items():
            stream = np.random.default_rng([n, list(RIDGES).index(name)])
            each = [one_study(n, ridge, stream) for _ in tqdm(range(studies), leave=False)]
            # A slope of complete separation is no number to average.
            mean, middle = np.mean(each, axis=0), np.median(each, axis=0)
            told = [f"{mean[0]:.0%}", *(f"{v:.3f}" for v in mean[1:3])]
            told += [*(f"{v:.2f}" for v in middle[3:5]), *(f"{v:.1%}" for v in mean[5:])]
            print(f"| {n} | {name} | " + " | ".join(told) + " |", flush=True)


if __name__ == "__main__":
    main()

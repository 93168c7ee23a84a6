"""What a shipped model adds to its probabilities: a correction, and sets that hold the truth.

Both are learned from predictions of patients that the predicting replicas never saw: the mean of
all runs for each tested row, as the shipped model is the mean of its replicas. The replicas that
ship learned from somewhat more patients, so this errs on the cautious side. For sets of
cross-validated predictions see Vovk 2015 (Ann. Math. Artif. Intell. 74:9) and Barber et al. 2021
(Ann. Statist. 49:486).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medgraft.evaluation.corrections import AS_IT_IS, AsItIs, Correction, told
from medgraft.evaluation.exchangeable import least, threshold, worst
from medgraft.evaluation.metrics.metric import Floats, Integers
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.recalibration import Fit, methods
from medgraft.evaluation.summary import write_json
from medgraft.tasks import task as tasks

FOLDS = 10
"""Parts of the patients, each corrected by what the others showed."""


def write_answers(folder: Path, study: Study, strategy: str, *, level: float) -> None:
    """Write answers.json, as `learn_answers` found it."""
    write_json(folder / "answers.json", learn_answers(study, strategy, level=level))


def learn_answers(study: Study, strategy: str, *, level: float) -> dict[str, Any]:
    """How the shipped strategy answers, as `answers.json` holds it.

    `correction`: see `corrections.told`. `losses`: cross-validated log loss of each that was tried.
    `level`: share of truths that a set is made to hold. `reach`: classes up to this far from 1 in
    probability, or values up to this far from the answer, are in the set; None, and `why`, where
    there are no sets. `patients`: from how many all this was learned.
    """
    task = tasks.of(study.task)
    said, patients = study.strategies[strategy].test.mean(axis=0), study.patients
    found: dict[str, Any] = {"strategy": strategy, "patients": patients, "level": level}
    if not task.one_answer:
        why = f"sets are offered for classes and values, the outcome is {study.task}"
        return found | {"correction": told(AsItIs()), "losses": {}, "reach": None, "why": why}
    correction, losses, said = _corrected(study, said)
    reach, why = float("inf"), ""
    if patients >= least(level):
        reach = threshold(worst(study.patient, task.surprise(study.outcome, said)), level)
    else:
        why = f"sets at {level:.0%} need {least(level)} patients, there are {patients}"
    return found | {
        "correction": told(correction),
        "losses": losses,
        "reach": reach if np.isfinite(reach) else None,
        "why": why,
    }


def _corrected(study: Study, said: Floats) -> tuple[Correction, dict[str, float], Floats]:
    """The chosen correction, the losses of all, and answers [n, C] each corrected by others'.

    The one of fewest parameters whose cross-validated log loss is within one standard error of the
    smallest (Breiman et al. 1984, 3.4.3).
    """
    if not study.classes:
        return AsItIs(), {}, said
    truth = study.outcome.astype(np.int64)
    offered, _ = methods(study.classes, study.patients)
    answers = {AS_IT_IS: said} | {
        name: _cross_fitted(study.patient, said, truth, fit) for name, fit in offered.items()
    }
    losses = {name: _losses(study, one) for name, one in answers.items()}
    name = _simplest(losses)
    mean = {each: float(one.mean()) for each, one in losses.items()}
    chosen = offered[name](said, truth) if name in offered else AsItIs()
    return chosen, mean, answers[name]


def _cross_fitted(patient: Integers, said: Floats, truth: Integers, fit: Fit) -> Floats:
    """Answers of each part of the patients after the correction that the other parts ask for."""
    # Patients are numbered in no order of their own; drawing keeps the site's order out of parts.
    part = np.random.default_rng(0).permutation(int(patient.max()) + 1) % FOLDS
    found = said.copy()
    for one in np.unique(part):
        mine = part[patient] == one
        found[mine] = fit(said[~mine], truth[~mine])(said[mine])
    return found


def _losses(study: Study, said: Floats) -> Floats:
    """The mean log loss of every patient."""
    loss = tasks.of(study.task).row_losses(study.outcome, said)
    return np.bincount(study.patient, loss) / np.bincount(study.patient)


def _simplest(losses: Mapping[str, Floats]) -> str:
    best = min(losses, key=lambda name: losses[name].mean())
    for name, one in losses.items():
        gap = one - losses[best]
        if gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap)):
            return name
    return best

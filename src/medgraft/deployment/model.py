"""The champion: raw records in, one answer or one reason each out."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.deployment.answers import ANSWERS, frame
from medgraft.deployment.novelty import Novelty
from medgraft.deployment.novelty import read as read_novelty
from medgraft.deployment.records import Records, records_of
from medgraft.evaluation.corrections import Correction, correction_of
from medgraft.networks.model import Network, build
from medgraft.preparation.arrays import check_seal, read_json
from medgraft.tasks import task as tasks
from medgraft.training import weights
from medgraft.training.classical import reader
from medgraft.training.fit import outputs
from medgraft.training.replicas import State, select
from medgraft.transfer.baselines.learner import learner

BLOCK = 4096  # rows answered at a time
TOO_FAR = "no finite answer: the values lie too far from those of the patients learned from"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """An ensemble of replicas with the rules by which it reads raw records.

    `outcome` as in `schema.json`; `outputs` turns rows `[n, ...]` into raw outputs `[R, n, C]`.
    `novelty` tells who is too unlike to be answered; `correction` calibrates the replicas' mean;
    answers up to a surprise of `reach` are plausible (None: that was not learned).
    """

    records: Records
    outcome: Mapping[str, Any]
    outputs: Callable[[NDArray[Any]], Floats]
    novelty: Novelty
    correction: Correction
    reach: float | None

    @property
    def task(self) -> tasks.Task:
        """What the outcome's arrays mean."""
        return tasks.of(self.outcome["task"])

    def predict(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Answer every record, in order, whatever the others are.

        Args:
            frame: one raw record per row under the column names of the site's files; text or typed
                values. Patient, outcome and identifier columns may be there and are passed over.

        Returns:
            `predicted` (class label, or value in the outcome's unit) and `probability_<class>` for
            each class; `probability_<label>` for each of several labels; `survival_<horizon>` for
            each horizon; `plausible` classes, or `low` and `high`, which hold the truth as often as
            was asked for; and `problem`: empty, or why the record has no answer.

        Raises:
            CohortError: a column is absent, unknown or named twice.
        """
        x, problems = self.records.read(frame)
        self.novelty.refuse(x, problems)
        answers = np.full((len(x), self.task.width(self.outcome)), np.nan)
        asked = np.array([row for row, found in enumerate(problems) if not found], dtype=int)
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            answers[block] = self.answers(x[block])
        lost = asked[~np.isfinite(answers[asked]).all(axis=1)]
        answers[lost] = np.nan
        for row in lost.tolist():
            problems[row].append(TOO_FAR)
        return self.frame(answers, ["; ".join(found) for found in problems])

    def answers(self, x: NDArray[Any]) -> Floats:
        """Class probabilities `[n, classes]`, or values `[n, 1]`: the replicas' mean, corrected."""
        mean = np.mean([self.task.probabilities(raw) for raw in self.outputs(x)], axis=0)
        return self.correction(mean)

    def frame(self, answers: Floats, problems: list[str]) -> pl.DataFrame:
        """Answers `[n, outputs]` under their names."""
        return frame(answers, problems, outcome=self.outcome, reach=self.reach)


def load(folder: Path) -> Model:
    """The champion in `folder`, as `export` wrote it.

    Raises:
        StageError: a file is missing, or any byte is not as it was written.
        CohortError: `cohort.yaml` is not as it should be.
    """
    check_seal(folder, required=True)
    state, description = weights.read(folder)
    network, schema = description["network"], description["schema"]
    answer = baseline_outputs if "baseline" in network else network_outputs
    learned = read_json(folder / ANSWERS)
    return Model(
        records_of(folder),
        schema["outcome"],
        answer(network, schema, state),
        read_novelty(folder, schema),
        correction_of(learned["correction"]),
        learned["reach"],
    )


def network_outputs(
    spec: Mapping[str, Any], schema: Mapping[str, Any], state: State
) -> Callable[[NDArray[Any]], Floats]:
    """Ask all networks at once."""
    return partial(ask, build(spec, schema, seed=0), state)


def ask(template: Network, state: State, x: NDArray[Any]) -> Floats:
    """Raw outputs `[R, n, C]` of rows `[n, ...]`."""
    count = len(next(iter(state.values())))
    return np.stack(outputs(template, state, x, [range(len(x))] * count)).astype(np.float64)


def baseline_outputs(
    spec: Mapping[str, Any], schema: Mapping[str, Any], state: State
) -> Callable[[NDArray[Any]], Floats]:
    """Ask one fitted baseline after the other, each after its own preparation."""
    outcome = schema["outcome"]
    recipe = learner(spec["baseline"], outcome)
    read = reader(spec["input"], schema, learn_from=spec.get("learn_from", "target"))
    count = len(next(iter(state.values())))

    def answer(x: NDArray[Any]) -> Floats:
        each, mine = [], copy.deepcopy(read)  # a server's threads load other replicas meanwhile
        for r in range(count):
            own = {name: value[0] for name, value in select(state, [r]).items()}
            mine.input.load_state_dict(part(own, "input."))
            arrays = {name: value.numpy() for name, value in part(own, "baseline.").items()}
            each.append(recipe.outputs_from(arrays, mine(x)))
        return np.stack(each)

    return answer


def part(state: State, prefix: str) -> State:
    """The values whose names begin with `prefix`, without it."""
    chosen = {name: value for name, value in state.items() if name.startswith(prefix)}
    return {name.removeprefix(prefix): value for name, value in chosen.items()}

"""Train a strategy's phases, with the rates, penalty and second cohort it asks for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import polars as pl
import torch

from medgraft.config import FitConfig, Strategy, Target, TrainerConfig
from medgraft.construct import construct
from medgraft.networks.model import Network, seeded
from medgraft.training.course import Course
from medgraft.training.fit import HISTORY, fit
from medgraft.training.patients import Patients
from medgraft.training.replicas import State, build
from medgraft.transfer.co_tuning import SourceModel
from medgraft.transfer.objective import Objective
from medgraft.transfer.trainable import Phase

T = TypeVar("T")
NETWORK, START, PENALTY, ALIGNMENT = "network.", "start.", "penalty.", "alignment."


@dataclass(frozen=True)
class Guide:
    """What a strategy's training needs to know.

    ``patients``: whose outcomes it learns, and beside them the other cohort where it is shown.
    ``start_counts``: the network it starts from is a trained one, as in ``Course``. ``source``: the
    source network of each replica, for a penalty that needs it.
    """

    strategy: Strategy
    patients: Patients
    config: FitConfig
    trainer: TrainerConfig
    start_counts: bool
    source: Callable[[int], SourceModel] | None = None


def train(
    template: Network, state: State, phases: Sequence[Phase], guide: Guide
) -> tuple[State, pl.DataFrame]:
    """Carry the phases out, each from the best values of the one before it.

    The batches of a phase do not depend on when the one before it stopped: that differs between
    replicas, and each has to train as it would alone.

    Returns:
        The values at the last phase's best validation loss, and the history of all phases.
    """
    limit = guide.config.max_steps or guide.trainer.max_steps
    names = [name for name, _ in template.named_parameters()]
    spec = guide.strategy.learning_rate
    rates = construct(spec, names=names) if spec else {}
    histories, first = [pl.DataFrame(schema=HISTORY)], 0
    for phase in phases:
        steps = min(phase.steps or limit, limit)
        course = Course(
            start_counts=guide.start_counts or first > 0,
            rates=rates,
            first=first,
            # The source's patients cannot tell what is best for the target.
            chooses=guide.strategy.learn_from != "source",
        )
        state, history = train_phase(template, state, Phase(phase.names, steps), guide, course)
        histories.append(history)
        first += steps
    return state, pl.concat(histories).sort("replica", "step")


def train_phase(
    template: Network, state: State, phase: Phase, guide: Guide, course: Course
) -> tuple[State, pl.DataFrame]:
    """One phase; a strategy that adds nothing to the error trains the plain network."""
    prefix = NETWORK if guide.strategy.penalty or guide.patients.beside else ""
    whole: Any = template
    values = state
    if prefix:
        whole, values = guided(template, state, guide)
    added = {name for name in values if name.startswith(ALIGNMENT)}
    if prefix and whole.penalty:
        added |= {PENALTY + name for name in whole.penalty.trained}
    found, history = fit(
        whole,
        values,
        guide.patients,
        trained={prefix + name for name in phase.names} | added,
        config=guide.config.model_copy(update={"max_steps": phase.steps}),
        trainer=guide.trainer,
        course=replace(course, rates=under(prefix, course.rates)),
    )
    kept = {n.removeprefix(prefix): v for n, v in found.items() if n.startswith(prefix)}
    return kept, history


def guided(template: Network, state: State, guide: Guide) -> tuple[Objective, State]:
    """The network with all that its strategy adds, and the values of all of it ``[R, ...]``."""
    strategy, values = guide.strategy, under(NETWORK, state)
    penalty = start = alignment = None
    if strategy.penalty:
        start = copy.deepcopy(template)
        penalty = construct(strategy.penalty, network=template)
        fitted = fitted_penalty(penalty, start, state, guide)
        for name, value in fitted.items():  # now that shapes are known
            if name in penalty.trained:
                penalty.register_parameter(name, torch.nn.Parameter(value[0].clone()))
            else:
                penalty.register_buffer(name, value[0])
        values |= under(START, state) | under(PENALTY, fitted)
    if strategy.alignment:
        make = partial(fresh, strategy.alignment, network=template)
        alignment, own = build(make, guide.patients.seeds)
        values |= under(ALIGNMENT, own)
    return Objective(
        copy.deepcopy(template),
        start=start,
        penalty=penalty,
        alignment=alignment,
        joint=strategy.learn_from == "both",
    ), values


def fresh(spec: Target, seed: int, *, network: Network) -> Any:
    """An alignment as precise as the network, initialised with this seed."""
    with seeded(seed):
        return construct(spec, network=network).to(next(network.parameters()).dtype)


def fitted_penalty(penalty: Any, start: Network, state: State, guide: Guide) -> State:
    """Values ``[R, ...]``, each replica's from its own training patients and its own start."""
    each, patients = [], guide.patients
    for r, rows in enumerate(patients.train):
        start.load_state_dict({name: value[r] for name, value in state.items()})
        more: dict[str, Any] = {}
        if penalty.needs_source and guide.source:
            held = patients.validation[r]
            more = {"source": guide.source(r), "held": (patients.x[held], patients.y[held])}
        each.append(penalty.fit(start.eval(), patients.x[rows], patients.y[rows], **more))
    return {name: torch.stack([values[name] for values in each]) for name in each[0]}


def under(prefix: str, values: Mapping[str, T]) -> dict[str, T]:
    """The same values with longer names."""
    return {prefix + name: value for name, value in values.items()}

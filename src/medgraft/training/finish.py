"""What specific layers fit once training is over."""

from __future__ import annotations

from typing import Any

import torch

from medgraft.training.fit import outputs
from medgraft.training.patients import Patients
from medgraft.training.replicas import State


def finished(template: Any, state: State, patients: Patients) -> State:
    """Values ``head.* [R, ...]`` from each trained replica's outputs on its training patients.

    Nothing where the head has no ``finish``, as only a Cox model's has; a pretext's network has no
    head at all.
    """
    finish = getattr(getattr(template, "head", None), "finish", None)
    if finish is None:
        return {}
    answers = outputs(template, state, patients.x, patients.train)
    own = {n.removeprefix("head."): v for n, v in state.items() if n.startswith("head.")}
    each = [
        finish(answer, patients.y[rows], {name: value[r] for name, value in own.items()})
        for r, (answer, rows) in enumerate(zip(answers, patients.train, strict=True))
    ]
    return {f"head.{name}": torch.stack([values[name] for values in each]) for name in each[0]}

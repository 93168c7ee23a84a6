"""The source network of a replica as it is, for strategies that go on using its specific layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from medgraft.errors import ConfigError
from medgraft.networks.model import build
from medgraft.preparation.arrays import Prepared
from medgraft.training import replicas
from medgraft.training.fit import outputs
from medgraft.training.patients import Patients
from medgraft.training.pretrain import fitted
from medgraft.training.replicas import State
from medgraft.transfer import init
from medgraft.transfer.co_tuning import SourceModel, calibration_scale, class_logits

CLASSIFICATION = ("binary", "multiclass")


def check_classes(name: str, source: Mapping[str, Any], target: Mapping[str, Any]) -> None:
    """Refuse outcomes without classes.

    Raises:
        ConfigError: one of the two outcomes has none.
    """
    for cohort, outcome in (("source", source), ("target", target)):
        if outcome["task"] not in CLASSIFICATION:
            raise ConfigError(
                f"strategy {name} relates classes of the source to classes of the target, but the "
                f"{cohort}'s outcome ({outcome['name']}, {outcome['task']}) has none that exclude "
                "each other; leave it out"
            )


def source_models(
    chosen: State, told: Mapping[str, Any], target: Prepared, patients: Patients, source: Patients
) -> Callable[[int], SourceModel]:
    """The source network of each replica, reading the target's patients.

    Args:
        chosen: values of the replicas' source networks ``[R, ...]``.
        told: the ``network.json`` beside them.
        target: the prepared cohort.
        patients: its parts.
        source: the source's, whose validation patients calibrate what its network says.
    """
    schema = target.schema | {"outcome": told["schema"]["outcome"]}
    template, fresh = replicas.build(
        lambda seed: build(told["network"], schema, seed=seed), patients.seeds
    )
    fresh |= {
        name: value for name, value in fitted(template, patients).items() if "head." not in name
    }
    state = init.source(fresh, chosen)
    scales = [scale(template, chosen, source, r) for r in range(len(patients.seeds))]

    def model(r: int) -> SourceModel:
        template.load_state_dict({name: value[r] for name, value in state.items()})
        return SourceModel(template, scales[r])

    return model


def scale(template: Any, chosen: State, source: Patients, r: int) -> float:
    """What calibrates replica ``r``'s source network, by the source's validation patients."""
    rows = source.validation[r]
    x, y = source.x[rows], source.y[rows]
    if source.question:
        x, y = source.question(x, y, np.random.default_rng(0))
    own = {name: value[r : r + 1] for name, value in chosen.items()}
    (said,) = outputs(template, own, x, [range(len(rows))])
    return calibration_scale(class_logits(said.astype(float)), y)

"""The baseline a strategy names, fit for the outcome at hand."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from medgraft.construct import construct, locate
from medgraft.errors import ConfigError
from medgraft.transfer.baselines.labels import PerLabel
from medgraft.transfer.baselines.recipe import Baseline


def learner(spec: Mapping[str, Any], outcome: Mapping[str, Any]) -> Baseline | PerLabel:
    """Construct ``spec`` for an outcome of ``schema.json``.

    A baseline that learns survival takes ``horizons``; several labels are learned one by one.

    Raises:
        ConfigError: the baseline does not learn survival.
    """
    classes = len(outcome["classes"])
    if outcome["task"] == "multilabel":
        return PerLabel(construct(spec, task="binary", classes=2), classes)
    if outcome["task"] != "survival":
        return construct(spec, task=outcome["task"], classes=classes)
    if "horizons" not in inspect.signature(locate(spec["_target_"])).parameters:
        name = spec["_target_"].rpartition(".")[2]
        raise ConfigError(
            f"the baseline {name} does not learn survival ({outcome['name']}); "
            "leave it out of strategies, or take cox (sequences: kmer_cox, images: pixel_cox)"
        )
    return construct(spec, task="survival", classes=0, horizons=outcome["horizons"])

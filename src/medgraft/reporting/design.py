"""How a study trained, tested and used its source, in words its design and configuration bear out.

A sentence that only the usual design makes true would be false in print for the others: a split
that came with the files, a strategy that learns from the source's patients, a single model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.config import Strategy, Target
from medgraft.reporting.text import counted

RANDOM, CHECKPOINT = ".random", ".Checkpoint"
"""How the constructors end of weights that start at random, and of published ones."""


@dataclass(frozen=True)
class Configured:
    """What a reader must know that no artefact says.

    pretext: what made the networks that strategies start from. notice: plain text that every reader
    must see, may be empty.
    """

    strategies: Mapping[str, Strategy]
    pretext: Target
    notice: str

    @property
    def published(self) -> bool:
        """Whether the networks come from others, and none was trained on the source's patients."""
        return bool(self.pretext["_target_"].endswith(CHECKPOINT))

    def of(self, strategy: str) -> Configured:
        """The same of one strategy alone."""
        return replace(self, strategies={strategy: self.strategies[strategy]})


def evaluated(design: pl.DataFrame, patient: NDArray) -> dict[str, Any]:
    """Count what the design compares, and say how it tested.

    patient: [n] whose every target row is.
    """
    compared = design.filter(pl.col("use") == "compare")
    runs, folds = compared["run"].n_unique(), compared["fold"].n_unique()
    everyone, tested = len(np.unique(patient)), len(np.unique(patient[_rows(compared["test"])]))
    # Drawn folds are two or more (`splits.Plan`): one is the split that came with the files.
    given = folds == 1
    return {
        "given": given,
        "runs": runs,
        "networks": compared["source_seed"].n_unique(),
        "tested": f"{tested:,} of {everyone:,}" if tested < everyone else f"all {everyone:,}",
        "how": f"{counted(runs, 'training run')} on the one split that came with the target's files"
        if given
        else f"{counted(runs, 'repetition')} of {folds}-fold cross-validation",
        "by": "on the test part of the split that came with the files"
        if given
        else "by cross-validation",
        "strata": "The split is the files' own; whether it is stratified by the outcome was not "
        "asked"
        if given
        else "Folds are stratified by the outcome",
        "chance": _chance(runs, given=given),
        **{part: _span(compared[part].list.len()) for part in ("train", "validation", "test")},
    }


def _chance(runs: int, *, given: bool) -> str:
    """What the intervals cover."""
    other = "other patients of the same kind"
    if runs == 1:
        return f"what {other} would have changed; a single run does not show what another would"
    trained = "starts of training" if given else "divisions and starts of training"
    return f"what {other}, and other random {trained}, would have changed"


def handed_over(
    design: pl.DataFrame, strategy: Strategy, *, fitted: bool, stopped: bool
) -> dict[str, Any]:
    """Count the models that ship, and say what they learned from.

    fitted: whether they have parameters of their own; stopped: whether validation patients ended
    their training. `learned`: whether any outcome of the target was learned.
    """
    final = design.filter(pl.col("use") == "final")
    models, learned = final.height, fitted and strategy.learn_from != "source"
    said = counted(models, "model")
    if not learned:
        said += ", fitted to no outcome of a target patient"
    elif models:
        said += (
            f", {'each ' * (models > 1)}trained on {_span(final['train'].list.len())} target rows"
        )
        if stopped:
            said += f" and stopped by {_span(final['validation'].list.len())} others"
        said += _together(final) * (models > 1)
        said += "; source patients are learned from as well" * (strategy.learn_from == "both")
    return {"models": models, "learned": learned, "said": said}


def _together(final: pl.DataFrame) -> str:
    trained = len(_rows(final["train"]))
    every = len(np.union1d(_rows(final["train"]), _rows(final["validation"])))
    if trained == every:
        return f"; together they learned from all {every:,}"
    return f"; together they learned from {trained:,} of {every:,}"


def source_use(configured: Configured, *, networks: int) -> str:
    """Say what strategies take from the source."""
    uses = {name: one for name, one in configured.strategies.items() if one.uses_source}
    made = (
        "taken from a published checkpoint, not trained on the cohort"
        if configured.published
        else "trained on it"
    )
    start = [
        name for name, one in uses.items() if one.init and not one.init["_target_"].endswith(RANDOM)
    ]
    taken = {
        f"{counted(networks, 'network')} {made}, the start of": start,
        "patients learned from together with the target's, by": _learning(uses, "both"),
        "patients learned from instead of the target's, by": _learning(uses, "source"),
        "patients seen beside the target's, without their outcomes, by": [
            name for name in _learning(uses, "target") if uses[name].alignment
        ],
    }
    said = [f"{what} {listed(names)}" for what, names in taken.items() if names]
    return "; ".join(said) if said else "nothing"


def _learning(strategies: Mapping[str, Strategy], source: str) -> list[str]:
    return [name for name, one in strategies.items() if one.learn_from == source]


def listed(names: Sequence[str]) -> str:
    """Write `a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def _rows(parts: pl.Series) -> NDArray:
    """The rows that are in any of these lists."""
    return parts.explode().drop_nulls().unique().sort().to_numpy()


def _span(sizes: pl.Series) -> str:
    low, high = np.quantile(sizes.to_numpy(), (0, 1)).astype(int)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"

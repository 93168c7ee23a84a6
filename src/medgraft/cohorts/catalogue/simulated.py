"""What all simulated cohorts share: how related the target is, who falls ill, what is written.

A mechanism is a vector of weights w over d *pairs* of findings: a positive weight raises the risk
with the first of the pair (a marker above its normal range, a motif), a negative one with the
second (the marker below it, the motif's decoy). Source and target each have their own w:

    w_target = relatedness * w_source + sqrt(1 - relatedness²) * w_new

where w_new is orthogonal to w_source: 1 is the same mechanism, 0 an unrelated one, -1 the opposite.
Pairs, because a mechanism of which the sign alone is turned around is no harm: new specific layers
turn it back, and transfer truly helps.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray
from pydantic import Field
from scipy.optimize import brentq
from scipy.special import expit

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME
from medgraft.errors import CohortError

OPTIONS, TRUTH = "simulated.json", "truth.json"
Patients = Annotated[int, Field(ge=2, le=10_000_000)]
"""Of one hospital; they are drawn in memory."""
Signal = Annotated[float, Field(ge=0, le=1000)]
"""How strongly a mechanism decides."""

HUGE = 100_000  # patients of the draw that the best possible ranking is measured on

Floats = NDArray[np.float64]


def stream(seed: int, purpose: int) -> np.random.RandomState:
    """Random numbers of their own for each purpose, so that one option moves nothing else.

    `RandomState`, because numpy promises its stream never changes.
    """
    return np.random.RandomState([seed, purpose])


def mechanisms(pairs: int, relatedness: float, *, seed: int) -> tuple[Floats, Floats]:
    """Weights [pairs] of source and target, each of length 1.

    The source's own weights lie on a random half of the pairs, the new ones on the other half.

    Raises:
        CohortError: relatedness outside [-1, 1], or fewer than two pairs.
    """
    if not -1 <= relatedness <= 1:
        raise CohortError(f"relatedness: got {relatedness:g}, expected a number from -1 to 1")
    if pairs < 2:
        raise CohortError(f"got {pairs} findings to give weights to, expected 2 or more")
    random = stream(seed, 0)
    weights = random.uniform(0.5, 1.5, pairs) * random.choice([-1.0, 1.0], pairs)
    own = random.permutation(pairs) < pairs // 2
    source, new = _unit(weights * own), _unit(weights * ~own)
    return source, relatedness * source + np.sqrt(1 - relatedness**2) * new


def _unit(vector: Floats) -> Floats:
    unit: Floats = vector / np.linalg.norm(vector)
    return unit


def burden(weights: Floats, first: Floats, second: Floats) -> Floats:
    """Risk score [n] of findings `first` and `second` [n, pairs] under `weights` [pairs]."""
    score: Floats = first @ np.maximum(weights, 0) + second @ np.maximum(-weights, 0)
    return score


def intercept(scores: Floats, prevalence: float) -> float:
    """The intercept at which patients with these scores [n] fall ill with mean `prevalence`.

    Raises:
        CohortError: prevalence outside (0, 1).
    """
    if not 0 < prevalence < 1:
        raise CohortError(f"prevalence: got {prevalence:g}, expected a number between 0 and 1")
    bound = float(np.abs(scores).max()) + 50
    return float(brentq(lambda start: expit(start + scores).mean() - prevalence, -bound, bound))


def best_auroc(risk: Floats) -> float:
    """AUROC expected of ranking patients by their true risk [n]: nothing ranks them better.

    The probability that of two patients, one ill and one not, the ill one has the higher risk.
    """
    _, group = np.unique(risk, return_inverse=True)
    well = np.bincount(group, 1 - risk)
    below = np.cumsum(well) - well / 2
    return float((risk * below[group]).sum() / (risk.sum() * (1 - risk).sum()))


def table(columns: Mapping[str, Sequence[Any] | NDArray]) -> bytes:
    """A csv of these columns; NaN and None become empty cells."""
    frame = pl.DataFrame({name: pl.Series(values) for name, values in columns.items()})
    return frame.fill_nan(None).write_csv(float_precision=4).encode()


def write(
    folder: Path,
    *,
    description: Mapping[str, Any],
    contents: Mapping[str, bytes],
    truth: Mapping[str, Any],
    options: Mapping[str, Any],
) -> None:
    """Write cohort.yaml, the files, truth.json and simulated.json (the options) into `folder`.

    A folder simulated with other options gives way; what was not simulated is never touched.

    Raises:
        CohortError: the folder holds something that was not simulated.
    """
    if made_with(folder) not in (None, dict(options)):
        shutil.rmtree(folder)
    text = yaml.dump(dict(description), Dumper=_Plain, sort_keys=False, allow_unicode=True)
    kept = {NAME: text.encode(), TRUTH: _json(truth), OPTIONS: _json(options)}
    files.write(folder, {**contents, **kept})


class _Plain(yaml.SafeDumper):
    """Writes equal parts out instead of pointing back to the first."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True


def made_with(folder: Path) -> dict[str, Any] | None:
    """The options a folder was simulated with; None for one that was not simulated."""
    path = folder / OPTIONS
    try:
        found: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return found


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()

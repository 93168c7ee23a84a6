"""Corrections of class probabilities, kept as JSON and applied to answers.

`recalibration` fits them; a served model applies the one that was chosen for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from scipy.special import expit, log_softmax

from medgraft.tasks.task import EPS, Floats

AS_IT_IS = "as it is"


class Correction(Protocol):
    """From class probabilities [m, C] to corrected ones."""

    def __call__(self, said: Floats) -> Floats:
        """Correct them."""
        ...


@dataclass(frozen=True)
class AsItIs:
    """No correction."""

    def __call__(self, said: Floats) -> Floats:
        """The same."""
        return said


@dataclass(frozen=True)
class Temperature:
    """Log probabilities are divided by it."""

    temperature: float

    def __call__(self, said: Floats) -> Floats:
        """Softer above 1, surer below."""
        answered: Floats = np.exp(
            log_softmax(np.log(np.maximum(said, EPS)) / self.temperature, axis=1)
        )
        return answered


@dataclass(frozen=True)
class Platt:
    """Intercept and slope of the logit of the second of two classes."""

    intercept: float
    slope: float

    def __call__(self, said: Floats) -> Floats:
        """A straight line in logits."""
        return both(expit(self.intercept + self.slope * logit(said)))


@dataclass(frozen=True)
class Isotonic:
    """Probabilities of the second of two classes, `before` and `after`; straight in between."""

    before: Sequence[float]
    after: Sequence[float]

    def __call__(self, said: Floats) -> Floats:
        """A rising line; constant beyond its ends."""
        return both(np.interp(said[:, 1], self.before, self.after))


KINDS: dict[str, Any] = {
    AS_IT_IS: AsItIs,
    "temperature": Temperature,
    "Platt": Platt,
    "isotonic": Isotonic,
}


def told(correction: Correction) -> dict[str, Any]:
    """A correction as JSON: its method and its numbers."""
    (method,) = (name for name, kind in KINDS.items() if type(correction) is kind)
    return {"method": method, **asdict(correction)}  # type: ignore[call-overload]


def correction_of(content: Mapping[str, Any]) -> Correction:
    """The correction that `told` wrote."""
    kind = KINDS[content["method"]]
    numbers = {name: content[name] for name in kind.__dataclass_fields__}
    correction: Correction = kind(**numbers)
    return correction


def logit(said: Floats) -> Floats:
    """Log odds [m] of the second of two classes."""
    safe = np.maximum(said, EPS)
    return np.log(safe[:, 1]) - np.log(safe[:, 0])


def both(positive: Floats) -> Floats:
    """Probabilities [m, 2] of both classes."""
    return np.stack([1 - positive, positive], axis=1)

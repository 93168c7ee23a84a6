"""A check that owes nothing to the code it checks: what was fitted saw its own patients only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from medgraft.construct import construct
from medgraft.errors import LeakError
from medgraft.preparation.arrays import Prepared


def verify_preparation(
    state: Mapping[str, Tensor],
    cohort: Prepared,
    train: Sequence[Sequence[int]],
    *,
    spec: Mapping[str, Any],
    source: Mapping[str, Tensor] | None = None,
) -> None:
    """Compare every ``input.*`` value ``[R, ...]`` with one fitted anew on the replica's patients.

    Args:
        state: values of all replicas.
        cohort: the prepared cohort they were trained on.
        train: training rows of each replica.
        spec: constructor of the input.
        source: values ``[R, ...]`` the replicas may have taken over instead.

    Raises:
        LeakError: a value is neither; names the first replica and value.
    """
    first = construct(spec, features=cohort.schema["features"])
    for replica, rows in enumerate(train):
        for key, own in first.fit(np.asarray(cohort.x[rows])).items():
            name = f"input.{key}"
            allowed = same(state[name][replica], own)
            if source:
                allowed |= same(state[name][replica], source[name][replica])
            if not bool(allowed.all()):
                raise LeakError(
                    f"replica {replica}: {name} was not computed from its own {len(rows)} training "
                    "patients; no result may be made from it"
                )


def same(found: Tensor, expected: Tensor) -> Tensor:
    """Elementwise equality; a value that was never seen (NaN) equals itself."""
    return (found == expected) | (torch.isnan(found) & torch.isnan(expected))

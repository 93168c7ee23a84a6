"""Features that only the source measures, predicted for the target from the shared ones."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from medgraft.construct import NonNegative
from medgraft.networks.inputs.table import TableInput, gathered

CHUNK = 8192  # rows prepared at a time


class PseudoInput(nn.Module):
    """`TableInput` that fills in a source-only feature where it is missing.

    Pseudo-features of Levin et al., "Transfer learning with deep tabular models" (ICLR 2023), with
    ridge regression as the predictor: from the prepared shared features to the prepared source-only
    ones, numbers and levels of categories alike. It is fitted on the rows that have the feature,
    which are those of a source replica's own training patients; a strategy that starts from the
    source takes the predictor along, and the served model carries it. Where there is none (training
    from scratch on the target), the feature enters as 0.

    A source-only feature has no flag: predicted or measured, it is used alike. Put
    ``pretrain.hide_probability`` above 0 and the source's network meets both.

    Args:
        features: the ``features`` of a prepared ``schema.json``, numbers before categories.
        penalty: of the ridge, in patients: each coefficient shrinks as by that many who are 0.
    """

    places: ClassVar[int] = 0

    coefficients: Tensor

    def __init__(self, features: Sequence[Mapping[str, Any]], penalty: NonNegative = 1.0) -> None:
        super().__init__()
        self.table = TableInput(features)
        self.penalty = penalty
        origin = [feature["origin"] for feature in features]
        columns = list(enumerate(columns_of(self.table)))
        lost = [(at, i) for at, (i, flag) in columns if origin[i] == "source_only" and not flag]
        self.lost, self.owners = [at for at, _ in lost], [i for _, i in lost]
        self.shared = [at for at, (i, _) in columns if origin[i] == "shared"]
        self.kept = [at for at, (i, _) in columns if origin[i] != "source_only"]
        empty = torch.full((1 + len(self.shared), len(lost)), torch.nan)
        self.register_buffer("coefficients", empty)
        self.width = len(self.kept) + len(lost)

    def fit(self, rows: np.ndarray) -> dict[str, Tensor]:
        """Standardisation and predictors from ``rows [n, d]``; NaN without a row to learn on."""
        inner = self.table.fit(rows)
        size, lost = self.coefficients.shape
        squares, products = np.zeros((lost, size, size)), np.zeros((lost, size))
        for known, wanted, measured in self.chunks(rows, inner):
            for i, has in enumerate(measured.T):
                squares[i] += known[has].T @ known[has]
                products[i] += known[has].T @ wanted[has, i]
        ridge = self.penalty * np.diag([0.0] + [1.0] * (size - 1))
        found = np.full((lost, size), np.nan)
        for i in np.flatnonzero(squares[:, 0, 0]).tolist():
            found[i] = np.linalg.lstsq(squares[i] + ridge, products[i], rcond=None)[0]
        named = {f"table.{name}": value for name, value in inner.items()}
        return named | {"coefficients": torch.from_numpy(found.T.copy()).float()}

    @torch.no_grad()
    def chunks(
        self, rows: np.ndarray, inner: dict[str, Tensor]
    ) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What predicts ``[b, 1 + shared]``, what is predicted ``[b, lost]``, where it is known."""
        table = copy.deepcopy(self.table)
        table.load_state_dict(inner)
        for start in range(0, len(rows), CHUNK):
            x = np.asarray(rows[start : start + CHUNK])
            prepared = table(torch.from_numpy(x)).double().numpy()
            known = np.insert(prepared[:, self.shared], 0, 1, axis=1)
            yield known, prepared[:, self.lost], ~np.isnan(x[:, self.owners])

    def forward(self, x: Tensor) -> Tensor:
        """``[n, d]`` raw values (NaN = missing) to ``[n, width]``, source-only features last."""
        prepared = self.table(x)
        start, *slopes = self.coefficients.nan_to_num(0.0).split([1, len(self.shared)])
        predicted = start + prepared[..., self.shared] @ slopes[0]
        missing = torch.isnan(x[..., self.owners])
        filled = torch.where(missing, predicted, prepared[..., self.lost])
        return torch.cat([prepared[..., self.kept], filled], dim=-1)

    def collect(self, shares: Tensor) -> Tensor:
        """What prepared columns ``[..., width]`` contribute, as features ``[..., d]``.

        A predicted feature keeps its share, although the shared ones told its value.
        """
        owners = [self.table.owners[at] for at in (*self.kept, *self.lost)]
        return gathered(shares, owners, self.table.numbers + len(self.table.cardinalities))


def columns_of(table: TableInput) -> list[tuple[int, bool]]:
    """For each prepared column the feature it comes from, and whether it flags a missing value."""
    levels = [
        (table.numbers + i, False)
        for i, count in enumerate(table.cardinalities)
        for _ in range(count)
    ]
    flags = [(i, True) for i in table.flagged]
    return [*((i, False) for i in range(table.numbers)), *levels, *flags]

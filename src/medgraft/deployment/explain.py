"""A file of raw records -> a file that tells what each answer rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.deployment.attribution import Explain, explained, explainer
from medgraft.deployment.model import TOO_FAR
from medgraft.deployment.predict import Counts, opened, write
from medgraft.deployment.records import Records, records_of
from medgraft.errors import MedgraftError
from medgraft.training import weights

BLOCK = 64  # records explained at a time


@dataclass(frozen=True)
class Explainer:
    """The champion with how it explains itself; `outcome` as in `schema.json`."""

    records: Records
    outcome: Mapping[str, Any]
    shares: Explain

    def explain(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Explain every record, in order: one row for each raw output of each record.

        Returns:
            `record` (0-based), `explains` (class, label, horizon or value), `output` (the mean of
            the replicas' raw outputs), `reference` (that of the mean training patient), a column
            for each feature, position or pixel, `unexplained` (output minus the rest) and `problem`
            (empty, or why the record has no answer).
        """
        x, problems = self.records.read(frame)
        about = explained(self.outcome)
        blocks = []
        for start in range(0, max(1, len(x)), BLOCK):
            told = ["; ".join(found) for found in problems[start : start + BLOCK]]
            blocks.append(self._block(x[start : start + BLOCK], told, start, about))
        return pl.concat(blocks)

    def _block(
        self, x: NDArray[Any], problems: Sequence[str], first: int, about: Sequence[str]
    ) -> pl.DataFrame:
        shares = self.shares(x).mean()
        n, outputs = len(x), len(about)
        names = place_names(self.records.features, shares.parts.shape[3:])
        flat = shares.parts[0].reshape(n * outputs, len(names))
        start = np.tile(shares.start[0], n)
        columns = {
            "output": shares.outputs[0].ravel(),
            "reference": start,
            **dict(zip(names, flat.T, strict=True)),
            "unexplained": shares.gap[0].ravel(),
        }
        lost = ~np.isfinite(np.column_stack([*columns.values()])).all(axis=1)
        told = np.repeat(np.array(problems, dtype=object), outputs)
        told[lost & (told == "")] = TOO_FAR
        refused = told != ""
        numbers = [
            pl.Series(name, np.where(refused, np.nan, values), dtype=pl.Float64).fill_nan(None)
            for name, values in columns.items()
        ]
        return pl.DataFrame(
            [
                pl.Series("record", np.repeat(np.arange(first, first + n), outputs), pl.Int64),
                pl.Series("explains", list(about) * n, dtype=pl.String),
                *numbers,
                pl.Series("problem", told.tolist(), dtype=pl.String),
            ]
        )


def place_names(features: Sequence[str], shape: Sequence[int]) -> list[str]:
    """What contributions of this shape belong to: features, else positions or pixels from 1."""
    if len(shape) == 1 and shape[0] == len(features):
        return list(features)
    noun = "position" if len(shape) == 1 else "pixel"
    return ["_".join([noun, *(str(i + 1) for i in at)]) for at in np.ndindex(*shape)]


def load(folder: Path) -> Explainer:
    """The champion in `folder`, ready to explain itself.

    Raises:
        StageError: a file is missing or damaged.
        CohortError: `cohort.yaml` is not as it should be.
        NotExplained: this kind of model is not explained.
    """
    state, description = weights.read(folder)
    shares = explainer(folder, state, description)
    return Explainer(records_of(folder), description["schema"]["outcome"], shares)


def explain(champion: Path, source: Path, target: Path) -> Counts:
    """Explain every record of `source` in `target`, one row for each raw output, in order.

    Args:
        champion: folder written by `export`.
        source: delimited text with a header (`.gz` is unpacked).
        target: file to write, whole or not at all.

    Raises:
        MedgraftError: the champion is not explained or cannot be read, or a file cannot.
    """
    if source.resolve() == target.resolve():
        raise MedgraftError(f"{target}: is the input; write the explanations to another file")
    model = load(champion)
    table = opened(model.records, source)
    found = model.explain(table.cells)
    lines = np.asarray(table.lines)[found["record"].to_numpy()] if len(found) else []
    named = [column for column in table.cells if column.name == model.records.patient]
    patient = [column.gather(found["record"]) for column in named]
    broken = pl.DataFrame(
        {
            "line": [problem.line for problem in table.problems],
            "problem": [problem.text for problem in table.problems],
        },
        schema={"line": pl.Int64, "problem": pl.String},
    )
    told = pl.DataFrame([*patient, *found.drop("record"), pl.Series("line", lines, pl.Int64)])
    rows = pl.concat([told, broken], how="diagonal").sort("line", maintain_order=True)
    write(target, rows.drop("line"))
    refused = rows.filter(pl.col("problem") != "")["line"].n_unique()
    return Counts(rows["line"].n_unique() - refused, refused, "record", "explained")

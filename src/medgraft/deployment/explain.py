"""A file of raw records -> a file that tells what each answer rests on."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from medgraft.cohorts.table import RawTable
from medgraft.deployment import reading, writing
from medgraft.deployment.attribution import Explain, explainer
from medgraft.deployment.model import TOO_FAR
from medgraft.deployment.names import Names, name_of
from medgraft.deployment.novelty import Novelty
from medgraft.deployment.novelty import read as read_novelty
from medgraft.deployment.predict import Counts, refuse_overwriting
from medgraft.deployment.records import Records, records_of
from medgraft.errors import MedgraftError
from medgraft.tasks import task as tasks
from medgraft.training import weights

BLOCK = 64  # records explained at a time


@dataclass(frozen=True)
class Explainer:
    """The champion with how it explains itself; `outcome` as in `schema.json`."""

    records: Records
    outcome: Mapping[str, Any]
    shares: Explain
    novelty: Novelty

    @property
    def about(self) -> list[str]:
        """What each raw output is about."""
        return tasks.of(self.outcome["task"]).about(self.outcome)

    def explain(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Explain every record, in order: one row for each raw output of each record.

        Returns:
            `record` (0-based), `explains` (class, label, event by a time, or value), `output` (the
            mean of the replicas' raw outputs), `reference` (that of the mean training patient), a
            column for each feature, position or pixel, `unexplained` (output minus the rest) and
            `problem` (empty, or why the record has no answer).
        """
        x, problems = self.read(frame)
        about = self.about
        blocks = []
        for start in range(0, max(1, len(x)), BLOCK):
            told = ["; ".join(found) for found in problems[start : start + BLOCK]]
            blocks.append(self._block(x[start : start + BLOCK], told, start, about))
        return pl.concat(blocks)

    def read(self, frame: pl.DataFrame) -> tuple[NDArray[Any], list[list[str]]]:
        """Rows `[n, ...]`, and why each is not answered: what has no answer is not explained."""
        x, problems = self.records.read(frame)
        self.novelty.refuse(x, problems)
        return x, problems

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
    schema = description["schema"]
    return Explainer(records_of(folder), schema["outcome"], shares, read_novelty(folder, schema))


def asked(champion: Path, source: Path) -> tuple[Explainer, RawTable]:
    """The champion, and all records of a file as it reads them."""
    model = load(champion)
    records, table = reading.whole(model.records, source)
    return replace(model, records=records), table


@dataclass(frozen=True)
class Single:
    """What the largest raw output of one record rests on; the fields of a figure.

    parts: [places], of an image [h, w]. names: of features with their cells, else of places.
    picture: the image [h, w], where it is one.
    """

    parts: NDArray[np.float64]
    names: list[str]
    who: str
    explains: str
    output: float
    reference: float
    picture: NDArray[np.float64] | None
    are_features: bool


def single(champion: Path, source: Path) -> Single:
    """Explain the only record of `source`.

    Raises:
        MedgraftError: as `explain` does, or there is not exactly one record that can be explained.
    """
    model, table = asked(champion, source)
    records = len(table.cells) + len(table.problems)
    if records != 1:
        raise MedgraftError(f"{source}: expected one record to draw, got {records:,}")
    x, problems = model.read(table.cells)
    wrong = [problem.text for problem in table.problems] + [
        text for one in problems for text in one
    ]
    if wrong:
        raise MedgraftError(f"{source}: {'; '.join(wrong)}")
    shares = model.shares(x).mean()
    at = int(shares.outputs[0, 0].argmax())
    if not np.isfinite(shares.parts[0, 0, at]).all():
        raise MedgraftError(f"{source}: {TOO_FAR}")
    shape = shares.parts.shape[3:]
    places = place_names(model.records.features, shape)
    cells = table.cells.row(0, named=True)
    patient = cells.get(model.records.patient or "")
    return Single(
        parts=shares.parts[0, 0, at],
        names=[
            f"{name} = {cells[name] or 'missing'}" if name in cells else name for name in places
        ],
        who=str(patient) if patient else "the record",
        explains=model.about[at],
        output=float(shares.outputs[0, 0, at]),
        reference=float(shares.start[0, at]),
        picture=np.mean(x[0], axis=0) if len(shape) == 2 else None,
        are_features=places == list(model.records.features),
    )


def explain(
    champion: Path, source: Path, target: Path, *, beside: Mapping[Path, bytes] | None = None
) -> Counts:
    """Explain every record of `source` in `target`, one row for each raw output, in order.

    Args:
        champion: folder written by `export`.
        source: see `reading.incoming`.
        target: file to write, whole or not at all; see `writing.table`.
        beside: further files and what they hold, written where `target` is and otherwise not.

    Raises:
        MedgraftError: the champion is not explained or cannot be read, or a file cannot.
    """
    others = beside or {}
    refuse_overwriting(source, target, *others)
    if os.path.realpath(target) in map(os.path.realpath, others):
        raise MedgraftError(f"{target}: figure and table are to be two files")
    model, table = asked(champion, source)
    found = model.explain(table.cells)
    lines = np.asarray(table.lines)[found["record"].to_numpy()] if len(found) else []
    patient = [column.gather(found["record"]) for column in name_of(model.records, table)]
    broken = pl.DataFrame(
        {
            "line": [problem.line for problem in table.problems],
            "problem": [problem.text for problem in table.problems],
        },
        schema={"line": pl.Int64, "problem": pl.String},
    )
    told = pl.DataFrame([*patient, *found.drop("record"), pl.Series("line", lines, pl.Int64)])
    rows = pl.concat([told, broken], how="diagonal").sort("line", maintain_order=True)
    with writing.table(target) as file:
        file.add(rows.drop("line"))
        for path, data in others.items():
            writing.put(path, data)
    refused = rows.filter(pl.col("problem") != "")["line"].n_unique()
    names = Names()
    names.add(model.records, table)
    return Counts(rows["line"].n_unique() - refused, refused, "explained", **names.told())

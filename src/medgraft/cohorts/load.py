"""Raw files -> a validated Cohort; everything wrong with a file is found before it is refused."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts import cells
from medgraft.cohorts.cells import Readable, Reading
from medgraft.cohorts.description import CohortDescription, Format
from medgraft.cohorts.files import inside
from medgraft.cohorts.kinds.table import Category
from medgraft.cohorts.outcomes.outcome import DescribedOutcome
from medgraft.cohorts.parsing import NAME, describe
from medgraft.cohorts.schema import PARTS, Accounting, Cohort
from medgraft.cohorts.table import Problem, RawTable, did_you_mean, refuse
from medgraft.errors import CohortError

__all__ = ["describe", "load"]

# A description may come from a stranger: nothing else is imported or called.
READERS = "medgraft.cohorts.readers."

Columns = Mapping[str, Readable]
Readings = Mapping[str, Reading]
Objects = NDArray[np.object_]
Bools = NDArray[np.bool_]


def load(folder: Path, site: str, outcome: str) -> Cohort:
    """Read, check and account for one site's file.

    Rows whose outcome is missing are left out and counted; anything else that is not as
    `cohort.yaml` describes it refuses the file.

    Args:
        folder: Holds `cohort.yaml` and the files it names.
        site: One of its sites.
        outcome: One of its outcomes.

    Raises:
        CohortError: an unknown site or outcome, or a description or file that is not as it should
            be. Lists every problem (the first 20 lines); values of identifiers never appear.
    """
    description = describe(folder)
    _known(f"{folder / NAME}: no site is called", site, description.sites)
    _known(f"{folder / NAME}: no outcome is called", outcome, description.outcomes)
    if outcome not in description.outcomes_at(site):
        raise CohortError(f'{folder / NAME}: site "{site}" did not record outcome "{outcome}"')
    path = folder / description.sites[site].file
    table = _read(folder, description, site)
    columns = _columns(description, site, outcome)
    readings = {
        name: column.read(table.cells[name], missing=description.missing, folder=folder)
        for name, column in columns.items()
    }
    _refuse(path, description, site, table, columns, readings)
    return _cohort(path, description, site, outcome, table, readings)


def _known(where: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}"
        raise CohortError(f'{where} "{name}"{hint}')


def _read(folder: Path, description: CohortDescription, site: str) -> RawTable:
    entry = description.sites[site]
    path = inside(folder, entry.file)
    form = entry.format or description.format
    expected = entry.header or description.expected_at(site)
    where = f"{folder / NAME}: sites.{site}.format"
    table = _reader(where, form)(
        path, expected=expected, header=entry.header is None, **form.options
    )
    if not len(table.lines) and not table.problems:
        raise CohortError(f"{path}: holds no rows")
    return table


def _reader(where: str, form: Format) -> Callable[..., RawTable]:
    """The function a dotted name points to, once it is known to take the options."""
    module, _, name = form.reader.rpartition(".")
    if not form.reader.startswith(READERS):
        raise CohortError(f'{where}: "{form.reader}" is not a reader: expected {READERS}*.read')
    try:
        reader: Callable[..., RawTable] = getattr(import_module(module), name)
        if reader.__module__ != module:
            raise AttributeError(f"{name!r} is not of {module}")
        given = {"path", "expected", "header", "optional"}
        options = set(inspect.signature(reader).parameters) - given
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise CohortError(f'{where}: "{form.reader}" is not a reader: {error}') from None
    for option in form.options:
        if option not in options:
            hint = did_you_mean(option, options)
            raise CohortError(f'{where}: {form.reader} has no option "{option}"{hint}')
        if not isinstance(form.options[option], str):
            raise CohortError(f"{where}.{option}: got {form.options[option]!r}, expected a text")
    return reader


def _columns(description: CohortDescription, site: str, outcome: str) -> dict[str, Readable]:
    """Every column that is read, by name: the measurements, the outcome's, who tests."""
    columns: dict[str, Readable] = {**description.measured_at(site)}
    columns |= description.outcomes[outcome].columns()
    split = description.split_at(site)
    return columns | ({split.column: split.readable()} if split else {})


def _refuse(
    path: Path,
    description: CohortDescription,
    site: str,
    table: RawTable,
    columns: Columns,
    readings: Readings,
) -> None:
    """Raise for everything that is wrong anywhere in the file."""
    found = list(table.problems)
    for name, reading in readings.items():
        found += cells.problems(name, columns[name], table, reading)
    wrong = sum(int(reading.wrong.sum()) for reading in readings.values())
    nameless = _nameless(table, description, site)
    refuse(path, found + nameless, len(table.problems) + wrong + len(nameless))


def _nameless(table: RawTable, description: CohortDescription, site: str) -> list[Problem]:
    column = description.patient_column(site)
    if column is None:
        return []
    absent = cells.absent(table.cells[column], ("", *description.missing))
    text = f"column {column}: missing, expected a patient identifier"
    return [Problem(line, text) for line in table.lines[absent.to_numpy()].tolist()]


def _cohort(
    path: Path,
    description: CohortDescription,
    site: str,
    outcome: str,
    table: RawTable,
    readings: Readings,
) -> Cohort:
    """The rows whose outcome is known, as arrays."""
    happened, measured = description.outcomes[outcome], description.measured_at(site)
    y = happened.y({name: readings[name].values for name in happened.columns()})
    used = happened.known(y)
    if not used.any():
        raise CohortError(f'{path}: no row records outcome "{outcome}"')
    values = _values([readings[name].values[used] for name in measured])
    if values.dtype.kind == "f" and np.isnan(values).all():
        raise CohortError(f"{path}: every measurement is missing in all {len(values)} rows")
    patient = _patients(table, description.patient_column(site), site)[used]
    split = description.split_at(site)
    return Cohort(
        name=site,
        columns=tuple(column.column(name, readings[name]) for name, column in measured.items()),
        values=values,
        outcome=happened.outcome(outcome),
        y=y[used],
        patient=patient,
        subgroups=_subgroups(description, readings, used),
        accounting=Accounting(
            site,
            str(path),
            rows_read=len(used),
            rows_used=int(used.sum()),
            patients=len(set(patient)),
            excluded=_reasons(outcome, happened, table, ~used),
            notes=_notes(readings),
        ),
        source_rows=table.lines[used],
        split=_parts(readings[split.column].values[used]) if split else None,
    )


def _values(measured: list[NDArray[Any]]) -> NDArray[Any]:
    """Numbers side by side, or the one block as it is."""
    return measured[0] if measured[0].ndim > 1 else np.column_stack(measured)


def _parts(index: NDArray[np.float64]) -> Objects:
    return np.array(PARTS, dtype=object)[index.astype(int)]


def _reasons(
    outcome: str, happened: DescribedOutcome, table: RawTable, left_out: Bools
) -> dict[str, int]:
    """Why rows have no outcome, and how many; a code in words is a reason of its own."""
    reasons: Counter[str] = Counter()
    columns = happened.columns().items()
    words = {code for _, column in columns for code in column.rule.missing if isinstance(code, str)}
    for cells_of_row in zip(
        *(table.cells[name].filter(left_out) for name, _ in columns), strict=True
    ):
        told = [cell for cell in cells_of_row if cell in words]
        reasons[": ".join([f"{outcome} not recorded", *told[:1]])] += 1
    return dict(reasons)


def _patients(table: RawTable, column: str | None, site: str) -> Objects:
    if column is None:
        return np.array([f"{site}:{row}" for row in range(1, len(table.lines) + 1)], dtype=object)
    return table.cells[column].to_numpy().astype(object)


def _subgroups(
    description: CohortDescription, readings: Readings, used: Bools
) -> dict[str, Objects]:
    """Labels per subgroup; "" where missing, and everywhere if this site lacks the column."""
    groups = {}
    for name in description.subgroups:
        column = description.columns[name]
        assert isinstance(column, Category)  # `describe` saw to it
        absent = np.full(len(used), np.nan)
        values = readings[name].values if name in readings else absent
        labels = np.array([*column.labels, ""], dtype=object)
        groups[name] = labels[np.nan_to_num(values[used], nan=-1).astype(int)]
    return groups


def _notes(readings: Readings) -> tuple[str, ...]:
    return tuple(
        f'column {name}: "{value}" counted as missing in {count} of {len(reading.values)} rows'
        for name, reading in readings.items()
        for value, count in reading.disguised.items()
    )

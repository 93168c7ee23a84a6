"""Raw files -> a validated Cohort; everything wrong with a file is found before it is refused."""

import inspect
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts import cells, identifiers
from medgraft.cohorts.cells import Readable, Reading
from medgraft.cohorts.description import CohortDescription, Format
from medgraft.cohorts.files import inside
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.kinds.table import Category, Cell
from medgraft.cohorts.outcomes.outcome import DescribedOutcome
from medgraft.cohorts.parsing import NAME, describe
from medgraft.cohorts.parts import Found, Part, Parts
from medgraft.cohorts.schema import PARTS, Accounting, Cohort
from medgraft.cohorts.table import NONE, Problem, RawTable, Types, did_you_mean, refuse
from medgraft.construct import shown
from medgraft.errors import CohortError

__all__ = ["describe", "load"]

# A description may come from a stranger: nothing else is imported or called.
READERS = "medgraft.cohorts.readers."
SOME = 100_000  # rows looked at together

Columns = Mapping[str, Readable]
Readings = Mapping[str, Reading]
Objects = NDArray[np.object_]
Bools = NDArray[np.bool_]
ReadOn = Literal["here", "ray"]


def load(folder: Path, site: str, outcome: str, *, read_on: ReadOn = "here") -> Cohort:
    """Read, check and account for one site's file.

    Rows whose outcome is missing are left out and counted; anything else that is not as
    `cohort.yaml` describes it refuses the file.

    Args:
        folder: Holds `cohort.yaml` and the files it names.
        site: One of its sites.
        outcome: One of its outcomes.
        read_on: `ray` has parts of a large table read by the processes of a Ray cluster, where its
            format lets a part be read alone (parquet); the answer is the same.

    Raises:
        CohortError: an unknown site or outcome, or a description or file that is not as it should
            be. Lists every problem (the first 20 lines); values of identifiers never appear.
    """
    description = describe(folder)
    _known(f"{folder / NAME}: no site is called", site, description.sites)
    _known(f"{folder / NAME}: no outcome is called", outcome, description.outcomes)
    if outcome not in description.outcomes_at(site):
        raise CohortError(f'{folder / NAME}: site "{site}" did not record outcome "{outcome}"')
    types = _types(description, _columns(description, site, outcome))
    cohort = _read(folder, description, site, outcome, types, read_on)
    if cohort is None:
        cohort = _read(folder, description, site, outcome, NONE, read_on)
    assert cohort is not None  # text alone is refused instead
    return cohort


def _read(
    folder: Path,
    description: CohortDescription,
    site: str,
    outcome: str,
    types: Types,
    read_on: ReadOn,
) -> Cohort | None:
    """The site's cohort; None where `types` were given and something is wrong.

    What is wrong is told in the file's own words, which typed cells no longer hold.
    """
    path, found = folder / description.sites[site].file, Found()
    with Parts(_about(folder, description, site)) as parts:
        for part in _parts(folder, description, site, outcome, types, read_on):
            found.add(part)
            if found.count and types:
                return None
            if part.cohort is not None and not found.count:
                parts.add(part.cohort, part.disguised)
        if not parts.rows_read and not found.count:
            raise CohortError(f"{path}: holds no rows")
        refuse(path, found.problems, found.count)
        return _whole(path, outcome, parts)


def _about(folder: Path, description: CohortDescription, site: str) -> int:
    """About how many rows the site's file has; 0 where its reader cannot tell."""
    about = getattr(_module(folder, description, site), "about", None)
    return about(inside(folder, description.sites[site].file)) if about else 0


def _types(description: CohortDescription, columns: Columns) -> Types:
    """What cells of a column may come as instead of text."""
    types = {}
    for name, column in columns.items():
        for rule in column.rules(description.missing):
            if kind := cells.type_of(rule):
                types[name] = kind
    return types


def _parts(
    folder: Path,
    description: CohortDescription,
    site: str,
    outcome: str,
    types: Types,
    read_on: ReadOn,
) -> Iterator[Part]:
    """Parts of the site's file, read here or by a cluster."""
    height = getattr(_module(folder, description, site), "height", None)
    if read_on == "here" or not height or not _streams(folder, description, site):
        return read_rows(folder, site, outcome, types)
    from medgraft.cohorts.on_ray import in_order

    rows = max(1, height(inside(folder, description.sites[site].file)))
    shares = [(start, min(SOME, rows - start)) for start in range(0, rows, SOME)]
    return in_order(partial(read_rows, folder, site, outcome, types), shares)


def read_rows(
    folder: Path, site: str, outcome: str, types: Types, start: int = 0, rows: int | None = None
) -> Iterator[Part]:
    """Read and check `rows` rows of the site's file from `start` on, all of them if None."""
    description = describe(folder)
    columns = _columns(description, site, outcome)
    for table in _tables(folder, description, site, types, start, rows):
        readings = {
            name: column.read(table.cells[name], missing=description.missing, folder=folder)
            for name, column in columns.items()
        }
        problems, wrong = _problems(description, site, table, columns, readings)
        disguised = {name: reading.disguised for name, reading in readings.items()}
        cohort = None
        if len(table.lines) and not wrong:
            cohort = _cohort(description, site, outcome, table, readings, first=start + 1)
        start += len(table.lines)
        yield Part(cohort, tuple(problems), wrong, disguised)


def _known(where: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are: {', '.join(known)}"
        raise CohortError(f'{where} "{name}"{hint}')


def _tables(
    folder: Path,
    description: CohortDescription,
    site: str,
    types: Types,
    start: int,
    rows: int | None,
) -> Iterator[RawTable]:
    """The site's file: a table of numbers and categories in parts, where its reader has them.

    A block is read whole: what is wrong with one row of it may lie in another.
    """
    entry = description.sites[site]
    path = inside(folder, entry.file)
    form = entry.format or description.format
    expected = entry.header or description.expected_at(site)
    given = {"expected": expected, "header": entry.header is None, **form.options}
    module = _module(folder, description, site)
    if _streams(folder, description, site):
        share = {} if rows is None else {"start": start, "rows": rows}
        yield from _ahead(module.stream(path, **given, **share, types=types))
    else:
        yield module.read(path, **given)


def _ahead(tables: Iterator[RawTable]) -> Iterator[RawTable]:
    """The same; the next is split into cells in a thread while one is looked at."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, tables, None)
        while (table := coming.result()) is not None:
            coming = thread.submit(next, tables, None)
            yield table


def _module(folder: Path, description: CohortDescription, site: str) -> Any:
    """What reads the site's file, once its options are known to be right."""
    form = description.sites[site].format or description.format
    return import_module(_reader(f"{folder / NAME}: sites.{site}.format", form).__module__)


def _streams(folder: Path, description: CohortDescription, site: str) -> bool:
    measured = description.measured_at(site).values()
    numbers = all(isinstance(one, Cell) for one in measured)
    return numbers and hasattr(_module(folder, description, site), "stream")


def _reader(where: str, form: Format) -> Callable[..., RawTable]:
    """The function a dotted name points to, once it is known to take the options."""
    module, _, name = form.reader.rpartition(".")
    if not form.reader.startswith(READERS) or name != "read":
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
            raise CohortError(
                f"{where}.{option}: got {shown(form.options[option])}, expected a text"
            )
    return reader


def _columns(description: CohortDescription, site: str, outcome: str) -> dict[str, Readable]:
    """Every column that is read, by name: the measurements, the outcome's, who tests."""
    columns: dict[str, Readable] = {**description.measured_at(site)}
    columns |= description.outcomes[outcome].columns()
    split = description.split_at(site)
    return columns | ({split.column: split.readable()} if split else {})


def _problems(
    description: CohortDescription,
    site: str,
    table: RawTable,
    columns: Columns,
    readings: Readings,
) -> tuple[list[Problem], int]:
    """The first of everything that is wrong in a table, and how much is."""
    found = list(table.problems)
    for name, reading in readings.items():
        found += cells.problems(name, columns[name], table, reading)
    wrong = sum(int(reading.wrong.sum()) for reading in readings.values())
    nameless = _nameless(table, description, site)
    return found + nameless, len(table.problems) + wrong + len(nameless)


def _nameless(table: RawTable, description: CohortDescription, site: str) -> list[Problem]:
    column = description.patient_column(site)
    if column is None:
        return []
    names = cells.text_of(table.cells[column])
    absent = cells.absent(names, ("", *description.missing))
    text = f"column {column}: missing, expected a patient identifier"
    return [Problem(line, text) for line in table.lines[absent.to_numpy()].tolist()]


def _cohort(
    description: CohortDescription,
    site: str,
    outcome: str,
    table: RawTable,
    readings: Readings,
    *,
    first: int,
) -> Cohort:
    """The rows of a table whose outcome is known, as arrays; `first`: its first row's number."""
    happened = description.outcomes[outcome]
    measured = _numbers_first(description.measured_at(site))
    y = happened.y({name: readings[name].values for name in happened.columns()})
    used = happened.known(y)
    split = description.split_at(site)
    return Cohort(
        name=site,
        columns=tuple(column.column(name, readings[name]) for name, column in measured.items()),
        values=_values([readings[name].values[used] for name in measured]),
        outcome=happened.outcome(outcome),
        y=y[used],
        patient=_patients(table, description.patient_column(site), site, first)[used],
        subgroups=_subgroups(description, readings, used),
        accounting=Accounting(
            site,
            "",
            rows_read=len(used),
            rows_used=int(used.sum()),
            patients=0,
            excluded=_reasons(outcome, happened, table, ~used),
        ),
        source_rows=table.lines[used],
        split=_tests(readings[split.column].values[used]) if split else None,
    )


def _numbers_first(measured: Mapping[str, Measured]) -> dict[str, Measured]:
    """As tables are aligned: what lies in that order need not be copied to get there."""
    return dict(sorted(measured.items(), key=lambda item: isinstance(item[1], Category)))


def _whole(path: Path, outcome: str, parts: Parts) -> Cohort:
    """The cohort, once it holds something to learn from."""
    cohort = parts.whole()
    if not len(cohort):
        raise CohortError(f'{path}: no row records outcome "{outcome}"')
    if cohort.values.dtype.kind == "f" and not _any_measured(cohort.values):
        raise CohortError(f"{path}: every measurement is missing in all {len(cohort)} rows")
    accounting = replace(
        cohort.accounting,
        file=str(path),
        patients=identifiers.count(cohort.patient),
        notes=_notes(parts.disguised, parts.rows_read),
    )
    return replace(cohort, accounting=accounting)


def _any_measured(values: NDArray[Any]) -> bool:
    return any(
        not np.isnan(values[start : start + SOME]).all() for start in range(0, len(values), SOME)
    )


def _values(measured: list[NDArray[Any]]) -> NDArray[Any]:
    """Numbers side by side, a column's one after the other; or the one block as it is."""
    return measured[0] if measured[0].ndim > 1 else np.stack(measured).T


def _tests(index: NDArray[np.float64]) -> Objects:
    return np.array(PARTS, dtype=object)[index.astype(int)]


def _reasons(
    outcome: str, happened: DescribedOutcome, table: RawTable, left_out: Bools
) -> dict[str, int]:
    """Why rows have no outcome, and how many; a code in words is a reason of its own."""
    reasons: Counter[str] = Counter()
    columns = happened.columns().items()
    words = {code for _, column in columns for code in column.rule.missing if isinstance(code, str)}
    for row in zip(
        *(cells.text_of(table.cells[name].filter(left_out)) for name, _ in columns), strict=True
    ):
        told = [cell for cell in row if cell in words]
        reasons[": ".join([f"{outcome} not recorded", *told[:1]])] += 1
    return dict(reasons)


def _patients(table: RawTable, column: str | None, site: str, first: int) -> NDArray[Any]:
    if column is None:
        rows = range(first, first + len(table.lines))
        return np.array([f"{site}:{row}" for row in rows], dtype=identifiers.TEXT)
    return identifiers.texts(cells.text_of(table.cells[column]))


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


def _notes(disguised: Mapping[str, Counter[str]], rows: int) -> tuple[str, ...]:
    return tuple(
        f'column {name}: "{value}" counted as missing in {count} of {rows} rows'
        for name, values in disguised.items()
        for value, count in values.most_common()
    )

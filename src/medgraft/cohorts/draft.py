"""A first `cohort.yaml` for files nobody has described yet: guesses to be checked, never values."""

from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from medgraft.cohorts.cells import LARGEST
from medgraft.cohorts.load import load
from medgraft.cohorts.parsing import NAME
from medgraft.cohorts.readers.csv import header, read
from medgraft.cohorts.table import did_you_mean, refuse
from medgraft.errors import CohortError

MISSING = ("", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "?", ".", "-")
FEW = 12  # different values that a category may have
MANY_CLASSES = 10
SHARE = 0.5  # of the cells of a column that differ where it names patients
MOST = 0.9  # of the cells that are dates, or numbers
MARGIN = 0.5  # of the range seen, allowed beyond it on either side
LONG = 40  # characters: a label that is longer may be what somebody wrote about one patient
MONTH = "jan|feb|m[aä]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz]"
DATE = (
    r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}"
    rf"|(?i:^\d{{1,2}}[-/. ]*({MONTH})[a-zä]*[-/., ]*\d{{2,4}})"
)
YEARS = (1850, 2100)  # of whole numbers such as 20100131 that are taken for dates
COMMA = r"^[+-]?\d+,\d+$"
HUMP = re.compile(r"(?<=[a-zäöüß])(?=[A-ZÄÖÜ])|(?<=[A-Z])(?=[A-Z][a-z])")  # ZIPCode, SubjectID
PERSONAL = re.compile(
    r"(^|_)(id|pid|uid|uuid|mrn|nhs|ssn|subject|participant|((u?subj|pat|pt|person|record)_?id)"
    r"|(sur|fore|first|last|full|middle|maiden|vor|nach)?name|initials|dob|phone|telefon|mobile"
    r"|fax|email|street|strasse|straße|address|adresse|zip|zipcode|postal|postcode|plz)(_|$)"
    r"|patient|birth|geburt|identif"
)
# An age or a weight is a measurement, whatever else its name says: weight_at_birth.
MEASURED = re.compile(r"(^|_)(age|weight|height|length)(_|$)")


@dataclass(frozen=True)
class Guess:
    """What a column seems to be: its entry in `cohort.yaml`, and why a person should look at it."""

    entry: dict[str, Any]
    remark: str = ""


@dataclass(frozen=True)
class Draft:
    """A description to be checked: `yaml` as text, and what was guessed of every column."""

    yaml: str
    outcome: str
    sites: tuple[str, ...]
    guesses: Mapping[str, Guess]

    def table(self) -> str:
        """A line a column: what it was taken for, and why a person should look at it."""
        width = max(map(len, [*self.guesses, "column"]))
        rows = [("column", "taken for", "look at")]
        rows += [(name, one.entry["kind"], one.remark) for name, one in self.guesses.items()]
        return "\n".join(f"{a:{width}}  {b:10}  {c}".rstrip() for a, b, c in rows)

    def text(self, folder: Path, command: str) -> str:
        """For the terminal: the table, and what to do next."""
        return f"{self.table()}\n\nCheck every line of {folder / NAME}, then:\n\n  {command}"

    def told(self, folder: Path, command: str) -> dict[str, Any]:
        """The same for programs."""
        columns = {
            name: {"kind": one.entry["kind"], "remark": one.remark}
            for name, one in self.guesses.items()
        }
        places = {"description": folder / NAME, "sites": self.sites}
        return places | {"columns": columns, "command": command}


def draft(files: Sequence[Path], *, outcome: str, patient: str | None, name: str) -> Draft:
    """Describe delimited files, one a site, by what their columns hold.

    Args:
        files: Text with a header line each; columns a file lacks are listed in its `without`.
        outcome: The column to be predicted.
        patient: The column that tells patients apart; None: every row is a patient of its own.
        name: What the cohort is called.

    Raises:
        CohortError: a file cannot be read, or lacks the column `outcome` or `patient` everywhere.
    """
    tables, delimiters = {}, {}
    for path in files:
        if path.stem in tables:
            raise CohortError(f'{path}: two files would both be the site "{path.stem}"')
        names, delimiters[path.stem] = header(path)
        tables[path.stem] = _cells(path, names, delimiters[path.stem])
    both = pl.concat(tables.values(), how="diagonal")
    measured = _measurements(files[0], both.columns, outcome, patient)
    guesses = {column: guess(column, both[column]) for column in measured}
    target = _outcome(outcome, both[outcome])
    lines = list(_lines(name, outcome, patient, target, guesses))
    for site, path in zip(tables, files, strict=True):
        lacking = [column for column in both.columns if column not in tables[site].columns]
        if patient in lacking:
            lines.append(
                f"  # No column {_json(patient)}: every row is taken for a patient of its own."
            )
        lines.append(_site(site, path.name, delimiters[site], lacking))
    return Draft("\n".join(lines) + "\n", outcome, tuple(tables), guesses)


def _measurements(
    file: Path, columns: Sequence[str], outcome: str, patient: str | None
) -> list[str]:
    """What is left to learn from beside the outcome and the patient.

    Raises:
        CohortError: these two are not columns of the files, or nothing is left.
    """
    for wanted in (outcome, patient):
        if wanted is not None and wanted not in columns:
            hint = did_you_mean(wanted, columns) or f"; there are: {', '.join(columns)}"
            raise CohortError(f'{file}: no column is called "{wanted}"{hint}')
    if patient == "row":  # what `patient: row` says of a cohort
        raise CohortError(
            f'{file}: column "row" cannot tell patients apart: call it otherwise, or leave '
            "--patient out where every row is a patient of its own"
        )
    if patient == outcome:
        raise CohortError(f'{file}: column "{outcome}" cannot be both --outcome and --patient')
    measured = [column for column in columns if column not in (outcome, patient)]
    if not measured:
        raise CohortError(f"{file}: no column is left to learn from")
    return measured


def guess(name: str, cells: pl.Series) -> Guess:
    """What a column of text cells [n] seems to be."""
    known = _known(cells)
    number = _numbers(known)
    return (
        _useless(known) or _comma(known) or _person(name, known, number) or _measured(known, number)
    )


def _known(cells: pl.Series) -> pl.Series:
    """The cells that hold something."""
    return cells.filter(cells.is_not_null() & ~cells.is_in(MISSING))


def _numbers(known: pl.Series) -> pl.Series:
    """Cells as numbers that the readers take; null where they are none."""
    number = known.cast(pl.Float64, strict=False)
    return number.set(~number.abs().le(LARGEST).fill_null(False), None)


def _useless(known: pl.Series) -> Guess | None:
    if known.n_unique() > 1:
        return None
    return Guess({"kind": "ignore"}, "the same in every row" if len(known) else "holds nothing")


def _comma(known: pl.Series) -> Guess | None:
    """Whether it holds numbers as they are written in much of Europe."""
    if not _most(known.str.contains(COMMA)):
        return None
    return Guess({"kind": "ignore"}, "decimal commas: write 1.5, not 1,5")


def _person(name: str, known: pl.Series, number: pl.Series) -> Guess | None:
    """Whether it tells who a patient is."""
    different = known.n_unique() > max(FEW, SHARE * len(known))
    counted = different and known.n_unique() == len(known) and _whole(number)
    for holds, remark in (
        (_personal(name, number), "its name says that it tells who a patient is"),
        (_dates(known), "dates: give the days between two of them instead"),
        (different and _most(number.is_null()), "free text or an identifier: most cells differ"),
        (counted, "whole numbers that all differ: an identifier?"),
    ):
        if holds:
            return Guess({"kind": "identifier"}, remark)
    return None


def _personal(name: str, number: pl.Series) -> bool:
    """Whether a name, of words in any of the usual spellings, says who a patient is."""
    words = re.sub(r"[\W\d_]+", "_", HUMP.sub("_", name)).lower()
    measured = MEASURED.search(words) and number.null_count() == 0
    return bool(PERSONAL.search(words)) and not measured


def _dates(known: pl.Series) -> bool:
    """Whether most cells are dates, as people or as registries write them."""
    years = known.str.extract(r"^(\d{8})(\.0+)?$").str.to_date("%Y%m%d", strict=False).dt.year()
    return _most(known.str.contains(DATE)) or _most(years.is_between(*YEARS).fill_null(False))


def _measured(known: pl.Series, number: pl.Series) -> Guess:
    """A category, a number, or what has to be put right before it can be one."""
    texts, different = int(number.is_null().sum()), known.n_unique()
    if not texts and number.n_unique() < different <= FEW:
        remark = f"{_respelt(known, number)}: write them alike"
        return Guess({"kind": "ignore"}, remark)
    if different <= FEW and int(known.str.len_chars().max()) > LONG:  # type: ignore[arg-type]
        remark = f"texts of more than {LONG} characters: free text? otherwise shorten them"
        return Guess({"kind": "ignore"}, remark)
    if different <= FEW:
        codes = "" if texts else "few different numbers: codes? otherwise write kind: number"
        return Guess({"kind": "category", "categories": _codes(known)}, codes)
    if not texts:
        return Guess({"kind": "number", "unit": "", "range": _range(number)}, "state the unit")
    if _most(number.is_not_null()):
        cells = "1 cell" if texts == 1 else f"{texts} cells"
        remark = f"numbers, but for {cells}: correct what they hold, or add it to missing"
        return Guess({"kind": "ignore"}, remark)
    return Guess({"kind": "ignore"}, f"{different} different texts: group them first")


def _respelt(known: pl.Series, number: pl.Series) -> str:
    """The texts of a number that is written in several ways: `1 and 1.0 are one number`."""
    ways = pl.DataFrame({"text": known, "number": number}).unique().sort("text")
    first = ways.filter(pl.col("number").is_duplicated())["number"][0]
    return f"{' and '.join(ways.filter(number=first)['text'])} are one number"


def _most(found: pl.Series) -> bool:
    return int(found.sum()) > MOST * len(found)


def _whole(number: pl.Series) -> bool:
    return bool((number == number.round()).fill_null(False).all())


def _range(number: pl.Series) -> list[float]:
    """Round bounds around what was seen; a value that is never negative stays so."""
    low, high = float(number.min()), float(number.max())  # type: ignore[arg-type]
    margin = MARGIN * (high - low)
    digits = 1 - math.floor(math.log10(margin))
    least = 0.0 if low >= 0 else low - margin
    return [round(least, digits), round(high + margin, digits)]


def _codes(known: pl.Series) -> dict[str, str]:
    """Every code with itself as its label."""
    codes = known.unique().to_list()
    return {code: code for code in sorted(codes, key=lambda code: (len(code), code))}


def _outcome(name: str, cells: pl.Series) -> dict[str, Any]:
    """What kind of outcome a column is.

    Raises:
        CohortError: nothing can be learned from it.
    """
    known = _known(cells)
    number = _numbers(known)
    if number.null_count() == 0 and number.n_unique() < known.n_unique() <= MANY_CLASSES:
        raise CohortError(f"column {name}: {_respelt(known, number)}, expected one spelling")
    codes = list(_codes(known)) if known.n_unique() <= MANY_CLASSES else []
    if len(codes) == 2:
        return {"column": name, "task": "binary", "negative": codes[:1], "positive": codes[1:]}
    if codes[2:]:
        return {"column": name, "task": "multiclass", "classes": {code: [code] for code in codes}}
    if len(known) and not codes and number.null_count() == 0:
        return {"column": name, "task": "regression", "unit": "", "range": _range(number)}
    what = "no value" if not len(known) else f"{known.n_unique()} different texts"
    raise CohortError(
        f"column {name}: holds {what}, expected 2 to {MANY_CLASSES} classes or numbers"
    )


def _lines(
    name: str,
    outcome: str,
    patient: str | None,
    target: Mapping[str, Any],
    guesses: Mapping[str, Guess],
) -> Iterator[str]:
    yield "# Guessed from the files. Check every line: units, ranges, and which class is positive."
    yield f"name: {_json(name)}"
    yield f"patient: {_json(patient or 'row')}"
    if not patient:
        yield "# Every row is taken for a patient of its own: name a column if some have several."
    yield f"missing: {_json(list(MISSING))}"
    yield f"outcomes:\n  {_json(outcome)}: {_json(target)}"
    yield "columns:"
    for column, one in guesses.items():
        remark = f"  # {one.remark}" if one.remark else ""
        yield f"  {_json(column)}: {_json(one.entry)}{remark}"
    yield "sites:"


def _site(site: str, file: str, delimiter: str, lacking: Sequence[str]) -> str:
    entry: dict[str, Any] = {"file": file}
    if delimiter != ",":
        entry["format"] = {"delimiter": delimiter}
    if lacking:
        entry["without"] = list(lacking)
    return f"  {_json(site)}: {_json(entry)}"


def _json(value: Any) -> str:
    """JSON is YAML, and quotes whatever might be read as something else."""
    return json.dumps(value, ensure_ascii=False)


def _cells(path: Path, names: Sequence[str], delimiter: str) -> pl.DataFrame:
    """Every cell as text.

    Raises:
        CohortError: lines of another length than the header, or none.
    """
    table = read(path, expected=names, delimiter=delimiter)
    refuse(path, table.problems, len(table.problems))
    if not len(table.lines):
        raise CohortError(f"{path}: holds no rows")
    return table.cells


def write(made: Draft, files: Sequence[Path], folder: Path) -> None:
    """Put the files and the description into `folder`, and read them back as the pipeline does.

    Raises:
        CohortError: something would be overwritten, the folder cannot be written, or what was
            guessed does not hold; then nothing is left of it.
    """
    try:
        with _undone(folder, files) as copied:
            for path, to in copied.items():
                shutil.copyfile(path, to)
            (folder / NAME).write_text(made.yaml, encoding="utf-8")
            for site in made.sites:
                load(folder, site, made.outcome)
    except OSError as error:
        raise CohortError(f"{folder}: cannot be written: {error.strerror}") from None


@contextmanager
def _undone(folder: Path, files: Sequence[Path]) -> Iterator[dict[Path, Path]]:
    """Make the folder; says where each file goes. An error in the block takes all of it back."""
    if folder.exists() and not folder.is_dir():
        raise CohortError(f"{folder}: is a file, expected a folder")
    copied = {path: folder / path.name for path in files}
    copied = {path: to for path, to in copied.items() if path.resolve() != to.resolve()}
    written = (folder / NAME, *copied.values())
    for fresh in written:
        if fresh.exists() or fresh.is_symlink():
            raise CohortError(f"{fresh}: is there already; remove it, or choose another folder")
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield copied
    except BaseException:
        with suppress(OSError):  # what could not be made is not there
            for fresh in written:
                fresh.unlink(missing_ok=True)
            for place in made:
                place.rmdir()
        raise

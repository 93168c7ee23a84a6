"""Reads `cohort.yaml` and says everything that is wrong with it, in the user's words."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from medgraft.cohorts.codes import Rule
from medgraft.cohorts.description import (
    AnyColumn,
    AnyOutcome,
    CohortDescription,
    Site,
    alternatives,
)
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.kinds.table import Category, Cell
from medgraft.cohorts.table import did_you_mean, header_problems
from medgraft.construct import shown
from medgraft.errors import CohortError, ConfigError
from medgraft.plain_yaml import read_yaml

NAME = "cohort.yaml"


def describe(folder: Path) -> CohortDescription:
    """Read and check `folder/cohort.yaml`.

    Raises:
        CohortError: the file is absent, is not YAML, or is not as it should be; lists everything.
    """
    path = folder / NAME
    try:
        description = CohortDescription.model_validate(_parse(path))
    except ValidationError as error:
        problems = list(dict.fromkeys(_sentence(entry) for entry in error.errors()))
        raise CohortError(_listing(path, problems)) from None
    if problems := list(_contradictions(description)):
        raise CohortError(_listing(path, problems))
    return description


def _parse(path: Path) -> Any:
    if not (path.exists() or path.parent.is_file()):
        raise CohortError(f"{path}: there is no such file; it describes the cohort")
    try:
        return read_yaml(path)
    except ConfigError as error:
        raise CohortError(str(error)) from None


def _listing(path: Path, problems: Iterable[str]) -> str:
    return "\n".join(f"{path}: {problem}" for problem in problems)


_KINDS = {"columns": alternatives(AnyColumn), "outcomes": alternatives(AnyOutcome)}


def _sentence(error: Mapping[str, Any]) -> str:
    """One pydantic error as a sentence a clinician can act on."""
    location, model = _place(error["loc"])
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            said = f"unknown key{did_you_mean(location[-1], model.model_fields)}"
        case "missing":
            said = "is needed"
        case "union_tag_not_found":
            said = f"needs {context['discriminator']}"
        case "union_tag_invalid":
            known = context["expected_tags"].replace("'", "")
            hint = did_you_mean(context["tag"], known.split(", "))
            said = f'got "{context["tag"]}", expected one of {known}{hint}'
        case "too_short":
            said = f"needs at least {context['min_length']}"
        case "model_type" | "dict_type" | "model_attributes_type":
            said = f"expected keys with values, got {shown(error['input'])}"
        case "value_error":
            said = str(context["error"])
        case _:
            expected = error["msg"].replace("Input should be", "expected")
            said = f"got {shown(error['input'])}, {expected.replace('valid tuple', 'list in [ ]')}"
    return f"{'.'.join(location) or 'the file'}: {said}"


def _place(location: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel]]:
    """Where an error is, without pydantic's own marks, and the model that applies there."""
    parts = [str(part) for part in location if part != "[key]"]
    section = parts[0] if parts else ""
    if section in _KINDS and len(parts) > 2:
        return parts[:2] + parts[3:], _KINDS[section].get(parts[2], CohortDescription)
    return parts, Site if section == "sites" else CohortDescription


def _contradictions(description: CohortDescription) -> Iterator[str]:
    """Names that point nowhere or at the wrong thing; codes that mean two things."""
    yield from _ambiguous_codes(description)
    yield from _declared_twice(description)
    columns, named = description.columns, description.named()
    for name in description.subgroups:
        if name not in columns:
            yield f'subgroups: no column is called "{name}"{did_you_mean(name, columns)}'
        elif not isinstance(columns[name], Category):
            yield f'subgroups: "{name}" has kind {columns[name].kind}, expected category'
    for site, entry in description.sites.items():
        yield from _unfit(site, description.measured_at(site))
        for name in entry.without:
            if name not in {*named, *description.outcomes}:
                yield f'sites.{site}.without: nothing is called "{name}"{did_you_mean(name, named)}'
        if entry.header is None:
            continue
        for problem in header_problems(entry.header, description.expected_at(site)):
            yield f"sites.{site}.header: {problem}"


def _declared_twice(description: CohortDescription) -> Iterator[str]:
    """Columns that say who, when or what happened cannot be measurements as well."""
    claims = [
        (f"outcomes.{name}", column)
        for name, outcome in description.outcomes.items()
        for column in outcome.columns()
    ]
    claims.append(("patient", description.patient))
    if description.split:
        claims.append(("split", description.split.column))
    for place, column in claims:
        if column in description.columns:
            yield f'{place}: column "{column}" is also declared under columns'


def _unfit(site: str, measured: Mapping[str, Measured]) -> Iterator[str]:
    """Measurements that cannot be learned from together."""
    if not measured:
        yield f"sites.{site}: no number or category is left to learn from"
    blocks = [name for name, column in measured.items() if not isinstance(column, Cell)]
    if blocks and len(measured) > 1:
        yield f'sites.{site}: "{blocks[0]}" must be the only measurement, got {", ".join(measured)}'


def _ambiguous_codes(description: CohortDescription) -> Iterator[str]:
    """A number is found in every spelling of it, the text of one of them among these."""
    for place, rule in _rules(description):
        values = dict(rule.codes or {})
        texts, numbers = (
            {_number(code): code for code in values if isinstance(code, str) is text}
            for text in (True, False)
        )
        for code in {*description.missing, *rule.missing, *rule.disguised}:
            if code in values or _number(code) in (numbers if isinstance(code, str) else texts):
                yield f"{place}: {shown(code)} is both a value and a code for missing"
        for number in texts.keys() & numbers.keys():
            if values[texts[number]] != values[numbers[number]]:
                code = shown(numbers[number])
                yield f"{place}: {code} stands for two values, as a number and as a text"


def _number(code: int | float | str) -> float | None:
    try:
        return float(code)
    except ValueError:
        return None


def _rules(description: CohortDescription) -> Iterator[tuple[str, Rule]]:
    for name, column in description.columns.items():
        if isinstance(column, Measured):
            yield from ((f"columns.{name}", rule) for rule in column.rules(()))
    for name, outcome in description.outcomes.items():
        yield from ((f"outcomes.{name}", column.rule) for column in outcome.columns().values())

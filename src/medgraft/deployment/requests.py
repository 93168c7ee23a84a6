"""The body of a request -> what MLflow's server reads of it, or the reason why it cannot."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

from medgraft.cohorts.readers import csv
from medgraft.cohorts.table import refuse
from medgraft.deployment.records import Records
from medgraft.errors import MedgraftError

CSV = "text/csv"
JSON = "application/json"
SPLIT = "dataframe_split"

Body = bytes | dict[str, Any]


def readable(records: Records, data: bytes, content_type: str) -> tuple[Body, str]:
    """The body with its content type; delimited text becomes JSON, whose cells are text.

    Args:
        records: what the champion takes.
        data: as it was sent.
        content_type: of the request, with its parameters; others than CSV and JSON pass unread.

    Raises:
        MedgraftError: no UTF-8, no JSON, rows that do not fit their columns, or parameters.
    """
    kind = content_type.partition(";")[0].strip()
    if kind not in (CSV, JSON):
        return data, content_type
    text = decoded(data)
    body = table(records, text) if kind == CSV else parsed(text)
    if isinstance(body, dict) and body.get("params"):
        raise MedgraftError("params: this model takes none")
    if isinstance(body, dict) and SPLIT in body:
        check(body[SPLIT])
    whole = body if isinstance(body, dict) else data
    return whole, content_type.replace(kind, JSON, 1)


def decoded(data: bytes) -> str:
    """The text; bytes are not shown, which may be a patient's."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MedgraftError(f"byte {error.start + 1} is not UTF-8 text") from None


def table(records: Records, text: str) -> dict[str, Any]:
    """Delimited text as `medgraft predict` reads it."""
    if "\0" in text:
        raise MedgraftError(csv.NUL)
    read = csv.parse(
        StringIO(text, newline=""),
        expected=tuple(records.columns),
        optional=records.optional,
        **records.description.format.options,
    )
    refuse(csv.REQUEST, read.problems, len(read.problems))
    return {SPLIT: {"columns": read.cells.columns, "data": read.cells.rows()}}


def parsed(text: str) -> Any:
    """What the JSON says."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise MedgraftError(f"expected valid JSON: {error}") from None
    except RecursionError:
        raise MedgraftError("expected valid JSON: nested too deeply") from None
    except ValueError:
        raise MedgraftError("expected valid JSON: a number has too many digits") from None


def check(split: Any) -> None:
    """Raise MedgraftError unless every row has a cell for each named column.

    MLflow fills short rows up, so that a row cut off would be one with missing values.
    """
    told = split if isinstance(split, dict) else {}
    names, rows, index = (told.get(key) for key in ("columns", "data", "index"))
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise MedgraftError(f"{SPLIT}: expected columns, a list of names")
    if not isinstance(rows, list):
        raise MedgraftError(f"{SPLIT}: expected data, a list of rows")
    for place, row in enumerate(rows, 1):
        found = len(row) if isinstance(row, list | tuple) else "no list of"
        if found != len(names):
            raise MedgraftError(f"{SPLIT}: row {place}: expected {len(names)} cells, got {found}")
    if index is not None and (not isinstance(index, list) or len(index) != len(rows)):
        raise MedgraftError(f"{SPLIT}: expected an index of {len(rows)}, one for each row")

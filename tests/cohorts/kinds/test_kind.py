"""A kind of column is one module: nothing else has to know of it."""

import subprocess
import sys

from medgraft.cohorts.kinds import kind

MODULE = '''
from typing import Literal

from medgraft.cohorts.kinds.table import Number


class Age(Number):
    """Whole years."""

    kind: Literal["age"]
'''
DESCRIPTION = """\
name: mine
outcomes: {died: {column: died, task: binary, negative: [0], positive: [1]}}
columns: {years: {kind: age}, height: {kind: KIND}}
sites: {here: {file: here.csv}}
"""
DESCRIBE = """
import sys
from pathlib import Path

from medgraft.cohorts import kinds

kinds.__path__.append(sys.argv[1])
from medgraft.cohorts.parsing import describe
from medgraft.errors import CohortError

try:
    columns = describe(Path(sys.argv[1])).columns
    print({name: type(column).__name__ for name, column in columns.items()})
except CohortError as error:
    print(error)
"""


def described(folder, other: str) -> str:
    """What a fresh interpreter, with a module more among the kinds, makes of a description."""
    (folder / "age.py").write_text(MODULE)
    (folder / "cohort.yaml").write_text(DESCRIPTION.replace("KIND", other))
    run = subprocess.run(
        [sys.executable, "-c", DESCRIBE, str(folder)], capture_output=True, text=True, check=True
    )
    return run.stdout.strip()


def test_kinds_are_found_in_their_modules():
    tags = [each.model_fields["kind"].annotation.__args__[0] for each in kind.every()]
    assert tags == ["expression", "image", "sequence", "number", "category"]


def test_new_kind_is_one_module(tmp_path):
    assert described(tmp_path, "number") == "{'years': 'Age', 'height': 'Number'}"


def test_new_kind_is_suggested(tmp_path):
    assert described(tmp_path, "agee").endswith(
        'columns.height: got "agee", expected one of age, expression, image, sequence, number, '
        'category, identifier, ignore, did you mean "age"?'
    )

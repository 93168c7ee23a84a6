from collections.abc import Callable
from pathlib import Path

import pytest

DESCRIPTION = """\
name: clinic
patient: id
subgroups: [sex]
missing: ["", "?"]
outcomes:
  disease: {column: num, task: binary, negative: [0], positive: [1, 2], labels: [healthy, ill]}
  cost: {column: cost, task: regression, unit: EUR, range: [0, 1e6]}
columns:
  name: {kind: identifier}
  sex: {kind: category, categories: {0: female, 1: male}, missing: never}
  chol: {kind: number, unit: mg/dl, range: [50, 700], disguised_missing: [0]}
  age: {kind: number, unit: years}
sites:
  here: {file: here.csv}
"""

ROWS = """\
id,name,sex,chol,age,num,cost
A1,Ms Secret,0,210,61,0,100
A2,Mr Secret,1.0,?,47.5,2,
A1,Ms Secret,0,0,62,1,250
A3,Mr Hidden,1,300,,?,10
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a cohort folder; `description` and `rows` default to a clinic of three patients."""

    def _write(description: str = DESCRIPTION, rows: str | bytes = ROWS) -> Path:
        folder = tmp_path / "clinic"
        folder.mkdir(exist_ok=True)
        (folder / "cohort.yaml").write_text(description, encoding="utf-8")
        data = rows.encode() if isinstance(rows, str) else rows
        (folder / "here.csv").write_bytes(data)
        return folder

    return _write

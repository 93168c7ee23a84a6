"""Wisconsin Diagnostic Breast Cancer, as a large laboratory and a small clinic that measures less.

Street W. N., Wolberg W. H., Mangasarian O. L. Nuclear feature extraction for breast tumor
diagnosis. IS&T/SPIE Electronic Imaging 1905 (1993) 861-870. doi:10.24432/C5DW2B.
"""

from collections.abc import Iterable, Sequence
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME

PATIENTS = 72  # of the clinic, the small cohort
SEED = 569
FILES: dict[str, str] = {
    "reference_laboratory.csv": "8da7c4c9986f9109e0e7458ca56a3e342b73820da59814fbba0ee0b7066f7d97",
    "clinic.csv": "438f6dc7ecbe3db419d3ee679f2155cd7bb91fe73ca146f544d20a6c97e2d884",
}

Bools = NDArray[np.bool_]
Row = Sequence[str]


def materialise(folder: Path, mirror: Path | None) -> None:  # noqa: ARG001
    """Write reference_laboratory.csv, clinic.csv and cohort.yaml into `folder`; needs no network.

    The 569 patients are divided once, at random within each diagnosis: 497 with all 30
    measurements, 72 with the ten means. Patient identifiers are made up. Always the same bytes.

    Args:
        folder: Usually data/breast; must not exist, or hold the same bytes.
        mirror: Not needed; every entry of the catalogue is called alike.

    Raises:
        CohortError: the installed scikit-learn holds other data, or `folder` holds something else.
    """
    header, rows, malignant = _published()
    clinic = _clinic(malignant)
    means = [
        index for index, name in enumerate(header) if not name.startswith(("error_", "worst_"))
    ]
    full = [row for row, small in zip(rows, clinic, strict=True) if not small]
    short = [row for row, small in zip(rows, clinic, strict=True) if small]
    tables = {
        "reference_laboratory.csv": _csv([header, *full]),
        "clinic.csv": _csv([row[index] for index in means] for row in [header, *short]),
    }
    for name, data in tables.items():
        files.verify(data, FILES[name], where=f"{name} from scikit-learn's breast cancer data")
    description = package_files(__package__).joinpath("breast.yaml").read_bytes()
    files.write(folder, {NAME: description, **tables})


def _published() -> tuple[Row, list[Row], Bools]:
    """Header, rows as text, and who has a malignant tumour, in the order of scikit-learn."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    malignant = data.target == list(data.target_names).index("malignant")
    header = ["patient_id", "diagnosis", *(_column(str(name)) for name in data.feature_names)]
    rows: list[Row] = [
        [f"P{number:04d}", "malignant" if bad else "benign", *map(repr, values)]
        for number, (bad, values) in enumerate(
            zip(malignant, data.data.tolist(), strict=True), start=1
        )
    ]
    return header, rows, malignant


def _column(name: str) -> str:
    """scikit-learn's "radius error" as error_radius, like mean_radius and worst_radius."""
    words = name.split()
    if words[-1] == "error":
        words = ["error", *words[:-1]]
    return "_".join(words)


def _clinic(malignant: Bools) -> Bools:
    """Which patients are the clinic's: the same share of each diagnosis.

    `RandomState`, because numpy promises its stream never changes.
    """
    random = np.random.RandomState(SEED)
    chosen = np.zeros(len(malignant), dtype=bool)
    bad = round(PATIENTS * malignant.mean())
    for group, count in ((malignant, bad), (~malignant, PATIENTS - bad)):
        chosen[random.permutation(np.flatnonzero(group))[:count]] = True
    return chosen


def _csv(rows: Iterable[Row]) -> bytes:
    return "".join(",".join(row) + "\n" for row in rows).encode()

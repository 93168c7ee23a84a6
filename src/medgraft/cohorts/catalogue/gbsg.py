"""Node-positive breast cancer: the Rotterdam tumour bank and the trial of the German group (GBSG).

Foekens J. A. et al. Cancer Research 60 (2000) 636-643 and Schumacher M. et al. Journal of Clinical
Oncology 12 (1994) 2086-2093, as Katzman J. L. et al. (DeepSurv, BMC Medical Research Methodology 18
(2018) 24; MIT licence) divided them: Rotterdam to learn from, the trial to test on.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import numpy as np

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME
from medgraft.errors import CohortError

URL = (
    "https://raw.githubusercontent.com/jaredleekatzman/DeepSurv/"
    "41eed003e5b892c81e7855e400861fa7a2d9da4f/experiments/data/gbsg/gbsg_cancer_train_test.h5"
)
MIRRORED = "survival_deepsurv_h5/gbsg_cancer_train_test.h5"
SHA256 = "bd455f4395322a8b23040c15cedbef00ad51a447d02c95f1f1d686a6b196484b"
SITES = {"train": "rotterdam.csv", "test": "gbsg.csv"}
# The file names no column. The trial's counts in each, and their ranges, are those of the same 686
# patients as published with names (GBSG2 in the R package TH.data).
COLUMNS = (
    "hormonal_therapy",
    "tumour_size",
    "postmenopausal",
    "age",
    "positive_nodes",
    "progesterone_receptor",
    "oestrogen_receptor",
)


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write rotterdam.csv, gbsg.csv and cohort.yaml into `folder`.

    Args:
        folder: Usually data/gbsg; must not exist, or hold the same bytes.
        mirror: A folder that holds survival_deepsurv_h5/<file>; None fetches from GitHub.

    Raises:
        CohortError: h5py is not installed, the file cannot be had or is not the pinned one, or
            `folder` holds something else.
    """
    h5py = _h5py()
    raw = files.obtain(URL, sha256=SHA256, mirror=mirror, kept_as=MIRRORED)
    with h5py.File(io.BytesIO(raw), "r") as published:
        tables = {name: _csv(published[group]) for group, name in SITES.items()}
    description = package_files(__package__).joinpath("gbsg.yaml").read_bytes()
    files.write(folder, {NAME: description, **tables})


def _h5py() -> Any:
    try:
        import h5py
    except ImportError:
        raise CohortError(
            "the gbsg cohort is published as HDF5, which h5py reads: pip install 'medgraft[h5ad]'"
        ) from None
    return h5py


def _csv(group: Any) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "months", "relapse_or_death"])
    writer.writerows(_rows(group["x"][:], group["t"][:], group["e"][:]))
    return text.getvalue().encode()


def _rows(x: Any, time: Any, event: Any) -> Iterator[Sequence[str]]:
    for row, months, happened in zip(x, time, event, strict=True):
        measured = [str(int(value)) for value in row]
        # The shortest text that reads back as the same float32.
        yield [*measured, np.format_float_positional(months, trim="-"), str(int(happened))]

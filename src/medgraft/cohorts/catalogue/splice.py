"""Primate splice junctions, shared out by gene between an archive and a small laboratory.

Noordewier M. O., Towell G. G., Shavlik J. W. Training knowledge-based neural networks to recognize
genes in DNA sequences. NIPS 3 (1991). UCI Machine Learning Repository 69 (CC BY 4.0).
"""

from collections.abc import Iterable
from importlib.resources import files as package_files
from pathlib import Path

import numpy as np

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME

URL = (
    "https://raw.githubusercontent.com/pauldhein/splice-junction-detector/"
    "715e34e0c271c2c000fdbd54279b91a8b7b801a4/data/splice.csv"
)
MIRRORED = "uci_splice_junctions/splice.csv"
SHA256 = "f0d9602dc94a00189727ee345befaa35b946bcce5700d4d0b9929943d26c18f8"
LABORATORY = 1000  # sequences, as many as in the published cross-validation
SEED = 64

Row = tuple[str, str, str]


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write archive.csv, laboratory.csv and cohort.yaml into `folder`. Always the same bytes.

    The 3190 windows are divided once. All windows of a gene (a GenBank locus) go the same way, and
    genes are drawn at random until the laboratory has about 1000 windows.

    Args:
        folder: Usually data/splice; must not exist, or hold the same bytes.
        mirror: A folder that holds uci_splice_junctions/splice.csv; None fetches from GitHub.

    Raises:
        CohortError: the file cannot be had, is not the pinned one, or `folder` holds something
            else.
    """
    data = files.obtain(URL, sha256=SHA256, mirror=mirror, kept_as=MIRRORED)
    rows = [_row(line) for line in data.decode().splitlines()[1:]]
    chosen = _laboratory([locus for _, locus, _ in rows])
    tables = {
        "archive.csv": _csv(row for row in rows if row[1] not in chosen),
        "laboratory.csv": _csv(row for row in rows if row[1] in chosen),
    }
    description = package_files(__package__).joinpath("splice.yaml").read_bytes()
    files.write(folder, {NAME: description, **tables})


def _row(line: str) -> Row:
    label, name, sequence = (cell.strip() for cell in line.split(","))
    return label, name.split("-")[0], sequence


def _laboratory(loci: list[str]) -> set[str]:
    """Genes of the laboratory; `RandomState`, because numpy promises its stream never changes."""
    names, sizes = np.unique(loci, return_counts=True)
    order = np.random.RandomState(SEED).permutation(len(names))
    return set(names[order[np.cumsum(sizes[order]) <= LABORATORY]])


def _csv(rows: Iterable[Row]) -> bytes:
    return "".join(["label,locus,sequence\n", *(",".join(row) + "\n" for row in rows)]).encode()

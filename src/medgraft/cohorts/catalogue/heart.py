"""UCI Heart Disease: coronary angiography at four hospitals, 920 patients (CC BY 4.0).

Detrano R. et al. International application of a new probability algorithm for the diagnosis of
coronary artery disease. American Journal of Cardiology 64 (1989) 304-310. doi:10.24432/C52P4X.
"""

from importlib.resources import files as package_files
from pathlib import Path

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/heart-disease"
MIRRORED = "uci_heart_disease"
FILES = {
    "processed.cleveland.data": "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8",
    "processed.hungarian.data": "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796",
    "processed.switzerland.data": (
        "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314"
    ),
    "processed.va.data": "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f",
}


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write the four hospitals' files, as published, and their description into `folder`.

    Args:
        folder: Usually data/heart; must not exist, or hold the same bytes.
        mirror: A folder that holds uci_heart_disease/<file>; None fetches from UCI.

    Raises:
        CohortError: a file cannot be had, is not the pinned one, or `folder` holds something else.
    """
    raw = {
        name: files.obtain(
            f"{URL}/{name}", sha256=sha256, mirror=mirror, kept_as=f"{MIRRORED}/{name}"
        )
        for name, sha256 in FILES.items()
    }
    description = package_files(__package__).joinpath("heart.yaml").read_bytes()
    files.write(folder, {NAME: description, **raw})

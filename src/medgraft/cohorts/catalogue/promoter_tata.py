"""Human core promoters: without a TATA box to those with one (GUE, see `gue`)."""

from importlib.resources import files as package_files
from pathlib import Path

from medgraft.cohorts.catalogue import gue

SITES = {
    "notata": (
        "prom/prom_core_notata",
        (
            "78bfa494d14fa12f3a661fbd37b8d252f3cf9edf4a8f98d60832fb56e6f9aab9",
            "ced43fdbc8c76187fe0589dfeef07f4554c3374837236b80b02eea392795d548",
            "1ef44c266ca1368e8b438f6b0565b865aa203de8e1c89fc513357311b58bf97c",
        ),
    ),
    "tata": (
        "prom/prom_core_tata",
        (
            "6ff19d1296628f1ff30f663f154596aeda27e2c48b8d8c35926029a33c64d3fb",
            "dcacb3b86726376899ad4023339ccaae04a9150f41c34268b4ab38e447316a70",
            "35ba337b4f1f3ca53c5045d51ab6eaedbd382619527a38d4a41f5402015dbad4",
        ),
    ),
}


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write a csv for each of notata, tata, and cohort.yaml, into `folder`.

    Args:
        folder: Usually data/promoter_tata; must not exist, or hold the same bytes.
        mirror: A folder that holds gue/<task>/<part>.csv; None fetches from GitHub.

    Raises:
        CohortError: a file cannot be had, is not the pinned one, or `folder` holds something else.
    """
    description = package_files(__package__).joinpath("promoter_tata.yaml").read_bytes()
    gue.write(folder, mirror, sites=SITES, description=description)

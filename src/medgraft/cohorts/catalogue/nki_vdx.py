"""Breast cancer expression on two platforms: NKI (Agilent), VDX (Affymetrix), 300 patients.

van de Vijver M. et al., New England Journal of Medicine 347 (2002) 1999-2009; Wang Y. et al.,
Lancet 365 (2005) 671-679 and Minn A. et al., PNAS 104 (2007) 6740-6745. The subsets of 150 patients
each that Bioconductor's genefu ships (Artistic-2.0), as tables.
"""

from importlib.resources import files as package_files
from pathlib import Path

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME
from medgraft.errors import CohortError

URL = "https://github.com/bhklab/genefu"
MIRRORED = "breast_expression_nki_vdx"
FILES = {
    "nkis_annotation.csv": "646c79d296e54eb1d6ede73e9107fdf69d17d89f8569af62c90abe2ce93e690b",
    "nkis_clinical.csv": "0fa5f03382fd19abe17ddb5e5f232ec2994d9c1d05ab9266d264b2cd3abab805",
    "nkis_expression.csv.gz": "99b02b27f56cb88cdf4ccf707e388b3dae8a3c35b7476b9ae3d556f98d01eb75",
    "vdxs_annotation.csv": "8b53f940b3c4f7ca5098a95d58a0d362eef236f01c817101ceaf75d8673ae189",
    "vdxs_clinical.csv": "f8a0e9d6ec5ff8d2b80379ffa3f81ee5c40ef37d9fcec4c1afee3f51ad8acc6f",
    "vdxs_expression.csv.gz": "dce02ba01eed86fa29b9b84ec34651a1f617457c8858f3b4f7a281a9e3bcb868",
}


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write both cohorts' tables and their description into `folder`.

    Args:
        folder: Usually data/nki_vdx; must not exist, or hold the same bytes.
        mirror: A folder that holds breast_expression_nki_vdx/<file>. There is no other way: the
            published files are R's (data/nkis.rda and data/vdxs.rda of genefu).

    Raises:
        CohortError: no mirror, a file that is not the pinned one, or a `folder` that holds
            something else.
    """
    if mirror is None:
        raise CohortError(
            f"{folder}: the published files ({URL}, data/nkis.rda and data/vdxs.rda) are R's; "
            f"give a folder that holds them as tables, {MIRRORED}/*.csv, with --mirror"
        )
    raw = {
        name: files.obtain(f"{URL}/{name}", sha256=sha, mirror=mirror, kept_as=f"{MIRRORED}/{name}")
        for name, sha in FILES.items()
    }
    description = package_files(__package__).joinpath("nki_vdx.yaml").read_bytes()
    files.write(folder, {NAME: description, **raw})

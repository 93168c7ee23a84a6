from pathlib import Path

import numpy as np
import pytest

from medgraft.cohorts.catalogue import nki_vdx
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def test_cohorts_are_as_published(cohorts_folder: Path, tmp_path: Path) -> None:
    """Sizes, classes, genes as in PROVENANCE.md: 112 of 150 and 85 of 150, 862 and 657 genes."""
    nki_vdx.materialise(tmp_path / "nki_vdx", cohorts_folder)
    nki, vdx = (load(tmp_path / "nki_vdx", site, "er_status") for site in ("nki", "vdx"))
    assert (len(nki), nki.y.sum(), nki.values.shape[1]) == (150, 112, 862)
    assert (len(vdx), vdx.y.sum(), vdx.values.shape[1]) == (150, 85, 657)
    shared = set(nki.columns[0].details["genes"]) & set(vdx.columns[0].details["genes"])
    assert len(shared) == 254


def test_metastases_are_as_published(cohorts_folder: Path, tmp_path: Path) -> None:
    nki_vdx.materialise(tmp_path / "nki_vdx", cohorts_folder)
    sites = {
        site: load(tmp_path / "nki_vdx", site, "distant_metastasis") for site in ("nki", "vdx")
    }
    events = {site: (len(cohort), int(cohort.y[:, 1].sum())) for site, cohort in sites.items()}
    assert events == {"nki": (146, 53), "vdx": (150, 47)}


def test_known_gene_is_read(cohorts_folder: Path, tmp_path: Path) -> None:
    """ESR1 (Entrez 2099) codes for the oestrogen receptor: it alone goes far."""
    from sklearn.metrics import roc_auc_score

    nki_vdx.materialise(tmp_path / "nki_vdx", cohorts_folder)
    for site in ("nki", "vdx"):
        cohort = load(tmp_path / "nki_vdx", site, "er_status")
        gene = cohort.values[:, cohort.columns[0].details["genes"].index("2099")]
        assert roc_auc_score(cohort.y, np.nan_to_num(gene)) > 0.9


def test_mirror_is_needed(tmp_path: Path) -> None:
    with pytest.raises(CohortError) as error:
        nki_vdx.materialise(tmp_path / "nki_vdx", None)
    assert str(error.value) == (
        f"{tmp_path / 'nki_vdx'}: the published files (https://github.com/bhklab/genefu, "
        "data/nkis.rda and data/vdxs.rda) are R's; give a folder that holds them as tables, "
        "breast_expression_nki_vdx/*.csv, with --mirror"
    )

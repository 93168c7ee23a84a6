from collections import Counter

import polars as pl
import pytest

from medgraft.cohorts.catalogue import gue_mouse, promoter_tata
from medgraft.cohorts.load import load
from medgraft.errors import CohortError

# Windows of the published train, dev and test files (PROVENANCE.md).
PUBLISHED = {
    "human_0": (32378, 1000, 1000),
    "mouse_0": (6478, 810, 810),
    "mouse_2": (2620, 328, 328),
    "mouse_3": (1904, 239, 239),
    "mouse_4": (15064, 1883, 1883),
    "notata": (42452, 5307, 5307),
    "tata": (4904, 613, 613),
}


@pytest.fixture(scope="module")
def folder(cohorts_folder, tmp_path_factory):
    made = tmp_path_factory.mktemp("gue")
    gue_mouse.materialise(made / "gue_mouse", cohorts_folder)
    promoter_tata.materialise(made / "promoter_tata", cohorts_folder)
    return made


@pytest.mark.parametrize("site", PUBLISHED)
def test_windows_are_the_published(folder, site):
    name, outcome = ("gue_mouse", "bound") if "_" in site else ("promoter_tata", "promoter")
    cohort = load(folder / name, site, outcome)
    parts = Counter(cohort.split)
    assert tuple(parts[part] for part in ("train", "validation", "test")) == PUBLISHED[site]
    assert cohort.values.max() == 3
    assert cohort.y.mean() == pytest.approx(0.5, abs=0.01)


def test_rows_are_kept_word_for_word(folder, cohorts_folder):
    kept = pl.read_csv(folder / "gue_mouse" / "mouse_3.csv")
    for part in ("train", "dev", "test"):
        published = pl.read_csv(cohorts_folder / "gue" / "mouse" / "3" / f"{part}.csv")
        assert kept.filter(split=part).drop("split").equals(published)


def test_changed_byte_is_refused(cohorts_folder, tmp_path):
    for part in ("train", "dev", "test"):
        for task in ("prom/prom_core_notata", "prom/prom_core_tata"):
            path = tmp_path / "gue" / task / f"{part}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            data = (cohorts_folder / "gue" / task / f"{part}.csv").read_bytes()
            path.write_bytes(data if part != "dev" else data.replace(b"AC", b"CA", 1))
    with pytest.raises(CohortError, match=r"notata/dev.csv: has sha256 .* not the same file"):
        promoter_tata.materialise(tmp_path / "data" / "promoter", tmp_path)
    assert not (tmp_path / "data").exists()

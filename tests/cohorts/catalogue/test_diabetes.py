import gzip
import tracemalloc
import zipfile

import polars as pl
import pytest

from medgraft.cohorts.catalogue import diabetes
from medgraft.cohorts.load import load
from medgraft.errors import CohortError

# Strack et al. 2014: primary diagnoses (table 2) of first admissions that did not end in death or
# hospice, 69,984 by their count.
FIRST_ADMISSIONS = 69_984
PUBLISHED = {
    "circulatory": 21_411,
    "respiratory": 9_490,
    "digestive": 6_485,
    "diabetes": 5_747,
    "injury": 4_697,
    "musculoskeletal": 4_076,
    "genitourinary": 3_435,
    "neoplasms": 2_536,
}


@pytest.fixture(scope="module")
def data(cohorts_folder):
    return gzip.decompress((cohorts_folder / diabetes.MIRRORED).read_bytes())


def test_diagnosis_groups_equal_publications(data):
    """To half a percent: the paper does not say which of a patient's admissions came first."""
    number = pl.read_csv(data, columns=["encounter_id"])["encounter_id"]
    admissions = diabetes.prepare(data).with_columns(number=number)
    lived = admissions.filter(~pl.col("readmitted").is_in(["died", "hospice"]))
    first = lived.sort("number").unique("patient", keep="first")
    assert len(first) == pytest.approx(FIRST_ADMISSIONS, rel=0.005)
    found = dict(first["diagnosis_1"].value_counts().iter_rows())
    assert {name: found[name] for name in PUBLISHED} == pytest.approx(PUBLISHED, rel=0.005)


@pytest.mark.parametrize(
    ("code", "group"),
    [("250.83", "diabetes"), ("428", "circulatory"), ("785", "circulatory"), ("V57", "other"),
     ("E909", "other"), ("786", "respiratory"), ("239", "neoplasms"), ("240", "other"), ("?", "?")],
)  # fmt: skip
def test_code_falls_into_group(code, group):
    assert pl.select(diabetes.diagnosis(pl.lit(code))).item() == group


def test_every_known_admission_is_in_a_site(cohorts_folder, tmp_path):
    diabetes.materialise(tmp_path / "diabetes", cohorts_folder)
    for site, rows, used in (("emergency", 53_990, 52_371), ("elective", 18_869, 18_668)):
        cohort = load(tmp_path / "diabetes", site, "readmitted_early")
        assert (cohort.accounting.rows_read, cohort.accounting.rows_used) == (rows, used)
        early = {"emergency": 0.1183, "elective": 0.1049}[site]
        assert cohort.y.mean() == pytest.approx(early, abs=5e-5)


def test_damaged_mirror_is_refused(tmp_path):
    packed = tmp_path / diabetes.MIRRORED
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(b"encounter_id\n1\n")[:-6])
    with pytest.raises(CohortError, match=r"diabetic_data\.csv\.gz: cannot be unpacked"):
        diabetes.materialise(tmp_path / "diabetes", tmp_path)
    packed.write_bytes(gzip.compress(b"encounter_id\n1\n"))
    with pytest.raises(CohortError, match=r"diabetic_data\.csv\.gz: has sha256 .* not the same"):
        diabetes.materialise(tmp_path / "diabetes", tmp_path)
    assert not (tmp_path / "diabetes").exists()


@pytest.mark.parametrize("inside", [None, diabetes.INSIDE, f"../../{diabetes.INSIDE}"])
def test_bomb_in_the_mirror_is_not_unpacked(inside, tmp_path):
    """500 MB of zeros, as gzip or in a zip whose only member is the right one, or leads out."""
    packed = tmp_path / "mirror" / diabetes.MIRRORED
    packed.parent.mkdir(parents=True)
    zeros = bytes(500_000_000)
    if inside is None:
        packed.write_bytes(gzip.compress(zeros, 1))
    else:
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(inside, zeros)
    del zeros
    tracemalloc.start()
    try:
        with pytest.raises(CohortError, match=r"csv\.gz: (has sha256|cannot be unpacked)"):
            diabetes.materialise(tmp_path / "diabetes", tmp_path / "mirror")
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["mirror"]

"""Diabetes 130-US hospitals, 1999 to 2008: 101,766 admissions of diabetic patients (CC BY 4.0).

Strack B. et al. Impact of HbA1c measurement on hospital readmission rates. BioMed Research
International 2014, 781670. doi:10.1155/2014/781670, data doi:10.24432/C5230J.
"""

import gzip
import io
import zipfile
from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files
from pathlib import Path

import polars as pl

from medgraft.cohorts.catalogue import files
from medgraft.cohorts.parsing import NAME

URL = "https://archive.ics.uci.edu/ml/machine-learning-databases/00296/dataset_diabetes.zip"
INSIDE = "dataset_diabetes/diabetic_data.csv"
MIRRORED = "diabetes_130us/diabetic_data.csv.gz"
SHA256 = "0689e7ec031237dc63031b938805c48377748761a3b26acab621567afa24df97"  # of the csv
SIZE = 19_159_383  # bytes of it; whatever unpacks to more is another file
# IDs_mapping.csv; types 5, 6 and 8 are not known, 4 (newborn) and 7 (trauma) are 31 admissions.
TYPES = {"emergency": "1", "urgent": "2", "elective": "3"}
DIED, HOSPICE = ("11", "19", "20", "21"), ("13", "14")
# Strack et al., table 2; a code in none of them, with E and V codes, is "other".
DIAGNOSES: Mapping[str, Sequence[tuple[int, int]]] = {
    "diabetes": [(250, 250)],
    "circulatory": [(390, 459), (785, 785)],
    "respiratory": [(460, 519), (786, 786)],
    "digestive": [(520, 579), (787, 787)],
    "genitourinary": [(580, 629), (788, 788)],
    "neoplasms": [(140, 239)],
    "musculoskeletal": [(710, 739)],
    "injury": [(800, 999)],
}
SPECIALTIES = {
    "InternalMedicine": "internal medicine",
    "Family/GeneralPractice": "general practice",
    "Cardiology": "cardiology",
    "Emergency/Trauma": "emergency",
}
COUNTS = (
    "time_in_hospital",
    "num_lab_procedures",
    "num_procedures",
    "num_medications",
    "number_outpatient",
    "number_emergency",
    "number_inpatient",
    "number_diagnoses",
)
AS_THEY_ARE = (
    *("race", "gender", "admission_source_id", "discharge_disposition_id", *COUNTS),
    *("max_glu_serum", "A1Cresult", "metformin", "repaglinide", "glimepiride", "glipizide"),
    *("glyburide", "pioglitazone", "rosiglitazone", "insulin", "change", "diabetesMed"),
)


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write a csv for each known type of admission, and cohort.yaml, into `folder`.

    Args:
        folder: Usually data/diabetes; must not exist, or hold the same bytes.
        mirror: A folder that holds diabetes_130us/diabetic_data.csv.gz; None fetches from UCI.

    Raises:
        CohortError: the file cannot be had or is not the pinned one, or `folder` holds something
            else.
    """
    data = files.obtain(URL, sha256=SHA256, mirror=mirror, kept_as=MIRRORED, unpack=_unpack)
    admissions = prepare(data)
    tables = {
        f"{name}.csv": admissions.filter(pl.col("type") == code).drop("type").write_csv().encode()
        for name, code in TYPES.items()
    }
    description = package_files(__package__).joinpath("diabetes.yaml").read_bytes()
    files.write(folder, {NAME: description, **tables})


def _unpack(packed: bytes) -> bytes:
    """The csv from UCI's zip, or from the mirror's gzip."""
    if not packed.startswith(b"PK"):
        return gzip.GzipFile(fileobj=io.BytesIO(packed)).read(SIZE + 1)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive, archive.open(INSIDE) as file:
        return file.read(SIZE + 1)


def prepare(data: bytes) -> pl.DataFrame:
    """One row per admission, text cells: what was known at discharge, and what happened next.

    A patient who died or went to a hospice cannot be readmitted: the outcome says so instead, and
    these admissions are left out (as in Strack et al.). Age bands become their middle.
    """
    raw = pl.read_csv(data, infer_schema=False)
    bounds = pl.col("age").str.extract_all(r"\d+").list.eval(pl.element().cast(pl.Int64))
    return raw.select(
        patient=pl.col("patient_nbr"),
        type=pl.col("admission_type_id"),
        age=bounds.list.mean(),
        specialty=_specialty(pl.col("medical_specialty")),
        **{f"diagnosis_{i}": diagnosis(pl.col(f"diag_{i}")) for i in (1, 2, 3)},
        **{name: pl.col(name) for name in AS_THEY_ARE},
        readmitted=_readmitted(),
    )


def diagnosis(code: pl.Expr) -> pl.Expr:
    """The group of an ICD-9 code; "?" stays."""
    number = code.str.extract(r"^(\d+)", 1).cast(pl.Int64)
    group = pl.when(code == "?").then(pl.lit("?")).otherwise(pl.lit("other"))
    for name, ranges in DIAGNOSES.items():
        inside = pl.any_horizontal(number.is_between(low, high) for low, high in ranges)
        group = pl.when(inside).then(pl.lit(name)).otherwise(group)
    return group


def _specialty(name: pl.Expr) -> pl.Expr:
    surgery = name.str.starts_with("Surg") | name.str.starts_with("Orthopedics")
    common = name.replace_strict({**SPECIALTIES, "?": "?"}, default="other", return_dtype=pl.String)
    return pl.when(surgery).then(pl.lit("surgery")).otherwise(common)


def _readmitted() -> pl.Expr:
    went = pl.col("discharge_disposition_id")
    gone = pl.when(went.is_in(DIED)).then(pl.lit("died"))
    return gone.when(went.is_in(HOSPICE)).then(pl.lit("hospice")).otherwise(pl.col("readmitted"))

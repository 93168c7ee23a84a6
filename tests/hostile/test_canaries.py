"""Planted names, record numbers and dates of birth: no byte of any result may hold one."""

import numpy as np
import pytest

from cohorts.images.simulated import dicom
from stages.project import DESCRIPTION, OWN, SMALL, clone, done, medgraft, own_cohort

pytestmark = pytest.mark.slow

PLANTED = ("Wilhelmina Canarius", "MRN-90817263", "1931-02-29")
# Raw data and what is a copy of them: the folder itself, and DVC's cache of it.
RAW = ("data", ".dvc/cache", ".git")
BRIEF = (*SMALL, "strategies=[scratch,logistic_regression]", "trainer.max_steps=10")


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A cohort whose patients are called so; the pipeline's output."""
    root = clone(tmp_path_factory.mktemp("canaries") / "project")
    mine = own_cohort(root)
    described = DESCRIPTION.replace(
        "columns:\n",
        "columns:\n  who: {kind: identifier}\n  born: {kind: identifier}\n  memo: {kind: ignore}\n",
    )
    (mine / "cohort.yaml").write_text(described)
    for site in ("big", "small"):
        path = mine / f"{site}.csv"
        names, *rows = path.read_text().splitlines()
        told = [f"{names},who,born,memo"]
        for i, row in enumerate(rows):
            first, rest = row.split(",", 1)
            who, record, born = PLANTED
            told.append(f"{first}-{record},{rest},{who} {i},{born},seen {who}")
        path.write_text("\n".join(told) + "\n")
    process = medgraft(root, "repro", *OWN, *BRIEF, "task=binary", "cohort.outcome.target=died")
    done(process)
    return root, process.stdout + process.stderr


SCANS = """\
name: scans
patient: who
outcomes:
  died: {column: died, task: binary, negative: [0], positive: [1]}
columns:
  scan: {kind: image, height: 16, width: 16}
format: {reader: medgraft.cohorts.readers.dicom.read, image: scan, patient: who}
sites:
  big: {file: big.csv}
  small: {file: small.csv}
"""


@pytest.fixture(scope="module")
def scanned(tmp_path_factory):
    """Scans whose headers and file names tell who was scanned; the pipeline's output."""
    root = clone(tmp_path_factory.mktemp("scans") / "project")
    mine = root / "data" / "mine"
    mine.mkdir(parents=True)
    (mine / "cohort.yaml").write_text(SCANS)
    who, record, born = PLANTED
    for site, patients in (("big", 60), ("small", 40)):
        stream = np.random.default_rng(patients)
        listed = ["scan,died"]
        for i in range(patients):
            pixels = stream.integers(0, 100, (16, 16)).astype(np.int16)
            pixels[: 8 * (i % 2) + 4] += 200
            name = f"{who.replace(' ', '_')}-{record}-{site}{i}.dcm"
            header = {"PatientID": f"{record}-{site}{i}", "PatientName": who.replace(" ", "^")}
            told = {"PatientBirthDate": born.replace("-", ""), "PatientComments": f"{who}, {born}"}
            (mine / name).write_bytes(dicom(pixels, **header, **told))
            listed.append(f"{name},{i % 2}")
        (mine / f"{site}.csv").write_text("\n".join(listed) + "\n")
    small = [one.replace("logistic_regression", "pixel_regression") for one in BRIEF]
    images = ("preparation=image", "encoder=small_compact_cnn", "task=binary")
    process = medgraft(root, "repro", *OWN, *images, *small, "cohort.outcome.target=died")
    done(process)
    return root, process.stdout + process.stderr


def places(root) -> list[str]:
    """Files that hold a canary, by content or by name, however it is spelt."""
    spelt = {*PLANTED, *(word.replace(" ", mark) for word in PLANTED for mark in "_^")}
    spelt.add(PLANTED[2].replace("-", ""))
    found = []
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if path.is_file() and not name.startswith(RAW):
            data = path.read_bytes()
            if any(word.encode() in data or word in name for word in spelt):
                found.append(name)
    return found


def test_canaries_reach_no_result(planted):
    root, output = planted
    assert not any(word in output for word in PLANTED)
    written = {path.name for path in (root / "work" / "evaluation").iterdir()}
    assert written >= {"report.html", "model_card.md", "tripod_ai.md", "probast_ai.md"}
    assert list((root / "mlflow").rglob("*"))
    assert places(root) == []


def test_canaries_of_scans_reach_no_result(scanned):
    """Neither what a DICOM header tells nor the name of its file."""
    root, output = scanned
    assert list((root / "work" / "evaluation").iterdir())
    assert list((root / "mlflow").rglob("*"))
    assert places(root) == []
    assert "Canarius" not in output
    assert PLANTED[1] not in output


def test_canaries_of_scans_reach_no_message(scanned):
    """A damaged scan, one without pixels, one that is absent: the line tells which."""
    root, _ = scanned
    mine = root / "data" / "mine"
    scan = sorted(mine.glob("*small3.dcm"))[0]
    whole = scan.read_bytes()
    line = 1 + [text.split(",")[0] for text in (mine / "small.csv").read_text().split()].index(
        scan.name
    )
    said = {
        whole[:-30]: "is a damaged DICOM file",
        dicom(None, PatientID=PLANTED[1], PatientName=PLANTED[0]): "is a DICOM file without pixels",
        b"": "is not a PNG, JPEG or DICOM image",
        None: "cannot be read: is there such a file?",
    }
    for content, why in said.items():
        scan.unlink()
        if content is not None:
            scan.write_bytes(content)
        (root / "data.dvc").unlink()  # as if the cohort had come so
        process = medgraft(root, "repro")
        told = process.stdout + process.stderr
        assert process.returncode == 2
        assert f"small.csv, line {line}, column scan: the image {why}" in told, told
        assert "Canarius" not in told, told
        assert PLANTED[1] not in told, told
        if content is None:
            scan.write_bytes(whole)


def test_canaries_reach_no_message(planted):
    """A wrong cell, a ragged row, a lost column: the message names the line, not the person."""
    root, _ = planted
    path = root / "data" / "mine" / "small.csv"
    sound = path.read_text()
    names, first, *rest = sound.splitlines()
    spoilt = {
        "cell": [names, first.replace(first.split(",")[1], "old"), *rest],
        "row": [names, first + ",9", *rest],
        "header": [first, *rest],
        "column": [names.replace("age", "agee"), first, *rest],
        "quote": [names, '"' + first, *rest],
    }
    for lines in spoilt.values():
        path.unlink()
        path.write_text("\n".join(lines) + "\n")
        process = medgraft(root, "repro")
        assert process.returncode == 2
        told = process.stdout + process.stderr
        assert "Traceback" not in told
        assert not any(word in told for word in PLANTED), told


def test_results_are_private(planted):
    """Nobody but the owner reads a file that was made of patients."""
    root, _ = planted
    made = [path for path in (root / "work").rglob("*") if path.is_file()]
    logged = [path for path in (root / "mlflow").rglob("*") if path.is_file()]
    assert made
    assert logged
    made += logged
    assert [p.name for p in made if p.stat().st_mode & 0o077] == []

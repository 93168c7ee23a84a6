"""A sound project of each kind of measurement, small, for the malformed inputs to spoil."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml

from cohorts.images.simulated import dicom, png, shades

ROOT = Path(__file__).resolve().parents[2]
READERS = "medgraft.cohorts.readers"
PATIENTS = 24
Edit = Callable[[Path], object]


def params(folder: str = "clinic", modality: str = "table") -> dict:
    """What the stage `preprocess` declares."""
    aligners = {
        "table": "table.Tables",
        "sequence": "sequence.Sequences",
        "image": "image.Images",
        "expression": "expression.Expression",
    }
    return {
        "seed": 0,
        "cohort": {
            "folder": folder,
            "source": ["big"],
            "target": ["small"],
            "outcome": {"source": "ill", "target": "ill"},
            "origin": None,
            "read_on": "here",
            "notice": "",
        },
        "task": {"kind": "binary"},
        "source_task": {"kind": "binary"},
        "preparation": {"align": {"_target_": f"medgraft.preparation.{aligners[modality]}"}},
        "design": {"runs": 1, "folds": 2, "validation_fraction": 0.25, "sizes": [], "sources": 1},
    }


def project(at: Path, modality: str = "table") -> Path:
    """A folder in which `preprocess` runs: its parameters, the pipeline, a sound cohort."""
    (at / "clinic").mkdir(parents=True)
    shutil.copy(ROOT / "dvc.yaml", at)
    (at / "params.yaml").write_text(yaml.safe_dump(params(modality=modality)))
    MAKERS[modality](at / "clinic")
    return at


TABLE = """\
name: clinic
patient: id
missing: ["", "?"]
outcomes:
  ill: {column: ill, task: binary, negative: [0], positive: [1]}
columns:
  name: {kind: identifier}
  age: {kind: number, unit: years, range: [0, 110]}
  crp: {kind: number, unit: mg/l, range: [0, 500]}
  lab: {kind: number}
  sex: {kind: category, categories: {0: female, 1: male}}
sites:
  big: {file: big.csv}
  small: {file: small.csv}
"""


def tables(at: Path) -> None:
    (at / "cohort.yaml").write_text(TABLE)
    for site in ("big", "small"):
        (at / f"{site}.csv").write_text(rows(site))


def rows(site: str) -> str:
    stream = np.random.default_rng(len(site))
    lines = ["id,name,age,crp,lab,sex,ill"]
    for i in range(PATIENTS):
        age, crp, lab = stream.uniform(20, 90), stream.uniform(1, 200), stream.normal()
        lines.append(
            f"{site}-{i},Eve Canary {i},{age:.2f},{crp:.3f},{lab:.4f},{i % 2},{i // 2 % 2}"
        )
    return "\n".join(lines) + "\n"


OTHERS = """\
name: clinic
outcomes:
  ill: {{column: ill, task: binary, negative: [0], positive: [1]}}
columns:
  {column}
{format}
sites:
  big: {{file: big.{ending}{more}}}
  small: {{file: small.{ending}{other}}}
"""


def sequences(at: Path) -> None:
    for site in ("big", "small"):
        stream = np.random.default_rng(len(site))
        names = [f"{site}{i}" for i in range(PATIENTS)]
        letters = ["".join(stream.choice(list("ACGT"), 30)) for _ in names]
        fasta = "".join(f">{n}\n{s}\n" for n, s in zip(names, letters, strict=True))
        (at / f"{site}.fasta").write_text(fasta)
        labels = "".join(f"{n},{i % 2}\n" for i, n in enumerate(names))
        (at / f"{site}.csv").write_text("id,ill\n" + labels)
    form = "format: {{reader: {0}.fasta.read, labels: {1}.csv}}"
    text = OTHERS.format(
        column="sequence: {kind: sequence, alphabet: dna, length: 30}",
        format="",
        ending="fasta",
        more=", " + form.format(READERS, "big").replace("{{", "{").replace("}}", "}"),
        other=", " + form.format(READERS, "small").replace("{{", "{").replace("}}", "}"),
    )
    (at / "cohort.yaml").write_text(text)


IMAGE = "film: {kind: image, height: 8, width: 6}"


def archive(site: str, **changes: np.ndarray | None) -> bytes:
    """A MedMNIST archive as bytes, with arrays replaced or (None) left out."""
    films = np.stack([shades(seed=1000 * len(site) + i) for i in range(PATIENTS)])
    arrays: dict = {
        "train_images": films,
        "train_labels": (np.arange(PATIENTS) % 2).astype(np.uint8)[:, None],
    }
    arrays |= changes
    data = io.BytesIO()
    np.savez(data, **{name: value for name, value in arrays.items() if value is not None})
    return data.getvalue()


def archives(at: Path) -> None:
    for site in ("big", "small"):
        (at / f"{site}.npz").write_bytes(archive(site))
    reader = f"format: {{reader: {READERS}.npz.read, image: film, label: ill}}"
    text = OTHERS.format(column=IMAGE, format=reader, ending="npz", more="", other="")
    (at / "cohort.yaml").write_text(text)


def films(at: Path) -> None:
    """Folders of PNG files and their lists."""
    for site in ("big", "small"):
        names = [f"{site}{i}.png" for i in range(PATIENTS)]
        for i, name in enumerate(names):
            (at / name).write_bytes(png(shades(seed=1000 * len(site) + i)))
        listed = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
        (at / f"{site}.csv").write_text("film,ill\n" + listed)
    text = OTHERS.format(column=IMAGE, format="", ending="csv", more="", other="")
    (at / "cohort.yaml").write_text(text)


def scans(at: Path) -> None:
    """DICOM files and their lists; who is shown stands in the files."""
    for site in ("big", "small"):
        names = [f"{site}{i}.dcm" for i in range(PATIENTS)]
        for i, name in enumerate(names):
            pixels = shades(seed=1000 * len(site) + i).astype(np.int16)
            who = {"PatientID": f"MRN-{site}-{i}", "PatientName": "Canary^Eve"}
            (at / name).write_bytes(dicom(pixels, **who))
        listed = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
        (at / f"{site}.csv").write_text("film,ill\n" + listed)
    reader = f"patient: who\nformat: {{reader: {READERS}.dicom.read, image: film, patient: who}}"
    text = OTHERS.format(column=IMAGE, format=reader, ending="csv", more="", other="")
    (at / "cohort.yaml").write_text(text)


def genes(at: Path) -> None:
    stream = np.random.default_rng(7)
    for site in ("big", "small"):
        names = [f"{site}{i}" for i in range(PATIENTS)]
        body = "".join(
            f"{n}," + ",".join(f"{v:.3f}" for v in stream.normal(size=5)) + "\n" for n in names
        )
        (at / f"{site}_matrix.csv").write_text("sample,1,2,3,4,5\n" + body)
        listed = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
        (at / f"{site}.csv").write_text("sample,ill\n" + listed)
    column = (
        "sample: {kind: expression, matrices: [{file: big_matrix.csv, values: log}, "
        "{file: small_matrix.csv, values: log}]}"
    )
    text = OTHERS.format(column=column, format="", ending="csv", more="", other="")
    (at / "cohort.yaml").write_text(text)


MAKERS: dict[str, Edit] = {
    "table": tables,
    "sequence": sequences,
    "image": films,
    "expression": genes,
}


# What the cases do to a sound cohort


def put(name: str, data: bytes | str) -> Edit:
    """The file holds this instead."""
    return lambda at: (at / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def swap(name: str, old: str, new: str) -> Edit:
    """Once, this instead of that."""

    def edit(at: Path) -> None:
        text = (at / name).read_text()
        assert old in text, f"{name} does not hold {old!r}"
        (at / name).write_text(text.replace(old, new, 1))

    return edit


def cell(line: int, column: str, value: str, name: str = "small.csv") -> Edit:
    """One cell of a table, in a line counted from 1."""

    def edit(at: Path) -> None:
        lines = [text.split(",") for text in (at / name).read_text().splitlines()]
        lines[line - 1][lines[0].index(column)] = value
        (at / name).write_text("".join(",".join(cells) + "\n" for cells in lines))

    return edit


def every(column: str, value: str | Callable[[int], str], name: str = "small.csv") -> Edit:
    """A whole column."""

    def edit(at: Path) -> None:
        lines = [text.split(",") for text in (at / name).read_text().splitlines()]
        place = lines[0].index(column)
        for i, cells in enumerate(lines[1:]):
            cells[place] = value if isinstance(value, str) else value(i)
        (at / name).write_text("".join(",".join(cells) + "\n" for cells in lines))

    return edit


def alter(name: str, change: Callable[[bytes], bytes]) -> Edit:
    """A change of a file's bytes."""
    return lambda at: (at / name).write_bytes(change((at / name).read_bytes()))


def absent(name: str) -> Edit:
    return lambda at: (at / name).unlink()


def folder(name: str) -> Edit:
    def edit(at: Path) -> None:
        (at / name).unlink()
        (at / name).mkdir()

    return edit


def link(name: str, target: str) -> Edit:
    """A symbolic link instead of the file."""

    def edit(at: Path) -> None:
        (at / name).unlink()
        (at / name).symlink_to(target)

    return edit


def both(*edits: Edit) -> Edit:
    def edit(at: Path) -> None:
        for one in edits:
            one(at)

    return edit


def archives_project(at: Path) -> Path:
    project(at, "image")
    archives(at / "clinic")
    return at


def scans_project(at: Path) -> Path:
    project(at, "image")
    scans(at / "clinic")
    return at

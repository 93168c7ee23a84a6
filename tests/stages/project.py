"""A copy of the project to run the real command in, and a cohort of one's own to give it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
COPIED = ("conf", "src", ".dvc/config", ".dvcignore", ".gitignore", "dvc.yaml", "data.dvc")
STRATEGIES = ("scratch", "fine_tune", "logistic_regression")
SMALL = (
    f"strategies=[{','.join(STRATEGIES)}]",
    "design.runs=2",
    "design.folds=2",
    "design.sources=2",
    "trainer.max_steps=50",
    "evaluation.draws=200",
)
# What is made from the results, apart from the report, which names its commit.
EQUAL = (
    "prepared/**/*",
    "pretrained/*",
    "finetuned/*/*",
    "evaluation/*.json",
    "evaluation/comparisons.parquet",
    "evaluation/figures/*",
    "champion/*",
)
OWN = ("cohort=own", "cohort.folder=data/mine", "cohort.source=[big]", "cohort.target=[small]")


def clone(folder: Path) -> Path:
    """What `git clone` gives: no data, no cache, no results."""
    folder.mkdir(parents=True)
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    return folder


def medgraft(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in the project at ``folder``, on that project's own source."""
    return python(folder, "-m", "medgraft.cli", *arguments)


def dvc(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return python(folder, "-m", "dvc", *arguments)


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    private = {"DVC_NO_ANALYTICS": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
    own = {"PYTHONPATH": str(folder / "src"), "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=os.environ | private | own,
        capture_output=True,
        text=True,
        check=False,
    )


def done(process: subprocess.CompletedProcess[str]) -> str:
    """Its output, once it is known to have succeeded."""
    assert process.returncode == 0, process.stdout + (process.stderr or "")
    return process.stdout


def ran(output: str) -> list[str]:
    """Stages that DVC executed, neither skipped nor taken from the run cache."""
    lines = output.splitlines()
    return [line.split("'")[1] for line in lines if line.startswith("Running stage")]


def results(folder: Path) -> dict[str, bytes]:
    """What was made from the data, by name: every file of `EQUAL`."""
    work = folder / "work"
    files = [path for pattern in EQUAL for path in work.glob(pattern) if path.is_file()]
    return {path.relative_to(work).as_posix(): path.read_bytes() for path in files}


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
    return subprocess.check_output(["git", *who, *arguments], cwd=folder, text=True)


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "Results")


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, f"{path} holds {old!r} {text.count(old)} times"
    path.write_text(text.replace(old, new))


DESCRIPTION = """\
name: mine
patient: id
outcomes:
  died: {column: died, task: binary, negative: [0], positive: [1]}
  grade: {column: grade, task: multiclass, classes: {low: [0], mid: [1], high: [2]}}
  stay: {column: stay, task: regression, unit: days}
columns:
  age: {kind: number, unit: years}
  crp: {kind: number, unit: mg/l}
  sodium: {kind: number, unit: mmol/l}
  potassium: {kind: number, unit: mmol/l}
  leukocytes: {kind: number, unit: 1/nl}
  sex: {kind: category, categories: {0: female, 1: male}}
  troponin: {kind: number, unit: ng/l}
sites:
  big: {file: big.csv}
  small: {file: small.csv, without: [troponin]}
"""


def own_cohort(root: Path) -> Path:
    """A folder as a user would bring it: 120 patients; 40 patients of two visits, one test less."""
    folder = root / "data" / "mine"
    folder.mkdir(parents=True)
    (folder / "cohort.yaml").write_text(DESCRIPTION)
    for site, patients, visits in (("big", 120, 1), ("small", 40, 2)):
        (folder / f"{site}.csv").write_text(table(site, patients, visits))
    return folder


def table(site: str, patients: int, visits: int) -> str:
    """Severity decides all outcomes and most measurements; some CRPs are missing."""
    stream = np.random.default_rng(patients)
    lines = []
    for patient in range(patients):
        severity = stream.normal()
        for visit in range(visits):
            noise = stream.normal(size=7)
            cells = {
                "id": f"{site}-{patient}",
                "age": f"{60 + 10 * severity + 3 * noise[0]:.2f}",
                "crp": f"{50 + 20 * severity + 6 * noise[1]:.2f}",
                "sodium": f"{140 - severity + 2 * noise[2]:.2f}",
                "potassium": f"{4 + 0.5 * noise[3]:.2f}",
                "leukocytes": f"{9 + 2 * severity + 2 * noise[4]:.2f}",
                "sex": patient % 2,
                "troponin": f"{20 + 5 * severity + noise[5]:.2f}",
                "died": int(severity > 0),
                "grade": int(np.digitize(severity, [-0.5, 0.5])),
                "stay": f"{8 + 3 * severity + 0.5 * noise[6]:.2f}",
            }
            if (patient + visit) % 11 == 0:
                cells["crp"] = ""
            if site == "small":
                del cells["troponin"]
            lines.append(cells)
    return "".join(
        ",".join(map(str, row)) + "\n" for row in [lines[0], *(c.values() for c in lines)]
    )

"""A small cohort of three sites: one like the target, one where chance decides, the target."""

import shutil
from pathlib import Path

import numpy as np

DESCRIPTION = """\
name: mine
patient: id
outcomes:
  died: {column: died, task: binary, negative: [0], positive: [1]}
  stay: {column: stay, task: regression, unit: days}
columns:
  a: {kind: number, unit: mg/l}
  b: {kind: number, unit: mg/l}
  c: {kind: number, unit: mg/l}
sites:
  alike: {file: alike.csv}
  chance: {file: chance.csv}
  small: {file: small.csv}
"""
# How strongly `a` decides who dies.
SITES = {"alike": (400, 3.0), "chance": (400, 0.0), "small": (80, 3.0)}
OWN = (
    "cohort=own", "cohort.folder=data/mine", "cohort.outcome.target=died",
    "cohort.source=[alike]", "cohort.target=[small]",
    "encoder.widths=[8]", "trainer.max_steps=300", "design.runs=1",
)  # fmt: skip


def lay(root: Path, folder: Path) -> Path:
    """A project in ``folder`` that has this cohort."""
    shutil.copytree(root / "conf", folder / "conf")
    (folder / "conf" / "chosen.yaml").unlink(missing_ok=True)
    shutil.copy(root / "dvc.yaml", folder)
    data = folder / "data" / "mine"
    data.mkdir(parents=True)
    (data / "cohort.yaml").write_text(DESCRIPTION)
    for seed, (site, (rows, strength)) in enumerate(SITES.items()):
        (data / f"{site}.csv").write_text(table(site, rows, strength, seed))
    return folder


def table(site: str, rows: int, strength: float, seed: int) -> str:
    stream = np.random.default_rng(seed)
    x = stream.normal(size=(rows, 3))
    drive = strength * x[:, 0] + stream.logistic(size=rows)
    lines = [f"{site}-{i},{a},{b},{c},{int(d > 0)},{d}" for i, ((a, b, c), d) in
             enumerate(zip(x.round(3), drive, strict=True))]  # fmt: skip
    return "\n".join(["id,a,b,c,died,stay", *lines]) + "\n"


def files(folder) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}

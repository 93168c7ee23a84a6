"""How much a sweep flatters itself where there is nothing to find.

`python benchmarks/sweep_chance.py [WORLDS]`: 80 target and 400 source patients whose outcome is
chance, 20 trials of conf/sweep/default.yaml, then the winner and the settings as they are on test
patients. The truth is AUROC 0.5.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np  # noqa: E402

from medgraft.config import validate  # noqa: E402
from medgraft.evaluation.predictions import load_study  # noqa: E402
from medgraft.stages import finetune, preprocess, pretrain  # noqa: E402
from medgraft.sweep.best import summary  # noqa: E402
from medgraft.sweep.run import Sweep, search  # noqa: E402
from sites import OWN, lay, table  # noqa: E402

STRATEGIES = ("scratch", "fine_tune")
GIVEN = [
    *(one for one in OWN if "max_steps" not in one),
    "trainer.max_steps=100",
    f"strategies=[{','.join(STRATEGIES)}]",
    "n=20",
]


def tested(sweep: Sweep, values: dict, folder: Path) -> float:
    """Mean test AUROC of both strategies with these settings."""
    params = sweep.compose(values)
    params["cohort"]["folder"] = str(sweep.bench.raw)
    config, prepared, pretrained = validate(params), folder / "prepared", folder / "pretrained"
    preprocess.carry_out(config, out=prepared)
    pretrain.carry_out(config, prepared=prepared, out=pretrained)
    for name in STRATEGIES:
        out = folder / "tuned" / name
        finetune.carry_out(name, config, prepared=prepared, pretrained=pretrained, out=out)
    study = load_study(prepared, folder / "tuned")
    weight, metric = np.ones((1, len(study.outcome))), sweep.metrics["auroc"]
    results = [study.strategies[name] for name in STRATEGIES]
    return float(np.mean([metric(study.outcome, r.test[0], weight, r.fold[0])[0] for r in results]))


def world(number: int) -> tuple[float, ...]:
    """Validation and test AUROC of the winner, then of the settings as they are."""
    with tempfile.TemporaryDirectory() as name:
        project = lay(ROOT, Path(name))
        for site, rows, seed in (("small", 80, 100), ("alike", 400, 200)):
            path = project / "data" / "mine" / f"{site}.csv"
            path.write_text(table(site, rows, 0.0, seed + number))
        sweep = Sweep.read(project, GIVEN, mirror=None)
        search(sweep, [], workers=1)
        told = summary(sweep)
        found = []
        for one in (told["best"], told["trials"][0]):
            folder = project / str(len(found))
            found += [one["values"][0], tested(sweep, one["params"], folder)]
        return tuple(found)


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    found = np.array([world(number) for number in range(worlds)])
    for at, what in ((0, "winner"), (2, "as it is")):
        print(f"{what}: validation {found[:, at].mean():.3f}, test {found[:, at + 1].mean():.3f}")
    gap = found[:, 1] - found[:, 3]
    error = gap.std(ddof=1) / worlds**0.5 if worlds > 1 else np.nan
    print(f"winner minus as it is, test: {gap.mean():+.3f} (standard error {error:.3f})")


if __name__ == "__main__":
    main()

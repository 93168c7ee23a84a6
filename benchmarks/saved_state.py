"""What share of a training's time goes into saving its state.

python benchmarks/saved_state.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.training import simulated as sim  # noqa: E402

from medgraft.training import resume  # noqa: E402
from medgraft.training.course import Course  # noqa: E402
from medgraft.training.fit import fit  # noqa: E402
from medgraft.training.patients import Patients  # noqa: E402


def main() -> None:
    """Three replicas of a small network, 8,000 steps, a check every 25."""
    spent, save = [], resume.Scratch.save

    def timed(self: resume.Scratch, *states: tuple) -> None:
        start = time.monotonic()
        save(self, *states)
        spent.append(time.monotonic() - start)

    resume.Scratch.save = timed  # type: ignore[method-assign]
    cohort, plan = sim.cohort(120), sim.design((12, 40, 25), 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts(encoder=sim.MLP))
    trained = {name for name, _ in template.named_parameters()}
    trainer = sim.trainer(max_steps=8000, patience=100_000, check_every=25)
    settings = {"config": sim.fit_config(sim.ADAMW), "trainer": trainer}
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, resume.resumable(Path(folder) / "s", ["same"]):
        fit(
            template, state, patients, trained=trained, course=Course(start_counts=True), **settings
        )
    whole = time.monotonic() - start
    share = sum(spent) / whole
    print(f"{len(spent)} saves, {sum(spent):.2f} s of {whole:.1f} s: {share:.2%}")


if __name__ == "__main__":
    main()

"""The configuration decides on every bit; how many cores there are does not."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
# Large enough that on some machines other numbers of threads add in other orders.
TRAIN = """
import hashlib, sys
from medgraft.training.fit import fit
from medgraft.training.patients import Patients
from tests.training import simulated as sim

cohort, plan = sim.cohort(3200), sim.design((3000,), 3200)
columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
patients = Patients(cohort.x, cohort.y, *columns)
wide = sim.parts(encoder=sim.MLP | {"widths": [256, 256]})
template, state = sim.start(cohort, patients, wide)
found, _ = fit(
    template, state, patients,
    trained={name for name, _ in template.named_parameters()},
    config=sim.fit_config(batch_size=1024),
    trainer=sim.trainer(threads=int(sys.argv[1]), max_steps=20),
)
digest = hashlib.sha256()
for name in sorted(found):
    digest.update(found[name].numpy().tobytes())
print(digest.hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux to bind cores")
@pytest.mark.parametrize("threads", [1, 4])
def test_as_many_threads_give_the_same_bits_on_any_number_of_cores(threads, root):
    cores = sorted(os.sched_getaffinity(0))
    found = [
        subprocess.run(
            [sys.executable, "-c", TRAIN, str(threads)],
            cwd=root,
            preexec_fn=lambda some=some: os.sched_setaffinity(0, some),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for some in (cores[:1], cores)
    ]
    assert found[0] == found[1] != ""

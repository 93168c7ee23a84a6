"""``benchmarks/gpu.py`` runs where there is no GPU, and its two sides do the same."""

import runpy
import subprocess
import sys

import pytest
import torch


@pytest.fixture(scope="module")
def script(root):
    return root / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def benchmark(script):
    return runpy.run_path(str(script))


def test_both_sides_do_the_same_steps(benchmark, tmp_path):
    """Or their times could not be compared: the same weights after five steps in bf16."""
    for cohort in benchmark["cohorts"](tmp_path, 64, quick=True):
        do = {"batch": 8, "steps": 5, "device": torch.device("cpu")}
        found, expected = benchmark["ours"](cohort, count=1, **do), benchmark["bare"](cohort, **do)
        fresh = benchmark["build"](cohort.spec, cohort.schema, seed=0).state_dict()
        for name, value in expected.items():
            torch.testing.assert_close(found[name][0], value, rtol=1e-3, atol=1e-4)
        assert any(not torch.allclose(fresh[n], expected[n], atol=1e-4) for n in fresh)


@pytest.mark.slow
def test_tables_are_whole(script):
    told = subprocess.run(
        [sys.executable, script, "--device", "cpu", "--quick"],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    ).stdout
    rows = [line.split(" | ") for line in told.splitlines() if line.startswith("| ")]
    assert {len(one) for one in rows} == {6}
    assert [one[:2] for one in rows if one[0] == "| image"] == [
        ["| image", batch_or_replicas] for batch_or_replicas in "48124"
    ]
    assert len(rows) == 2 * 2 + 2 * 5


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_absent_gpu_is_one_line(script):
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=False)
    assert done.stderr == ("no GPU: torch sees none; --device cpu --quick tries the script out\n")
    assert (done.returncode, done.stdout) == (1, "")

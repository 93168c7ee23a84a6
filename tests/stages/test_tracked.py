"""What MLflow holds after a pipeline run, whoever started it and on however many processes."""

import hashlib
import json
from collections import Counter

import polars as pl
import pytest
from polars.testing import assert_frame_equal
from safetensors.torch import load_file
from torch.testing import assert_close

from medgraft.tracking import session

from .project import SMALL, STRATEGIES, clone, done, medgraft

pytestmark = pytest.mark.slow

STAGES = ["preprocess", "pretrain", *(f"finetune@{name}" for name in STRATEGIES), "evaluate"]
# Halves of a batch are summed in another order than the whole, and AdamW divides by small numbers.
CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def runs(project) -> list:
    """All runs of the project's MLflow, newest first."""
    with session(f"sqlite:///{project / 'mlflow' / 'mlflow.db'}", project) as client:
        experiments = [one.experiment_id for one in client.search_experiments()]
        return list(client.search_runs(experiments, max_results=1000))


def by_stage(found) -> dict:
    return {run.data.tags["dvc_stage"]: run for run in found}


def files(folder) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def digests(folder, pattern: str) -> dict[str, str]:
    """File -> hash of its content."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob(pattern)
    }


@pytest.fixture(scope="module")
def shared_by_two(tmp_path_factory):
    """The small run from nothing, every batch shared by two processes over gloo."""
    folder = clone(tmp_path_factory.mktemp("ddp") / "project")
    done(medgraft(folder, "repro", *SMALL, "trainer=ddp", "trainer.accelerator=cpu"))
    return folder


def test_two_processes_write_once(finished_once, shared_by_two):
    """The second process adds no file, and no run to MLflow."""
    assert files(shared_by_two / "work") == files(finished_once / "work")
    stages = Counter(run.data.tags["dvc_stage"] for run in runs(shared_by_two))
    assert stages == Counter(["pipeline", *STAGES])
    ids = {run.info.run_id for run in runs(shared_by_two) if "champion" in run.data.tags}
    parents = {run.data.tags.get("mlflow.parentRunId") for run in runs(shared_by_two)}
    assert parents == {None, *ids}


def test_two_processes_give_the_results_of_one(finished_once, shared_by_two):
    one, two = finished_once / "work", shared_by_two / "work"
    expected = load_file(one / "pretrained" / "weights.safetensors")
    found = load_file(two / "pretrained" / "weights.safetensors")
    assert found.keys() == expected.keys()
    # To the bit they differ: else one process did it all.
    assert any(not found[name].equal(value) for name, value in expected.items())
    for name, value in expected.items():
        assert_close(found[name], value, **CLOSE, equal_nan=True)
    for name in STRATEGIES:
        table = f"finetuned/{name}/predictions.parquet"
        left, right = pl.read_parquet(two / table), pl.read_parquet(one / table)
        assert_frame_equal(left, right, rel_tol=CLOSE["rtol"], abs_tol=1e-3)
    assert (
        json.loads((two / "evaluation" / "verdict.json").read_text())["champion"]["strategy"]
        == (json.loads((one / "evaluation" / "verdict.json").read_text())["champion"]["strategy"])
    )


def test_metrics_have_one_name_everywhere(finished_once):
    """In metrics.json, in what `dvc metrics` shows and in MLflow; one row per strategy.

    MLflow shows the reference's difference to itself, which is no result, as nothing.
    """
    evaluation = finished_once / "work" / "evaluation"
    metrics = json.loads((evaluation / "metrics.json").read_text())
    found = by_stage(runs(finished_once))
    for strategy, headline in json.loads((evaluation / "headline.json").read_text()).items():
        logged = found[f"finetune@{strategy}"].data.metrics
        told = headline | ({"difference": 0} if headline["difference"] is None else {})
        assert {name: logged.get(name) for name in headline} == told
    for strategy, named in metrics.items():
        logged = found[f"finetune@{strategy}"].data.metrics
        for metric, number in named.items():
            ends = {"": "value", "_low": "low", "_high": "high"}
            for end, key in ends.items():
                assert logged.get(f"{metric}{end}") == number[key]


def test_search_gives_a_tidy_table(finished_once):
    """As an analyst asks: one row per strategy, intervals beside the values."""
    import mlflow

    with session(f"sqlite:///{finished_once / 'mlflow' / 'mlflow.db'}", finished_once) as client:
        mlflow.set_tracking_uri(client.tracking_uri)
    table = mlflow.search_runs(
        experiment_names=["breast"], filter_string="tags.dvc_stage LIKE 'finetune%'"
    )
    mlflow.set_tracking_uri(None)
    table = table.set_index("params.strategy")
    assert sorted(table.index) == sorted(STRATEGIES)
    interval = table[["metrics.auroc_low", "metrics.auroc", "metrics.auroc_high"]]
    assert interval.notna().all(axis=None)
    assert (interval.diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    tags = table[[f"tags.{name}" for name in ("git_commit", "git_dirty", "data", "design")]]
    assert (tags.nunique() == 1).all()


def test_weights_are_kept_once(finished_once):
    """DVC owns them; MLflow has the champion's and no other."""
    work = digests(finished_once / "work", "*.safetensors")
    logged = digests(finished_once / "mlflow", "*.safetensors")
    # Copies of this project, in other tests, keep their champions here too.
    champion = {name for name in work if name.startswith("champion/")}
    assert "champion/weights.safetensors" in champion
    for name in champion:
        assert work.pop(name) in logged.values()
    assert not set(logged.values()) & set(work.values())
    assert len(set(work.values())) == len(work) == 1 + len(STRATEGIES)


def test_reused_stages_say_so(finished):
    """Only the draws of the bootstrap change: nothing is trained, and MLflow does not pretend."""
    first = by_stage(runs(finished))
    overrides = [one for one in SMALL if not one.startswith("evaluation.draws")]
    done(medgraft(finished, "repro", *overrides, "evaluation.draws=300"))
    everything = runs(finished)
    second = by_stage(run for run in everything if run.info.run_id not in {
        old.info.run_id for old in first.values()
    })  # fmt: skip
    assert len(everything) == 2 * len(first)
    reused = {stage for stage, run in second.items() if run.data.tags.get("reused") == "true"}
    assert reused == set(STAGES) - {"evaluate"}
    for stage in reused:
        assert second[stage].data.tags["reused_from"] == first[stage].info.run_id
    assert second["evaluate"].data.params["evaluation.draws"] == "300"

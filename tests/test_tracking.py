import errno
import hashlib
import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from medgraft.errors import MedgraftError, StageError
from medgraft.tracking import track

TAGS = {"git_commit": "0123456789abcdef", "dirty": "false", "data_hash": "d1", "design_hash": "e1"}


def _strategy(name: str, init: str, **settings: object) -> dict:
    """What dvc.yaml declares for a strategy: its own yaml under its name, and what all share."""
    own = {"description": "…", "uses_source": init == "source"}
    own |= {"init": {"_target_": f"medgraft.transfer.init.{init}"}}
    return {"strategies": {name: own | settings}, "encoder": {"_target_": "a.b.Mlp", "widths": [8]}}


PARAMS = {
    "pipeline": {"seed": 1},
    "preprocess": {"cohort": {"source": ["cleveland"], "target": "va"}, "seed": 1},
    "pretrain": {"trainer": {"learning_rate": 0.001, "steps": 40}},
    "finetune@fine_tune": _strategy("fine_tune", "source", rate=1e-4),
    "finetune@from_scratch": _strategy("from_scratch", "random", rate=1e-3),
    "finetune@source_as_is": _strategy("source_as_is", "source"),
    "evaluate": {"draws": 2000, "metrics": {"auroc": {"_target_": "m.Auroc"}, "brier": {}}},
}
VALUES = {  # auroc, low, high; difference, low, high, p_holm; verdict
    "fine_tune": (0.78, 0.71, 0.84, 0.06, 0.01, 0.11, 0.03, "helps"),
    "from_scratch": (0.72, 0.64, 0.79, None, None, None, None, "reference"),
    "source_as_is": (0.74, 0.66, 0.80, 0.02, -0.04, 0.08, 0.52, "cannot tell"),
}
SENTENCE = "Transfer helps: auroc 0.78 instead of 0.72 (difference 0.06, 95 % 0.01 to 0.11)."


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def _history(path: Path, steps: int = 40) -> None:
    """Two replicas; the second stops at half way, so later steps have one value."""
    rows = [
        {
            "replica": replica,
            "step": step,
            "train_loss": math.exp(-step / 20) + replica,
            "validation_loss": math.nan if replica and step >= steps // 2 else 1.0 + replica,
        }
        for replica in (0, 1)
        for step in range(steps)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(rows).write_parquet(path)


def _prepare(folder: Path, site: str, rows: int) -> None:
    """Two rows of each patient, two features; the digest differs between cohorts."""
    features = [{"name": "age", "kind": "number"}, {"name": "sex", "kind": "category"}]
    _write_json(folder / "schema.json", {"sites": [site], "features": features})
    patients = pl.DataFrame({"patient": [row // 2 for row in range(rows)]})
    patients.write_parquet(folder / "patients.parquet")
    (folder / "SHA256SUMS").write_text(f"{site}  x.npy\n", encoding="utf-8")


def _verdict() -> dict:
    strategies = {
        name: {
            "value": value,
            "difference": difference,
            "low": low,
            "high": high,
            "p": p,
            "p_holm": p,
            "verdict": verdict,
            "smallest_effect": 0.02,
            "higher_is_better": True,
            "description": f"{name.replace('_', ' ')} on the target cohort",
            "uses_source": name != "from_scratch",
        }
        for name, (value, _, _, difference, low, high, p, verdict) in VALUES.items()
        if verdict != "reference"
    }
    return {
        "primary": "auroc",
        "reference": "from_scratch",
        "task": "binary",
        "patients": 200,
        "rows": 200,
        "runs": 5,
        "draws": 2000,
        "strategies": strategies,
        "champion": {
            "strategy": "fine_tune",
            "reason": "best mean rank on the validation patients",
            "uses_source": True,
            "candidates": ["fine_tune", "source_as_is", "from_scratch"],
        },
        "sentence": SENTENCE,
    }


def _metrics() -> dict:
    return {
        name: {
            "auroc": {"value": value, "low": low, "high": high, "undefined": 0},
            "sensitivity": {"value": 0.5, "low": None, "high": None, "undefined": 7},
        }
        for name, (value, low, high, *_) in VALUES.items()
    }


def _make_work(work: Path) -> Path:
    for cohort, site, rows in (("source", "cleveland", 303), ("target", "va", 200)):
        _prepare(work / "prepared" / cohort, site, rows)
    _history(work / "pretrained" / "history.parquet")
    (work / "pretrained" / "weights.safetensors").write_bytes(b"w" * 64)
    for strategy in VALUES:
        (work / "finetuned" / strategy).mkdir(parents=True)
        (work / "finetuned" / strategy / "weights.safetensors").write_bytes(b"w" * 64)
    _history(work / "finetuned" / "fine_tune" / "history.parquet")
    _history(work / "finetuned" / "from_scratch" / "history.parquet", steps=600)
    _write_json(work / "evaluation" / "verdict.json", _verdict())
    _write_json(work / "evaluation" / "metrics.json", _metrics())
    (work / "evaluation" / "figures").mkdir()
    (work / "evaluation" / "figures" / "comparison.svg").write_text("<svg/>", encoding="utf-8")
    (work / "evaluation" / "report.html").write_text("<p>report</p>", encoding="utf-8")
    return work


def _track(work: Path, uri: str, **changes: object) -> dict[str, str]:
    arguments: dict = {
        "params": PARAMS,
        "uri": uri,
        "experiment": "heart",
        "tags": TAGS,
        "reused": set(),
        "previous": {},
    }
    return track(work, **(arguments | changes))


def _client(uri: str):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """One finished pipeline run in a fresh database: folder, uri, run ids."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow' / 'mlflow.db'}"
    return folder, uri, _track(_make_work(folder / "work"), uri)


@pytest.fixture(scope="module")
def table(store):
    """`mlflow.search_runs` as an analyst would call it, by run name."""
    import mlflow

    _, uri, _ = store
    mlflow.set_tracking_uri(uri)
    runs = mlflow.search_runs(experiment_names=["heart"])
    mlflow.set_tracking_uri(None)
    return runs.set_index("tags.mlflow.runName")


def test_strategies_have_tidy_rows(table):
    for name, (value, low, high, difference, *rest) in VALUES.items():
        row = table.loc[name]
        assert tuple(row[["metrics.auroc", "metrics.auroc_low", "metrics.auroc_high"]]) == (
            value,
            low,
            high,
        )
        logged = row[[f"metrics.difference{end}" for end in ("", "_low", "_high")]]
        # The reference minus itself is nothing, in chart and table.
        assert logged.to_list() == [x or 0 for x in (difference, *rest[:2])]
        assert row["tags.verdict"] == rest[3]


def test_null_numbers_are_skipped(store):
    _, uri, ids = store
    metrics = _client(uri).get_run(ids["finetune@from_scratch"]).data.metrics
    assert metrics["sensitivity"] == 0.5
    assert not {"sensitivity_low", "p_holm"} & set(metrics)


def test_parent_carries_champion_numbers(store):
    _, uri, ids = store
    parent = _client(uri).get_run(ids["pipeline"])
    champion = _client(uri).get_run(ids["finetune@fine_tune"])
    assert parent.info.run_name == "helps: cleveland → va"
    shared = champion.data.metrics.keys() - {"train_loss", "validation_loss"}
    assert parent.data.metrics == {name: champion.data.metrics[name] for name in shared}
    assert parent.data.tags["mlflow.note.content"].startswith(f"**{SENTENCE}**")


def test_children_name_their_parent(store, table):
    _, _, ids = store
    children = table.drop(index="helps: cleveland → va")
    assert set(children["tags.mlflow.parentRunId"]) == {ids["pipeline"]}
    assert set(children["tags.dvc_stage"]) == set(PARAMS) - {"pipeline"}
    assert set(children["status"]) == {"FINISHED"}


def test_newest_first_reads_in_pipeline_order(store):
    _, uri, ids = store
    client = _client(uri)
    runs = client.search_runs(client.get_experiment_by_name("heart").experiment_id)
    stages = [r.data.tags["dvc_stage"] for r in runs if r.info.run_id in ids.values()]
    assert stages == [*list(PARAMS)[1:], "pipeline"]


def test_logging_time_is_no_duration(store):
    # MLflow would show the milliseconds of logging as if they were the training's.
    _, uri, ids = store
    assert {_client(uri).get_run(run_id).info.end_time for run_id in ids.values()} == {None}


def test_parent_describes_strategies_best_first(store):
    _, uri, ids = store
    note = _client(uri).get_run(ids["pipeline"]).data.tags["mlflow.note.content"]
    rows = [line for line in note.splitlines() if line.startswith("|")]
    assert rows[2:] == [
        "| fine_tune | 0.780 | +0.060 (+0.010 to +0.110) | helps |",
        "| source_as_is | 0.740 | +0.020 (-0.040 to +0.080) | cannot tell |",
        "| from_scratch | 0.720 | – | reference |",
    ]


def test_notes_lead_on(store):
    """To the figure, kept once by the pipeline run; from it to the comparison and the report."""
    _, uri, ids = store
    client = _client(uri)
    notes = {
        stage: client.get_run(run_id).data.tags["mlflow.note.content"]
        for stage, run_id in ids.items()
    }
    figure = f"(get-artifact?path=figures%2Fcomparison.svg&run_uuid={ids['pipeline']})"
    strategies = [stage for stage in PARAMS if stage.startswith("finetune@")]
    assert [stage for stage, note in notes.items() if figure not in note] == []
    sentence = notes["pipeline"].partition("\n")[0]
    assert {stage for stage, note in notes.items() if sentence in note} == {*notes} - {*strategies}
    experiment = client.get_experiment_by_name("heart").experiment_id
    page = f"#/experiments/{experiment}/runs/{ids['pipeline']}/artifacts/report.html"
    assert f"[Report]({page})" in notes["pipeline"]
    (address,) = re.findall(r"\[Compare the strategies\]\(#/(.*?)\)", notes["pipeline"])
    asked = parse_qs(urlsplit(address).query)
    assert json.loads(asked["runs"][0]) == [ids[stage] for stage in strategies]
    assert json.loads(asked["experiments"][0]) == [experiment]


def test_note_without_figure_shows_none(store, tmp_path):
    _, uri, _ = store
    work = _make_work(tmp_path / "work")
    (work / "evaluation" / "figures" / "comparison.svg").unlink()
    ids = _track(work, uri, experiment="no figure")
    for run_id in ids.values():
        assert "![" not in _client(uri).get_run(run_id).data.tags["mlflow.note.content"]


def _datasets(run) -> dict[str, tuple[str, str]]:
    """Name -> digest and context of each of a run's datasets."""
    return {
        one.dataset.name: (one.dataset.digest, {tag.key: tag.value for tag in one.tags})
        for one in run.inputs.dataset_inputs
    }


def test_runs_name_their_cohorts(store):
    """Who was learned from and who was predicted, under a hash of the prepared files."""
    folder, uri, ids = store
    used = {
        cohort: (
            hashlib.sha256((folder / "work/prepared" / kind / "SHA256SUMS").read_bytes())
            .hexdigest()[:12],
            {"mlflow.data.context": context},
        )
        for cohort, kind, context in (
            ("cleveland", "source", "training"),
            ("va", "target", "evaluation"),
        )
    }  # fmt: skip
    both, source, target = {"cleveland", "va"}, {"cleveland"}, {"va"}
    expected = dict.fromkeys(ids, both)
    expected |= {"pretrain": source, "evaluate": target, "finetune@from_scratch": target}
    found = {stage: _datasets(_client(uri).get_run(run_id)) for stage, run_id in ids.items()}
    assert found == {
        stage: {name: used[name] for name in names} for stage, names in expected.items()
    }


def test_datasets_hold_counts_only(store):
    _, uri, ids = store
    run = _client(uri).get_run(ids["evaluate"])
    (used,) = [one.dataset for one in run.inputs.dataset_inputs]
    assert json.loads(used.profile) == {"patients": 100, "rows": 200, "columns": 2}
    assert json.loads(used.source) == {"uri": "work/prepared/target"}
    assert json.loads(used.schema)["mlflow_colspec"] == [
        {"name": "age", "type": "double"},
        {"name": "sex", "type": "string"},
    ]


def test_dataset_of_other_patients_has_another_digest(store, tmp_path):
    _, uri, ids = store
    work = _make_work(tmp_path / "work")
    (work / "prepared" / "target" / "SHA256SUMS").write_text("other  x.npy\n", encoding="utf-8")
    other = _track(work, uri, experiment="other patients")
    before, after = (_datasets(_client(uri).get_run(run["pipeline"])) for run in (ids, other))
    assert before["cleveland"] == after["cleveland"]
    assert before["va"][0] != after["va"][0]


def test_params_are_short_and_comparable(store):
    """Every strategy says the same things under the same names; prose is in the description."""
    _, uri, ids = store
    shared = {"encoder": "Mlp", "encoder.widths": "[8]"}
    for name, init, rate in (
        ("fine_tune", "source", "0.0001"),
        ("from_scratch", "random", "0.001"),
    ):
        assert _client(uri).get_run(ids[f"finetune@{name}"]).data.params == shared | {
            "strategy.uses_source": str(name != "from_scratch").lower(),
            "strategy": name,
            "strategy.init": init,
            "strategy.rate": rate,
        }


def test_pipeline_has_the_params_of_all(store):
    """So that two pipeline runs can be compared without opening them."""
    _, uri, ids = store
    assert _client(uri).get_run(ids["pipeline"]).data.params == {
        "seed": "1",
        "cohort.source": "cleveland",
        "cohort.target": "va",
        "trainer.learning_rate": "0.001",
        "trainer.steps": "40",
        "encoder": "Mlp",
        "encoder.widths": "[8]",
        "strategies": "fine_tune, from_scratch, source_as_is",
        "draws": "2000",
        "metrics": "auroc, brier",
    }


def test_primary_metric_comes_first(store):
    """Before the other metrics, with its interval and its difference to the reference."""
    _, uri, ids = store
    for key in ("pipeline", "finetune@fine_tune"):
        assert list(_client(uri).get_run(ids[key]).data.metrics)[:7] == [
            *("auroc", "auroc_low", "auroc_high"),
            *("difference", "difference_low", "difference_high", "p_holm"),
        ]


def test_strategy_describes_itself(store):
    _, uri, ids = store
    notes = {
        name: _client(uri).get_run(ids[f"finetune@{name}"]).data.tags["mlflow.note.content"]
        for name in ("fine_tune", "from_scratch")
    }
    assert {name: note.partition("\n\n![")[0] for name, note in notes.items()} == {
        "fine_tune": "**helps** – fine tune on the target cohort\n\nauroc 0.780 (95 % CI 0.710 to "
        "0.840), +0.060 (+0.010 to +0.110) compared with from_scratch",
        "from_scratch": "**reference** – what every other strategy is compared with\n\n"
        "auroc 0.720 (95 % CI 0.640 to 0.790)",
    }


def test_experiment_links_to_tables(store):
    """Of what a reader looks for; MLflow's own table shows neither metric nor verdict."""
    _, uri, _ = store
    experiment = _client(uri).get_experiment_by_name("heart")
    note = experiment.tags["mlflow.note.content"]
    page = f"#/experiments/{experiment.experiment_id}/runs?workflowType=machine_learning"
    assert f"[Strategies, best first]({page}&viewStateShareKey=strategies)" in note
    view = json.loads(experiment.tags["mlflow.sharedViewState.strategies"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`auroc`", False)
    shown = [name.split("`")[1] for name in view["selectedColumns"]]
    assert shown == [
        "verdict",
        *("auroc", "auroc_low", "auroc_high"),
        *("difference", "difference_low", "difference_high", "p_holm", "dvc_exp", "reused"),
    ]
    assert [chart["metricKey"] for chart in view["compareRunCharts"]] == ["auroc", "difference"]
    assert f"[as bars]({page}&viewStateShareKey=strategies&compareRunsMode=CHART)" in note


def test_empty_tags_are_left_out(store):
    folder, uri, _ = store
    ids = _track(folder / "work", uri, tags=TAGS | {"dvc_exp": ""}, experiment="tags")
    tags = _client(uri).get_run(ids["evaluate"]).data.tags
    assert TAGS.items() <= tags.items()
    assert "dvc_exp" not in tags


def test_curves_average_present_replicas(store):
    _, uri, ids = store
    history = _client(uri).get_metric_history(ids["finetune@fine_tune"], "validation_loss")
    assert [point.value for point in history] == [1.5] * 20 + [1.0] * 20
    assert [point.step for point in history] == list(range(40))


def test_long_stages_say_how_busy_the_machine_was(store, tmp_path):
    """Under the names of MLflow's own system metrics; a stage that did not run says nothing."""
    _, uri, _ = store
    work = _make_work(tmp_path / "work")
    samples = [
        {"time": 1_700_000_000_000 + 10_000 * i, "cpu_utilization_percentage": 50.0 + i}
        for i in range(3)
    ]
    _write_json(work / "ran" / "finetune@fine_tune", samples)
    (work / "ran" / "pretrain").touch()  # as a version without samples left it
    ids = _track(work, uri, experiment="busy")
    client = _client(uri)
    name = "system/cpu_utilization_percentage"
    history = client.get_metric_history(ids["finetune@fine_tune"], name)
    assert [(point.timestamp, point.step, point.value) for point in history] == [
        (sample["time"], step, 50.0 + step) for step, sample in enumerate(samples)
    ]
    for stage in set(ids) - {"finetune@fine_tune"}:
        assert name not in client.get_run(ids[stage]).data.metrics


def test_long_curves_are_complete(store):
    # 600 steps of two curves are more than MLflow takes in one request.
    _, uri, ids = store
    history = _client(uri).get_metric_history(ids["finetune@from_scratch"], "train_loss")
    assert len(history) == 600
    assert history[-1].value == pytest.approx(math.exp(-599 / 20) + 0.5)


def test_artifacts_hold_no_weights(store):
    folder, uri, ids = store
    files = {path.name for path in (folder / "mlflow" / "artifacts").rglob("*") if path.is_file()}
    assert files == {"report.html", "comparison.svg", "verdict.json", "metrics.json"}
    logged = [item.path for item in _client(uri).list_artifacts(ids["pipeline"])]
    assert logged == ["figures", "metrics.json", "report.html", "verdict.json"]


def test_reused_stage_keeps_metrics(store):
    folder, uri, first = store
    second = _track(folder / "work", uri, reused={"finetune@fine_tune"}, previous=first)
    data = _client(uri).get_run(second["finetune@fine_tune"]).data
    assert data.tags["reused"] == "true"
    note = data.tags["mlflow.note.content"]
    assert "compared with from_scratch\n\n" in note
    assert note.endswith("Reused: not run again, because nothing it depends on had changed.")
    assert data.tags["reused_from"] == first["finetune@fine_tune"]
    assert data.metrics == _client(uri).get_run(first["finetune@fine_tune"]).data.metrics
    assert "reused" not in _client(uri).get_run(second["pretrain"]).data.tags


def test_failed_run_has_no_verdict(store, tmp_path):
    _, uri, _ = store
    work = _make_work(tmp_path / "work")
    (work / "finetuned" / "fine_tune" / "history.parquet").unlink()
    (work / "finetuned" / "fine_tune" / "weights.safetensors").unlink()
    (work / "finetuned" / "fine_tune").rmdir()
    ids = _track(work, uri, status="FAILED")
    parent = _client(uri).get_run(ids["pipeline"])
    assert parent.info.status == "FAILED"
    assert parent.info.run_name == "failed: cleveland → va"
    assert parent.data.metrics == {}
    assert "finetune@fine_tune" not in ids


@pytest.mark.parametrize(
    ("error", "seen", "status"),
    [(KeyboardInterrupt, KeyboardInterrupt, "KILLED"), (OSError, MedgraftError, "FAILED")],
)
def test_broken_logging_is_visible(store, monkeypatch, error, seen, status):
    import mlflow

    def fail(*_: object) -> None:
        raise error("disk full")

    folder, uri, _ = store
    monkeypatch.setattr(mlflow.MlflowClient, "log_artifact", fail)
    with pytest.raises(seen, match="disk full"):
        _track(folder / "work", uri, experiment=status)
    client = _client(uri)
    runs = client.search_runs(client.get_experiment_by_name(status).experiment_id)
    assert [run.info.status for run in runs] == [status]


def test_long_values_are_shortened(store):
    folder, uri, _ = store
    params = {"evaluate": {"a/b (mg)": "x" * 9000, "empty": {}, "none": None}}
    ids = _track(folder / "work", uri, params=params)
    logged = _client(uri).get_run(ids["evaluate"]).data.params
    assert logged == {"a/b _mg_": "x" * 5999 + "…", "empty": "{}", "none": "null"}


def test_unknown_stage_is_named(tmp_path):
    with pytest.raises(StageError, match=r"unknown stages \['fine_tune'\]: expected evaluate"):
        _track(tmp_path, "sqlite:///never.db", params={"fine_tune": {}})


def test_unknown_reused_stage_is_named(tmp_path):
    with pytest.raises(StageError, match=r"reused stages \['pretrain2'\] are not among"):
        _track(tmp_path, "sqlite:///never.db", reused={"pretrain2"})


def test_missing_output_is_named(tmp_path):
    work = _make_work(tmp_path / "work")
    params = {"finetune@l2_sp": {}}
    with pytest.raises(StageError, match=r"finetune@l2_sp finished, but its folder .* not exist"):
        _track(work, "sqlite:///never.db", params=params)


def test_missing_verdict_is_named(tmp_path):
    work = _make_work(tmp_path / "work")
    (work / "evaluation" / "verdict.json").unlink()
    with pytest.raises(StageError, match=r"a finished run has .*verdict.json, but it does not"):
        _track(work, "sqlite:///never.db")


def test_dead_server_gives_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    began = time.monotonic()
    with pytest.raises(MedgraftError) as caught:
        _track(_make_work(tmp_path / "work"), "http://nurse:secret@127.0.0.1:9")
    message = str(caught.value)
    assert message == (
        f"MLflow at http://127.0.0.1:9 failed: [Errno {errno.ECONNREFUSED}] Connection refused. "
        f"The results in {tmp_path / 'work'} are kept; check the address and track again."
    )
    assert time.monotonic() - began < 30


def test_foreign_database_gives_one_line(tmp_path):
    (tmp_path / "notes.db").write_text("not a database " * 100, encoding="utf-8")
    with pytest.raises(MedgraftError, match="file is not a database"):
        _track(_make_work(tmp_path / "work"), f"sqlite:///{tmp_path / 'notes.db'}")


def _python(code: str, folder: Path) -> subprocess.Popen:
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_import_leaves_mlflow_out(tmp_path):
    code = "import sys, medgraft.tracking; print('mlflow' in sys.modules)"
    output, _ = _python(code, tmp_path).communicate()
    assert output.strip() == "False"


@pytest.mark.slow
def test_eight_processes_lose_nothing(tmp_path):
    """All eight create one database by its relative path and log to it, silently."""
    _make_work(tmp_path / "work")
    code = (
        "from pathlib import Path; import test_tracking as t;"
        "t._track(Path('work'), 'sqlite:///mlflow/mlflow.db')"
    )
    processes = [_python(code, tmp_path) for _ in range(8)]
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, outputs
    assert outputs == [""] * 8
    client = _client(f"sqlite:///{tmp_path / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("heart")
    runs = client.search_runs(experiment.experiment_id, max_results=1000)
    assert len(runs) == 8 * len(PARAMS)
    scratch = [run for run in runs if run.info.run_name == "from_scratch"]
    lengths = [len(client.get_metric_history(r.info.run_id, "train_loss")) for r in scratch]
    assert lengths == [600] * 8
    assert not (tmp_path / "mlruns").exists()

import json

import pytest

from medgraft.stages.made import home, located, read, remember, results


@pytest.fixture
def project(tmp_path):
    """A project with a copy that DVC made for an experiment."""
    copy = tmp_path / ".dvc" / "tmp" / "exps" / "tmp1234"
    copy.mkdir(parents=True)
    for folder in (tmp_path, copy):
        (folder / "dvc.yaml").touch()
    return tmp_path, copy


def test_copy_belongs_to_its_project(project, monkeypatch):
    folder, copy = project
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.chdir(copy)
    assert home() == folder
    monkeypatch.chdir(folder)
    assert home() == folder


def test_pipeline_inside_another_is_its_own(project, monkeypatch):
    """An outer pipeline of DVC sets DVC_ROOT for whatever it runs."""
    folder, _ = project
    inner = folder / "analysis"
    inner.mkdir()
    (inner / "dvc.yaml").touch()
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.chdir(inner)
    assert home() == inner


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("sqlite:///mlflow/mlflow.db", "sqlite:////home/me/mlflow/mlflow.db"),
        ("sqlite:////shared/mlflow.db", "sqlite:////shared/mlflow.db"),
        ("https://mlflow.hospital.org", "https://mlflow.hospital.org"),
    ],
)
def test_database_is_seen_from_the_project(uri, expected, tmp_path):
    assert located(uri, tmp_path) == expected.replace("/home/me", str(tmp_path))


def test_results_are_named_by_their_bytes(tmp_path):
    """Two equal results have one name, another result another; `track` writes none."""
    lock = tmp_path / "dvc.lock"
    assert results(lock) == {}

    def names(md5: str) -> dict[str, str]:
        outs = [{"path": "work/prepared", "md5": md5}]
        lock.write_text(json.dumps({"stages": {"preprocess": {"outs": outs}, "track": {}}}))
        return results(lock)

    assert names("1").keys() == {"preprocess"}
    assert names("1") == names("1") != names("2")


def test_first_run_made_it(tmp_path):
    path = tmp_path / "made.json"
    remember(path, {"pretrain 1": "first"})
    remember(path, {"pretrain 1": "second", "pretrain 2": "third"})
    assert read(path) == {"pretrain 1": "first", "pretrain 2": "third"}

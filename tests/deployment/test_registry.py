import json
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from packaging.version import Version

from medgraft.deployment.predict import predict
from medgraft.deployment.registry import register
from medgraft.preparation.arrays import seal
from medgraft.tracking import session

NAME = "medgraft-ward"


@pytest.fixture(scope="module")
def store(ward, tmp_path_factory):
    """An MLflow database with one run and the champion registered: uri, run id, folder."""
    folder = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{folder / 'mlflow.db'}"
    with session(uri, folder) as client:
        where = (folder / "artifacts").as_uri()
        run = client.create_run(client.create_experiment("ward", artifact_location=where))
        assert register(client, ward.champion, name=NAME, run_id=run.info.run_id) == "1"
    return uri, run.info.run_id, folder


def versions(client):
    return sorted(int(one.version) for one in client.search_model_versions(f"name = '{NAME}'"))


def test_registered_model_holds_no_pickle(store):
    _, _, folder = store
    files = {path.name for path in (folder / "artifacts").rglob("*") if path.is_file()}
    kinds = {name.rpartition(".")[2] for name in files}
    assert kinds == {"MLmodel", "SHA256SUMS", "json", "yaml", "txt", "py", "safetensors"}


def test_registered_model_tells_no_folder_of_who_made_it(store, ward):
    """It may hold a name, and is of no use elsewhere."""
    _, _, folder = store
    (told,) = (folder / "artifacts").rglob("MLmodel")
    assert "model_code_path: serve.py\n" in told.read_text()
    assert str(ward.champion.parent) not in told.read_text()


def test_signature_names_raw_columns(store):
    from mlflow.models import Model

    _, _, folder = store
    (path,) = (folder / "artifacts").rglob("MLmodel")
    signature = Model.load(path.parent).signature
    assert signature.inputs.input_names() == ["age", "lab", "sex", "extra"]
    answers = ["predicted", "probability_well", "probability_ill", "plausible", "problem"]
    assert signature.outputs.input_names() == answers
    # A refused record has no answer: none is promised.
    assert signature.outputs.required_input_names() == []
    example = json.loads((path.parent / "input_example.json").read_text())
    assert example["columns"] == ["age", "lab", "sex", "extra"]
    assert example["data"] == [pytest.approx([55, 160, 0, 5], abs=8)]  # the site's means


def test_requirements_are_on_an_index(store):
    """A build for one device is the same release: 2.13.0+cpu."""
    _, _, folder = store
    (path,) = (folder / "artifacts").rglob("requirements.txt")
    lines = path.read_text().splitlines()
    assert f"torch=={Version(torch.__version__).public}" in lines
    assert not [line for line in lines if "+" in line]


def test_same_champion_same_version(store, ward):
    uri, run_id, folder = store
    with session(uri, folder) as client:
        before = versions(client)
        assert register(client, ward.champion, name=NAME, run_id=run_id) == "1"
        assert versions(client) == before


def test_model_that_a_colleague_made_meanwhile_is_taken(store, ward, monkeypatch):
    uri, run_id, folder = store
    with session(uri, folder) as client:
        found = [[], client.search_registered_models(f"name = '{NAME}'")]
        monkeypatch.setattr(client, "search_registered_models", lambda _: found.pop(0))
        assert register(client, ward.champion, name=NAME, run_id=run_id) == "1"
        assert found == []


def test_pages_say_what_it_is_and_how_to_ask(store, ward):
    uri, _, folder = store
    facts = json.loads((ward.champion / "champion.json").read_text())
    with session(uri, folder) as client:
        model = client.get_registered_model(NAME)
        number = client.get_model_version(NAME, "1")
    first, *_ = model.description.split("\n")
    assert first == "Predicts **fate (well, ill)** for patients of **small** from 4 measurements."
    assert f'load_model("models:/{NAME}@champion")' in model.description
    assert number.description == (
        f"{facts['verdict']}\n\nThis is **{facts['strategy']}**. {facts['reason']}"
    )
    assert number.tags.keys() == {"strategy", "fingerprint", *facts["made"]}


def test_new_champion_takes_the_alias(store, ward, tmp_path):
    uri, run_id, folder = store
    other = shutil.copytree(ward.champion, tmp_path / "other")
    facts = json.loads((other / "champion.json").read_text())
    (other / "champion.json").write_text(json.dumps(facts | {"verdict": "Another."}))
    seal(other)
    with session(uri, folder) as client:
        assert register(client, other, name=NAME, run_id=run_id) == "2"
        assert client.get_model_version_by_alias(NAME, "champion").description.startswith(
            "Another."
        )
        assert versions(client) == [1, 2]
        # Back to the first: no third copy of the same bytes.
        assert register(client, ward.champion, name=NAME, run_id=run_id) == "1"
        assert client.get_model_version_by_alias(NAME, "champion").version == 1
        assert versions(client) == [1, 2]


def test_two_who_give_the_first_alias_at_once(store, ward, monkeypatch):
    """MLflow looks for the alias, then adds it; the database refuses the later of two."""
    uri, run_id, folder = store
    with session(uri, folder) as client:
        real, refused = client.set_registered_model_alias, []

        def late(*given):
            if not refused:
                refused.append(given)
                raise MlflowException("registered_model_alias_pk", error_code=BAD_REQUEST)
            real(*given)

        monkeypatch.setattr(client, "set_registered_model_alias", late)
        number = register(client, ward.champion, name=NAME, run_id=run_id)
        assert client.get_model_version_by_alias(NAME, "champion").version == int(number)
        assert refused


ASK = """
import sys
import mlflow, pandas
uri, source, target, kind = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model("models:/medgraft-ward@champion")
for kind, name in ((str, "text"), (None, "typed")):
    frame = pandas.read_csv(source, dtype=kind)
    model.predict(frame).to_json(f"{target}/{name}.json", orient="split")
try:
    model.predict(frame.rename(columns={"age": "agee"}))
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.slow
def test_fresh_process_answers_alike(store, ward, tmp_path):
    uri, _, _ = store
    raw = ward.raw.with_columns(
        age=pl.when(pl.int_range(pl.len()) == 3).then(pl.lit("old")).otherwise("age")
    )
    raw.write_csv(tmp_path / "new.csv")
    predict(ward.champion, tmp_path / "new.csv", tmp_path / "answers.csv")
    expected = pl.read_csv(tmp_path / "answers.csv").drop("id")
    done = subprocess.run(
        [sys.executable, "-c", ASK, uri, tmp_path / "new.csv", tmp_path, "x"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    for name in ("text", "typed"):
        told = json.loads((tmp_path / f"{name}.json").read_text())
        assert told["columns"] == expected.columns
        served = pl.DataFrame(told["data"], schema=expected.columns, orient="row")
        assert served["predicted"].to_list() == expected["predicted"].to_list()
        assert served["problem"].to_list() == expected["problem"].fill_null("").to_list()
        column = "probability_ill"
        difference = (served[column] - expected[column]).abs()
        assert difference.null_count() == 1
        assert np.nanmax(difference.to_numpy()) < 1e-6
    # MLflow itself would print the patients in the file.
    assert done.stdout == 'RefusedError column "age" is declared and absent\n'
    assert "Secret" not in done.stdout + done.stderr

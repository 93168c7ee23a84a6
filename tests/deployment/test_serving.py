"""The champion as a service: what it needs, many at once, and requests that make no sense."""

import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from packaging.requirements import Requirement

from cohorts.images.simulated import shades
from medgraft.deployment.model import load
from medgraft.deployment.registry import save
from services import free_port, running

from . import made

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def saved(ward, tmp_path_factory):
    """The ward's champion as MLflow keeps it."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    save(folder, ward.champion)
    return folder


def test_many_at_once_are_answered_as_one_by_one(any_run):
    """Threads share the model, as they do in MLflow's server."""
    model, raw = load(any_run.champion), any_run.raw
    alone = model.predict(raw)
    with ThreadPoolExecutor(8) as pool:
        each = list(pool.map(model.predict, [raw] * 80))
    assert all(answers.equals(alone) for answers in each)


# What a serving process needs

ASKED = """
import json, sys
from importlib.machinery import PathFinder
from pathlib import Path
absent, distributions, champions, saved, encoders, out = json.loads(sys.argv[1])

class Installed:
    def find_spec(self, name, path=None, target=None):
        there = name.partition(".")[0] not in absent
        return PathFinder.find_spec(name, path, target) if there else None

    def find_distributions(self, *context):
        found = PathFinder.find_distributions(*context)
        return (one for one in found if one.name.lower().replace("_", "-") in distributions)

sys.meta_path[sys.meta_path.index(PathFinder)] = Installed()
import polars
from medgraft.cli import main
from medgraft.deployment.model import load
for number, folder in enumerate(champions):
    model = load(Path(folder))
    example = json.loads((Path(folder) / "example.json").read_text())
    records = polars.DataFrame([example] * 3)
    assert model.predict(records)["problem"].to_list() == [""] * 3
    records.write_csv(f"{out}/{number}.csv")
    try:
        main(["predict", "--input", f"{out}/{number}.csv", "--output", f"{out}/{number}.parquet",
              "--champion", folder])
    except SystemExit as end:
        assert not end.code
before = sorted({name.partition(".")[0] for name in sys.modules})
for name in encoders:
    __import__(name)
import mlflow.pyfunc, pandas
model = mlflow.pyfunc.load_model(saved)
assert list(model.predict(pandas.read_csv(f"{out}/0.csv"))["problem"]) == [""] * 3
print(json.dumps([before, sorted({name.partition(".")[0] for name in sys.modules})]))
"""
TABLE_ENCODERS = [f"medgraft.networks.encoders.{name}" for name in ("ft_transformer", "resnet")]
HEAVY = (
    "captum dvc hydra lightning_fabric matplotlib omegaconf onnx optuna pytorch_lightning sklearn"
)


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def serve_extra():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(line).name for line in project["optional-dependencies"]["serve"]]


def brought(names):
    """Distributions that these need, themselves among them."""
    todo, seen = [canonical(name) for name in names], set()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for line in importlib.metadata.requires(name) or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                todo.append(canonical(needed.name))
    return seen


@pytest.mark.slow
def test_serve_extra_is_what_serving_needs(ward, saved, tmp_path):
    """All of it is used, nothing else is, and none of what trains is loaded where it is there."""
    tokens, films = np.zeros((1, 8), np.uint8), np.stack([shades(seed=s)[None] for s in range(3)])
    champions = [
        str(ward.champion),
        str(made.champion(tmp_path / "sequence", made.SEQUENCE, tokens)),
        str(made.champion(tmp_path / "image", made.IMAGE, films)),
    ]
    providers = importlib.metadata.packages_distributions()
    there = brought(serve_extra())
    there.add("medgraft")
    absent = [top for top, by in providers.items() if not {canonical(one) for one in by} & there]
    assert {"dvc", "hydra", "sklearn", "pytorch_lightning"} <= set(absent)
    told = [
        absent,
        sorted(there),
        [*map(str, champions)],
        str(saved),
        TABLE_ENCODERS,
        str(tmp_path),
    ]
    command = [sys.executable, "-c", ASKED, json.dumps(told)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after = json.loads(done.stdout.splitlines()[-1])
    assert not {*HEAVY.split(), "mlflow", "pandas"} & set(before)
    assert not set(HEAVY.split()) & set(after)
    tops = {canonical(one): top for top, by in providers.items() for one in by if top in after}
    assert {canonical(name) for name in serve_extra()} <= tops.keys()


def loaded(champion):
    """What asking a champion loads of all that trains or serves, where everything is installed."""
    code = f"""
import sys, pathlib, polars
from medgraft.deployment.model import load
model = load(pathlib.Path({str(champion)!r}))
model.predict(polars.DataFrame([model.records.example()]))
print(sorted({{*{HEAVY.split()!r}, "mlflow", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_asking_needs_no_trainer(ward):
    assert loaded(ward.champion) == "[]\n"


@pytest.mark.slow
def test_asking_any_champion_needs_no_trainer(any_run):
    assert loaded(any_run.champion) == "[]\n"


# A real server


@pytest.fixture(scope="module")
def service(saved, tmp_path_factory):
    """Where `mlflow models serve` listens, as the documentation starts it, and its log."""
    log = tmp_path_factory.mktemp("service") / "log"
    port = str(free_port())
    command = ["models", "serve", "-m", str(saved), "--env-manager", "local", "--port", port]
    address = f"http://127.0.0.1:{port}"
    with running([sys.executable, "-m", "mlflow", *command], f"{address}/ping", log):
        yield f"{address}/invocations", log


def post(url, body, kind="application/json"):
    """Status and text of the answer; no content type is sent where there is none."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    there = urlsplit(url)
    asked = HTTPConnection(there.hostname, there.port, timeout=60)
    with closing(asked):
        asked.request("POST", there.path, data, {"Content-Type": kind} if kind else {})
        answer = asked.getresponse()
        return answer.status, answer.read().decode()


def split(frame):
    return {"dataframe_split": {"columns": frame.columns, "data": [*map(list, frame.rows())]}}


@pytest.mark.slow
def test_service_answers_as_predict(service, ward):
    """Refused records among them; what comes back is JSON, which knows no NaN."""
    raw = ward.raw.drop("id", "name", "end")
    raw[3, "age"] = "old"
    status, text = post(service[0], split(raw))
    rows = json.loads(text, parse_constant=pytest.fail)["predictions"]
    expected = load(ward.champion).predict(raw)
    assert (status, len(rows)) == (200, 60)
    for row, told in zip(rows, expected.iter_rows(named=True), strict=True):
        assert row == pytest.approx(told, abs=1e-6)
    assert rows[3]["predicted"] is None
    assert rows[3]["problem"].startswith('column age: got "old", expected a number')


COLUMNS = ["age", "lab", "sex", "extra"]
HEADER = b"age,lab,sex,extra\n"
CSV, PARQUET = "text/csv", "application/vnd.apache.parquet"
DEEP = b"[" * 100_000 + b"]" * 100_000


def rows(*data, columns=COLUMNS, **more):
    return {"dataframe_split": {"columns": columns, "data": [*data], **more}}


NONSENSE = {
    "no age": (rows([1], columns=["sex"]), 'column "age" is declared'),
    "no names": ({"instances": [[50, 100, 1, 5]]}, 'column "age" is declared and absent'),
    "long row": (rows([50, 100, 1, 5, 5]), "row 1: expected 4 cells, got 5"),
    "short row": (rows([50, 100, 1, 5], [50]), "row 2: expected 4 cells, got 1"),
    "name no text": (rows([50, 100, 1, 5], columns=["age", "lab", "sex", {}]), "a list of names"),
    "named twice": (rows([50, 100, 1, 5], columns=["age", "age", "sex", "lab"]), "the columns age"),
    "index too long": (rows([50, 100, 1, 5], index=[1, 2]), "an index of 1"),
    "no data": ({"dataframe_split": {"columns": COLUMNS}}, "expected data, a list of rows"),
    "of two lengths": ({"instances": [{"age": 1, "sex": 1}, {"age": 2}]}, "the columns age"),
    "null": ({"instances": None}, "expected a table with the columns age, lab, sex, extra"),
    "records null": ({"dataframe_records": None}, "must be a list of records"),
    "parameters": (rows([50, 100, 1, 5]) | {"params": {"x": 1}}, "this model takes none"),
    "nothing": ({}, "exactly one of the input fields"),
    "no body": (b"", "expected valid JSON"),
    "no JSON": (b"{", "valid JSON"),
    "no object": (b"3", "must be a JSON dictionary"),
    "no UTF-8": (b'{"inputs": "\xff"}', "byte 13 is not UTF-8 text"),
    "nested": (b'{"inputs":' + DEEP + b"}", "nested too deeply"),
    "many digits": (b'{"inputs":' + b"9" * 6000 + b"}", "too many digits"),
    "CSV, no body": (b"", "is empty", CSV),
    "CSV, no header": (b"50,100,1,5\n", "is it a header?", CSV),
    "CSV, short row": (HEADER + b"50,100,1\n", "line 2, found 3 columns, expected 4", CSV),
    "CSV, open quote": (HEADER + b'"50,100,1,5\n', "line 2: unexpected end of data", CSV),
    "CSV, no UTF-8": (HEADER + b"\xff,100,1,5\n", "byte 19 is not UTF-8 text", CSV),
    "CSV, binary": (HEADER + b"5\0,100,1,5\n", "NUL bytes", CSV),
    "CSV, no age": (b"lab,sex,extra\n1,1,1\n", 'column "age" is declared and absent', CSV),
    "Parquet that is none": (b"PAR1", "Could not open Parquet", PARQUET),
}
TRACES = ("Traceback", "stack_trace", "site-packages")


@pytest.mark.slow
@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_refused_with_the_reason(name, service):
    """The client's fault (4xx), in words; where the server's code stands is nobody's business."""
    body, reason, *kind = NONSENSE[name]
    status, text = post(service[0], body, *kind)
    assert status == 400
    assert reason in json.loads(text)["message"]
    assert not [word for word in TRACES if word in text]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json; version=1"])
def test_other_kinds_are_refused(kind, service):
    status, text = post(service[0], rows([50, 100, 1, 5]), kind)
    assert status == 415
    assert "content type" in text


@pytest.mark.slow
def test_csv_is_answered_as_predict(service, ward):
    """What is missing is what the site says, not what pandas takes for it."""
    raw = ward.raw.drop("id", "name", "end")
    raw[3, "age"], raw[4, "lab"], raw[5, "lab"] = "old", "?", "NA"
    status, text = post(service[0], raw.write_csv().encode(), f"{CSV}; charset=utf-8")
    expected = load(ward.champion).predict(raw)
    assert status == 200
    told = json.loads(text, parse_constant=pytest.fail)["predictions"]
    for row, as_predict in zip(told, expected.iter_rows(named=True), strict=True):
        assert row == pytest.approx(as_predict, abs=1e-6)
    assert [bool(told[row]["problem"]) for row in range(3, 6)] == [True, False, True]


@pytest.mark.slow
def test_refusal_repeats_no_patient(service, ward):
    """Neither to the client nor in the server's log."""
    secret = ward.raw.with_columns(sex=ward.raw["name"]).drop("id", "name", "end", "age")
    twice = rows(*secret.rows(), columns=["lab", "sex", "lab"])
    for body, *kind in (
        [split(secret)],
        [twice],
        [json.dumps(twice).encode() + b"\xff"],
        [json.dumps(twice).encode() + b"}"],
        [secret.write_csv().encode(), CSV],
        [secret.write_csv().encode() + b"\xff", CSV],
        [secret.write_csv().encode() + b"1\n", CSV],
        [secret.write_csv().encode(), PARQUET],
    ):
        status, text = post(service[0], body, *kind)
        assert status == 400
        assert "Secret" not in text
    assert "Secret" not in service[1].read_text()


ODD = [None, True, [1, 2], {"a": 1}, 1e308, 10**30, "", "NaN"]


@pytest.mark.slow
@pytest.mark.parametrize("value", ODD, ids=str)
def test_odd_value_refuses_its_record_alone(value, service):
    columns = ["age", "lab", "sex", "extra"]
    rows = [[50, 100, 1, 5], [value, 100, 1, 5]]
    status, text = post(service[0], {"dataframe_split": {"columns": columns, "data": rows}})
    sound, odd = json.loads(text, parse_constant=pytest.fail)["predictions"]
    assert (status, sound["problem"]) == (200, "")
    assert sound["predicted"] is not None
    assert odd["problem"].startswith("column age: ")
    assert odd["predicted"] is None


@pytest.mark.slow
def test_service_answers_many_at_once(service, ward):
    raw = ward.raw.drop("id", "name", "end")
    expected = load(ward.champion).predict(raw)["probability_ill"].to_list()

    def ask(row):
        status, text = post(service[0], split(raw[row]))
        assert status == 200
        return json.loads(text)["predictions"][0]["probability_ill"]

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(ask, range(60)))
    assert got == pytest.approx(expected, abs=1e-6)

import json
import shutil
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

from cohorts.images.simulated import shades
from medgraft.cli import main
from medgraft.config import task_kinds
from medgraft.deployment import graph, onnx_export
from medgraft.deployment.answers import ANSWERS
from medgraft.deployment.model import load
from medgraft.deployment.onnx_export import INPUT, OUTPUT, export, session
from medgraft.errors import MedgraftError
from medgraft.evaluation.corrections import AsItIs, Isotonic, Platt, Temperature, told
from medgraft.preparation.arrays import seal, write_json
from medgraft.tasks import task as tasks

from . import made

DRAW = np.random.default_rng(3)


@pytest.fixture(scope="module")
def exported(ward, tmp_path_factory):
    """The ward's champion as a file."""
    return export(ward.champion, tmp_path_factory.mktemp("onnx") / "model.onnx")


def agrees(champion, exported, x):
    """The largest distance of what the file answers from what the champion does."""
    (got,) = session(exported.model).run([OUTPUT], {INPUT: x})
    expected = load(champion).answers(x)
    assert got.shape == expected.shape
    assert np.ptp(expected, axis=0).min() > 0
    return np.abs(got - expected).max()


@pytest.mark.parametrize("kind", task_kinds())
def test_probabilities_are_those_of_the_task(kind):
    raw = DRAW.normal(0, 3, (50, 1 if kind in ("binary", "regression") else 4))
    mine = graph.PROBABILITIES[kind](torch.from_numpy(raw)).numpy()
    np.testing.assert_allclose(mine, tasks.of(kind).probabilities(raw), rtol=1e-12)


@pytest.mark.parametrize(
    "correction",
    [AsItIs(), Temperature(2.5), Platt(0.3, 0.7), Isotonic([0.1, 0.5, 0.6], [0.0, 0.4, 1.0])],
)
def test_corrections_are_those_of_the_evaluation(correction):
    risk = np.linspace(0, 1, 101)
    said = np.stack([1 - risk, risk], axis=1)
    mine = graph.CORRECTIONS[type(correction)](torch.from_numpy(said), correction).numpy()
    np.testing.assert_allclose(mine, correction(said), rtol=1e-12, atol=1e-15)


def test_file_corrects_as_the_champion(ward, tmp_path):
    """Every row of an isotonic line, the kind with most operations."""
    folder = shutil.copytree(ward.champion, tmp_path / "champion")
    line = Isotonic([0.05, 0.3, 0.9], [0.2, 0.25, 1.0])
    write_json({"correction": told(line), "reach": 0.5}, folder / ANSWERS)
    seal(folder)
    x, _ = load(folder).records.read(ward.raw)
    assert agrees(folder, export(folder, tmp_path / "model.onnx"), x) < 1e-6


def test_file_answers_as_the_champion(ward, exported):
    x, _ = load(ward.champion).records.read(ward.raw)
    assert np.isnan(x).any()
    assert agrees(ward.champion, exported, x) < 1e-6


@pytest.mark.slow
def test_every_champion_is_exported_or_refused(any_run, tmp_path):
    """Networks and weighted sums of every task; trees are refused, and nothing is written."""
    target = tmp_path / "model.onnx"
    if any_run.strategy == "boosting":
        with pytest.raises(MedgraftError, match="baseline gradient_boosting, which is not export"):
            export(any_run.champion, target)
        assert list(tmp_path.iterdir()) == []
        return
    x, _ = load(any_run.champion).records.read(any_run.raw)
    assert agrees(any_run.champion, export(any_run.champion, target), x) < 1e-5


@pytest.mark.parametrize("kind", ["sequence", "image"])
def test_tokens_and_pixels_go_in_as_they_are(kind, tmp_path):
    tokens = DRAW.choice(np.array([0, 1, 2, 3, 254, 255], np.uint8), (20, 8))
    films = np.stack([shades(seed=seed)[None] for seed in range(20)])
    x = {"sequence": tokens, "image": films}[kind]
    of = {"sequence": made.SEQUENCE, "image": made.IMAGE}[kind]
    champion = made.champion(tmp_path / "champion", of, x)
    exported = export(champion, tmp_path / "model.onnx")
    told = json.loads(exported.told.read_text())["input"]
    assert (told["type"], told["shape"]) == ("tensor(uint8)", ["n", *x.shape[1:]])
    takes = {
        "sequence": "tokens: 0 = A, 1 = C, 2 = G, 3 = T; 254 = unknown letter, 255 = after the end",
        "image": "pixels, 0 to 255: [channels, height, width]",
    }
    assert told["features"][0]["takes"] == takes[kind]
    assert agrees(champion, exported, x) < 1e-6


ELSEWHERE = """
import csv, json, sys
import numpy as np, onnxruntime
model, source = sys.argv[1:]
told = json.load(open(model + ".json"))
rows = []
for record in csv.DictReader(open(source)):
    row = []
    for feature in told["input"]["features"]:
        cell, written = record.get(feature["name"], ""), feature["described"]
        gone = {str(code) for code in [*told["input"]["missing_codes"],
                *(written or {}).get("disguised_missing", [])]}
        if written is None or cell in gone:
            assert feature["missing"].startswith("NaN")
            row.append("nan")
        elif written["kind"] == "category":
            label = written["categories"][cell]
            number, = (n for n, l in (p.split(" = ") for p in feature["takes"].split(", "))
                       if l == label)
            row.append(number)
        else:
            row.append(cell)
    rows.append(row)
ask = onnxruntime.InferenceSession(model)
got, = ask.run([told["output"]["name"]], {told["input"]["name"]: np.array(rows, dtype=np.float32)})
print(json.dumps([dict(zip(told["output"]["columns"], map(float, row))) for row in got]))
assert not {"torch", "medgraft"} & set(sys.modules)
"""


def test_description_is_enough_to_ask(ward, exported):
    """Somebody with the two files, numpy and onnxruntime alone gets the champion's answers."""
    source = ward.cohort / "small.csv"
    command = [sys.executable, "-c", ELSEWHERE, exported.model, source]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    expected = load(ward.champion).predict(ward.raw)
    got = pl.DataFrame(json.loads(done.stdout))
    assert len(got) == 60
    for name in got.columns:
        np.testing.assert_allclose(got[name], expected[name], atol=1e-6)
    assert set(got.columns) == {"probability_well", "probability_ill"}


def test_same_champion_same_bytes(ward, exported, tmp_path, capsys):
    """And nothing of the machine that wrote them."""
    arguments = ["--output", str(tmp_path / "model.onnx"), "--champion", str(ward.champion)]
    with pytest.raises(SystemExit) as ended:
        main(["onnx", *arguments])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "model.onnx: 2 models in one, within " in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.onnx", "model.onnx.json"]
    for path in tmp_path.iterdir():
        data = path.read_bytes()
        assert data == exported.model.with_name(path.name).read_bytes()
        assert not [word for word in (b"site-packages", b".py", b"/home", b"/tmp") if word in data]


def test_file_that_answers_otherwise_is_not_written(ward, tmp_path, monkeypatch):
    off = {"binary": lambda raw: torch.sigmoid(raw * raw.new_tensor([-1, 1.01]))}
    monkeypatch.setattr(graph, "PROBABILITIES", off)
    target = tmp_path / "model.onnx"
    target.write_text("old")
    with pytest.raises(MedgraftError, match=r"not written, as its answers lie .*e-03 from torch's"):
        export(ward.champion, target)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("model.onnx", "old")]


def test_what_is_missing_is_said(ward, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "NEEDED", ("onnx", "no_such_package"))
    with pytest.raises(MedgraftError) as refused:
        export(ward.champion, tmp_path / "model.onnx")
    assert str(refused.value) == 'ONNX needs no_such_package: pip install "medgraft[onnx]"'


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("../model.bin", "expected a name that ends in .onnx"),
        ("network.onnx", "lies in the sealed champion; write it elsewhere"),
        ("../no/model.onnx", "cannot be written: No such file or directory"),
    ],
)
def test_other_places_are_refused(ward, name, told):
    with pytest.raises(MedgraftError, match=told):
        export(ward.champion, ward.champion / name)
    load(ward.champion)

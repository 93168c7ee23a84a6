import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest
import torch
from captum.attr import IntegratedGradients
from safetensors.torch import load_file

from medgraft.cli import main
from medgraft.deployment import explain as module
from medgraft.deployment.attribution import explainer
from medgraft.deployment.explain import load, place_names, single
from medgraft.deployment.model import load as load_model
from medgraft.errors import MedgraftError
from medgraft.networks.model import build
from medgraft.reporting.text import signed
from medgraft.training import weights
from medgraft.training.replicas import select

OUTPUTS = {"binary": 1, "multiclass": 3, "regression": 1, "multilabel": 2, "survival": 3}


def refuses(run) -> bool:
    """Trees are never explained; several labels by a baseline are not either."""
    _, description = weights.read(run.champion)
    network, task = description["network"], description["schema"]["outcome"]["task"]
    return run.strategy == "boosting" or ("baseline" in network and task == "multilabel")


def test_shares_sum_to_output(any_run):
    if refuses(any_run):
        with pytest.raises(MedgraftError, match="whose answers are not explained: contributions"):
            load(any_run.champion)
        return
    model, served = load(any_run.champion), load_model(any_run.champion)
    x, _ = model.records.read(any_run.raw)
    shares = model.shares(x)
    assert shares.parts.shape == (2, 60, OUTPUTS[model.outcome["task"]], 5)
    assert np.abs(shares.gap).max() < 0.02 * np.ptp(shares.outputs) + 1e-6
    raw = served.outputs(x)
    if model.outcome["task"] == "multiclass":
        raw = raw - raw.mean(-1, keepdims=True)
        np.testing.assert_allclose(shares.parts.sum(2), 0, atol=1e-4)
    np.testing.assert_allclose(shares.outputs, raw, atol=1e-4)


def test_linear_shares_are_exact(any_run):
    if any_run.strategy not in ("logistic", "cox") or refuses(any_run):
        pytest.skip("not a weighted sum")
    model = load(any_run.champion)
    shares = model.shares(model.records.read(any_run.raw)[0])
    np.testing.assert_allclose(shares.gap, 0, atol=1e-10)


def test_stacked_equals_captum_alone(ward):
    """Replica r among the others equals captum on that one network, from its own reference."""
    state, description = weights.read(ward.champion)
    model = load(ward.champion)
    x, _ = model.records.read(ward.raw)
    together = model.shares(x)
    reference = load_file(ward.champion / "reference.safetensors")["mean"]
    for r in range(2):
        network = build(description["network"], description["schema"], seed=0).eval()
        network.load_state_dict({k: v[0] for k, v in select(state, [r]).items()})
        z = network.input(torch.from_numpy(x))

        def logit(at, network=network):
            return network.recalibration(network.head(network.readout(network.encoder(at))))[:, 0]

        found = IntegratedGradients(logit).attribute(z, baselines=reference[r : r + 1], n_steps=64)
        expected = network.input.collect(found).detach().numpy()
        np.testing.assert_allclose(together.parts[r, :, 0], expected, atol=1e-5)


def test_reference_is_mean_training_patient(ward):
    """A standardised number is 0 on average; a category is its share of the training patients."""
    mean = load_file(ward.champion / "reference.safetensors")["mean"]
    design = pl.read_parquet(ward.work / "prepared" / "design.parquet")
    x = np.load(ward.work / "prepared" / "target" / "x.npy")
    features = weights.read(ward.champion)[1]["schema"]["features"]
    at = [f["name"] for f in features].index("sex")
    numbers = sum(f["kind"] == "number" for f in features)
    for r, rows in enumerate(design.filter(pl.col("use") == "final")["train"].to_list()):
        share = np.mean(x[rows][:, at] == 0)
        assert float(mean[r, numbers]) == pytest.approx(share, abs=1e-6)


def test_random_weights_destroy_the_map(ward):
    """Adebayo et al. 2018: what the training did not put there must not show up again."""
    state, description = weights.read(ward.champion)
    trained = load(ward.champion)
    x, _ = trained.records.read(ward.raw)
    importance = np.abs(trained.shares(x).parts).mean((0, 1, 2))
    names = trained.records.features
    planted = [names.index("age"), names.index("lab")]
    learned = importance[planted].sum() / importance.sum()
    shares = []
    for seed in range(39):
        torch.manual_seed(seed)
        random = {
            k: torch.randn_like(v) * v.std() if k.startswith(("encoder", "head")) else v
            for k, v in state.items()
        }
        found = np.abs(explainer(ward.champion, random, description)(x).parts).mean((0, 1, 2))
        shares.append(found[planted].sum() / found.sum())
    # Above all of 39 random networks: a chance of 1 in 40 if training had changed nothing.
    assert learned > max(shares)


def test_file_is_explained(ward, tmp_path, capsys):
    source, target = tmp_path / "new.csv", tmp_path / "why.csv"
    raw = ward.raw.with_columns(
        age=pl.when(pl.int_range(pl.len()) == 4).then(pl.lit("999")).otherwise("age")
    )
    raw.write_csv(source)
    arguments = ["explain", "--input", str(source), "--output", str(target)]
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--champion", str(ward.champion)])
    assert ended.value.code == 0
    assert capsys.readouterr().out == ("60 records: 59 explained, 1 refused (see column problem)\n")
    why = pl.read_csv(target)
    features = ["age", "lab", "marker", "extra", "sex"]
    assert set(why.columns) == {
        "id", "explains", "output", "reference", *features, "unexplained", "problem",
    }  # fmt: skip
    assert why["id"].to_list() == ward.raw["id"].to_list()
    assert why["output"][4] is None
    assert "expected a number in years" in why["problem"][4]
    total = why.select(pl.sum_horizontal("reference", "unexplained", *features))
    np.testing.assert_allclose(total.to_series().drop_nulls()[:4], why["output"][:4], atol=1e-9)


def asked(ward, tmp_path, raw: pl.DataFrame, figure) -> int:
    raw.write_csv(tmp_path / "new.csv")
    files = ["--input", str(tmp_path / "new.csv"), "--output", str(tmp_path / "why.csv")]
    with pytest.raises(SystemExit) as ended:
        main(["explain", *files, "--figure", str(figure), "--champion", str(ward.champion)])
    return int(ended.value.code or 0)


def test_single_record_is_drawn_as_the_file_tells(ward, tmp_path, capsys):
    """Title and numbers of the figure are those of the row written for the same record."""
    one = ward.raw[7:8]
    assert asked(ward, tmp_path, one, tmp_path / "why.svg") == 0
    title = ET.parse(tmp_path / "why.svg").getroot().findtext("{http://www.w3.org/2000/svg}title")
    why = pl.read_csv(tmp_path / "why.csv")
    features = ["age", "lab", "marker", "extra", "sex"]
    parts = why.select(features).row(0)
    most = int(np.abs(parts).argmax())
    word = "raises" if parts[most] > 0 else "lowers"
    assert title == (
        f"{one['id'][0]}: {features[most]} = {one[features[most]][0]} {word} the output for "
        f"{why['explains'][0]} most ({signed(parts[most])})"
    )
    told = single(ward.champion, tmp_path / "new.csv")
    by_name = {
        name.split(" = ")[0]: part for name, part in zip(told.names, told.parts, strict=True)
    }
    assert by_name == pytest.approx(dict(zip(features, parts, strict=True)), abs=1e-9)
    assert (told.output, told.reference) == pytest.approx((why["output"][0], why["reference"][0]))
    said = capsys.readouterr().out
    assert "contributions make up the difference" in said
    assert one["id"][0] not in said, "an identifier is for the files that were asked for"


@pytest.mark.parametrize(
    ("rows", "place", "message"),
    [
        (2, "why.svg", "new.csv: expected one record to draw, got 2"),
        (0, "why.svg", "new.csv: expected one record to draw, got 0"),
        (1, "new.csv/why.svg", "why.svg: lies in the input; write the answers elsewhere"),
        (1, "why.csv", "why.csv: figure and table are to be two files"),
        (1, "old.csv/why.svg", "why.svg: cannot be written: File exists"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(ward, tmp_path, capsys, rows, place, message):
    (tmp_path / "old.csv").write_text("in the way")
    assert asked(ward, tmp_path, ward.raw.head(rows), tmp_path / place) == 2
    said = capsys.readouterr().err
    assert said.endswith(f"{message}\n")
    assert said.count("\n") == 1
    assert not (tmp_path / "why.csv").exists()


def test_refused_record_is_not_drawn(ward, tmp_path, capsys):
    old = ward.raw.head(1).with_columns(age=pl.lit("999"))
    assert asked(ward, tmp_path, old, tmp_path / "why.svg") == 2
    assert "column age: got" in capsys.readouterr().err


def test_what_is_refused_is_not_explained(ward):
    """By both with the same reason: who is unlike all others, and who tells nothing."""
    raw = ward.raw.head(3).with_columns(extra=pl.Series(["5", "1e6", "5"]))
    refused = load_model(ward.champion).predict(raw)["problem"].to_list()
    told = load(ward.champion).explain(raw)
    assert told["problem"].to_list() == refused
    assert refused[1].startswith("no answer: unlike")
    assert told["output"].is_null().to_list() == [False, True, False]


def test_blocks_change_nothing(ward, monkeypatch):
    model = load(ward.champion)
    together = model.explain(ward.raw)
    monkeypatch.setattr(module, "BLOCK", 7)
    np.testing.assert_allclose(
        model.explain(ward.raw).select(pl.col(pl.Float64)).to_numpy(),
        together.select(pl.col(pl.Float64)).to_numpy(),
        atol=1e-5,
    )


def test_file_without_records_is_explained(ward):
    model = load(ward.champion)
    assert model.explain(ward.raw.head(0)).schema == model.explain(ward.raw.head(2)).schema


def test_places_are_named_from_one():
    assert place_names(["a", "b"], (2,)) == ["a", "b"]
    assert place_names(["sequence"], (3,)) == ["position_1", "position_2", "position_3"]
    assert place_names(["film"], (2, 2))[-1] == "pixel_2_2"

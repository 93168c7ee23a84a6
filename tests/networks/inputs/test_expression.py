import numpy as np
import pytest
import torch

from medgraft.errors import ConfigError
from medgraft.networks.inputs.expression import ExpressionInput
from medgraft.training.replicas import Replicas


def features(genes: int):
    return [
        {"name": str(i), "kind": "number", "may_be_missing": True, "origin": "shared"}
        for i in range(genes)
    ]


def fitted(rows, **options):
    layer = ExpressionInput(features(rows.shape[1]), **options)
    layer.load_state_dict(layer.fit(rows))
    return layer


def patients(n=40, genes=30, seed=0):
    rng = np.random.default_rng(seed)
    rows = rng.normal(rng.normal(7, 2, genes), rng.uniform(0.2, 3, genes), (n, genes))
    rows[rng.random(rows.shape) < 0.05] = np.nan
    return rows.astype(np.float32)


def test_statistics_equal_numpys_nan():
    rows = patients()
    found = ExpressionInput(features(30)).fit(rows)
    np.testing.assert_allclose(found["own_mean"], np.nanmean(rows.astype(float), 0), rtol=1e-6)
    np.testing.assert_allclose(found["own_scale"], np.nanstd(rows.astype(float), 0), rtol=1e-6)
    assert found["own_count"].tolist() == (~np.isnan(rows)).sum(0).tolist()


@pytest.mark.parametrize("options", [{}, {"quantile": True}], ids=["plain", "quantile"])
def test_many_patients_come_in_chunks(options, monkeypatch):
    rows = patients(n=50)
    whole = ExpressionInput(features(30), **options).fit(rows)
    monkeypatch.setattr("medgraft.networks.inputs.expression.CHUNK", 7)
    for name, value in ExpressionInput(features(30), **options).fit(rows).items():
        torch.testing.assert_close(value, whole[name])


def test_most_variable_genes_are_kept():
    rows = patients()
    layer = fitted(rows, genes=5)
    spread = np.nanstd(rows.astype(float), 0)
    assert set(torch.nonzero(layer.selected).flatten().tolist()) == set(np.argsort(spread)[-5:])
    answer = layer(torch.tensor(rows))
    assert (answer[:, layer.selected == 0] == 0).all()
    assert layer.width == answer.shape[1] == 30


def test_cohorts_meet_on_one_scale():
    """A platform that measures a * x + b gives what the first one gives."""
    rows = patients()
    here, there = fitted(rows), fitted(rows * 4 - 30)
    there.mean, there.scale, there.selected = here.mean, here.scale, here.selected
    torch.testing.assert_close(
        there(torch.tensor(rows * 4 - 30)), here(torch.tensor(rows)), atol=1e-4, rtol=1e-4
    )


def test_quantiles_come_from_training():
    """Every sample takes the training patients' distribution: new ones cannot move it."""
    rows = patients()
    layer = fitted(rows, quantile=True)
    reference = layer.own_reference.clone()
    first = layer(torch.tensor(rows))
    torch.testing.assert_close(layer(torch.tensor(np.exp(rows / 4))), first, atol=1e-4, rtol=1e-4)
    assert torch.equal(layer.own_reference, reference)


def test_unseen_gene_enters_zero():
    rows = patients()
    rows[:, 3] = np.nan
    layer = fitted(rows, genes=29)
    assert torch.isnan(layer.selected).nonzero().tolist() == [[3]]
    assert layer(torch.full((1, 30), 5.0))[0, 3] == 0
    assert layer(torch.full((1, 30), torch.nan)).abs().max() == 0


@pytest.mark.parametrize("options", [{"quantile": True}, {"correction": "combat", "genes": 9}])
def test_replicas_together_equal_alone(options):
    layers = [fitted(patients(seed=seed), **options) for seed in range(3)]
    state = {
        name: torch.stack([x.state_dict()[name] for x in layers]) for name in layers[0].state_dict()
    }
    x = torch.tensor(patients(seed=9))
    together = Replicas(layers[0], state)(x.expand(3, *x.shape).clone())
    for r in range(len(layers)):
        alone = fitted(patients(seed=r), **options)(x)
        torch.testing.assert_close(together[r], alone, atol=1e-4, rtol=1e-4)


def test_unknown_correction_refused():
    with pytest.raises(ConfigError) as caught:
        ExpressionInput(features(2), correction="combatt")
    assert str(caught.value) == "correction 'combatt': expected one of own, combat"

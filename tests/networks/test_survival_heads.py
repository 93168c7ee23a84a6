"""Losses and heads of survival against other people's numbers and limiting cases."""

import numpy as np
import pytest
import torch
from torch.func import vmap

from medgraft.networks.heads.survival import CoxHead, DiscreteTimeHead, breslow, cox_loss, grid_loss
from medgraft.tasks import task as tasks

HORIZONS = torch.tensor([2.0, 5.0, 9.0])
OUTCOME = {"name": "relapse", "task": "survival", "classes": [], "horizons": HORIZONS.tolist()}


def patients(rows: int, *, ties: bool = False, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Log hazard ratios ``[n]`` and times and events that follow them ``[n, 2]``."""
    stream = np.random.default_rng(seed)
    risk = stream.normal(size=rows)
    time, censored = stream.exponential(6 * np.exp(-risk)), stream.exponential(12, size=rows)
    y = np.stack([np.minimum(time, censored), time <= censored], axis=1)
    if ties:
        y[:, 0] = np.ceil(y[:, 0])
    return torch.tensor(risk), torch.tensor(y)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.filterwarnings("ignore:Ties in")
def test_cox_loss_is_torchsurvs(ties):
    torchsurv = pytest.importorskip("torchsurv.loss.cox")
    risk, y = patients(80, ties=ties)
    expected = torchsurv.neg_partial_log_likelihood(
        risk, y[:, 1] == 1, y[:, 0], ties_method="breslow", reduction="sum"
    )
    assert float(cox_loss(risk, y).sum()) == pytest.approx(float(expected), rel=1e-6)


def test_cox_loss_together_is_alone():
    """Under vmap, and with padding rows, every patient's contribution is the same."""
    risk, y = patients(60, ties=True)
    risk, y = risk.reshape(3, 20), y.reshape(3, 20, 2)
    padding = torch.full((3, 4, 2), torch.nan)
    padded = vmap(cox_loss)(torch.cat([risk, torch.ones(3, 4)], 1), torch.cat([y, padding], 1))
    for r in range(3):
        torch.testing.assert_close(padded[r, :20], cox_loss(risk[r], y[r]))
    assert (padded[:, 20:] == 0).all()


def test_breslow_is_statsmodels():
    duration = pytest.importorskip("statsmodels.duration.hazard_regression")
    risk, y = patients(120, seed=3)
    fit = duration.PHReg(y[:, 0].numpy(), risk.numpy()[:, None], status=y[:, 1].numpy()).fit()
    ((time, hazard, _),) = fit.baseline_cumulative_hazard
    ours = breslow(risk.numpy() * fit.params[0], y.numpy(), HORIZONS.numpy())
    at = np.searchsorted(time, HORIZONS.numpy(), side="right")  # theirs is the sum before
    np.testing.assert_allclose(np.exp(ours), hazard[at], rtol=1e-6)


def test_grid_loss_of_one_patient():
    """S is 0.9, 0.6, 0.5 at 2, 5, 9: what each patient says of it has a probability one can count.

    An event on a horizon belongs to the interval it ends; one after the grid is a survivor; who was
    censored halfway through an interval (at 1, 3.5, 7) counts as having lived through it.
    """
    survival = torch.tensor([[0.9, 0.6, 0.5]])
    outputs = torch.log(-torch.log(survival))
    seen = {
        (1.0, 1): 0.1,
        (2.0, 1): 0.1,
        (4.0, 1): 0.3,
        (11.0, 1): 0.5,
        (0.9, 0): 1.0,
        (1.0, 0): 0.9,
        (3.4, 0): 0.9,
        (6.9, 0): 0.6,
        (99.0, 0): 0.5,
    }
    for patient, probability in seen.items():
        y = torch.tensor([patient], dtype=torch.float32)
        told = float(grid_loss(outputs, y, HORIZONS)[0])
        assert told == pytest.approx(-np.log(probability), abs=1e-5)
        evaluated = tasks.of("survival").row_losses(
            y.double().numpy(), survival.double().numpy(), HORIZONS.numpy()
        )
        assert evaluated[0] == pytest.approx(-np.log(probability), abs=1e-6)


def test_grid_loss_of_padding_is_zero():
    outputs = torch.randn(2, 3).sort(dim=1).values.requires_grad_()
    y = torch.tensor([[torch.nan, torch.nan], [3.0, 1.0]])
    losses = grid_loss(outputs, y, HORIZONS)
    losses.sum().backward()
    assert losses[0] == 0
    assert (outputs.grad[0] == 0).all()
    assert outputs.grad.isfinite().all()


def test_untrained_heads_say_kaplan_meier():
    """With nothing learned from the features, each head predicts its training patients' curve."""
    survfunc = pytest.importorskip("statsmodels.duration.survfunc")
    _, y = patients(4000, seed=5)
    curve = survfunc.SurvfuncRight(y[:, 0].numpy(), y[:, 1].numpy())
    at = np.searchsorted(curve.surv_times, HORIZONS.numpy(), side="right") - 1
    heads = (CoxHead(2, OUTCOME), DiscreteTimeHead(2, OUTCOME))
    for head, tolerance in zip(heads, (0.005, 0.02), strict=True):
        head.load_state_dict(head.state_dict() | head.fit(y.numpy()))
        with torch.no_grad():
            survival = torch.exp(-torch.exp(head(torch.zeros(1, 2))))
            survival = survival if isinstance(head, CoxHead) else bias_free(head)
        np.testing.assert_allclose(survival[0].numpy(), curve.surv_prob[at], atol=tolerance)


def bias_free(head: DiscreteTimeHead) -> torch.Tensor:
    head.linear.bias.data.zero_()
    return torch.exp(-torch.exp(head(torch.zeros(1, 2))))


def test_finished_baseline_keeps_ranking():
    """After `finish` the expected events are the observed ones, and no two patients swap."""
    risk, y = patients(300, seed=7)
    head = CoxHead(1, OUTCOME)
    head.linear.weight.data.fill_(1.0)
    head.load_state_dict(head.state_dict() | head.fit(y.numpy()))
    with torch.no_grad():
        before = head(risk[:, None].float())
        values = head.finish(before.numpy(), y.numpy(), dict(head.state_dict()))
        head.load_state_dict(head.state_dict() | values)
        after = head(risk[:, None].float())
    assert torch.equal(before[:, 0].argsort(), after[:, 0].argsort())
    again = head.finish(after.numpy(), y.numpy(), dict(head.state_dict()))
    torch.testing.assert_close(again["baseline"], values["baseline"])
    ended = (y[:, 0] <= 9) & (y[:, 1] == 1)
    early = np.minimum(y[:, 0].numpy(), 9.0)
    alone = breslow(risk.numpy(), y.numpy(), np.unique(early))
    expected = np.exp(alone)[np.searchsorted(np.unique(early), early)] * np.exp(risk.numpy())
    assert float(expected.sum()) == pytest.approx(int(ended.sum()), rel=1e-2)

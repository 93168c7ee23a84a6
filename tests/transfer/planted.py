"""Features with known values, for numbers of other implementations; and a network to penalise."""

import torch

from medgraft.networks.model import build
from medgraft.transfer.seen import Seen

ROWS = torch.arange(1, 61, dtype=torch.float64)[:, None]
COLUMNS = torch.arange(1, 6, dtype=torch.float64)
F = torch.sin(0.37 * ROWS * COLUMNS)
F = F + 0.5 * (torch.arange(60)[:, None] % 3 == torch.arange(5))
G = 1.3 * torch.cos(0.19 * ROWS * COLUMNS) + 0.2

NUMBER = {"kind": "number", "may_be_missing": False, "origin": "shared"}
SCHEMA = {"features": [NUMBER] * 3, "outcome": {"task": "binary", "classes": ["no", "yes"]}}
SPEC = {
    "input": {"_target_": "medgraft.networks.inputs.table.TableInput"},
    "encoder": {"_target_": "medgraft.networks.encoders.mlp.Mlp", "widths": [4, 3]},
    "readout": {"_target_": "medgraft.networks.readout.LastLayer"},
    "head": {"_target_": "medgraft.networks.heads.classification.BinaryHead"},
}


def network(seed: int = 0, **parts):
    """A small network; its input is fitted on the patients below."""
    made = build(SPEC | parts, SCHEMA, seed=seed)
    x, y = batch(40)
    made.load_state_dict(made.fit(x.numpy(), y.numpy()), strict=False)
    return made


def batch(rows: int = 12):
    """Patients [n, 3] and outcomes [n]."""
    generator = torch.Generator().manual_seed(rows)
    x = torch.randn(rows, 3, generator=generator)
    return x, (x.sum(1) > 0).float()


def seen(now, start=None, rows: int = 12) -> Seen:
    return Seen(now, *batch(rows), start=start)

"""Sequences through the same training as everything else."""

import re
import sys

import numpy as np
import polars as pl

from medgraft.config import PretrainConfig
from medgraft.preparation.arrays import Prepared, read, write
from medgraft.training import weights
from medgraft.training.pretrain import pretrain
from networks.encoders.test_sequences import CNN, INPUT, SCHEMA
from training.simulated import ADAMW, HEADS, LAST, trainer

ROWS, LENGTH = 32_000, 31
SPEC = {"input": INPUT, "encoder": CNN, "readout": LAST, "head": HEADS["binary"]}
MASKED = {"_target_": "medgraft.training.pretexts.masked_token.MaskedToken"}


def test_terminal_sees_time_left(tmp_path, monkeypatch, capsys):
    """Two networks learn hidden letters of 32,000 memory-mapped sequences, under a progress bar."""
    stream = np.random.default_rng(0)
    people = pl.DataFrame({"row": np.arange(ROWS), "patient": np.arange(ROWS)})
    schema = SCHEMA | {"modality": "sequence", "sites": ["here"]}
    tokens = stream.integers(0, 4, (ROWS, LENGTH)).astype(np.uint8)
    write(tmp_path / "p", Prepared(tokens, np.arange(ROWS) % 2.0, people, schema))
    source = read(tmp_path / "p")
    assert isinstance(source.x, np.memmap)
    assert source.x.dtype == np.uint8
    rows = [list(range(200, ROWS)), list(range(200))]
    design = pl.DataFrame(
        {"replica": [0, 1], "init_seed": [1, 2], "train": rows[:1] * 2, "validation": rows[1:] * 2}
    )
    for terminal in (sys.stdout, sys.stderr):
        monkeypatch.setattr(terminal, "isatty", lambda: True)
    pretrain(
        source,
        design,
        spec=SPEC,
        config=PretrainConfig(optimizer=ADAMW, batch_size=32, hide_probability=0.5, pretext=MASKED),
        trainer=trainer(max_steps=20, check_every=5),
        out=tmp_path / "out",
    )
    # Lightning draws with rich where it is installed, else with tqdm: done, elapsed, left.
    bar = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", capsys.readouterr().out)
    assert re.search(r"4/4 (\d:\d\d:\d\d • 0:00:00|\[\d\d:\d\d<00:00)", bar)
    state, description = weights.read(tmp_path / "out")
    assert description["schema"]["outcome"]["task"] == "pretext"
    assert not [name for name in state if name.startswith("head.")]

import sys

import pytest

from medgraft.config import validate
from medgraft.errors import ConfigError, MedgraftError
from medgraft.training.on_ray import spread

from . import simulated as sim


def test_without_ray_training_is_called_here(tmp_path):
    called = []
    spread(sim.trainer(), lambda: called.append(1), scratch=tmp_path)
    assert called == [1]


def test_absent_ray_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        MedgraftError, match=r"trainer=ray needs ray: pip install 'medgraft\[ray\]'"
    ):
        spread(sim.trainer(strategy="ray", devices=2), lambda: None, scratch=tmp_path)


def test_ray_wants_to_know_how_many(root):
    from medgraft.composition import compose

    with pytest.raises(ConfigError, match="devices: strategy ray expected a number, got 'auto'"):
        validate(compose(root, ["trainer=ray", "trainer.devices=auto"]))


@pytest.mark.parametrize("strategy", ["deepspeed", "ddp_spawn"])
def test_strategies_that_are_not_there_are_refused(root, strategy):
    from medgraft.composition import compose

    with pytest.raises(
        ConfigError, match=r"trainer\.strategy: got .*: input should be 'auto', 'ddp'"
    ):
        validate(compose(root, [f"trainer.strategy={strategy}"]))

"""What `dvc exp run -S` changed, written down as a choice. With DVC: tests/stages."""

import hashlib
import shutil

import pytest
import yaml

from medgraft import composition, config, experiments
from medgraft.cohorts import seal
from medgraft.errors import ConfigError

CHOSEN = ("strategies=[scratch,fine_tune]", "finetune.optimizer.lr=0.002")


@pytest.fixture
def project(root, tmp_path):
    """A project that has chosen something."""
    shutil.copytree(root / "conf", tmp_path / "conf")
    composition.record(tmp_path, CHOSEN)
    config.write_params(tmp_path, composition.compose(tmp_path))
    return tmp_path


def experiment(project, *overrides: str) -> dict:
    """What DVC leaves: another params.yaml, and a lock that knows it and the conf/ there is."""
    params = composition.compose(project, [*CHOSEN, *overrides])
    config.write_params(project, params)
    lock(project)
    return params


def lock(project) -> None:
    md5 = hashlib.md5((project / "params.yaml").read_bytes()).hexdigest()
    stage = {
        "deps": [{"path": "conf", "md5": f"{seal.folder_md5(project / 'conf')}.dir"}],
        "outs": [{"path": "params.yaml", "md5": md5}],
    }
    (project / "dvc.lock").write_text(yaml.safe_dump({"stages": {"compose": stage}}))


def keep(project) -> dict:
    return experiments.keep(project, composition.compose(project))


SAID = {
    "value": (["finetune.optimizer.lr=0.5"], "finetune.optimizer.lr=0.5"),
    "values": (["seed=1", "design.sizes=[20,40]"], "seed=1 design.sizes=[20,40]"),
    "encoder": (["encoder=one_hidden"], "encoder.widths=[64]"),
    "strategies": (["strategies=[scratch]"], "strategies=[scratch]"),
    "metrics": (["metrics=[auroc,brier]"], "metrics=[auroc,brier]"),
    "optimiser": (
        ["optimizer@finetune.optimizer=sgd", "finetune.optimizer.momentum=0.5"],
        "optimizer@finetune.optimizer=sgd finetune.optimizer.momentum=0.5",
    ),
    "other encoder": (
        ["encoder=resnet", "encoder.blocks=3"],
        "encoder=resnet encoder.blocks=3",
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_change_becomes_a_choice(project, case, capsys):
    overrides, said = SAID[case]
    params = experiment(project, *overrides)
    assert composition.compose(project) != params
    assert keep(project) == params
    assert composition.compose(project) == params
    assert capsys.readouterr().out == f"kept from the experiment, in conf/chosen.yaml: {said}\n"


def test_other_cohort_becomes_a_choice(project):
    """A group that changes another one."""
    params = experiment(project, "experiment=heart")
    assert keep(project) == params == composition.compose(project)


def test_later_experiment_replaces_earlier(project):
    """Groups are not chosen twice, which Hydra would refuse."""
    for optimizer in ("sgd", "adamw", "sgd"):
        params = experiment(project, f"optimizer@finetune.optimizer={optimizer}")
        keep(project)
        assert composition.compose(project) == params
    assert composition.choices(project).read_text().count("optimizer@finetune.optimizer") == 1


def test_edit_of_conf_wins(project):
    """The difference is the user's own: nothing is taken for an experiment."""
    experiment(project, "seed=1")
    path = project / "conf" / "trainer" / "cpu.yaml"
    path.write_text(path.read_text().replace("patience: 8", "patience: 9"))
    composed = composition.compose(project)
    assert experiments.keep(project, composed) is composed


def test_edit_of_params_is_undone(project):
    """params.yaml is written by compose; what a hand changed there was run by nobody."""
    experiment(project, "seed=1")
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("seed: 1", "seed: 2"))
    assert keep(project)["seed"] == 2026


def test_what_cannot_be_chosen_is_said(project):
    before = composition.choices(project).read_text()
    params = composition.compose(project)
    del params["encoder"]["activation"]
    config.write_params(project, params)
    lock(project)
    with pytest.raises(ConfigError) as error:
        keep(project)
    assert str(error.value) == (
        "params.yaml, which an experiment made, lacks encoder.activation; what conf/ sets cannot "
        "be taken away: choose anew with overrides or --defaults"
    )
    assert composition.choices(project).read_text() == before

"""What every yaml of conf/ promises, whatever its group."""

import inspect
import shutil
from pathlib import Path

import pytest

from medgraft import composition, config
from medgraft.cohorts.parsing import NAME, describe
from medgraft.construct import locate

from . import found

SRC = found.CONF.parent / "src" / "medgraft"


@pytest.mark.parametrize("path", found.FILES, ids=found.name)
def test_yaml_composes_and_constructs(project, path):
    """Chosen on the command line it is valid, its constructors exist and know its arguments."""
    params = composition.compose(project, found.overrides(path))
    assert config.settle(project, params) is None
    own = {key: value for key, value in found.flat(found.read(path)).items() if key != "defaults"}
    values = list(found.flat(params).values())
    lost = [k for k, v in own.items() if v not in values and "$" not in str(v) and v != "???"]
    assert not lost, "composed away"


@pytest.mark.parametrize("path", found.of("trainer"), ids=found.name)
def test_other_hardware_reruns_nothing(project, path):
    """Trainers differ in what is not tracked only: the same study on another machine is cached."""
    cpu, other = (
        composition.compose(project, [f"trainer={name}"])["trainer"] for name in ("cpu", path.stem)
    )
    differs = {key for key, value in other.items() if value != cpu[key]}
    assert differs <= set(config.UNTRACKED)


@pytest.mark.parametrize("path", found.of("cohort"), ids=found.name)
def test_cohort_is_described(path, tmp_path):
    """Its folder is sealed with data/; sites and outcomes it names are in the catalogue."""
    cohort = found.read(path)
    if cohort["origin"] is None:
        assert cohort["folder"] == "???"
        return
    target = cohort["origin"]["_target_"]
    simulated = ".simulated_" in target
    assert Path(cohort["folder"]).parent == Path("simulated" if simulated else "data")
    assert list(inspect.signature(locate(target)).parameters)[:2] == ["folder", "mirror"]
    if simulated:
        return  # its description is made with it
    module = target.split(".")[-2]
    shutil.copy(SRC / "cohorts" / "catalogue" / f"{module}.yaml", tmp_path / NAME)
    description = describe(tmp_path)
    for role in ("source", "target"):
        for site in cohort[role]:
            assert cohort["outcome"][role] in description.outcomes_at(site)


@pytest.mark.parametrize("path", found.of("task"), ids=found.name)
def test_task_is_its_kind(path):
    assert path.stem.startswith(found.read(path)["kind"])


# What the authors chose, and how: Li et al. 2018 and 2019, Chen et al. 2019, Hu et al. 2022, You et
# al. 2020, Howard & Ruder 2018, Clark et al. 2020; docs/strategies.md names the papers.
PUBLISHED = {
    "l2_sp": {"init._target_": "source_shared", "penalty.alpha": 0.01, "penalty.beta": 0.01},
    "delta": {"init._target_": "source_shared", "penalty.alpha": 0.01, "penalty.beta": 0.01},
    "bss": {"penalty.eta": 0.001, "penalty.k": 1},
    "lora": {"adapter.rank": 8, "adapter.alpha": 8},
    "co_tuning": {"penalty.weight": 2.3},
    "discriminative": {"learning_rate.divisor": 2.6},
    "gradual": {"learning_rate.divisor": 2.6},
    "layer_decay": {"learning_rate.decay": 0.75},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_strategy_has_its_published_constants(name, project):
    """As composed: no other file of conf/ says otherwise."""
    composed = composition.compose(project, [f"strategies=[scratch,{name}]"])["strategies"][name]
    values = {key: value for key, value in found.flat(composed).items() if key in PUBLISHED[name]}
    if "init._target_" in values:
        values["init._target_"] = values["init._target_"].rpartition(".")[2]
    assert values == PUBLISHED[name]

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
def test_other_hardware_reruns_nothing(path):
    """Trainers differ in what is not tracked only: the same study on another machine is cached."""
    cpu = found.read(found.CONF / "trainer" / "cpu.yaml")
    differs = {key for key, value in found.read(path).items() if value != cpu[key]}
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

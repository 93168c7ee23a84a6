"""What a Hydra user expects: the composed configuration shown, the groups listed, a folder of one's
own searched."""

import shutil
import subprocess
import sys

import pytest
import yaml

from medgraft import cli, composition, config
from medgraft.errors import ConfigError

MINE = """\
# @package _global_
defaults:
  - override /cohort: mine
  - override /encoder: one_hidden
seed: 7
"""


@pytest.fixture
def project(root, tmp_path, monkeypatch):
    """A project folder without data or results, as the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(root / "conf", folder / "conf")
    for name in ("dvc.yaml", "data.dvc"):
        shutil.copy(root / name, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def run(project, capsys):
    """Calls the command; returns exit code, output and errors."""

    def _run(*arguments: str):
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return end.value.code or 0, captured.out, captured.err

    return _run


@pytest.fixture
def own(tmp_path):
    """A folder outside the project, with a name no grammar likes."""
    folder = tmp_path / "Dr. O'Neil, trials = [2]"
    (folder / "experiment").mkdir(parents=True)
    (folder / "experiment" / "mine.yaml").write_text(MINE)
    (folder / "cohort").mkdir()
    breast = (config.project_root() / "conf" / "cohort" / "breast.yaml").read_text()
    (folder / "cohort" / "mine.yaml").write_text(breast.replace("data/breast", "data/mine"))
    return folder


# Views

HYDRA = """\
import hydra, sys
@hydra.main(version_base="1.3", config_path=sys.argv.pop(), config_name="config")
def main(config): ...
main()
"""


@pytest.mark.parametrize("view", [[], ["--package", "finetune"], ["--package", "design.sizes"]])
def test_view_is_hydras_own(run, project, view):
    """Character by character what `--cfg job --resolve` of a Hydra program prints."""
    change = ["strategies=[scratch]", "trainer.precision='32'"]
    hydra = [sys.executable, "-c", HYDRA, *change, "--cfg", "job", "--resolve", *view]
    theirs = subprocess.run(
        [*hydra, str(project / "conf")], capture_output=True, text=True, check=True
    )
    assert run("compose", *change, "--cfg", "job", *view) == (0, theirs.stdout, "")


def test_part_has_its_package(run):
    assert run("compose", "finetune.optimizer.lr=0.01", "--cfg", "--package", "finetune") == (
        0,
        """\
# @package finetune
batch_size: 16
max_steps: null
augment: null
schedule:
  _target_: medgraft.training.schedules.constant
optimizer:
  _target_: torch.optim.AdamW
  lr: 0.01
  weight_decay: 0.01
  fused: true
""",
        "",
    )
    assert run("compose", "--package", "seed") == (0, "2026\n", "")


def test_view_writes_nothing(run, project):
    before = {path: path.read_bytes() for path in project.rglob("*") if path.is_file()}
    assert run("compose", "seed=3", "--cfg")[1].startswith("seed: 3\n")
    assert run("repro", "--cfg", "seed=4")[1].startswith("seed: 4\n")
    assert {path: path.read_bytes() for path in project.rglob("*") if path.is_file()} == before


def test_view_is_of_the_choices(run):
    run("compose", "encoder.widths=[8]")
    assert run("compose", "--cfg", "--package", "encoder.widths")[1] == (
        "# @package encoder.widths\n- 8\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--package", "finetun"], "--package finetun: not in the configuration; did you mean "
         "'finetune'?"),
        (["design.runs=0", "--cfg"], "design.runs: got 0: input should be greater than 0"),
        (["--cfg", "hydra"], "hydra: Error parsing override 'hydra'"),
    ],
)  # fmt: skip
def test_refused_view_is_one_line(run, arguments, message):
    assert run("compose", *arguments) == (2, "", f"medgraft: {message}\n")


@pytest.mark.parametrize("command", ["compose", "repro"])
def test_help_lists_the_groups(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert out.startswith(f"usage: medgraft {command} [-h] ")
    head, _, listed = out.partition("\n== Configuration groups ==\n")
    assert "--cfg" in head
    assert listed.startswith(
        """\
Compose your configuration from those groups (group=option)
or from several options of strategies and metrics (group=[option,option])

augment@finetune.augment: image
augment@pretrain.augment: image
cohort: breast, diabetes, gbsg, gue_mouse, heart, nki_vdx, own, pneumonia,
"""
    )
    assert "\noptimizer@finetune.optimizer: adam, adamw, sgd\n" in listed
    assert "\ntrainer: cpu, ddp, fsdp, gpu, ray, slurm\n" in listed
    assert max(map(len, listed.splitlines())) <= 80


def test_every_option_listed_can_be_chosen(project):
    """As it is listed: the group's name is what an override needs."""
    listed = composition.groups(project)
    folders = {path.name for path in (project / "conf").iterdir() if path.is_dir()}
    # `medgraft sweep` alone reads conf/sweep and conf/launcher: their keys are in no configuration.
    assert {name.partition("@")[0] for name in listed} == folders - {"launcher", "sweep"}
    for group, options in listed.items():
        value = f"[{options[0]}]" if group in ("strategies", "metrics") else options[0]
        composition.compose(project, [f"{group}={value}"])


def test_help_outside_a_project(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("compose", "--help")
    assert (code, err) == (0, "")
    help_alone, _, example = out.rstrip().rpartition("\n\n")
    assert help_alone.endswith("the part to print, e.g. finetune.optimizer")
    assert example.startswith("example: medgraft compose")


# Asked again

OWN = [
    "cohort=own", "cohort.source=[a]", "cohort.target=[b]",
    "cohort.outcome.source=x", "cohort.outcome.target=x",
]  # fmt: skip


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=heart", "design.runs=3"],
        ["schedule@finetune.schedule=warmup_cosine", "strategies=[scratch,joint]"],
        ["trainer=ddp", "trainer.precision='32'", "trainer.compile=true"],
        [*OWN, r"cohort.folder='/mnt/our data, it\'s here'"],
        ["++finetune.optimizer.foreach=null"],
    ],
)
def test_what_was_chosen_can_be_asked_for_again(project, overrides):
    composition.record(project, overrides)
    params = composition.compose_chosen(project)
    assert composition.compose(project, composition.asked(project, params)) == params


def test_what_an_experiment_changed_can_be_asked_for(project):
    """`dvc exp run -S` changes params.yaml alone."""
    composition.record(project, ["experiment=heart"])
    params = composition.compose_chosen(project)
    params["finetune"]["optimizer"]["lr"] = 0.5
    params["strategies"] = {"scratch": params["strategies"]["scratch"]}
    asked = composition.asked(project, params)
    assert asked == ["experiment=heart", "strategies=[scratch]", "finetune.optimizer.lr=0.5"]


def test_what_no_override_says_is_refused(project):
    params = composition.compose(project, [])
    del params["seed"]
    with pytest.raises(ConfigError, match="lacks seed"):
        composition.asked(project, params)


# Hardware

PROCESSES = {"devices": 2, "strategy": "ddp", "same_bits": False}
MACHINES = {
    "cpu": {},
    "gpu": {"accelerator": "gpu"},
    "ddp": PROCESSES | {"accelerator": "auto"},
    "fsdp": PROCESSES | {"accelerator": "auto", "strategy": "fsdp", "share": "batches"},
    "ray": PROCESSES | {"strategy": "ray"},
    "slurm": PROCESSES | {"accelerator": "auto", "devices": 4, "num_nodes": 2},
}


@pytest.mark.parametrize(
    ("machine", "precision"),
    [
        (machine, precision)
        for machine in MACHINES
        for precision in ("32", "16-mixed", "bf16-mixed")
        if (machine, precision) != ("fsdp", "16-mixed")  # refused: tests/test_config.py
    ],
)
def test_hardware_changes_the_trainer_alone(project, machine, precision):
    """And of it what belongs to the machine: no seed, no batch size, no number of steps."""
    usual = composition.compose(project, [])
    other = composition.compose(project, [f"trainer={machine}", f"trainer.precision={precision}"])
    changed = MACHINES[machine] | ({} if precision == "32" else {"precision": precision})
    sections = config.validate(other).model_dump()
    assert sections.pop("trainer") == usual.pop("trainer") | changed
    assert sections == config.validate(usual | {"trainer": other["trainer"]}).model_dump(
        exclude={"trainer"}
    )


@pytest.mark.parametrize("name", ["precision", *config.UNTRACKED])
def test_only_precision_trains_anew(root, name):
    """A device may not change a result, so DVC is not told of it; precision changes what trains."""
    stages = [stage for stage in ("preprocess", "pretrain", "finetune", "evaluate", "deploy")
              if f"trainer.{name}" in config.declared(root, stage)]  # fmt: skip
    assert stages == (["pretrain", "finetune"] if name == "precision" else [])


# A folder of one's own


def test_own_experiment_is_kept(run, project, own):
    """Composed now, recorded, and composed again by whoever asks for nothing."""
    assert run("compose", "--config-dir", own, "experiment=mine", "design.runs=3")[0] == 0
    params = config.read_params(project)
    assert params["cohort"]["folder"] == "data/mine"
    assert params["encoder"]["widths"] == [64]
    assert (params["seed"], params["design"]["runs"]) == (7, 3)
    assert yaml.safe_load(composition.choices(project).read_text()) == {
        "defaults": ["config", {"override experiment": "mine"}, "_self_"],
        "hydra": {"searchpath": [f"file://{own}"]},
        "design": {"runs": 3},
    }
    (project / "params.yaml").unlink()
    assert run("compose") == (0, "", "")
    assert config.read_params(project) == params


def test_own_options_are_listed(run, own):
    out = run("repro", "--config-dir", own, "--help")[1]
    cohorts = out.partition("\ncohort: ")[2].partition("\nencoder: ")[0]
    assert "mine," in cohorts.split()
    assert " heart, mine, pneumonia," in out


def test_own_mistakes_get_one_line_each(run, own):
    code, _, err = run("compose", "--config-dir", own, "experiment=mime", "cohort=mine", "sed=3")
    assert code == 2
    assert err == (
        "medgraft: experiment=mime: there is no conf/experiment/mime.yaml; did you mean 'mine'?\n"
        "sed=3: unknown key; did you mean 'seed'?\n"
    )


def test_own_broken_file_is_named(run, own):
    path = own / "experiment" / "mine.yaml"
    path.write_text("seed: [1\n")
    assert run("compose", "--config-dir", own, "experiment=mine")[2] == (
        f"medgraft: experiment=mine: {path}, line 2: not YAML: "
        "expected ',' or ']', but got '<stream end>'\n"
    )


@pytest.mark.parametrize("later", [False, True], ids=["now", "recorded"])
def test_absent_folder_is_named(run, own, later):
    arguments = ["compose", "--config-dir", own, "experiment=mine"]
    if later:
        run(*arguments)
        arguments = ["compose"]
    shutil.rmtree(own)
    assert run(*arguments) == (
        2,
        "",
        f"medgraft: {own}: the folder of --config-dir is absent; --defaults forgets it\n",
    )
    assert run("compose", "--defaults") == (0, "", "")

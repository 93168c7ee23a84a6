import re
import shutil
import subprocess
import sys

import pytest
import yaml

from medgraft import composition, config
from medgraft.construct import ALLOWED
from medgraft.errors import ConfigError


@pytest.fixture
def project(root, tmp_path):
    """Only what composing needs."""
    shutil.copytree(root / "conf", tmp_path / "conf")
    shutil.copy(root / "dvc.yaml", tmp_path)
    return tmp_path


def refusal(call, *arguments, **options) -> str:
    with pytest.raises(ConfigError) as error:
        call(*arguments, **options)
    return str(error.value)


def settle(project, *overrides):
    config.settle(project, composition.compose(project, overrides))


OWN = """\
cohort.folder: needs a value
cohort.source: needs a value
cohort.target: needs a value
cohort.outcome.target: needs a value"""

PASSWORD = (
    "tracking: uri: expected an address without a password or token, which params.yaml would keep: "
    "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say who you are"
)
MISTAKES = {
    "finetune.optimiser.lr=1": "finetune.optimiser.lr=1: unknown key; "
    "did you mean 'finetune.optimizer.lr'?",
    "encoder=mpl": "encoder=mpl: there is no conf/encoder/mpl.yaml; did you mean 'mlp'?",
    "experiment=hart": "experiment=hart: there is no conf/experiment/hart.yaml; "
    "did you mean 'heart'?",
    "strategies=[scratch,fine_tun]": "strategies=[scratch,fine_tun]: there is no "
    "conf/strategies/fine_tun.yaml; did you mean 'fine_tune'?",
    "task=ranking": "task=ranking: there is no conf/task/ranking.yaml; "
    "expected one of binary, multiclass, multilabel, regression, survival, survival_cox",
    "design.runs=ten": "design.runs: got 'ten': input should be a valid integer",
    "design.runs=2.5": "design.runs: got 2.5: input should be a valid integer",
    "design.folds=1": "design.folds: got 1: input should be greater than or equal to 2",
    "trainer.devices=many": "trainer.devices: got 'many': "
    "expected a number from 1 to 10000 or 'auto'",
    "trainer.threads=2": "trainer: threads: expected 1, or trainer.same_bits=false, got 2: "
    "several add up in another order than one, and last bits may differ",
    "trainer.devices=2": "trainer: devices: expected 1, or trainer.same_bits=false, got 2: "
    "several add up in another order than one, and last bits may differ",
    "trainer.num_nodes=2": "trainer: num_nodes: expected 1, or trainer.same_bits=false, got 2: "
    "several add up in another order than one, and last bits may differ",
    "trainer.precision=64": "trainer.precision: got '64': "
    "input should be '32', '16-mixed' or 'bf16-mixed'",
    "finetune.optimizer.lr=0": "finetune.optimizer: lr: got 0: expected a number above 0",
    "pretrain.optimizer.lr=0.0": "pretrain.optimizer: lr: got 0: expected a number above 0",
    "strategies=[scratch,scratch]": "strategies.scratch: expected it once, got "
    "conf/strategies/scratch.yaml and conf/strategies/scratch.yaml",
    "metrics=[auroc,brier,auroc]": "metrics.auroc: expected it once, got "
    "conf/metrics/auroc.yaml and conf/metrics/auroc.yaml",
    "design.sizes=[20,40,20]": "design.sizes: got [20, 40, 20]: 20 is written twice",
    "cohort.target=[clinic,clinic]": "cohort.target: got ['clinic', 'clinic']: "
    "'clinic' is written twice",
    f"seed={10**23}": f"seed: got {10**23}: input should be less than 4294967296",
    f"design.runs={10**12}": "design.runs: got 1000000000000: "
    "input should be less than or equal to 10000",
    f"trainer.max_steps={10**12}": "trainer.max_steps: got 1000000000000: "
    "input should be less than or equal to 1000000000",
    f"finetune.batch_size={10**9}": "finetune.batch_size: got 1000000000: "
    "input should be less than or equal to 100000",
    f"trainer.devices={10**12}": "trainer.devices: got 1000000000000: "
    "expected a number from 1 to 10000 or 'auto'",
    f"evaluation.draws={10**12}": "evaluation.draws: got 1000000000000: "
    "input should be less than or equal to 1000000",
    "pretrain.hide_probability=nan": "pretrain.hide_probability: got nan: "
    "input should be a finite number",
    "evaluation.cost=inf": "evaluation.cost: got inf: input should be a finite number",
    "finetune.optimizer.lr=nan": "finetune.optimizer: lr: got nan: expected a finite number",
    "finetune.optimizer.lr=-1": "finetune.optimizer: torch.optim.AdamW(lr=-1, weight_decay=0.01, "
    "fused=True): Invalid learning rate: -1",
    "finetune.optimizer.weight_decay=-1": "finetune.optimizer: torch.optim.AdamW(lr=0.001, "
    "weight_decay=-1, fused=True): Invalid weight_decay value: -1",
    "+strategies.scratch.penalty={_target_: medgraft.transfer.penalty.L2Sp, alpha: -1}": (
        "strategies.scratch.penalty: medgraft.transfer.penalty.L2Sp: alpha: got -1: "
        "input should be greater than or equal to 0"
    ),
    "encoder.widths=[1000000000000]": "encoder: medgraft.networks.encoders.mlp.Mlp: widths: "
    "got [1000000000000]: input should be less than or equal to 10000",
    "cohort.folder=''": "cohort.folder: got '': string should have at least 1 character",
    "finetune=adam": "finetune: got 'adam': expected the keys optimizer, batch_size, max_steps, "
    "schedule, augment",
    "cohort=own": OWN,
    "cohort.source=[clinic]": "cohort: clinic cannot be source and target at once",
    "evaluation.reference=scrach": "evaluation.reference: 'scrach' is not run; "
    "did you mean 'scratch'?",
    "strategies=[fine_tune]": "evaluation.reference: 'scratch' is not run; "
    "expected one of fine_tune",
    "task.primary=auc": "task.primary: 'auc' is not among the metrics; did you mean 'auroc'?",
    "task.primary=rmse": "task.primary: 'rmse' does not measure a binary outcome",
    "task.primary=calibration_slope": "task.primary: neither a higher nor a lower "
    "'calibration_slope' is better",
    "encoder._target_=os.system": "encoder: _target_ 'os.system': "
    f"expected one of {', '.join(ALLOWED)}",
    "~encoder._target_": "encoder: needs a _target_, the name of what it constructs",
    "strategies.scratch.init=null": "strategies.scratch: "
    "expected init, trainable and readout, or a baseline",
    "+strategies.logistic_regression.init={_target_: medgraft.transfer.init.random}": (
        "strategies.logistic_regression: a baseline takes no other part"
    ),
    "+encoder.width=[8]": "encoder: medgraft.networks.encoders.mlp.Mlp: "
    "unknown argument 'width'; did you mean 'widths'?",
    "tracking.uri='https://me:secret@mlflow.example'": PASSWORD,
    "tracking.uri='https://t0ken@mlflow.example'": PASSWORD,
    "tracking.uri='postgresql://db.example/mlflow?password=secret'": PASSWORD,
    "trainer.accelerator=quantum": "trainer.accelerator: got 'quantum': input should be 'auto', "
    "'cpu', 'gpu', 'cuda' or 'mps'",
    "+seed=3": "+seed=3: Could not append to config. An item is already at 'seed'.",
}


@pytest.mark.parametrize("override", MISTAKES)
def test_mistake_gets_one_sentence(project, override):
    assert refusal(settle, project, override) == MISTAKES[override]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("share=replicas", "share: strategy fsdp expected 'batches', got 'replicas'"),
        (
            "precision=16-mixed",
            "precision: strategy fsdp expected '32' or 'bf16-mixed', got '16-mixed'",
        ),
        ("compile=true", "compile: strategy fsdp expected False, got True"),
        (
            "same_bits=true",
            "devices: expected 1, or trainer.same_bits=false, got 2: "
            "several add up in another order than one, and last bits may differ",
        ),
    ],
)
def test_what_fsdp_cannot_do_is_refused(project, override, said):
    assert refusal(settle, project, "trainer=fsdp", f"trainer.{override}") == f"trainer: {said}"


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("preparation=image", "reads table, expression, and this is image"),
        (
            "task=survival",
            "learns binary, multiclass, multilabel, regression, and this is survival",
        ),
    ],
)
def test_learner_for_other_data_is_refused_before_training(project, override, said):
    """Of the strategies that run by default, and none that trains a network."""
    end = "leave it out of strategies; docs/choosing.md has the learners for each kind"
    assert refusal(settle, project, override).splitlines() == [
        f"strategies.{name}: {said}: {end}" for name in ("logistic_regression", "gradient_boosting")
    ]


@pytest.mark.parametrize("override", ["reads=[table]", "learns=[survival]"])
def test_baselines_alone_say_what_they_read(project, override):
    assert refusal(settle, project, f"+strategies.scratch.{override}") == (
        "strategies.scratch: expected reads and learns of a baseline alone"
    )


def test_settings_of_unrun_strategy_get_one_sentence(project):
    said = refusal(settle, project, "experiment=gue_mouse", "strategies=[scratch]")
    assert said == (
        "strategies.kmer_logistic: has settings but is not run; "
        "expected it in strategies=[scratch,kmer_logistic]"
    )


def test_all_refused_overrides_are_reported(project):
    assert refusal(settle, project, "desing.runs=3", "encoder=mpl", "design.folds=4") == (
        "desing.runs=3: unknown key; did you mean 'design.runs'?\n"
        "encoder=mpl: there is no conf/encoder/mpl.yaml; did you mean 'mlp'?"
    )


def test_all_wrong_values_are_reported(project):
    assert refusal(settle, project, "design.runs=-1", "seed=-1", "evaluation.draws=10") == (
        "seed: got -1: input should be greater than or equal to 0\n"
        "design.runs: got -1: input should be greater than 0\n"
        "evaluation.draws: got 10: input should be greater than or equal to 200"
    )


def test_all_contradictions_are_reported(project):
    wrong = ["cohort.target=[reference_laboratory]", "evaluation.reference=x", "task.primary=f2"]
    lines = refusal(settle, project, *wrong).splitlines()
    keys = [line.split(":")[0] for line in lines]
    assert keys == ["cohort", "evaluation.reference", "task.primary"]


def test_all_unknown_arguments_are_reported(project):
    wrong = ["+encoder.depth=3", "+finetune.optimizer.beta=0.9"]
    lines = refusal(settle, project, *wrong).splitlines()
    assert [line.split(":")[0] for line in lines] == ["finetune.optimizer", "encoder"]


def test_second_strategy_of_one_name_is_refused(project):
    """A copied file whose first line still names the original took its place without a word."""
    text = (project / "conf" / "strategies" / "scratch.yaml").read_text()
    (project / "conf" / "strategies" / "mine.yaml").write_text(text)
    assert refusal(settle, project, "strategies=[scratch,mine]") == (
        "strategies.scratch: expected it once, got "
        "conf/strategies/scratch.yaml and conf/strategies/mine.yaml"
    )
    (project / "conf" / "chosen.yaml").write_text(
        "defaults: [config, {override strategies: [scratch, mine]}, _self_]\n"
    )
    assert "expected it once" in refusal(composition.compose, project)


LONG = "7" * 4000
TOO_LONG = [
    f"seed={LONG}9999",
    *(f"{key}={LONG}" for key in ("seed", "encoder", "task", "evaluation.reference", "foo")),
    f"finetune.optimizer.lr={LONG}",
    f"finetune.optimizer.lr=-{LONG}",
    f"encoder.widths=[{LONG}]",
    f"strategies=[x{LONG}]",
    f"encoder._target_=x{LONG}",
    "task.primary='" + "long " * 1000 + "'",
]


@pytest.mark.parametrize("override", TOO_LONG, ids=lambda one: one[:25])
def test_long_value_loses_its_middle(override, project, run):
    code, _, err = run("compose", override)
    assert code == 2
    assert "…" in err
    assert not re.search("7{300}|(long ){100}", err)


FILES = {
    "_target_: x\nwidths: [64,\n": "encoder=mine: conf/encoder/mine.yaml, line 3: not YAML: "
    "expected the node content, but found '<stream end>'",
    "widths: [64]\n": "encoder: needs a _target_, the name of what it constructs",
    "- 64\n": "encoder: got [64]: input should be a valid dictionary",
    "_target_: medgraft.networks.encoders.mlp.MLP\n": "encoder: _target_ "
    "'medgraft.networks.encoders.mlp.MLP': medgraft.networks.encoders.mlp has no 'MLP'; "
    "did you mean 'Mlp'?",
}


@pytest.mark.parametrize("text", FILES)
def test_own_file_is_checked(project, text):
    (project / "conf" / "encoder" / "mine.yaml").write_text(text)
    assert refusal(settle, project, "encoder=mine") == FILES[text]


def test_broken_base_is_named(project):
    (project / "conf" / "config.yaml").write_text("seed: [1\n")
    expected = r"conf/config\.yaml, line \d: not YAML: .*"
    assert re.fullmatch(expected, refusal(composition.compose, project, []))
    assert re.fullmatch(f"seed=1: {expected}", refusal(composition.compose, project, ["seed=1"]))


@pytest.mark.parametrize("override", ["pretrain.hide_probability=1", "finetune.optimizer.lr=1"])
def test_whole_number_is_a_float(project, override):
    """YAML writes 1.0 as 1; nobody should be told that 1 is not a number."""
    assert settle(project, override) is None


def test_nothing_refused_is_written(project):
    settle(project)
    before = (project / "params.yaml").read_bytes()
    refusal(settle, project, "encoder._target_=os.system")
    refusal(settle, project, "design.runs=0")
    assert (project / "params.yaml").read_bytes() == before


def test_equal_params_stay_untouched(project):
    """A reformatted, equal file too: DVC and git then see no change."""
    settle(project)
    path = project / "params.yaml"
    path.write_text("# mine\n" + path.read_text())
    before = path.stat().st_mtime_ns
    settle(project)
    assert (path.stat().st_mtime_ns, path.read_text()[:7]) == (before, "# mine\n")


def test_experiment_of_dvc_is_checked(project):
    """``dvc exp run -S`` writes params.yaml itself: being equal to it proves nothing."""
    params = composition.compose(project, ["encoder._target_=os.system"])
    config.write_params(project, params)
    expected = MISTAKES["encoder._target_=os.system"]
    assert refusal(config.settle, project, params, trusted=False) == expected


def test_params_are_plain_and_timeless(project):
    """No interpolation and no clock: two compositions are equal, byte for byte."""
    assert composition.compose(project, []) == composition.compose(project, [])
    text = "".join(path.read_text() for path in (project / "conf").rglob("*.yaml"))
    assert "${now:" not in text
    assert "${hydra:" not in text
    settle(project)
    assert "${" not in (project / "params.yaml").read_text()


def test_checked_in_params_are_composed(root):
    """What git holds is what ``conf/`` and the recorded overrides say."""
    composed = composition.compose(root)
    assert config.read_params(root) == composed


def test_overrides_are_recorded(project):
    """Of what is given twice Hydra takes the last, and so does the record."""
    overrides = [
        "experiment=heart",
        "strategies=[scratch,fine_tune,lora]",
        "design.runs=3",
        "design.runs=4",
        "strategies=[scratch,fine_tune]",
        "optimizer@finetune.optimizer=sgd",
        "finetune.optimizer.lr=0.01",
        "trainer.precision='32'",
        "cohort.target=[switzerland]",
    ]
    chosen = composition.compose(project, overrides)
    composition.record(project, overrides)
    assert composition.compose(project) == chosen
    composition.record(project, [])
    assert composition.compose(project) == composition.compose(project, [])


def test_unchanged_configuration_is_fast(project):
    """Torch is imported to look constructors up, and only when something has changed."""
    code = (
        "import sys; from pathlib import Path; from medgraft import composition, config; "
        "r = Path.cwd(); "
        "config.settle(r, composition.compose(r, [])); print('torch' in sys.modules)"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
        ).stdout.strip()
        for _ in range(2)
    ]
    assert answers == ["True", "False"]


def test_source_task_follows_task(project):
    def kinds(*overrides):
        params = composition.compose(project, overrides)
        return params["task"]["kind"], params["source_task"]["kind"]

    assert kinds("task=regression") == ("regression", "regression")
    assert kinds("task@source_task=multiclass") == ("binary", "multiclass")


# What a stage is given


@pytest.fixture
def composed(project):
    settle(project)
    return project


def flat(value) -> set[str]:
    """Dotted names of everything reachable from a stage's parameters."""
    if hasattr(value, "model_dump"):
        value = value.model_dump()
    if not isinstance(value, dict):
        value = vars(value)
    names = set()
    for key, inner in value.items():
        nested = isinstance(inner, dict) or hasattr(inner, "__dict__")
        names |= {f"{key}.{name}" for name in flat(inner)} if nested else {key}
    return names


def test_stage_gets_declared_alone(composed):
    track = config.stage_params("track", root=composed)
    assert flat(track) == {"tracking.uri"}
    evaluate = config.stage_params("evaluate", root=composed)
    assert {name.split(".")[0] for name in flat(evaluate)} == {
        "seed", "cohort", "task", "metrics", "evaluation", "pretrain", "strategies",
    }  # fmt: skip
    parts = ("cohort", "task", "pretrain")
    assert {name for name in flat(evaluate) if name.startswith(parts)} == {
        "cohort.notice", "task.primary", "pretrain.pretext._target_",
    }  # fmt: skip


def test_stage_gets_its_strategy_alone(composed):
    params = config.stage_params("finetune", key="scratch", root=composed)
    assert list(params.strategies) == ["scratch"]
    with pytest.raises(AttributeError, match="design"):
        params.design  # noqa: B018


@pytest.mark.parametrize("kind", ["table", "sequence", "image"])
def test_more_simulated_patients_than_memory_holds_are_refused(project, kind):
    overrides = (f"cohort=simulated_{kind}", f"cohort.origin.source_patients={10**12}")
    message = refusal(settle, project, *overrides)
    assert "source_patients: got 1000000000000: input should be less than or equal to" in message


def test_hardware_is_given_untracked(composed):
    """Another accelerator reruns nothing, yet training is told of it."""
    declared = config.declared(composed, "finetune", key="scratch")
    trainer = config.stage_params("finetune", key="scratch", root=composed).trainer
    for name in config.UNTRACKED:
        assert f"trainer.{name}" not in declared
        assert getattr(trainer, name) == config.read_params(composed)["trainer"][name]


def test_threads_decide_on_bits_and_are_tracked(composed):
    """Two threads add large sums in another order than one: results are not the same."""
    for stage, key in (("pretrain", ""), ("finetune", "scratch")):
        assert "trainer.threads" in config.declared(composed, stage, key=key)


def test_unknown_strategy_is_named(composed):
    message = refusal(config.stage_params, "finetune", key="l2sp", root=composed)
    assert message == "params.yaml: expected strategies.l2sp; run `medgraft compose`"


def test_edited_params_are_checked(composed):
    path = composed / "params.yaml"
    params = yaml.safe_load(path.read_text())
    params["design"]["runs"] = "ten"
    path.write_text(yaml.safe_dump(params))
    message = refusal(config.stage_params, "preprocess", root=composed)
    assert message == "design.runs: got 'ten': input should be a valid integer"


def test_unreadable_params_are_named(composed):
    path = composed / "params.yaml"
    path.write_text("seed: [")
    assert refusal(config.read_params, composed).startswith(f"{path}, line 1: ")
    path.unlink()
    assert refusal(config.read_params, composed) == f"{path} not found: run `medgraft compose`"


def test_project_is_found_above(composed, tmp_path_factory):
    inside = composed / "conf" / "encoder"
    assert config.project_root(inside) == composed
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    message = refusal(config.project_root, elsewhere)
    assert message == f"{elsewhere}: expected a medgraft project (a folder with dvc.yaml)"

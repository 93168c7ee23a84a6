"""Search spaces are written in Hydra's grammar, and what is wrong with one is a line."""

import subprocess
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from medgraft import composition
from medgraft.errors import ConfigError
from medgraft.sweep import space
from medgraft.sweep.settings import Asked

from .conftest import SMALL

SPACES = sorted((Path(__file__).parents[2] / "conf" / "sweep").glob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("interval(0, 0.5)", FloatDistribution(0, 0.5)),
        ("tag(log, interval(1e-4, 1e-1))", FloatDistribution(1e-4, 1e-1, log=True)),
        ("int(interval(2, 8))", IntDistribution(2, 8)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("range(1, 9, 2)", IntDistribution(1, 7, step=2)),
        ("range(0.1, 0.5, 0.1)", FloatDistribution(0.1, 0.4, step=0.1)),
        ("choice([16], [64, 64])", CategoricalDistribution(["[16]", "[64,64]"])),
        ("adam, sgd", CategoricalDistribution(["adam", "sgd"])),
    ],
)
def test_hydra_grammar_is_optunas_distribution(text, distribution):
    assert space.read({"a.b": text}) == {"a.b": distribution}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("interval(1, 1)", "empty; expected low < high"),
        ("range(1, 0)", "empty; expected low < high"),
        ("0.1", "expected interval(low, high), choice(a, b) or range(start, stop, step)"),
        ("tag(log, interval(0, 1))", "expected low > 0 and no step where factors count (log)"),
        ("tag(wide, interval(0, 1))", "unknown tag 'wide'; expected log"),
        ("interval(1", "no viable alternative at input"),
        ("uniform(0, 1)", "Unknown function 'uniform'"),
        ("interval(0, inf)", "expected finite numbers"),
        ("interval(nan, 1)", "expected finite numbers"),
        ("range(0, nan, 1)", "expected finite numbers"),
        ("range(0, inf, 1)", "expected finite numbers"),
        ("range(0, 1, nan)", "expected a step > 0"),
        ("range(0, 1, 1e-320)", "expected a larger step"),
        ("glob(*)", "expected interval(low, high), choice(a, b) or range(start, stop, step)"),
        ("choice(choice(1, 2), 3)", "expected interval(low, high), choice(a, b) or range("),
        ("choice(1, 2), 3", "expected interval(low, high), choice(a, b) or range("),
    ],
)
def test_wrong_space_is_one_line(text, message):
    with pytest.raises(ConfigError) as caught:
        space.read({"a.b": text})
    told = str(caught.value)
    assert told.startswith(f"sweep.params.a.b={text}: ")
    assert message in told
    assert "\n" not in told


@pytest.mark.parametrize("key", ["", "~a.b"])
def test_what_names_no_key_is_refused(key):
    with pytest.raises(ConfigError, match="expected a key of the configuration"):
        space.read({key: "choice(1, 2)"})


@pytest.mark.parametrize("key", ["hydra.verbose", "+hydra.job.env_set.A", "hydra/launcher"])
def test_settings_of_hydra_are_no_trials(key):
    """They would be taken, and change nothing."""
    with pytest.raises(ConfigError) as caught:
        space.read({key: "choice(1, 2)"})
    assert str(caught.value) == (
        f"sweep.params.{key}=choice(1, 2): a setting of Hydra's own, which changes no trial; "
        "expected a key of the configuration"
    )


@pytest.mark.parametrize(
    ("first", "again"), [("a.b", "++a.b"), ("+a.b", "a.b"), ("++o@a.b", "o@a.b")]
)
def test_key_is_searched_once(first, again):
    """However it is written: the value of one of the two would be lost."""
    with pytest.raises(ConfigError) as caught:
        space.read({first: "interval(0, 1)", again: "choice(2, 3)"})
    assert str(caught.value) == (
        f"sweep.params.{again}=choice(2, 3): searched as {first}, too; expected one of the two"
    )


def test_group_is_searched_for_every_place_it_fills():
    places = ["optimizer@pretrain.optimizer", "optimizer@finetune.optimizer"]
    assert list(space.read(dict.fromkeys(places, "choice(adamw, sgd)"))) == places


def test_space_may_go_over_several_lines():
    """As YAML's `>` and `|` write it."""
    assert space.read({"a.b": "choice(\n  adam,\n  sgd)\n"}) == space.read({"a.b": "adam, sgd"})


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            "finetune.optimizer.lrr: interval(0, 1)",
            "sweep.params.finetune.optimizer.lrr: unknown key; did you mean 'finetune.optim",
        ),
        (
            "finetune.batch_size: interval(1, 4)",
            "sweep.params.finetune.batch_size: got 1.0: input should be a valid integer",
        ),
        (
            "finetune.optimizer.lr: choice(a, b)",
            "sweep.params.finetune.optimizer.lr: got 'a', 'b': expected a number, as 0.0",
        ),
        ("design.folds: choice(2, 3)", "design.folds=3: changes design.folds, which decides who"),
        ("cohort.target: choice([small], [chance])", "changes cohort.target, which decides who"),
        ("encoder: choice(mlp, nope)", "encoder=nope: there is no conf/encoder/nope.yaml"),
    ],
)
def test_key_that_cannot_be_searched_is_refused(project, ask, params, message):
    """Before anything is made: exit 2, and no traceback."""
    (project / "conf" / "sweep" / "mine.yaml").write_text(
        f"n: 2\nparams:\n  {params}\nstrategies: [scratch]\n"
    )
    code, out, err = ask("sweep=mine", *SMALL)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[0]
    assert "Traceback" not in err
    assert not (project / "work").exists()


@pytest.mark.parametrize("fixed", [SMALL, ()], ids=["given", "chosen"])
def test_unknown_key_is_looked_up(project, ask, monkeypatch, fixed):
    """Once, however many values it has, without composing for each: seconds, and no hint."""
    composition.record(project, SMALL)
    composed = []
    hydra = composition._hydra
    monkeypatch.setattr(composition, "_hydra", lambda *a, **k: composed.append(a) or hydra(*a, **k))
    params = "{encodr: 'choice(mlp,resnet)', finetune.batch_sise: 'choice(8,16)', seed.x: '1,2'}"
    code, _, err = ask("sweep.strategies=[scratch]", f"sweep.params={params}", *fixed)
    assert (code, err.splitlines()[:2]) == (
        2,
        [
            "medgraft: sweep.params.encodr: unknown key; did you mean 'encoder'?",
            "sweep.params.finetune.batch_sise: unknown key; did you mean 'finetune.batch_size'?",
        ],
    )
    assert len(err.splitlines()) == 3
    assert len(composed) == 3, "the sweep, the launcher and the configuration"


def test_refusal_waits_for_no_slow_import(project):
    told = ["sweep", "sweep.params={encodr: '1,2'}", *SMALL]
    code = (
        "import sys\nfrom medgraft import cli\n"
        f"try:\n    cli.main({told!r})\nexcept SystemExit as end:\n    assert end.code == 2\n"
        "print(*{'torch', 'pytorch_lightning', 'mlflow', 'scipy', 'matplotlib', 'polars'} "
        "& set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True
    )
    assert (done.stdout, "unknown key" in done.stderr) == ("\n", True)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("finetune.optimizer.lr", "choice(a, b)", "got 'a', 'b': expected a number, as 0.01 is"),
        ("finetune.optimizer.lr", "0.1, 1/2", "got '1/2': expected a number, as 0.01 is"),
        ("++s.x.penalty.weight", "1, '2'", "got '2': expected a number, as 1 is"),
        ("finetune.optimizer.lr", "choice(0.1, ${seed})", ""),
        ("finetune.optimizer.fused", "true, null", ""),
        ("encoder.widths", "choice([8], 16)", ""),
        ("trainer.devices", "1, auto", ""),
    ],
)
def test_word_is_no_number(tmp_path, key, text, message):
    """Where a constructor is given one; the schema says what else may be a word."""
    base = {
        "finetune": {"optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01, "fused": False}},
        "encoder": {"_target_": "medgraft.networks.encoders.mlp.MLP", "widths": [8]},
        "s": {"x": {"penalty": {"_target_": "medgraft.transfer.penalty.l2", "weight": 1}}},
        "trainer": {"devices": 1},
    }
    searched = space.read({key: text})
    if not message:
        assert space.look_up(searched, tmp_path, base, []) is None
        return
    with pytest.raises(ConfigError) as caught:
        space.look_up(searched, tmp_path, base, [])
    assert str(caught.value) == f"sweep.params.{key}: {message}"


def test_group_of_a_folder_of_ones_own_is_known(project):
    own = project / "own" / "mine"
    own.mkdir(parents=True)
    searched = space.read({"mine": "choice(a, b)", "+more": "choice(1, 2)", "encoder": "mlp, cnn"})
    fixed = [f"hydra.searchpath=['file://{own.parent}']"]
    assert space.look_up(searched, project, {"encoder": {}}, fixed) is None
    with pytest.raises(ConfigError, match=r"^sweep.params.mine: unknown key; expected one of"):
        space.look_up(searched, project, {"encoder": {}}, [])


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("sweep=defalt", "there is no conf/sweep/defalt.yaml; did you mean 'default'?"),
        ("sweep.graec=3", "sweep.graec: unknown key; did you mean 'grace'?"),
        ("n=0", "sweep.n: got 0: input should be greater than 0"),
        ("sweep.strategies=[l2_sp]", "sweep.strategies: 'l2_sp' is not in the configuration"),
        ("sweep.calibration=calibration_slope", "'calibration_slope' cannot rank predictions"),
        ("sweep.grace=6", "sweep: grace 6: expected twice heartbeat 5"),
        ("sweep.storage='mysql://me:secret@host/x'", "sweep.storage: expected sqlite:///FILE or"),
        ("sweep.storage='sqlite:///x.db?mode=ro'", "sweep.storage: expected sqlite:///FILE or"),
        ("sweep.strategies=[scratch,scratch]", "sweep.strategies: got ['scratch', 'scratch']: "),
    ],
)
def test_wrong_setting_is_one_line(project, ask, argument, message):
    code, _, err = ask(argument, *SMALL)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert "secret" not in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("n: ${nope}", "n: Interpolation key 'nope' not found"),
        ("params: {a.b: '${x.y}'}", "params.a.b: Interpolation key 'x.y' not found"),
        ("n: ${.n}", "n: Recursive interpolation detected"),
        ("name: ${oops", "name: no viable alternative at input '${oops'"),
        ("strategies: ['${oc.env:NONE_SUCH}']", "strategies[0]: KeyError raised while"),
    ],
)
def test_interpolation_that_leads_nowhere_names_its_file(project, content, message):
    (project / "conf" / "sweep" / "mine.yaml").write_text(f"{content}\n")
    with pytest.raises(ConfigError) as caught:
        Asked.read(project, ["sweep=mine"])
    told = str(caught.value)
    assert told.startswith(f"conf/sweep/mine.yaml: {message}")
    assert "\n" not in told


def test_interpolation_on_the_command_line_names_its_override(project):
    with pytest.raises(ConfigError, match=r"^sweep.n=.{nope}: Interpolation key 'nope' not found$"):
        Asked.read(project, ["sweep.n=${nope}"])


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_shipped_spaces_hold_the_settings_as_they_are(project, path):
    """So that the first trial tells what the others are to beat."""
    searched = space.read(yaml.safe_load(path.read_text())["params"])
    asked = Asked.read(project, [*SMALL])
    space.check(searched, asked.base, partial(asked.compose, project))
    assert space.within(searched, asked.base) is not None


def test_of_thousands_of_choices_both_ends_are_composed(project):
    """The others are put in their places, and what is wrong with one is found all the same."""
    asked, composed = Asked.read(project, [*SMALL]), []

    def compose(given):
        composed.extend(given)
        return asked.compose(project, given)

    many = ",".join(map(str, range(1, 1000)))
    searched = space.read({"finetune.batch_size": f"{many},half,100001,1000"})
    with pytest.raises(ConfigError) as caught:
        space.check(searched, asked.base, compose)
    assert composed == ["finetune.batch_size=1", "finetune.batch_size=1000"]
    half, large = str(caught.value).splitlines()
    assert half.startswith("sweep.params.finetune.batch_size: got 'half': input should be")
    assert large.startswith("sweep.params.finetune.batch_size: got 100001: input should be")


def test_of_thousands_of_options_a_sample_is_composed(project):
    """Where composing is more than putting a value in its place: spread over all of them."""
    base, composed = Asked.read(project, [*SMALL]).base, []
    options = [f"x{n}" for n in range(5000)]
    searched = space.read({"encoder": f"choice({','.join(options)})"})
    space.check(searched, base, lambda given: composed.extend(given) or base)
    assert composed[:2] == ["encoder=x0", "encoder=x4999"]
    places = [int(one.removeprefix("encoder=x")) for one in composed[2:]]
    assert (len(places), places[0], places[-1]) == (space.MOST, 1, 4998)
    assert max(b - a for a, b in pairwise(places)) < 220


def test_choice_that_leads_elsewhere_is_composed(project):
    asked = Asked.read(project, [*SMALL])
    searched = space.read({"finetune.batch_size": "choice(8, ${nope}, 16)"})
    with pytest.raises(ConfigError, match="Interpolation key 'nope' not found"):
        space.check(searched, asked.base, partial(asked.compose, project))


def test_value_is_put_in_place_where_hydra_would(project):
    """A fifth of a second saved in every trial; groups are left to Hydra."""
    asked = Asked.read(project, [*SMALL])
    compose = partial(asked.compose, project)
    plain = space.check(
        space.read(
            {"finetune.optimizer.lr": "interval(0.1, 1)", "encoder.widths": "choice([4],[8])"}
        ),
        asked.base,
        compose,
    )
    values = {"finetune.optimizer.lr": 0.25, "encoder.widths": "[4]"}
    assert plain.base is not None
    assert plain(values) == compose(space.overrides(values))
    group = space.check(space.read({"trainer": "choice(cpu, gpu)"}), asked.base, compose)
    assert group.base is None
    assert group({"trainer": "gpu"})["trainer"]["accelerator"] == "gpu"

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from medgraft import __version__, arguments, cli, composition, raw_data
from medgraft.deployment import registry
from medgraft.deployment.writing import replacing
from medgraft.stages.ending import Exit

COMMANDS = ["repro", "compose", "init-cohort", "fetch", "sources", "pairs", "sweep"]
COMMANDS += ["predict", "promote", "explain", "onnx", "checkpoint", "doctor", "verdict"]
COMMANDS += ["report", "completion"]

VERDICT = {
    "primary": "auroc",
    "reference": "scratch",
    "sentence": "Transfer learning helps: fine_tune reaches AUROC 0.900, 0.100 more than scratch.",
    "strategies": {
        "fine_tune": {
            "value": 0.9,
            "difference": 0.1,
            "low": 0.05,
            "high": 0.15,
            "p_holm": 0.0004,
            "verdict": "helps",
            "higher_is_better": True,
        }
    },
    "champion": {"strategy": "fine_tune", "reason": "On validation patients it beats scratch."},
}


def test_help_lists_every_command(run):
    code, out, _ = run("--help")
    listed = re.findall(r"^    ([\w-]+)(?: +\S|$)", out, re.MULTILINE)
    assert (code, listed) == (0, COMMANDS)
    assert "example: medgraft repro experiment=heart --mirror ../cohorts" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_short_and_has_an_example(command, run, tmp_path, monkeypatch):
    """Outside a project, where no configuration groups are listed."""
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(command, "--help")
    assert code == 0
    example = " ".join(out.split("example: ")[1].split())
    assert example.startswith(f"medgraft {command}") or f"medgraft {command} " in example
    assert len(out.splitlines()) <= 24
    assert "\x1b" not in out


def test_examples_can_be_typed(run, tmp_path, monkeypatch):
    """The parser accepts every example."""
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        example = run(command, "--help")[1].split("example: ")[1]
        words = shlex.split(re.sub(r'eval "\$\((.*)\)"', r"\1", " ".join(example.split())))
        assert cli.parser().parse_args(words[1:]).command == command


def test_exit_codes_are_documented(root, run):
    page = (root / "docs" / "commands.md").read_text()
    table = page.split("## Exit codes")[1].split("\n## ")[0]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert listed == sorted(Exit)
    told = run("--help")[1].split("exit codes: ")[1]
    assert {int(code) for code in re.findall(r"\b\d+\b", told)} == set(Exit) - {Exit.UNREAD}


def test_exit_codes_have_one_home():
    """No module ends with a number of its own."""
    ends = re.compile(r"(?:SystemExit|sys\.exit|os\._exit)\((?!Exit\.|code\))")
    sources = Path(cli.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if ends.search(path.read_text())] == []


def test_json_is_documented(root):
    page = (root / "docs" / "commands.md").read_text()
    listed = re.findall(r"^\| `([\w-]+) --json` \|", page, re.MULTILINE)
    speak = [
        name
        for name in COMMANDS
        for action in cli.parser()._subparsers._group_actions[0].choices[name]._actions
        if "--json" in action.option_strings
    ]
    assert sorted(listed) == sorted(speak)


def test_interrupted_command_ends_without_traceback(run, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.RUNS, "verdict", interrupted)
    assert run("verdict") == (130, "", "")


ASKS = ["--input=a.csv", "--output=answers.csv"]


@pytest.mark.parametrize(
    ("command", "works", "again"),
    [
        (["sources", "target=b", "sources=[a]"], "medgraft.sources.compare", "begins anew"),
        (["pairs"], "medgraft.pairs.compare", "goes on"),
        (["sweep"], "medgraft.sweep.run.Sweep.read", "goes on"),
        (["fetch"], "medgraft.raw_data.materialise", "begins anew"),
        (["predict", *ASKS], "medgraft.deployment.predict.predict", "begins anew"),
        (["explain", *ASKS], "medgraft.deployment.explain.explain", "begins anew"),
        (["onnx", "--output=m.onnx"], "medgraft.deployment.onnx_export.export", "begins anew"),
        (["promote", "scratch"], "medgraft.cli.read_verdict", "goes on"),
        (["doctor"], "medgraft.doctor.examine", "begins anew"),
    ],
)
def test_command_that_is_told_to_end_says_so(command, works, again, project, run, monkeypatch):
    """What it has begun to write is taken back, and the handler that was there is there again."""
    before = signal.getsignal(signal.SIGTERM)
    there = sorted(project.iterdir())

    def working(*_, **__):
        with replacing(project / "answers.csv") as fresh:
            fresh.write_text("half a li")
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(works, working)
    told = f"medgraft: ended by SIGTERM; the same command {again}\n"
    assert run(*command) == (75, "", told)
    assert sorted(project.iterdir()) == there
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("seal", ["outs:\n- md5: 0\n", None], ids=["sealed", "new"])
def test_sealing_that_is_told_to_end_leaves_the_old_seal(seal, project, run, monkeypatch):
    """DVC writes it in place, and takes Ctrl-C for a failure of its own."""
    from dvc.commands.add import CmdAdd

    path = project / "data.dvc"
    path.unlink(missing_ok=True)
    if seal:
        path.write_text(seal)

    def adding(_):
        path.write_text("outs:")
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(CmdAdd, "__init__", lambda *_: None)  # there is no repository
    monkeypatch.setattr(CmdAdd, "do_run", adding)
    monkeypatch.setattr(raw_data, "materialise", lambda root, **_: raw_data.add(root))
    assert run("fetch")[0] == 75
    assert (path.read_text() if path.exists() else None) == seal
    assert not (project / raw_data.KEPT).exists()


def test_description_that_is_told_to_end_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{50 + n % 17},{n % 2}\n" for n in range(40))
    Path("a.csv").write_text(f"age,died\n{rows}")
    end = lambda *_: signal.raise_signal(signal.SIGTERM)  # noqa: E731
    monkeypatch.setattr("medgraft.cohorts.draft.load", end)
    assert run("init-cohort", "a.csv", "--outcome=died", "--into=mine")[0] == 75
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["medgraft", "ver"], ["verdict"]),
        (["medgraft", "predict", "--in"], ["--input"]),
        (["medgraft", "completion", ""], ["bash", "zsh", "tcsh"]),
        (["medgraft", "predict", "--input", "new_pat"], ["new_patients.csv"]),
        (["medgraft", "fetch", "--mirror", "coh"], ["cohorts"]),
    ],
)
def test_bash_completes(words, offered, run, tmp_path):
    """What pressing TAB would offer, asked of bash itself."""
    (tmp_path / "new_patients.csv").touch()
    (tmp_path / "cohorts").mkdir()
    (tmp_path / "cohort.csv").touch()
    typed = " ".join(f"'{word}'" for word in words)
    script = f"""{run("completion", "bash")[1]}
COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}
_shtab_medgraft {words[0]} '{words[-1]}' '{words[-2]}'
printf '%s\\n' "${{COMPREPLY[@]}}" """
    bash = ["bash", "-c", script]
    done = subprocess.run(bash, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == offered


@pytest.mark.parametrize("arguments", [["repro", "--help"], ["repro", "--cfg"]])
def test_reader_who_has_seen_enough_gets_no_traceback(arguments, root):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "medgraft.cli", *arguments]
    done = subprocess.run(command, check=False, cwd=root, stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert done.stderr == b""


def test_version_is_the_packages(run):
    assert run("--version") == (0, f"medgraft {__version__}\n", "")


def test_unknown_command_is_refused(run):
    code, _, err = run("train")
    assert code == 2
    assert "invalid choice: 'train' (choose from " in err


@pytest.mark.parametrize("command", ["repro", "compose", "sources", "pairs", "sweep"])
def test_overrides_stand_anywhere(command):
    words = [command, "experiment=heart", "--config-dir", "mine", "design.runs=1", "seed=3"]
    chosen = arguments.read(cli.parser(), words)
    assert chosen.overrides == ["experiment=heart", "design.runs=1", "seed=3"]
    assert chosen.config_dir == Path("mine")


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        (["repro", "experiment=heart", "--mirorr", "cohorts", "design.runs=1"], "--mirorr"),
        (["fetch", "--mirror", "cohorts", "design.runs=1"], "design.runs=1"),
    ],
)
def test_unknown_words_are_refused(words, unknown, run):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.endswith(f"medgraft: error: unrecognized arguments: {unknown}\n")


def test_verdict_is_printed(project, run):
    (project / "work" / "evaluation").mkdir(parents=True)
    (project / "work" / "evaluation" / "verdict.json").write_text(json.dumps(VERDICT))
    assert run("verdict")[:2] == (
        0,
        """\
Transfer learning helps: fine_tune reaches AUROC 0.900, 0.100 more than scratch.

strategy   auroc  difference [95 % CI]     p (Holm)  verdict
fine_tune  0.900  +0.100 [+0.050, +0.150]  <0.001    helps
Differences are from scratch.

Champion: fine_tune. On validation patients it beats scratch.

Report: work/evaluation/report.html
""",
    )


def test_verdict_for_programs(project, run):
    (project / "work" / "evaluation").mkdir(parents=True)
    (project / "work" / "evaluation" / "verdict.json").write_text(json.dumps(VERDICT))
    code, out, _ = run("verdict", "--json")
    assert (code, json.loads(out)) == (0, VERDICT)


@pytest.mark.parametrize("command", ["sources", "pairs"])
def test_programs_read_nothing_but_the_result(command, project, run, monkeypatch):
    """What a study says on its way goes to the errors."""

    def compare(*_, **__):
        print("cleveland to hungary")
        return {"pairs": []}

    monkeypatch.setattr(f"medgraft.{command}.compare", compare)
    assert run(command, "--json", "target=a") == (
        0,
        '{\n  "pairs": []\n}\n',
        "cleveland to hungary\n",
    )


def test_started_processes_leave_the_output_alone():
    """DVC's stages and a sweep's workers print where the command would."""
    code = """
import argparse, subprocess
from medgraft import cli
with cli.results_alone(argparse.Namespace(json=True)):
    subprocess.run(["echo", "stage"], check=True)
print("{}")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{}\n", "stage\n")


def test_promotion_is_told_to_programs(project, run, monkeypatch):
    (project / "work" / "evaluation").mkdir(parents=True)
    (project / "work" / "evaluation" / "verdict.json").write_text(json.dumps(VERDICT))
    monkeypatch.setattr("medgraft.promotion.promote", lambda *_, **__: None)
    monkeypatch.setattr(registry, "current", lambda _, name: {"medgraft-breast": "3"}[name])
    monkeypatch.setattr(cli, "run_repro", lambda _: print("stages") or 0)
    assert json.loads(run("promote", "fine_tune", "--json")[1]) == {
        "strategy": "fine_tune",
        "model": "medgraft-breast",
        "version": "3",
    }


def test_answers_are_counted_for_programs(project, run, monkeypatch):
    from medgraft.deployment import predict

    counts = predict.Counts(3, 1, problems="b.problems.csv", nameless=1, repeated=[[2, 4]])
    monkeypatch.setattr(predict, "predict", lambda *_: counts)
    _, out, err = run("predict", "--input", "a.csv", "--output", "b.csv", "--json")
    assert err == (
        "warning: 1 record has no id; the answers are in the order of the input\n"
        "warning: 1 id comes more than once, in lines (2, 4); every record has its own answer\n"
    )
    assert json.loads(out) == {
        "answered": 3,
        "refused": 1,
        "done": "answered",
        "problems": "b.problems.csv",
        "formulas": 0,
        "nameless": 1,
        "repeated": [[2, 4]],
    }


def test_exported_model_is_told_to_programs(project, run, monkeypatch):
    """What torch says on its way goes to the errors."""
    from medgraft.deployment import onnx_export

    def export(_, target):
        print("torch traces")
        return onnx_export.Exported(target, Path("model.onnx.json"), 4, 2e-7)

    monkeypatch.setattr(onnx_export, "export", export)
    code, out, err = run("onnx", "--output", "model.onnx", "--json")
    assert (code, err) == (0, "torch traces\n")
    assert json.loads(out) == {
        "model": "model.onnx",
        "told": "model.onnx.json",
        "replicas": 4,
        "difference": 2e-7,
    }


def test_drafted_description_is_told_to_programs(run, tmp_path, monkeypatch):
    """The kinds and remarks of the table, and the command to go on with; no value of a patient."""
    monkeypatch.chdir(tmp_path)
    for site in ("large", "small"):
        rows = "".join(f"p{n},{50 + n},{n % 2}\n" for n in range(20))
        Path(f"{site}.csv").write_text(f"who,age,died\n{rows}")
    asked = ("init-cohort", "large.csv", "small.csv", "--outcome=died", "--patient=who")
    told = json.loads(run(*asked, "--into=mine", "--json")[1])
    assert run(*asked, "--into=mine2")[1].endswith(told["command"].replace("mine", "mine2") + "\n")
    assert told == {
        "description": "mine/cohort.yaml",
        "sites": ["large", "small"],
        "columns": {"age": {"kind": "number", "remark": "state the unit"}},
        "command": "medgraft repro cohort=own cohort.folder=mine 'cohort.source=[large]' "
        "'cohort.target=[small]' cohort.outcome.target=died",
    }


def test_damaged_verdict_is_refused(project, run):
    (project / "work" / "evaluation").mkdir(parents=True)
    (project / "work" / "evaluation" / "verdict.json").write_text('{"sentence": ')
    for command in (["verdict"], ["promote", "scratch"]):
        code, out, err = run(*command)
        assert (code, out) == (2, "")
        assert "verdict.json: not JSON" in err


def test_verdict_before_repro(project, run):
    path = project / "work" / "evaluation" / "verdict.json"
    assert run("verdict") == (2, "", f"medgraft: {path} not found: run `medgraft repro` first\n")


def test_mistake_is_one_line(project):
    """The real command: exit code 2, one message, no traceback."""
    command = [sys.executable, "-m", "medgraft.cli", "compose", "encoder=mpl"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    expected = "medgraft: encoder=mpl: there is no conf/encoder/mpl.yaml; did you mean 'mlp'?\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", expected)


def test_outside_project_is_said(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    message = f"medgraft: {tmp_path}: expected a medgraft project (a folder with dvc.yaml)\n"
    assert run("compose") == (2, "", message)


def test_overrides_last_until_replaced(project, run):
    def widths():
        return cli.config.read_params(project)["encoder"]["widths"]

    run("compose", "encoder.widths=[8]")
    assert widths() == [8]
    run("compose")
    assert widths() == [8]
    run("compose", "seed=3")
    assert widths() == [64, 64]
    run("compose", "--defaults")
    assert widths() == [64, 64]
    assert cli.config.read_params(project)["seed"] == 2026


def test_refused_overrides_are_forgotten(project, run):
    run("compose", "encoder.widths=[8]")
    assert run("compose", "design.folds=1")[0] == 2
    assert composition.compose(project)["encoder"]["widths"] == [8]


# Raw data. Copying is enough to seal here: what DVC does with it is tested where it runs.


@pytest.fixture
def sealing(project, monkeypatch):
    """Notes what would have been sealed."""
    calls = []
    monkeypatch.setattr(raw_data, "dvc", lambda _, *arguments: calls.append(arguments) or 0)
    return calls


ADD = ("add", "--quiet", "data")


def test_fresh_clone_gets_sealed_data(project, sealing, run):
    """The data made here are the bytes that data.dvc names."""
    assert run("fetch") == (0, "", "")
    assert sealing == [ADD]  # into DVC's cache; data.dvc says so already
    assert (project / "data" / "breast" / "clinic.csv").is_file()


def test_changed_byte_is_refused(project, sealing, run):
    """In a clone whose DVC cache cannot tell which bytes were sealed."""
    run("fetch")
    path = project / "data" / "breast" / "clinic.csv"
    path.write_bytes(path.read_bytes().replace(b"malignant", b"benignant", 1))
    sealing.clear()
    code, out, err = run("fetch")
    assert (code, out, sealing) == (2, "", [])
    assert err == (
        f"medgraft: {project}/data/breast: exists and differs in clinic.csv; "
        "move it away to write it anew\n"
    )


@pytest.mark.parametrize("found", [[], ["clinic.csv"]])
def test_half_a_folder_is_not_sealed(found, project, sealing, run):
    """A folder that is there and was never sealed must be the published one."""
    (project / "data.dvc").unlink()
    folder = project / "data" / "breast"
    folder.mkdir(parents=True)
    for name in found:
        (folder / name).write_text("half")
    code, _, err = run("fetch")
    if found:
        assert (code, sealing) == (2, [])
        assert "breast: exists and differs in cohort.yaml, reference_laboratory.csv, cl" in err
    else:
        assert (code, sealing) == (0, [ADD])
        assert (folder / "clinic.csv").is_file()


@pytest.mark.parametrize(
    "text", ["seed: 1", "cohort: x", "cohort: {origin: null}", "cohort: {folder: 3, origin: null}"]
)
def test_parameters_without_a_cohort_are_refused(text, project, sealing, run):
    (project / "params.yaml").write_text(text)
    code, _, err = run("fetch")
    assert (code, sealing) == (2, [])
    assert "cohort" in err
    assert not (project / "data").exists()


def test_own_folder_joins_seal(project, sealing, run):
    """A fresh clone, another cohort first: the sealed one is made, the new one added."""
    own = project / "data" / "mine"
    own.mkdir(parents=True)
    (own / "a.csv").write_text("1")
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    assert run("fetch")[:2] == (0, "sealed 1 new files of data/mine in data.dvc\n")
    assert sealing == [ADD]


def test_foreign_file_is_refused(project, sealing, run):
    """Only the configured cohort's own folder may grow: not one whose name ends alike."""
    (project / "data" / "my_mine").mkdir(parents=True)
    (project / "data" / "my_mine" / "a.csv").write_text("1")
    (project / "data" / "mine").mkdir()
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    code, _, err = run("fetch")
    assert (code, sealing) == (2, [])
    assert "data: not the bytes that" in err


def test_absent_own_folder_is_named(project, sealing, run):
    said = ["cohort.source=[a]", "cohort.target=[b]", "cohort.outcome.target=y"]
    run("compose", "cohort=own", "cohort.folder=data/mine", *said)
    code, _, err = run("fetch")
    assert (code, sealing) == (2, [])
    assert err == (
        f"medgraft: {project}/data/mine: the folder is absent; "
        "cohort.folder must name your raw files\n"
    )


def test_mirror_replaces_network(project, sealing, run, cohorts_folder, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", None)
    run("compose", "experiment=heart")
    assert run("fetch", "--mirror", str(cohorts_folder))[0] == 0
    kept = cohorts_folder / "uci_heart_disease" / "processed.va.data"
    assert (project / "data" / "heart" / kept.name).read_bytes() == kept.read_bytes()


def test_empty_mirror_is_named(project, sealing, run, tmp_path):
    run("compose", "experiment=heart")
    code, _, err = run("fetch", "--mirror", str(tmp_path / "none"))
    missing = tmp_path / "none" / "uci_heart_disease" / "processed.cleveland.data"
    assert code == 2
    assert err == (
        f"medgraft: {missing}: cannot be read from the mirror: No such file or directory\n"
    )
    assert not (project / "data" / "heart").exists()


def test_failed_sealing_is_said(project, monkeypatch, run):
    monkeypatch.setattr(raw_data, "dvc", lambda *_: 1)
    assert run("fetch") == (2, "", "medgraft: DVC could not seal data/; it has said why\n")

"""Malformed configurations: one message, exit code 2, and the project as it was."""

# ruff: noqa: E501  (a case reads best on one line)

import os
from pathlib import Path

import pytest

BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
MLP = "_target_: medgraft.networks.encoders.mlp.MLP\n"
CASES = {
    "alias bomb in an option": ("conf/encoder/mlp.yaml", MLP + BOMB, "its aliases (*) stand for more"),
    "alias bomb in the root": ("conf/config.yaml", BOMB, "its aliases (*) stand for more than"),
    "alias bomb in the choices": ("conf/chosen.yaml", BOMB, "its aliases (*) stand for more than"),
    "alias bomb in an experiment": ("conf/experiment/heart.yaml", BOMB, "its aliases (*) stand for"),
    "alias bomb in params.yaml": ("params.yaml", BOMB, "params.yaml, line 1: its aliases (*)"),
    "holds itself": ("conf/encoder/mlp.yaml", MLP + "a: &a [*a]\n", "its aliases (*) stand for more"),
    "nested deep": ("conf/encoder/mlp.yaml", "[" * 20_000, "nested too deep"),
    "params nested deep": ("params.yaml", "[" * 20_000, "params.yaml: nested too deep"),
    "includes itself": ("conf/config.yaml", "defaults: [config]\n", "a file that includes itself"),
    "python object": (
        "conf/encoder/mlp.yaml",
        "_target_: !!python/object/apply:os.system ['touch canary']\n",
        "conf/encoder/mlp.yaml, line 1: not YAML: could not determine a constructor",
    ),
    "foreign target": ("conf/encoder/mlp.yaml", "_target_: os.system\n", "_target_ 'os.system'"),
    "NUL": ("conf/encoder/mlp.yaml", "a: \0", "mlp.yaml: not YAML: special characters"),
    "latin-1": ("conf/encoder/mlp.yaml", "a: Zoë".encode("latin-1"), "mlp.yaml: not UTF-8 text"),
    "latin-1 params": ("params.yaml", "a: Zoë".encode("latin-1"), "params.yaml: not UTF-8 text"),
    "params a list": ("params.yaml", "- 1\n", "params.yaml: expected keys with values, got [1]"),
    "option a list": ("conf/encoder/mlp.yaml", "- 1\n", "encoder: got [1]: input should be a valid"),
    "root a number": ("conf/config.yaml", "3\n", "Invalid loaded object type: int"),
    "key twice": ("conf/encoder/mlp.yaml", MLP + MLP, "line 2: not YAML: found duplicate key"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_malformed_configuration_is_refused(name, project, run):
    path, data, said = CASES[name]
    Path(path).write_bytes(data if isinstance(data, bytes) else data.encode())
    before = {one: one.read_bytes() for one in Path().rglob("*") if one.is_file()}
    code, out, err = run("compose", *(["experiment=heart"] if "experiment" in path else []))
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("medgraft: ")
    assert len(err) < 1000
    assert "Traceback" not in err
    assert before == {one: one.read_bytes() for one in Path().rglob("*") if one.is_file()}


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("nowhere")])
def test_what_is_no_file_is_no_configuration(make, project, run):
    """A pipe would be waited for."""
    make(Path("conf/sweep/mine.yaml"))
    told = f"medgraft: {project}/conf/sweep/mine.yaml: expected a file\n"
    assert run("compose") == (2, "", told)


@pytest.mark.parametrize("text", ["", "3\n", "defaults: 3\n", BOMB])
def test_help_does_without_groups(text, project, run):
    Path("conf/config.yaml").write_text(text)
    code, out, err = run("compose", "--help")
    assert (code, err) == (0, "")
    assert "Hydra overrides" in out


def test_own_folder_is_looked_at_too(project, run, tmp_path_factory):
    own = tmp_path_factory.mktemp("own") / "encoder"
    own.mkdir()
    (own / "mine.yaml").write_text(MLP + BOMB)
    code, _, err = run("compose", "encoder=mine", "--config-dir", str(own.parent))
    assert code == 2
    assert "mine.yaml, line 1: its aliases (*) stand for more than 10000 values" in err

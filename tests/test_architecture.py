"""The shape docs/architecture.md promises, read from the code itself and never by running it."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "medgraft"
MODULES = sorted(SRC.rglob("*.py"))
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES = sorted(DVC)
# Exceptions alone: nothing in it can change a result that is written.
NOT_A_DEPENDENCY = SRC / "errors.py"
REBUILDS = ("deploy", "explain")  # from the constructors that finetune has saved
# Which groups of conf/ fill a section that has another name.
GROUPS = {
    "source_task": ("task",),
    "pretrain": ("augment", "optimizer", "pretext", "schedule"),
    "finetune": ("augment", "optimizer", "schedule"),
}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(nodes) -> set[str]:
    """Dotted names that import statements among ``nodes`` name, late ones included."""
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports(path: Path) -> set[str]:
    return imported(ast.walk(tree(path)))


def strings(path: Path) -> set[str]:
    return {
        node.value
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def module_file(name: str) -> Path | None:
    """The file of ``medgraft.a.b``, or of ``medgraft.a`` where ``b`` is something in it."""
    parts = name.split(".")
    if parts[0] != "medgraft":
        return None
    for end in range(len(parts), 1, -1):
        path = SRC.joinpath(*parts[1:end]).with_suffix(".py")
        if path.is_file():
            return path
    return None


# Which way imports point


def levels() -> list[list[tuple[str, str]]]:
    """The arrows as documented: levels of (package, the only package it may add to the basis)."""
    page = (ROOT / "docs" / "architecture.md").read_text()
    arrows = page.split("## Which way imports point")[1].split("\n\n")[1].split(".\n")[0]
    pattern = r"`(\w+)`(?: \(may import `(\w+)`\))?"
    return [re.findall(pattern, level) for level in arrows.split("←")]


def allowed() -> dict[str, set[str]]:
    basis = {"errors", "config", "plain_yaml", "construct", "cluster", "tasks"}
    known: dict[str, set[str]] = {"errors": set()}
    known |= {name: {"errors"} for name in ("construct", "cluster", "plain_yaml")}
    known["config"] = {"errors", "construct", "plain_yaml"}
    known["tasks"] = {"errors", "config"}
    below = set(basis)
    for level in levels()[1:]:
        for name, only in level:
            known[name] = basis | {only} - {""} if only or below == basis else set(below)
        below |= {name for name, _ in level}
    return known


def test_documented_arrows_are_read():
    arrows = allowed()
    assert arrows["preparation"] - arrows["cohorts"] == {"cohorts"}
    assert arrows["plain_yaml"] == {"errors"}
    assert "transfer" in arrows["training"]
    assert "reporting" not in arrows["training"]
    assert "stages" in arrows["cli"]


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_point_one_way(path):
    package = path.relative_to(SRC).parts[0].removesuffix(".py")
    if package == "__init__":
        assert not imports(path)
        return
    used = {name.split(".")[1] for name in imports(path) if name.startswith("medgraft.")}
    forbidden = used - allowed()[package] - {package, "__version__"}
    assert not forbidden, f"{relative(path)} imports {sorted(forbidden)}"


@pytest.mark.parametrize(
    ("library", "homes"),
    [
        # What MLflow serves and registers has to speak its language too.
        ("mlflow", {"tracking.py", "deployment/registry.py", "deployment/pyfunc.py"}),
        ("pytorch_lightning", {"training/module.py", "training/lightning.py"}),
        ("hydra", {"composition.py"}),
        ("omegaconf", {"composition.py"}),
        ("dvc", {"raw_data.py"}),
        ("pickle", set()),
    ],
)
def test_libraries_have_one_home(library, homes):
    users = {
        path.relative_to(SRC).as_posix()
        for path in MODULES
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users == homes


@pytest.mark.parametrize(
    ("library", "path"),
    [("pytorch_lightning", "training/fit.py"), ("mlflow", "tracking.py"), ("dvc", "raw_data.py")],
)
def test_slow_libraries_come_late(library, path):
    at_import = imported(tree(SRC / path).body)
    assert library not in {name.split(".")[0] for name in at_import}


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_have_no_effect(path):
    """Only definitions: an import configures no logging and loads no data."""
    if path.name == "__init__.py":
        assert all(isinstance(node, ast.Expr | ast.Assign) for node in tree(path).body)
    calls = [node for node in tree(path).body if isinstance(node, ast.Expr)]
    noisy = [node for node in calls if not isinstance(node.value, ast.Constant)]
    assert {ast.unparse(node) for node in noisy} <= {
        "os.environ.setdefault('OMP_NUM_THREADS', '1')",  # before torch starts its pools
        "mlflow.models.set_model(Champion())",  # a file that MLflow runs, never imported
    }


def test_errors_hold_no_code():
    for node in tree(NOT_A_DEPENDENCY).body:
        assert isinstance(node, ast.ClassDef | ast.Expr)
        assert all(isinstance(part, ast.Expr) for part in getattr(node, "body", []))


# Stages are thin, and nothing branches on a name


def code_lines(path: Path) -> int:
    """Lines that are neither blank, comment, docstring nor import."""
    silent: set[int] = set()
    for node in ast.walk(tree(path)):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if docstring or isinstance(node, ast.Import | ast.ImportFrom):
            silent |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate(path.read_text().splitlines(), start=1)
    return sum(
        bool(line.strip()) and not line.lstrip().startswith("#")
        for number, line in lines
        if number not in silent
    )


@pytest.mark.parametrize("path", sorted((SRC / "stages").glob("*.py")), ids=relative)
def test_stages_are_short(path):
    assert code_lines(path) <= 40


def chosen_names() -> set[str]:
    folders = ("strategies", "encoder", "cohort", "metrics", "optimizer", "experiment")
    names = {path.stem for name in folders for path in (ROOT / "conf" / name).glob("*.yaml")}
    return names - {"source_only"}  # also the origin of a feature, see docs/architecture.md


def compared(path: Path) -> set[str]:
    """Strings that the module compares with, or matches against, anything."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Compare):
            parts = [part for side in [node.left, *node.comparators] for part in ast.walk(side)]
        elif isinstance(node, ast.match_case):
            parts = list(ast.walk(node.pattern))
        else:
            continue
        found |= {
            part.value
            for part in parts
            if isinstance(part, ast.Constant) and isinstance(part.value, str)
        }
    return found


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_no_name_is_special(path):
    assert not compared(path) & chosen_names()


def test_special_names_are_noticed(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("def f(n):\n    return 1 if n in ('scratch', 'x') else n == 'mlp'\n")
    assert compared(path) & chosen_names() == {"scratch", "mlp"}


# dvc.yaml names all code a stage runs, and none that it does not


def body(stage: str) -> dict:
    return DVC[stage].get("do", DVC[stage])


def code(stage: str) -> list[str]:
    return [name for name in body(stage).get("deps", []) if name.startswith("src/")]


def targets(value) -> set[str]:
    """Every ``_target_`` in a yaml."""
    if isinstance(value, dict):
        own = {value["_target_"]} if "_target_" in value else set()
        return own.union(*map(targets, value.values()))
    return set()


# What `evaluate` tells of in words; it constructs none of it.
TOLD = {"evaluate": {"strategies", "pretrain.pretext"}}


def constructed(stage: str) -> set[str]:
    """What the stage's parameters may tell it to construct: any yaml of their groups."""
    found: set[str] = set()
    for name in set(body(stage).get("params", [])) - TOLD.get(stage, set()):
        section, *inside = name.removesuffix(".${key}").split(".")
        for path in yamls(*GROUPS.get(section, (section,))):
            value = yaml.safe_load(path.read_text())
            for key in inside:
                value = value.get(key)
            found |= targets(value)
    return found | (constructed("finetune") if stage in REBUILDS else set())


def yamls(*groups: str) -> list[Path]:
    return [path for group in groups for path in (ROOT / "conf" / group).glob("*.yaml")]


def reached(stage: str) -> set[Path]:
    """Every file of the package that the stage may import, by statement or by name, or read."""
    start = constructed(stage) | {f"medgraft.stages.{stage}"}
    todo, seen, files = [module_file(name) for name in start], set(), set()
    while todo:
        path = todo.pop()
        if path and path not in seen:
            seen.add(path)
            todo += [module_file(name) for name in imports(path) | strings(path)]
            files |= {path.with_name(text) for text in strings(path) if text.endswith(".py")}
    return seen | {path for path in files if path.is_file()}


@pytest.mark.parametrize("stage", STAGES)
def test_stage_lists_its_code(stage):
    listed = [ROOT / name for name in code(stage)]
    missing = [
        relative(path)
        for path in sorted(reached(stage) - {NOT_A_DEPENDENCY})
        if not any(path == one or one in path.parents for one in listed)
    ]
    assert not missing, f"add to the deps of {stage} in dvc.yaml: {missing}"


@pytest.mark.parametrize("stage", STAGES)
def test_stage_lists_nothing_else(stage):
    unreached = [
        name
        for name in code(stage)
        if not any(ROOT / name == path or ROOT / name in path.parents for path in reached(stage))
    ]
    assert not unreached, f"take from the deps of {stage} in dvc.yaml: {unreached}"


def test_late_imports_are_followed():
    """finetune imports training inside its function, and transfer only by ``_target_``."""
    names = {path.relative_to(SRC).as_posix() for path in reached("finetune")}
    assert {"training/finetune.py", "transfer/init.py", "networks/readout.py"} <= names


# A stage reads the parameters it declares


def read_by(stage: str) -> set[str]:
    """Longest dotted names under ``params`` that a stage's source speaks of."""
    found = set()
    for node in ast.walk(tree(SRC / "stages" / f"{stage}.py")):
        text = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        if text.startswith("params."):
            found.add(text.removeprefix("params."))
        elif text.startswith(f"stage_params({stage!r})."):
            found.add(text.removeprefix(f"stage_params({stage!r})."))
    longer = {name for name in found if not any(o.startswith(f"{name}.") for o in found)}
    return longer - {"strategies.items"}


def within(name: str, other: str) -> bool:
    return name == other or name.startswith(f"{other}.")


@pytest.mark.parametrize("stage", [s for s in STAGES if body(s).get("params")])
def test_stage_reads_declared_parameters(stage):
    declared = {name.removesuffix(".${key}") for name in body(stage)["params"]}
    read = read_by(stage)
    undeclared = {r for r in read if not any(within(r, d) or within(d, r) for d in declared)}
    unread = {d for d in declared if not any(within(r, d) or within(d, r) for r in read)}
    assert (undeclared, unread) == (set(), set())

"""No way to load anything executes what it loads: every call that reads is looked at."""

import ast
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[2] / "src").rglob("*.py"))
PICKLING = {"pickle", "cloudpickle", "joblib", "dill", "shelve", "marshal"}
EXECUTING = {"read_pickle", "unsafe_load", "full_load", "load_all", "unsafe_load_all"}
LOADERS = {f"yaml.{kind}Loader" for kind in ("", "C", "Full", "CFull", "Unsafe", "CUnsafe")}


def faults(source: str) -> list[str]:
    """What of a source could execute what it reads."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            found += [f"imports {name}" for name in names if name.split(".")[0] in PICKLING]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            found += called(node.func, {one.arg: ast.unparse(one.value) for one in node.keywords})
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in LOADERS:
            found.append(ast.unparse(node))
    return found


def called(func: ast.Attribute, given: dict[str | None, str]) -> list[str]:
    """What is wrong with one call of a library."""
    name = ast.unparse(func)
    if name in ("np.load", "numpy.load") and given.get("allow_pickle") != "False":
        return ["np.load without allow_pickle=False"]
    if name == "torch.load":
        return ["torch.load"]
    if func.attr == "from_pretrained":
        safe = given.get("use_safetensors") == "True" or name.endswith("Config.from_pretrained")
        return [] if safe and given.get("trust_remote_code") in (None, "False") else [name]
    return [name] if func.attr in EXECUTING else []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_executes_what_it_loads(path):
    assert faults(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "torch.load(path, weights_only=True)",
        "yaml.load(text, yaml.Loader)",
        "class Own(yaml.UnsafeLoader): pass",
        "yaml.unsafe_load(text)",
        "pd.read_pickle(path)",
        "AutoModel.from_pretrained(path)",
        "AutoModel.from_pretrained(path, use_safetensors=True, trust_remote_code=True)",
    ],
)
def test_what_executes_is_noticed(source):
    assert faults(source)


def test_our_yaml_loader_is_a_safe_one():
    import yaml

    from medgraft.plain_yaml import _Bounded

    assert issubclass(_Bounded, yaml.SafeLoader)
    assert not issubclass(_Bounded, yaml.UnsafeLoader | yaml.FullLoader)

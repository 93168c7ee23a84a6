"""Hydra: ``conf/`` and what the project chose of it become one plain configuration.

The choices are themselves a Hydra configuration, ``conf/chosen.yaml``: it starts from
``conf/config.yaml`` and changes what the user changed. Everything composes from it, ``dvc exp run
-S`` included, so no way of running forgets them.
"""

from __future__ import annotations

import json
import re
import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from medgraft.config import dotted, write_if_changed
from medgraft.construct import suggest
from medgraft.errors import ConfigError
from medgraft.plain_yaml import read_yaml

CHOSEN = "chosen"
SEARCHPATH = "hydra.searchpath"
MOST_NODES = 10_000  # of one file; Hydra takes a millisecond for twenty
HEADER = "# Written by `medgraft compose` and `medgraft repro`: what this project chose.\n"


def choices(root: Path) -> Path:
    """Where the project's choices are kept."""
    return root / "conf" / f"{CHOSEN}.yaml"


def compose(root: Path, overrides: Iterable[str] | None = None) -> dict[str, Any]:
    """Compose ``conf/`` into plain values: with these overrides, or as the project chose.

    Raises:
        ConfigError: every override Hydra refuses, each with what it could have meant.
    """
    if overrides is None:
        return compose_chosen(root)
    overrides = list(overrides)
    try:
        return _hydra(root, overrides)
    except _hydra_errors() as error:
        own = [one for one in overrides if one.startswith(f"{SEARCHPATH}=")]
        alone = [(one, _refusal(root, one, own)) for one in overrides]
        lines = [f"{one}: {message}" for one, message in alone if message]
        raise ConfigError("\n".join(lines) or _reason(root, error)) from None


def compose_chosen(root: Path) -> dict[str, Any]:
    """Compose ``conf/chosen.yaml``; see `record`.

    Raises:
        ConfigError: what Hydra refuses.
    """
    try:
        return _hydra(root, [], name=_start(root))
    except _hydra_errors() as error:
        raise ConfigError(_reason(root, error)) from None


def vary(root: Path, overrides: Iterable[str], *, chosen: bool) -> dict[str, Any]:
    """Compose with these overrides, without recording them.

    ``chosen``: starting from what the project chose, not from ``conf/config.yaml``.

    Raises:
        ConfigError: what Hydra refuses.
    """
    if not chosen:
        return compose(root, overrides)
    try:
        return _hydra(root, list(overrides), name=_start(root))
    except _hydra_errors() as error:
        raise ConfigError(_reason(root, error)) from None


def _start(root: Path) -> str:
    """The configuration that everything is composed from."""
    return CHOSEN if choices(root).is_file() else "config"


def _hydra(root: Path, overrides: list[str], *, name: str = "config") -> dict[str, Any]:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from omegaconf import OmegaConf

    _readable(root, overrides)
    with (
        _absent_folder_named(),
        initialize_config_dir(config_dir=str(root / "conf"), version_base="1.3"),
    ):
        _refuse_twice(name, overrides)
        config = hydra_compose(config_name=name, overrides=overrides)
    written: Any = OmegaConf.to_container(config)
    missing = [key for key, value in dotted(written) if value == "???"]
    if missing:
        raise ConfigError("\n".join(f"{key}: needs a value" for key in missing))
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return {str(key): value for key, value in plain.items()}


def _readable(root: Path, overrides: Iterable[str]) -> None:
    """Refuse what Hydra would be busy with for ever: it writes every alias out."""
    for folder in _folders(root, overrides):
        for path in sorted(folder.rglob("*.yaml")):
            if not path.is_file():
                raise ConfigError(f"{path}: expected a file")
            data = path.read_bytes()
            if b"&" in data or not data.isascii():
                read_yaml(path, most=MOST_NODES)


def _folders(root: Path, overrides: Iterable[str]) -> list[Path]:
    """Where Hydra searches: ``conf/``, and what the project or an override adds to it."""
    chosen = choices(root).read_bytes().decode(errors="replace") if choices(root).is_file() else ""
    own = re.findall(r"file://([^'\"\]\n]+)", " ".join([chosen, *overrides]))
    return [root / "conf", *map(Path, own)]


def _refuse_twice(name: str, overrides: list[str]) -> None:
    """Refuse a strategy or a metric that is named twice, or by two files: Hydra merges them."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.types import RunMode

    loader = GlobalHydra.instance().config_loader()
    used: dict[str, list[str]] = {}
    for one in loader.compute_defaults_list(name, overrides, RunMode.RUN).defaults:
        path, package = str(one.config_path), one.package or ""
        if package.startswith(f"{path.rpartition('/')[0]}."):  # of a group of several choices
            used.setdefault(package, []).append(f"conf/{path}.yaml")
    several = {package: paths for package, paths in used.items() if len(paths) > 1}
    if several:
        raise ConfigError(
            "\n".join(
                f"{package}: expected it once, got {' and '.join(paths)}"
                for package, paths in several.items()
            )
        )


@contextmanager
def _absent_folder_named() -> Iterator[None]:
    """Hydra only warns that a folder of its search path is absent, and then misses its files."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=f"provider={SEARCHPATH}")
        try:
            yield
        except UserWarning as warning:
            folder = re.sub(r".*path=(.*) is not available.*", r"\1", str(warning), flags=re.S)
            raise ConfigError(
                f"{folder}: the folder of --config-dir is absent; --defaults forgets it"
            ) from None


def _hydra_errors() -> tuple[type[Exception], ...]:
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    # Hydra says ValueError to `experiment=null`, OSError to a file that holds a number, and
    # RecursionError to one that includes itself.
    told = (HydraException, OmegaConfBaseException, yaml.YAMLError)
    return *told, ValueError, OSError, RecursionError


def _refusal(root: Path, override: str, own: list[str]) -> str:
    """Why Hydra refuses this override with those for one's ``own`` folder; empty if it does not."""
    try:
        _hydra(root, [*own, override])
    except _hydra_errors() as error:
        if "Could not override" not in str(error):
            return _reason(root, error)
        return f"unknown key{suggest(override.lstrip('+~').split('=')[0], _known(root))}"
    except ConfigError:
        return ""  # what is missing may be given by another override
    return ""


def _reason(root: Path, error: Exception) -> str:
    """What Hydra or the YAML parser found wrong, in one line."""
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        group, _, name = missing.rpartition("/")
        options = getattr(error, "options", None) or (root / "conf" / group).glob("*.yaml")
        known = [Path(option).stem for option in options]
        return f"there is no conf/{missing}.yaml{suggest(name, known)}"
    mark = getattr(error, "problem_mark", None)
    if mark:
        path = Path(mark.name)
        path = path.relative_to(root) if root in path.parents else path
        return f"{path}, line {mark.line + 1}: not YAML: {getattr(error, 'problem', '')}"
    if isinstance(error, RecursionError):
        return "conf/: nested too deep, or a file that includes itself"
    if isinstance(error, yaml.reader.ReaderError):
        return f"{error.name}: not YAML: {error.reason}"
    return next(line.strip() for line in str(error).splitlines() if line.strip())


def _known(root: Path) -> list[str]:
    """Every key and every group an override may name."""
    folders = {name.partition("@")[0] for name in groups(root)}
    return [key for key, _ in dotted(_hydra(root, []))] + sorted(folders)


def unknown(root: Path, key: str, params: Mapping[str, Any], overrides: Iterable[str]) -> str:
    """What the key of an override could have meant; empty where it is a key of ``params``, a group
    or one to be added.

    ``overrides``: those that ``params`` was composed with; they may name folders to search.
    """
    override = parsed(f"{key}=0")
    name, known = override.key_or_group, [one for one, _ in dotted(params)]
    added = override.is_add() or override.is_force_add()
    if added or name in known or any((one / name).is_dir() for one in _folders(root, overrides)):
        return ""
    return suggest(name, [*known, *sorted({one.partition("@")[0] for one in groups(root)})])


def groups(root: Path, own: Path | None = None) -> dict[str, list[str]]:
    """What ``conf/`` lets one choose from: every group as an override names it, and its options.

    ``own``: a user's folder that is searched beside ``conf/``.
    """
    told = read_yaml(root / "conf" / "config.yaml")
    defaults = told.get("defaults") if isinstance(told, Mapping) else None
    if not isinstance(defaults, list):
        raise ConfigError("conf/config.yaml: expected `defaults`, a list of groups")
    names = sorted(name for entry in defaults if isinstance(entry, Mapping) for name in entry)
    folders = [root / "conf", *([own] if own else [])]
    return {
        name: sorted({path.stem for folder in folders for path in (folder / group).glob("*.yaml")})
        for name in names
        for group in [name.partition("@")[0]]
    }


def shown(params: Mapping[str, Any], package: str | None = None) -> str:
    """The configuration, or a part of it, as Hydra's ``--cfg job --package`` prints it.

    Raises:
        ConfigError: there is no such part.
    """
    from omegaconf import OmegaConf

    if package is None or package == "_global_":
        return OmegaConf.to_yaml(OmegaConf.create(dict(params)))
    known: dict[str, Any] = dict(dotted(params))
    if package not in known:
        raise ConfigError(f"--package {package}: not in the configuration{suggest(package, known)}")
    part = known[package]
    if not isinstance(part, dict | list):
        return f"{part}\n"
    return f"# @package {package}\n{OmegaConf.to_yaml(OmegaConf.create(part))}"


def record(root: Path, overrides: Iterable[str]) -> None:
    """Write ``conf/chosen.yaml`` so that composing it is composing with these overrides.

    Raises:
        ConfigError: an override removes a key or asks for several values in turn.
    """
    groups, values = _told(root, overrides)
    entries = [{change: choice} for change, choice in groups.items()]
    _write(root, {"defaults": ["config", *entries, "_self_"], **values})


def _told(root: Path, overrides: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """These overrides as entries of a defaults list, and as nested values; the last of each."""
    from hydra.core.override_parser.overrides_parser import OverridesParser

    groups: dict[str, Any] = {}
    values: dict[str, Any] = {}
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    searched: list[Any] = [one.value() for one in parsed if one.key_or_group == SEARCHPATH]
    places = [place for value in searched for place in value]
    folders = [root / "conf", *(Path(place.removeprefix("file://")) for place in places)]
    for one in parsed:
        if one.is_delete() or one.is_sweep_override():
            raise ConfigError(f"{one.input_line}: expected key=value with a single value")
        if any((folder / one.key_or_group).is_dir() for folder in folders):
            place = f"@{one.package}" if one.package else ""
            change = "" if one.is_add() else "override "
            groups[f"{change}{one.key_or_group}{place}"] = one.value()
        else:
            nest(values, one.key_or_group.split("."), one.value())
    return groups, values


def experiment(root: Path, overrides: Iterable[str], *, chosen: bool) -> dict[str, Any]:
    """An experiment that composes to what `vary` composes from the same; see conf/experiment.

    Raises:
        ConfigError: an override removes a key or asks for several values in turn.
    """
    path, groups, values = choices(root), {}, {}
    if chosen and path.is_file():
        values = yaml.safe_load(path.read_text())
        groups = dict(one.popitem() for one in values.pop("defaults") if isinstance(one, dict))
    added, changed = _told(root, overrides)
    groups |= added
    for key, value in _leaves(changed).items():
        nest(values, key.split("."), value)
    values.pop("hydra", None)  # where to search is said on the command line
    started = [groups.pop(key) for key in ("experiment", "override experiment") if key in groups]
    entries = [{re.sub("^override ", "override /", key): one} for key, one in groups.items()]
    return {"defaults": [*started, *entries, "_self_"], **values}


def parsed(override: str) -> Any:
    """One override, read by Hydra's grammar.

    Raises:
        ConfigError: it is none.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser

    try:
        return OverridesParser.create().parse_override(override)
    except _hydra_errors() as error:
        raise ConfigError(f"{override}: {str(error).splitlines()[0]}") from None


def plain(choices: Any) -> bool:
    """Whether choices that were read are values each: no globs, and no sweeps of their own."""
    from hydra.core.override_parser.types import Glob, Sweep

    several = getattr(choices, "list", [choices])
    return not any(isinstance(one, Glob | Sweep) for one in several)


def apart(root: Path, group: str, name: str, overrides: Iterable[str]) -> dict[str, Any]:
    """``conf/<group>/<name>.yaml``, which no other configuration holds, changed by ``group.key=``.

    Raises:
        ConfigError: what Hydra refuses.
    """
    overrides = list(overrides)
    given = [one if one.startswith(SEARCHPATH) else f"++{one}" for one in overrides]
    try:
        return dict(_hydra(root, given, name=f"{group}/{name}")[group])
    except _hydra_errors() as error:
        place = _place(error, group, name, overrides)
        raise ConfigError(f"{place}{_reason(root, error)}") from None


def _place(error: Exception, group: str, name: str, overrides: Iterable[str]) -> str:
    """Where an interpolation stands that leads nowhere; empty where that is not the error."""
    key = str(getattr(error, "full_key", None) or "").removeprefix(f"{group}.")
    for override in overrides if key else ():
        if f"{group}.{key}.".startswith(f"{override.partition('=')[0]}."):
            return f"{override}: "
    return f"conf/{group}/{name}.yaml: {key}: " if key else ""


def _write(root: Path, chosen: Mapping[str, Any]) -> None:
    text = HEADER + yaml.safe_dump(dict(chosen), sort_keys=False, allow_unicode=True)
    write_if_changed(choices(root), text)


def adopt(root: Path, params: Mapping[str, Any]) -> list[str]:
    """Amend ``conf/chosen.yaml`` so that it composes to ``params``; says how, as overrides.

    Raises:
        ConfigError: no override can say it.
    """
    path = choices(root)
    chosen = yaml.safe_load(path.read_text()) if path.is_file() else {"defaults": ["config"]}
    groups, values = _differences(root, params)
    others = [one for one in chosen["defaults"] if _named(one) not in {*groups, "_self_"}]
    added = [{f"override {group}": option} for group, option in groups.items()]
    chosen["defaults"] = [*others, *added, "_self_"]
    for key, value in values.items():
        # Of params.yaml, where every ${reference} has been put in: one that is left is text.
        text = value.replace("${", r"\${") if isinstance(value, str) else value
        nest(chosen, key.split("."), text)
    _write(root, chosen)
    return _overrides(groups) + _overrides(values)


def asked(root: Path, params: Mapping[str, Any]) -> list[str]:
    """Overrides of ``conf/config.yaml`` that compose to ``params``, whoever changed them.

    Raises:
        ConfigError: there are none, as where a folder outside the project was searched.
    """
    path = choices(root)
    values = yaml.safe_load(path.read_text()) if path.is_file() else {}
    entries = [one for one in values.pop("defaults", []) if isinstance(one, dict)]
    groups = {_named(one): option for one in entries for option in one.values()}
    values = _leaves(values)
    if compose_chosen(root) != params:
        more, changed = _differences(root, params)
        groups, values = groups | more, values | changed
    for prefix in ("", "++"):  # the second also adds keys that conf/ has not
        named = {f"{prefix}{key}": value for key, value in values.items()}
        overrides = _overrides(groups) + _overrides(named)
        with suppress(ConfigError):
            if compose(root, overrides) == params:
                return overrides
    raise ConfigError("params.yaml: no overrides of conf/config.yaml compose to it")


def _differences(root: Path, params: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The groups and the values that `params` has otherwise than what the project chose."""
    groups = dict(_groups(root, params))
    before, after = _leaves(_hydra(root, _overrides(groups), name=_start(root))), _leaves(params)
    if beyond := sorted(before.keys() - after.keys()):
        raise ConfigError(
            f"params.yaml, which an experiment made, lacks {', '.join(beyond)}; what conf/ sets "
            "cannot be taken away: choose anew with overrides or --defaults"
        )
    return groups, {key: value for key, value in after.items() if before.get(key, ...) != value}


def _overrides(told: Mapping[str, Any]) -> list[str]:
    return [f"{key}={_spelt(value)}" for key, value in told.items()]


def _groups(root: Path, params: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Groups that need another option for `params` to have the keys it has, and the options."""
    composed = compose_chosen(root)
    for folder in (path for path in (root / "conf").iterdir() if path.is_dir()):
        several = params.get(folder.name, {}).keys()
        known = {path.stem for path in folder.glob("*.yaml")}
        if several and several <= known and several != composed[folder.name].keys():
            yield folder.name, list(several)
    for group in _single(root):
        name, _, package = group.partition("@")
        before, after = (_leaves(_within(one, package or name)) for one in (composed, params))
        fitting = {
            path.stem: sum(after[key] == value for key, value in option.items())
            for path in sorted((root / "conf" / name).glob("*.yaml"))
            if (option := _leaves(yaml.safe_load(path.read_text()))).keys() <= after.keys()
        }
        if fitting and not before.keys() <= after.keys():
            yield group, max(fitting, key=lambda option: fitting[option])


def _single(root: Path) -> list[str]:
    """Every group of one option that something was chosen of, with where it is put."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(config_dir=str(root / "conf"), version_base="1.3"):
        config = hydra_compose(config_name=_start(root), return_hydra_config=True)
    chosen = config.hydra.runtime.choices.items()
    return [str(key) for key, option in chosen if option and not key.startswith("hydra/")]


def _within(config: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """The section at a dotted place; empty where there is none."""
    for key in path.split("."):
        config = config.get(key, {})
    return config


def _leaves(config: Mapping[str, Any]) -> dict[str, Any]:
    """The dotted keys that hold values, and these."""
    return {
        key: value for key, value in dotted(config) if not (isinstance(value, Mapping) and value)
    }


def _named(default: Any) -> str:
    """The group that an entry of a defaults list is about."""
    return next(iter(default)).removeprefix("override ") if isinstance(default, dict) else default


def _spelt(value: Any) -> str:
    """As an override says it."""
    if isinstance(value, list):
        return f"[{','.join(map(_spelt, value))}]"
    plain = str(value) if isinstance(value, str) else json.dumps(value)
    quoted = "'" + plain.replace("'", r"\'") + "'"
    return plain if not isinstance(value, str) or _read(plain) == value else quoted


def own_command(folder: Path, sites: Sequence[str], outcome: str) -> str:
    """How the pipeline is run on a described folder: the first site is the source, the last the
    target.

    What Hydra would read as something else, as a site called 2020 or nan, is quoted for it.
    """
    chosen = {
        "cohort": "own",
        "cohort.folder": str(folder),
        "cohort.source": [sites[0]],
        "cohort.target": [sites[-1]],
        "cohort.outcome.target": outcome,
    }
    return shlex.join(["medgraft", "repro", *_overrides(chosen)])


def _read(text: str) -> Any:
    """What an override reads this value as; None where it cannot."""
    try:
        return parsed(f"key={text}").value()
    except ConfigError:
        return None


def nest(values: dict[str, Any], path: list[str], value: Any) -> None:
    """Set a dotted key."""
    first, *rest = path
    if rest:
        nest(values.setdefault(first, {}), rest, value)
    else:
        values[first] = value

"""Turn ``{_target_: dotted.name, argument: value}`` into the object it names."""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from medgraft.errors import ConfigError

# A configuration may come from a stranger: nothing outside these packages is imported or called,
# nor what their modules import from elsewhere.
ALLOWED = ("medgraft.", "torch.optim.", "sklearn.")
OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def locate(target: str) -> Callable[..., Any]:
    """The function or class a dotted name points to.

    Raises:
        ConfigError: the name lies outside the allowed packages or does not exist.
    """
    if not target.startswith(ALLOWED):
        raise ConfigError(f"_target_ {target!r}: expected a name in {', '.join(ALLOWED)}*")
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"_target_ {target!r}: there is no module {error.name!r}") from None
    found: Any = getattr(module, name, None)
    if not offered(found):
        public = [key for key, value in vars(module).items() if offered(value) and key[0] != "_"]
        raise ConfigError(
            f"_target_ {target!r}: {module_name} has no {name!r}{suggest(name, public)}"
        )
    return found


def offered(value: Any) -> bool:
    """True for a function or class defined in an allowed package."""
    return callable(value) and f"{getattr(value, '__module__', '')}.".startswith(ALLOWED)


def construct(spec: Mapping[str, Any], **given: Any) -> Any:
    """Call ``spec["_target_"]`` with the other entries of ``spec`` and with ``given``.

    Raises:
        ConfigError: an argument is unknown or missing (names the ones there are), or a class
            refuses a value it was given.
    """
    if "_target_" not in spec:
        raise ConfigError(f"{dict(spec)}: expected a _target_ that names a constructor")
    call = locate(spec["_target_"])
    arguments = {key: value for key, value in spec.items() if key != "_target_"} | given
    check_arguments(call, spec["_target_"], arguments)
    if not inspect.isclass(call):
        return call(**arguments)
    try:
        return call(**arguments)
    except (TypeError, ValueError, KeyError) as error:
        written = ", ".join(f"{k}={v!r}" for k, v in spec.items() if k != "_target_")
        raise ConfigError(f"{spec['_target_']}({written}): {error}") from error


def check_arguments(call: Callable[..., Any], target: str, arguments: Mapping[str, Any]) -> None:
    """Compare argument names with the signature of ``call`` before calling it."""
    check_names(call, target, arguments)
    parameters = inspect.signature(call).parameters
    needed = [n for n, p in parameters.items() if p.default is p.empty and p.kind not in OPEN]
    missing = [name for name in needed if name not in arguments]
    if missing:
        raise ConfigError(f"{target}: missing argument {', '.join(map(repr, missing))}")


def check_names(call: Callable[..., Any], target: str, names: Iterable[str]) -> None:
    """Raise ConfigError for a name that is no argument of ``call``."""
    parameters = inspect.signature(call).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            raise ConfigError(f"{target}: unknown argument {name!r}{suggest(name, parameters)}")


def suggest(word: str, known: Any) -> str:
    """``; did you mean 'x'?`` where something similar is known, else what is known."""
    names = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    if close:
        return f"; did you mean {names[close[0]]!r}?"
    return f"; expected one of {', '.join(sorted(names.values()))}" if names else ""

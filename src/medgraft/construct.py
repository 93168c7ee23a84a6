"""Turn ``{_target_: dotted.name, argument: value}`` into the object it names."""

from __future__ import annotations

import difflib
import importlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from medgraft.errors import ConfigError

# Which numbers make sense, for sections of the configuration and arguments of constructors alike.
Amount = Annotated[int, Field(gt=0, le=10**9)]
"""How many patients or steps."""
Count = Annotated[int, Field(gt=0, le=10_000)]
"""How many of what is held at once: replicas, layers, units, threads, processes."""
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]

# A configuration may come from a stranger. These are the modules that configurations are made of:
# nothing else is imported or called, nor what these import from elsewhere. Of the catalogue only
# what makes a cohort, of torch the optimisers; of scikit-learn nothing, whose loaders fetch files.
OWN = (
    "cohorts.catalogue.*.materialise",
    "evaluation.metrics.*",
    "networks.encoders.*",
    "networks.heads.*",
    "networks.inputs.*",
    "networks.readout.*",
    "preparation.expression.Expression",
    "preparation.image.Images",
    "preparation.sequence.Sequences",
    "preparation.table.Tables",
    "sweep.launchers.*",
    "training.augments.*",
    "training.pretexts.*",
    "training.schedules.*",
    "transfer.*",
)
ALLOWED = (*(f"medgraft.{name}" for name in OWN), "torch.optim.*")
OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def locate(target: str) -> Callable[..., Any]:
    """The function or class a dotted name points to.

    Raises:
        ConfigError: the name lies outside the allowed packages or does not exist.
    """
    if not any(fnmatchcase(target, pattern) for pattern in ALLOWED):
        raise ConfigError(f"_target_ {target!r}: expected one of {', '.join(ALLOWED)}")
    module_name, _, name = target.rpartition(".")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise ConfigError(f"_target_ {target!r}: there is no module {error.name!r}") from None
    found: Any = getattr(module, name, None)
    if name.startswith("_") or not offered(found, module_name):
        public = [key for key, value in vars(module).items() if offered(value, module_name)]
        raise ConfigError(
            f"_target_ {target!r}: {module_name} has no {name!r}{suggest(name, public)}"
        )
    return found


def offered(value: Any, module: str) -> bool:
    """True for a function or class that ``module`` defines, or for an optimiser of torch."""
    if module.startswith("torch."):
        import torch

        return inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)
    return callable(value) and getattr(value, "__module__", "") == module


def check(target: str, values: Mapping[str, Any]) -> None:
    """What can be told of a constructor's arguments before there is something to construct from.

    Raises:
        ConfigError: as `construct` does.
    """
    call = locate(target)
    check_names(call, target, values)
    check_values(call, target, values)
    if target.startswith("torch."):  # which declares no ranges, and refuses what lies outside
        import torch

        construct({"_target_": target, **values}, params=[torch.zeros(1, 1)])


def construct(spec: Mapping[str, Any], **given: Any) -> Any:
    """Call ``spec["_target_"]`` with the other entries of ``spec`` and with ``given``.

    Raises:
        ConfigError: an argument is unknown or missing (names the ones there are), or a class
            refuses a value it was given.
    """
    if "_target_" not in spec:
        raise ConfigError(f"{dict(spec)}: expected a _target_ that names a constructor")
    call = locate(spec["_target_"])
    told = {key: value for key, value in spec.items() if key != "_target_"}
    arguments = told | given
    check_arguments(call, spec["_target_"], arguments)
    check_values(call, spec["_target_"], told)
    if not inspect.isclass(call):
        return call(**arguments)
    try:
        return call(**arguments)
    except (TypeError, ValueError, KeyError) as error:
        written = ", ".join(f"{key}={shown(value)}" for key, value in told.items())
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


def check_values(call: Callable[..., Any], target: str, values: Mapping[str, Any]) -> None:
    """Raise ConfigError for a number outside the range that the argument of ``call`` declares."""
    signed: Any = call.__init__ if inspect.isclass(call) else call
    plain, declared = get_type_hints(signed), get_type_hints(signed, include_extras=True)
    for name in [name for name in values if declared.get(name) != plain.get(name)]:
        value = values[name]
        try:
            TypeAdapter(declared[name]).validate_python(value, strict=True)
        except ValidationError as error:
            expected = error.errors()[0]["msg"]
            raise ConfigError(
                f"{target}: {name}: got {shown(value)}: {expected[0].lower()}{expected[1:]}"
            ) from None


def suggest(word: str, known: Any) -> str:
    """``; did you mean 'x'?`` where something similar is known, else what is known."""
    names = {str(name).lower(): str(name) for name in known}
    close = difflib.get_close_matches(word.lower(), names, n=1)
    if close:
        return f"; did you mean {names[close[0]]!r}?"
    return f"; expected one of {', '.join(sorted(names.values()))}" if names else ""


# An address may be mistyped into any option, with who may write there before its @ or behind its ?.
LONGEST, WORD = 200, 400  # characters of a value, and of a word, worth showing
SECRETS = re.compile(r"(?<=//)[^/@\s]+@|(?i:(?<=password=)|(?<=passwd=)|(?<=token=))[^&\s\"']+")


def complaint(text: str) -> str:
    """What is wrong, for a terminal: as `printable`, and without the password of an address.

    A word that no line can hold, as an override of 5,000 digits, loses its middle.
    """
    short = re.sub(
        rf"[^\s:]{{{WORD},}}", lambda word: shortened(word[0], WORD), SECRETS.sub("", text)
    )
    return printable(short)


def finite(number: float) -> bool:
    """True for what a float can hold: neither infinite nor NaN nor an integer beyond it."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def shown(value: object) -> str:
    """A value as a message shows it: as Python writes it, without its middle where it is long."""
    try:
        return shortened(repr(value), LONGEST)
    except ValueError:  # a hexadecimal one may be read, and not be written
        return "a number of more than 4,300 digits"


def shortened(text: str, longest: int) -> str:
    """A text of more characters than this without its middle."""
    if len(text) <= longest:
        return text
    kept = longest // 3
    return f"{text[:kept]}…{text[-kept:]} ({len(text):,} characters)"


def printable(text: str) -> str:
    """Text for a terminal: what could move its cursor, colour or reverse it is shown escaped.

    Names and values come from files of strangers; the ends of lines are those of a message itself.
    """
    return "".join(
        one if one.isprintable() or one == "\n" else one.encode("unicode_escape").decode()
        for one in text
    )

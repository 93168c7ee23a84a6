"""Search spaces in Hydra's own override grammar."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from medgraft import composition
from medgraft.config import Config, dotted, pick, validate
from medgraft.construct import LONGEST, finite, shortened, shown
from medgraft.errors import ConfigError, MedgraftError

MOST = 24
"""Values between the ends that are composed of one key: each takes Hydra a fifth of a second."""
Space = dict[str, Any]
"""Key of the configuration -> optuna's distribution."""
EXPECTED = "expected interval(low, high), choice(a, b) or range(start, stop, step)"
FIXED = (
    "seed",
    "cohort",
    "design",
    "task.kind",
    "task.primary",
    "source_task.kind",
    "metrics",
    "evaluation",
    "tracking",
)
"""Who is scored, and how: trials that differ in these cannot be compared."""


def optuna() -> Any:
    """The library, which is an extra.

    Raises:
        MedgraftError: it is not installed.
    """
    try:
        import optuna as library
    except ImportError:
        raise MedgraftError("sweeps need optuna: pip install 'medgraft[sweep]'") from None
    return library


def read(params: Mapping[str, str]) -> Space:
    """Distributions of what ``sweep.params`` says.

    Raises:
        ConfigError: every key whose space is wrong, one a line.
    """
    found, problems = {}, []
    places: dict[tuple[str, str], str] = {}
    for key, text in params.items():
        try:
            line = " ".join(text.splitlines())
            override = composition.parsed(f"{key}={line}")
            found[key] = distribution(override)
            first = places.setdefault((override.key_or_group, override.package or ""), key)
            if first != key:
                told = override.input_line
                raise ConfigError(f"{told}: searched as {first}, too; expected one of the two")
        except ConfigError as error:
            problems.append(f"sweep.params.{error}")
    if problems:
        raise ConfigError("\n".join(problems))
    return found


def distribution(override: Any) -> Any:
    """Optuna's distribution for a parsed override; choices are kept as Hydra spells them."""
    told, value = override.input_line, override.value()
    if override.is_delete() or not override.key_or_group:
        raise ConfigError(f"{told}: expected a key of the configuration")
    if re.match(r"hydra\b", override.key_or_group):
        raise ConfigError(
            f"{told}: a setting of Hydra's own, which changes no trial; "
            "expected a key of the configuration"
        )
    if override.is_choice_sweep() and composition.plain(value):
        options = list(dict.fromkeys(override.sweep_string_iterator()))
        return optuna().distributions.CategoricalDistribution(options)
    if not (override.is_range_sweep() or override.is_interval_sweep()):
        raise ConfigError(f"{told}: {EXPECTED}")
    log = value.tags == {"log"}
    if value.tags and not log:
        raise ConfigError(f"{told}: unknown tag {sorted(value.tags)[0]!r}; expected log")
    low, high, step = ends(override, value)
    if not low < high:
        raise ConfigError(f"{told}: empty; expected low < high")
    if log and (low <= 0 or step not in (None, 1)):
        raise ConfigError(f"{told}: expected low > 0 and no step where factors count (log)")
    whole = all(isinstance(end, int) for end in (low, high, step or 1))
    kinds = optuna().distributions
    if whole:
        return kinds.IntDistribution(low, high, log=log, step=step or 1)
    return kinds.FloatDistribution(low, high, log=log, step=step)


def ends(override: Any, value: Any) -> tuple[Any, Any, Any]:
    """Lowest and highest value, and the step between values where there is one."""
    told = override.input_line
    low, high = value.start, value.end if override.is_interval_sweep() else value.stop
    if not (finite(low) and finite(high)):
        raise ConfigError(f"{told}: expected finite numbers")
    if override.is_interval_sweep():
        return low, high, None
    if not value.step > 0:
        raise ConfigError(f"{told}: expected a step > 0")
    if not finite(steps := (high - low) / value.step):
        raise ConfigError(f"{told}: expected a larger step")
    last = math.ceil(steps - 1e-9) - 1  # stop is left out
    return low, low + last * value.step, value.step


def examples(distribution: Any) -> list[Any]:
    """All choices, or both ends of an interval."""
    return list(getattr(distribution, "choices", None) or (distribution.low, distribution.high))


def overrides(params: Mapping[str, Any]) -> list[str]:
    """A trial's values as Hydra's overrides."""
    return [f"{key}={value}" for key, value in params.items()]


def within(space: Space, params: Mapping[str, Any]) -> dict[str, Any] | None:
    """The values a configuration has of what is searched; None if the space lacks one of them."""
    found, known = {}, dict(dotted(params))
    for key, one in space.items():
        value = known.get(key)
        if choices := getattr(one, "choices", None):
            value = next((c for c in choices if value_of(c) == value), None)
        elif not isinstance(value, int | float) or not one.low <= value <= one.high:
            value = None
        if value is None:
            return None
        found[key] = value
    return found


@dataclass(frozen=True)
class Varied:
    """A configuration, and how a trial's values change it.

    Composing takes Hydra a fifth of a second, so where putting a value into its place has turned
    out to be the same, that is done. ``base`` is None where it is not, as for groups.
    """

    compose: Callable[[list[str]], dict[str, Any]]
    config: Config
    base: dict[str, Any] | None

    def __call__(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with these values."""
        return self.compose(overrides(values)) if self.base is None else put(self.base, values)


def put(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a configuration with values in their places, as their overrides spell them."""
    params = copy.deepcopy(dict(base))
    for key, value in values.items():
        read = copy.deepcopy(value_of(value)) if isinstance(value, str) else value
        composition.nest(params, key.split("."), read)
    return params


def look_up(space: Space, root: Path, base: Mapping[str, Any], fixed: Iterable[str]) -> None:
    """Compare keys and words with the configuration: Hydra would compose for seconds before.

    Raises:
        ConfigError: every key that is not there, with what it could have meant, and every key that
            holds a number and is searched among words.
    """
    fixed, problems = list(fixed), []
    for key, one in space.items():
        if hint := composition.unknown(root, key, base, fixed):
            problems.append(f"sweep.params.{key}: unknown key{hint}")
        number, words = constructed_with(base, key), texts(one)
        if number is not None and words:
            got = shortened(", ".join(map(shown, words)), LONGEST)
            problems.append(f"sweep.params.{key}: got {got}: expected a number, as {number} is")
    if problems:
        raise ConfigError("\n".join(problems))


def constructed_with(base: Mapping[str, Any], key: str) -> float | None:
    """The number that a constructor is given under this key, None where it is something else.

    What the schema declares is looked at with it; of a constructor's arguments it knows nothing,
    and a rate that is a word was found out in training.
    """
    value: Any = base
    constructor = False
    for part in composition.parsed(f"{key}=0").key_or_group.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        constructor = constructor or "_target_" in value
        value = value[part]
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if number and constructor else None


def texts(distribution: Any) -> list[str]:
    """Choices that are words; what an interpolation leads to is seen when it is composed."""
    read = [value_of(one) for one in getattr(distribution, "choices", ())]
    return [one for one in read if isinstance(one, str) and "${" not in one]


@cache
def value_of(choice: str) -> Any:
    """What a choice is read as, as Hydra spells it; never changed, as it is kept."""
    return composition.parsed(f"a={choice}").value()


def check(
    space: Space, base: dict[str, Any], compose: Callable[[list[str]], dict[str, Any]]
) -> Varied:
    """Look at the configuration with the examples of each key; ``base`` is it without any.

    Both ends are composed. Where that comes to the same as putting them into their places, the
    others are put there, and only interpolations are composed; else, as of a group, all others
    are, `MOST` of them at most.

    Raises:
        ConfigError: every key that takes no such value, or decides who is scored.
    """
    problems: list[str] = []
    plain = True
    for key, one in space.items():
        values = examples(one)
        ends = few(values, 2)
        alike = [_composed(key, value, base, compose, problems) for value in ends]
        others = [value for value in values if value not in ends]
        left = [value for value in others if not all(alike) or "$" in str(value)]
        for value in few(left, MOST):
            alike.append(_composed(key, value, base, compose, problems))
        if all(alike[: len(ends)]):
            _put_in_turn(key, [value for value in others if value not in left], base, problems)
        plain = plain and all(alike)
    if problems:
        raise ConfigError("\n".join(dict.fromkeys(problems)))
    return Varied(compose, validate(base), base if plain else None)


def few(values: list[Any], most: int) -> list[Any]:
    """So many of the values at most, evenly spread, the first and the last among them."""
    if len(values) <= most:
        return values
    return [values[i * (len(values) - 1) // (most - 1)] for i in range(most)]


def _composed(
    key: str,
    value: Any,
    base: Mapping[str, Any],
    compose: Callable[[list[str]], dict[str, Any]],
    problems: list[str],
) -> bool:
    """Whether composing with a value is putting it in its place; what is wrong is noted."""
    try:
        params = compose(overrides({key: value}))
        _look_at(params, key, value, base)
        return params == put(base, {key: value})
    except ConfigError as error:
        problems.append(f"sweep.params.{error}")
        return False


def _put_in_turn(key: str, values: list[Any], base: Mapping[str, Any], problems: list[str]) -> None:
    """Note what is wrong with values that are put in their place, in one and the same copy."""
    params = copy.deepcopy(dict(base))
    for value in values:
        composition.nest(params, key.split("."), value_of(value))
        try:
            _look_at(params, key, value, base)
        except ConfigError as error:
            problems.append(f"sweep.params.{error}")


def _look_at(params: Mapping[str, Any], key: str, value: Any, base: Mapping[str, Any]) -> None:
    """Refuse a configuration that is none, or of which others would be scored."""
    validate(params)
    fixed, now = dict(dotted(pick(base, FIXED))), dict(dotted(pick(params, FIXED)))
    if changed := [name for name, one in now.items() if fixed.get(name) != one]:
        raise ConfigError(
            f"{key}={value}: changes {changed[-1]}, which decides who is scored and how"
        )

"""What a sweep is asked to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, Field, PositiveInt, ValidationError, model_validator

from medgraft import composition
from medgraft.config import Section, Seed, differ
from medgraft.construct import locate, shown, suggest
from medgraft.errors import ConfigError
from medgraft.sweep.launchers.launcher import Launcher

DEFAULT, LOCAL = "default", "local"
Kind = TypeVar("Kind", bound=Section)


class Settings(Section):
    """``conf/sweep/*.yaml``; docs/sweeps.md says what each key is for."""

    n: PositiveInt
    params: dict[str, str] = Field(min_length=1)
    strategies: Annotated[list[str], AfterValidator(differ)] = Field(min_length=1)
    calibration: str | None = None
    name: str | None = Field(None, pattern=r"^[\w-]+$")
    storage: str | None = Field(None, pattern=r"^(sqlite:///[^?]+$|postgresql(\+\w+)?://)")
    seed: Seed = 2026
    heartbeat: PositiveInt = 5
    grace: PositiveInt = 30
    patience: PositiveInt = 300

    @model_validator(mode="after")
    def lives_longer_than_a_beat(self) -> Settings:
        """A worker that is alive must not count as dead."""
        if self.grace < 2 * self.heartbeat:
            raise ValueError(f"grace {self.grace}: expected twice heartbeat {self.heartbeat}")
        return self


@dataclass(frozen=True)
class Asked:
    """A sweep's settings, who carries it out, and the overrides that hold for all trials."""

    settings: Settings
    launcher: Launcher
    sweep: str
    fixed: list[str]
    name: str
    base: dict[str, Any]
    """The configuration with these overrides alone."""

    @staticmethod
    def read(root: Path, arguments: Iterable[str]) -> Asked:
        """``sweep=NAME n=N sweep.key=value launcher=NAME launcher.key=value`` and overrides.

        Raises:
            ConfigError: every mistake in the sweep's or the launcher's settings, one a line.
        """
        chosen, own, fixed = {"sweep": DEFAULT, "launcher": LOCAL}, [], []
        for argument in arguments:
            key, _, value = argument.partition("=")
            if key in chosen:
                chosen[key] = value
            elif key == "n" or key.startswith(("sweep.", "launcher.")):
                own.append(argument if key != "n" else f"sweep.{argument}")
            else:
                fixed.append(argument)
        searched = [one for one in fixed if one.startswith(composition.SEARCHPATH)]

        def told(group: str) -> dict[str, Any]:
            mine = [one for one in own if one.startswith(f"{group}.")]
            return composition.apart(root, group, chosen[group], [*searched, *mine])

        settings = checked(Settings, told("sweep"), "sweep")
        launcher = launched(told("launcher"))
        if launcher.spreads and not (settings.storage or "").startswith("postgresql"):
            raise ConfigError(
                f"launcher={chosen['launcher']}: workers of several machines share no file; "
                "expected sweep.storage=postgresql+psycopg://USER@HOST/DATABASE"
            )
        base = composition.vary(root, fixed, chosen=not fixed)
        name = settings.name or named(fixed, base)
        return Asked(settings, launcher, chosen["sweep"], fixed, name, base)

    def compose(self, root: Path, overrides: Iterable[str] = ()) -> dict[str, Any]:
        """The configuration of a trial with these overrides."""
        given = [*self.fixed, *overrides]
        return composition.vary(root, given, chosen=not self.fixed)


def named(fixed: list[str], base: dict[str, Any]) -> str:
    """The experiment, or the cohort where none was chosen."""
    given = dict(one.partition("=")[::2] for one in fixed)
    return given.get("experiment") or Path(base["cohort"]["folder"]).name


def launched(given: dict[str, Any]) -> Launcher:
    """The launcher a yaml names, with its settings."""
    target = given.pop("_target_", "")
    kind: Any = locate(target)
    if not (isinstance(kind, type) and issubclass(kind, Launcher)):
        raise ConfigError(f"launcher._target_: expected a launcher, got {shown(target)}")
    return checked(kind, given, "launcher")


def checked(kind: type[Kind], given: dict[str, Any], group: str) -> Kind:
    """The settings, once they are as they must be."""
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        lines = [_problem(one, group, kind.model_fields) for one in error.errors()]
        raise ConfigError("\n".join(lines)) from None


def _problem(error: Any, group: str, known: Any) -> str:
    key = ".".join([group, *map(str, error["loc"])])
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{suggest(str(error['loc'][-1]), known)}"
    if error["loc"][:1] == ("storage",):  # an address may hold a password
        return f"{key}: expected sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
    message = error["msg"].removeprefix("Value error, ")
    came = f"got {shown(error['input'])}: " if error["loc"] and error["type"] != "missing" else ""
    return f"{key}: {came}{message[0].lower()}{message[1:]}"

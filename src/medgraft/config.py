"""The configuration: what it may say, and how stages read ``params.yaml`` piece by piece.

``params.yaml`` is what DVC tracks; ``medgraft.composition`` makes it from ``conf/``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal, get_args
from urllib.parse import parse_qs, urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from medgraft.construct import (
    Amount,
    Count,
    Positive,
    Share,
    check,
    finite,
    locate,
    printable,
    shown,
    suggest,
)
from medgraft.errors import ConfigError
from medgraft.plain_yaml import read_yaml

MOST_DEVICES = 10_000


def _names_target(value: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(value.get("_target_"), str):
        raise ValueError("needs a _target_, the name of what it constructs")
    for key, number in dotted(value):
        if isinstance(number, int | float) and not finite(number):
            raise ValueError(f"{key}: got {shown(number)}: expected a finite number")
    return value


def _learns(value: dict[str, Any]) -> dict[str, Any]:
    # torch takes a rate of 0, with which nothing is ever learned.
    if value.get("lr") == 0:
        raise ValueError("lr: got 0: expected a number above 0")
    return value


def differ(values: list[Any]) -> list[Any]:
    """The values, once it is seen that none comes twice."""
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise ValueError(f"{shown(twice[0])} is written twice")
    return values


def task_kinds() -> tuple[str, ...]:
    """Every kind of outcome: the modules beside `tasks/task.py`, none of which is imported."""
    found = {path.stem for path in (Path(__file__).parent / "tasks").glob("*.py")}
    return tuple(sorted(found - {"__init__", "task"}))


def _known_kind(value: str) -> str:
    if value not in task_kinds():
        raise ValueError(f"expected one of {', '.join(task_kinds())}")
    return value


def _countable(value: Any) -> Any:
    if value != "auto" and (type(value) is not int or not 1 <= value <= MOST_DEVICES):
        raise ValueError(f"expected a number from 1 to {MOST_DEVICES} or 'auto'")
    return value


Target = Annotated[dict[str, Any], AfterValidator(_names_target)]
"""A constructor: ``_target_`` and its arguments."""

Optimizer = Annotated[Target, AfterValidator(_learns)]

Text = Annotated[str, Field(min_length=1)]

Seed = Annotated[int, Field(ge=0, lt=2**32)]
"""What every library takes that draws at random."""


class Section(BaseModel):
    """A part of the configuration; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Outcomes(Section):
    """Which outcome of the cohort's description each role predicts."""

    source: Text
    target: Text


class CohortConfig(Section):
    """Where the raw files are, and which sites are source and target."""

    folder: Text
    source: Annotated[list[Text], AfterValidator(differ)] = Field(min_length=1)
    target: Annotated[list[Text], AfterValidator(differ)] = Field(min_length=1)
    outcome: Outcomes
    origin: Target | None
    notice: str
    read_on: Literal["here", "ray"]


class TaskConfig(Section):
    """What kind of outcome is predicted."""

    kind: Annotated[str, AfterValidator(_known_kind)]
    primary: str
    head: Target


class PreparationConfig(Section):
    """What kind of data this is, how panels are aligned, and how raw values become inputs."""

    modality: Text
    align: Target
    input: Target


class DesignConfig(Section):
    """How many replicas, and on which patients."""

    runs: Count
    folds: Annotated[Count, Field(ge=2)]
    validation_fraction: float = Field(gt=0, le=0.5)
    sizes: Annotated[list[Annotated[Amount, Field(ge=2)]], AfterValidator(differ)]
    sources: Count


class FitConfig(Section):
    """What to optimise, on how many patients at a time, and how long at most."""

    optimizer: Optimizer
    # All of it is in memory at once, patients again where there are fewer.
    batch_size: Annotated[int, Field(gt=0, le=100_000)]
    max_steps: Amount | None = None
    schedule: Target | None = None
    augment: Target | None = None


class PretrainConfig(FitConfig):
    """Pretraining: its task, and how often a patient's source-only features are hidden."""

    pretext: Target | None = None
    hide_probability: Share


class Strategy(Section):
    """One way to use the source cohort, or not to. Every part names a constructor.

    A baseline may say which modalities it ``reads`` and which kinds of outcome it ``learns``.
    """

    description: str = Field(min_length=1)
    uses_source: bool
    reads: list[Text] = []
    learns: list[Annotated[str, AfterValidator(_known_kind)]] = []
    init: Target | None = None
    trainable: Target | None = None
    readout: Target | None = None
    adapter: Target | None = None
    learning_rate: Target | None = None
    penalty: Target | None = None
    alignment: Target | None = None
    learn_from: Literal["target", "both", "source"] = "target"
    recalibrate: Target | None = None
    baseline: Target | None = None

    @model_validator(mode="after")
    def is_network_or_baseline(self) -> Strategy:
        """A baseline has no network parts; a network says where it starts and what it trains."""
        parts = [self.init, self.trainable, self.readout]
        choices = [self.adapter, self.learning_rate, self.penalty, self.alignment, self.recalibrate]
        if self.baseline and any([*parts, *choices]):
            raise ValueError("a baseline takes no other part")
        if not self.baseline and (self.reads or self.learns):
            raise ValueError("expected reads and learns of a baseline alone")
        if not self.baseline and not all(parts):
            raise ValueError("expected init, trainable and readout, or a baseline")
        if not self.uses_source and (self.alignment or self.learn_from != "target"):
            raise ValueError("alignment and learn_from use the source: expected uses_source: true")
        return self


class EvaluationConfig(Section):
    """What every strategy is compared with, how often the bootstrap draws, and what is worth it."""

    reference: str
    draws: int = Field(ge=200, le=1_000_000)
    set_level: float = Field(gt=0.5, lt=1)
    sensitivity: float = Field(gt=0, le=1)
    cost: Positive | None = None
    worthwhile_difference: Positive | None = None
    ship: str | None = None
    ship_why: str | None = None

    @model_validator(mode="after")
    def gives_its_reason(self) -> EvaluationConfig:
        """What the guard did not choose ships with a reason."""
        if self.ship and not (self.ship_why or "").strip():
            raise ValueError("ship: what the guard did not choose ships with a reason in ship_why")
        if printable(self.ship_why or "") != (self.ship_why or ""):
            raise ValueError("ship_why: expected text without control characters")
        return self

    @property
    def shipped(self) -> tuple[str, str] | None:
        """What ships against the guard, and why."""
        return (self.ship, self.ship_why or "") if self.ship else None


class TrainerConfig(Section):
    """How to run, whatever is trained: hardware, and when to stop."""

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"]
    devices: Annotated[Any, AfterValidator(_countable)]
    num_nodes: Count
    strategy: Literal["auto", "ddp", "fsdp", "ray"]
    share: Literal["replicas", "batches"] = "replicas"
    # Hydra reads trainer.precision=32 as a number.
    precision: Annotated[Literal["32", "16-mixed", "bf16-mixed"], BeforeValidator(str)]
    threads: Count
    max_steps: Amount
    check_every: Amount
    patience: Amount
    replicas_at_once: Amount
    accumulate: Amount = 1
    compile: bool = False
    max_failures: int = Field(3, ge=0, le=10_000)
    same_bits: bool = True

    @model_validator(mode="after")
    def gives_the_same_bits(self) -> TrainerConfig:
        """Sums that threads or processes share are added in another order than one adds them."""
        for name in ("threads", "devices", "num_nodes"):
            if self.same_bits and getattr(self, name) != 1:
                told = shown(getattr(self, name))
                raise ValueError(
                    f"{name}: expected 1, or trainer.same_bits=false, got {told}: "
                    "several add up in another order than one, and last bits may differ"
                )
        return self

    @model_validator(mode="after")
    def says_how_many(self) -> TrainerConfig:
        """Ray is asked for that many processes."""
        if self.strategy == "ray" and self.devices == "auto":
            raise ValueError("devices: strategy ray expected a number, got 'auto'")
        return self

    @model_validator(mode="after")
    def shards_what_it_can(self) -> TrainerConfig:
        """Under FSDP all processes work on one network, part by part."""
        expected = {"share": ("batches",), "precision": ("32", "bf16-mixed"), "compile": (False,)}
        for name, allowed in expected.items() if self.strategy == "fsdp" else ():
            if (got := getattr(self, name)) not in allowed:
                told = " or ".join(map(shown, allowed))
                raise ValueError(f"{name}: strategy fsdp expected {told}, got {shown(got)}")
        return self


class TrackingConfig(Section):
    """Where MLflow keeps its runs; who may write there is for the environment to say."""

    uri: Text

    @model_validator(mode="after")
    def holds_no_password(self) -> TrackingConfig:
        """A refused section is not shown, so that no message holds it either."""
        address = urlsplit(self.uri)
        # Who asks a database is no secret, and may need no password.
        token = address.username and address.scheme in ("http", "https")
        if token or address.password or "password" in parse_qs(address.query):
            raise ValueError(
                "uri: expected an address without a password or token, which params.yaml would "
                "keep: MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD say who you are"
            )
        return self


class Config(Section):
    """The whole of ``params.yaml``."""

    seed: Seed
    cohort: CohortConfig
    task: TaskConfig
    source_task: TaskConfig
    preparation: PreparationConfig
    encoder: Target
    design: DesignConfig
    pretrain: PretrainConfig
    finetune: FitConfig
    strategies: dict[str, Strategy] = Field(min_length=1)
    metrics: dict[str, Target] = Field(min_length=1)
    evaluation: EvaluationConfig
    trainer: TrainerConfig
    tracking: TrackingConfig


# Where a result is made; stages read it although DVC does not track it. Threads are tracked: large
# sums are added in another order by two threads than by one.
UNTRACKED = (
    "accelerator", "devices", "max_failures", "num_nodes", "same_bits", "share", "strategy",
)  # fmt: skip


def leads() -> bool:
    """True in the one process that writes results, whoever started the processes."""
    ranks = ("LOCAL_RANK", "NODE_RANK", "RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in ranks)


def project_root(start: Path | None = None) -> Path:
    """The nearest folder at or above ``start`` that holds ``dvc.yaml``.

    Raises:
        ConfigError: there is none.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file():
            return folder
    raise ConfigError(f"{here}: expected a medgraft project (a folder with dvc.yaml)")


def dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key of a nested mapping, dotted, with its value."""
    for key, value in config.items():
        yield f"{prefix}{key}", value
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{key}.")


def validate(params: Mapping[str, Any]) -> Config:
    """Check a composed configuration.

    Raises:
        ConfigError: every problem, one a line: key, what came, what was expected.
    """
    try:
        config = Config.model_validate(params)
    except ValidationError as error:
        idle = _idle(params)
        problems = [_problem(one) for one in error.errors() if one["loc"][:2] not in idle]
        raise ConfigError("\n".join([*idle.values(), *problems])) from None
    _check_consistency(config)
    return config


def _idle(params: Mapping[str, Any]) -> dict[tuple[int | str, ...], str]:
    """Strategies that have settings, perhaps an experiment's, but not what their yaml says."""
    found = params.get("strategies")
    strategies = found if isinstance(found, Mapping) else {}
    return {
        ("strategies", name): f"strategies.{name}: has settings but is not run; "
        f"expected it in strategies=[{','.join([*strategies])}]"
        for name, own in strategies.items()
        if isinstance(own, Mapping) and "description" not in own
    }


def _check_consistency(config: Config) -> None:
    problems = []
    both = set(config.cohort.source) & set(config.cohort.target)
    if both:
        problems.append(f"cohort: {', '.join(sorted(both))} cannot be source and target at once")
    if config.evaluation.reference not in config.strategies:
        hint = suggest(config.evaluation.reference, config.strategies)
        problems.append(
            f"evaluation.reference: {shown(config.evaluation.reference)} is not run{hint}"
        )
    if config.task.primary not in config.metrics:
        hint = suggest(config.task.primary, config.metrics)
        problems.append(
            f"task.primary: {shown(config.task.primary)} is not among the metrics{hint}"
        )
    problems += [text for name in config.strategies for text in _unfit(name, config)]
    if problems:
        raise ConfigError("\n".join(problems))


def _unfit(name: str, config: Config) -> Iterator[str]:
    """What a strategy cannot do here; found before anything is trained."""
    strategy = config.strategies[name]
    for does, able, asked in (
        ("reads", strategy.reads, config.preparation.modality),
        ("learns", strategy.learns, config.task.kind),
    ):
        if able and asked not in able:
            yield (
                f"strategies.{name}: {does} {', '.join(able)}, and this is {asked}: leave it out "
                "of strategies; docs/choosing.md has the learners for each kind"
            )


def _problem(error: Any) -> str:
    """One pydantic error as a sentence."""
    location = [str(part) for part in error["loc"] if not str(part).startswith("function-")]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        known = _fields(location[:-1])
        return f"{key}: unknown key{suggest(location[-1], known)}"
    if error["type"] == "missing":
        return f"{key}: needs a value"
    came = "" if isinstance(error["input"], Mapping) else f"got {shown(error['input'])}: "
    if error["type"] == "model_type":
        return f"{key}: {came}expected the keys {', '.join(_fields(location))}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{key}: {came}{message[0].lower()}{message[1:]}"


def _fields(location: list[str]) -> list[str]:
    """Keys the section at this place may have."""
    model: Any = Config
    for part in location:
        fields = getattr(model, "model_fields", None)
        # dict[str, Strategy]: any key leads to its values
        model = fields[part].annotation if fields else get_args(model)[1]
    return list(getattr(model, "model_fields", []))


def settle(root: Path, params: Mapping[str, Any], *, trusted: bool = True) -> None:
    """Check a composed configuration and make it the project's ``params.yaml``.

    Constructors are looked up when something has changed, and where ``params.yaml`` is not
    ``trusted`` to have been checked: it takes the seconds that importing torch does.

    Raises:
        ConfigError: every problem found; ``params.yaml`` stays as it was.
    """
    config = validate(params)
    path = root / "params.yaml"
    if not trusted or not path.is_file() or yaml.safe_load(path.read_text()) != params:
        _check_constructors(params)
        _check_primary(config)
        write_params(root, params)


def _check_constructors(params: Mapping[str, Any]) -> None:
    problems = []
    for key, value in dotted(params):
        if isinstance(value, Mapping) and "_target_" in value:
            try:
                target = value["_target_"]
                check(target, {name: own for name, own in value.items() if name != "_target_"})
            except ConfigError as error:
                problems.append(f"{key}: {error}")
    if problems:
        raise ConfigError("\n".join(problems))


def _check_primary(config: Config) -> None:
    """Refuse a verdict on a metric that cannot give one before anything is trained for it."""
    name, kind = config.task.primary, config.task.kind
    metric: Any = locate(config.metrics[name]["_target_"])
    if kind not in metric.tasks:
        raise ConfigError(f"task.primary: {name!r} does not measure a {kind} outcome")
    if metric.higher_is_better is None:
        raise ConfigError(f"task.primary: neither a higher nor a lower {name!r} is better")


def write_params(root: Path, params: Mapping[str, Any]) -> None:
    """Write ``params.yaml``, unless it says the same already."""
    path = root / "params.yaml"
    if path.is_file() and yaml.safe_load(path.read_text()) == params:
        return
    write_if_changed(path, yaml.safe_dump(dict(params), sort_keys=False, allow_unicode=True))


def write_if_changed(path: Path, text: str) -> None:
    """Write a file whole or not at all, leaving an equal one untouched."""
    data = text.encode()
    if path.is_file() and path.read_bytes() == data:
        return
    fresh = path.with_suffix(".new")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def read_params(root: Path) -> dict[str, Any]:
    """``params.yaml`` as it is.

    Raises:
        ConfigError: there is none, or it is not YAML.
    """
    path = root / "params.yaml"
    if not path.is_file():
        raise ConfigError(f"{path} not found: run `medgraft compose`")
    params = read_yaml(path)
    if not isinstance(params, dict):
        raise ConfigError(f"{path}: expected keys with values, got {shown(params)}")
    return params


def stage_params(stage: str, *, key: str = "", root: Path | None = None) -> SimpleNamespace:
    """The parameters ``dvc.yaml`` says this stage depends on, validated, and nothing else.

    A stage that reads more than it declares fails here, not silently later.
    """
    root = root or project_root()
    params = read_params(root)
    given = pick(params, declared(root, stage, key=key))
    if "trainer" in given:
        given["trainer"] |= {name: params["trainer"][name] for name in UNTRACKED}
    return SimpleNamespace(**{name: _section(name, value) for name, value in given.items()})


def declared(root: Path, stage: str, *, key: str = "") -> list[str]:
    """Dotted parameters that ``dvc.yaml`` lists for a stage; ``key`` fills ``${key}``."""
    stages = yaml.safe_load((root / "dvc.yaml").read_text())["stages"]
    body = stages[stage].get("do", stages[stage])
    return [name.replace("${key}", key) for name in body.get("params", [])]


def pick(params: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """The values of these dotted names, nested as they were."""
    picked: dict[str, Any] = {}
    for dotted in names:
        try:
            _copy(params, picked, dotted.split("."))
        except (KeyError, TypeError):
            raise ConfigError(f"params.yaml: expected {dotted}; run `medgraft compose`") from None
    return picked


def _copy(source: Mapping[str, Any], target: dict[str, Any], path: list[str]) -> None:
    """Copy one nested value."""
    first, *rest = path
    if rest:
        _copy(source[first], target.setdefault(first, {}), rest)
    else:
        target[first] = source[first]


def _section(name: str, value: Any) -> Any:
    """One section, validated; of one that is declared in part, the declared values."""
    kind: Any = Config.model_fields[name].annotation
    fields = getattr(kind, "model_fields", None)
    if fields and set(fields) - set(value):
        return SimpleNamespace(**value)
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        located = [dict(one, loc=(name, *one["loc"])) for one in error.errors()]
        raise ConfigError("\n".join(_problem(one) for one in located)) from None

"""Search for settings on validation patients: as many workers as there are, exactly n trials."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medgraft import config
from medgraft.construct import suggest
from medgraft.errors import ConfigError, MedgraftError, StageError
from medgraft.evaluation.metrics.metric import Metric
from medgraft.stages.made import located
from medgraft.stages.run import WORK, keep_private
from medgraft.sweep import space as spaces
from medgraft.sweep.settings import Asked
from medgraft.sweep.trials import REASON, SCORES, Trials

if TYPE_CHECKING:  # takes a second to import, and a sweep may be refused before
    from medgraft.sweep.score import Bench

PLACE = WORK / "sweeps"
GOES_ON = "the same command goes on"


@dataclass(frozen=True)
class Sweep:
    """One sweep of a project: what is searched, how it is scored, and where trials are kept."""

    root: Path
    asked: Asked
    mirror: Path | None
    space: spaces.Space
    compose: spaces.Varied

    @staticmethod
    def read(root: Path, arguments: Iterable[str], *, mirror: Path | None) -> Sweep:
        """Check everything that can be wrong before anything is trained.

        Raises:
            ConfigError: every mistake of one kind, one a line.
        """
        asked = Asked.read(root, arguments)
        space = spaces.read(asked.settings.params)
        spaces.look_up(space, root, asked.base, asked.fixed)
        found = spaces.check(space, asked.base, partial(asked.compose, root))
        sweep = Sweep(root, asked, mirror, space, found)
        sweep.check_scores()
        return sweep

    @property
    def config(self) -> config.Config:
        """What trials vary."""
        return self.compose.config

    def check_scores(self) -> None:
        """Refuse strategies that are not run, and scores of which neither way is better."""
        for kind, names, known in (
            ("strategies", self.asked.settings.strategies, self.config.strategies),
            ("calibration", filter(None, [self.asked.settings.calibration]), self.config.metrics),
        ):
            for name in names:
                if name not in known:
                    hint = suggest(name, known)
                    raise ConfigError(f"sweep.{kind}: {name!r} is not in the configuration{hint}")
        for name, metric in self.metrics.items():
            if metric.higher_is_better is None or self.config.task.kind not in metric.tasks:
                kind = self.config.task.kind
                raise ConfigError(f"sweep: {name!r} cannot rank predictions of a {kind} outcome")

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """The scores of a trial, the one that decides first."""
        from medgraft.sweep.score import metrics_of

        return metrics_of(self.config, self.asked.settings.calibration)

    @property
    def done(self) -> bool:
        """Whether n trials have finished."""
        return len(self.trials.finished()) >= self.asked.settings.n

    @cached_property
    def bench(self) -> Bench:
        """Where trials are carried out."""
        from medgraft.sweep.score import Bench

        return Bench(
            self.root,
            self.root / PLACE / "made",
            self.compose({}),
            strategies=self.asked.settings.strategies,
            mirror=self.mirror,
        )

    @cached_property
    def trials(self) -> Trials:
        """The study in its database."""
        from medgraft.sweep.score import digest

        settings, name = self.asked.settings, self.asked.name
        ways = {True: "maximize", False: "minimize"}
        said = self.config.model_dump(mode="json", exclude={"tracking": True, "cohort": {"folder"}})
        said["trainer"] = {
            key: value for key, value in said["trainer"].items() if key not in config.UNTRACKED
        }
        return Trials(
            located(settings.storage or f"sqlite:///{PLACE / name}.db", self.root),
            name,
            space=self.space,
            directions=[ways[bool(one.higher_is_better)] for one in self.metrics.values()],
            made_of={
                "configuration": digest(said),
                "search space": digest(settings.params),
                "score": digest([settings.strategies, settings.calibration, settings.seed]),
                "data": self.bench.data,
                "code": self.bench.code,
            },
            settings=settings,
            first=spaces.within(self.space, self.compose({})),
        )


def work(sweep: Sweep) -> None:
    """Carry out trials until n have finished; an orphan stops."""
    began_by = os.getppid()
    while os.getppid() == began_by and not sweep.done:
        if (trial := sweep.trials.claim()) is None:
            time.sleep(1)  # others are in the middle of theirs
            continue
        with sweep.trials.alive(trial):
            carry_out(sweep, trial)


def carry_out(sweep: Sweep, trial: Any) -> None:
    """Score a trial's values and say so; refused values count, they would be refused again."""
    states = spaces.optuna().trial.TrialState
    if (twin := sweep.trials.twin(trial)) is not None:
        told = {SCORES: twin.user_attrs[SCORES], REASON: f"the same as trial {twin.number}"}
        sweep.trials.tell(trial, twin.values, told=told)
        return
    try:
        scores = sweep.bench.scores(sweep.compose(trial.params), sweep.metrics)
        values = [float(np.mean([one[m] for one in scores.values()])) for m in sweep.metrics]
        if np.isnan(values).any():
            raise ConfigError("a score is undefined on every replica's validation patients")
    except MedgraftError as error:
        sweep.trials.tell(trial, None, told={REASON: str(error)}, state=states.PRUNED)
    except BaseException as error:
        # Whoever is told to end is no reason to leave these values out.
        faulty = isinstance(error, Exception)
        why = {REASON: f"{type(error).__name__}: {error}"} if faulty else {}
        sweep.trials.tell(trial, None, told=why, state=states.FAIL)
        raise
    else:
        sweep.trials.tell(trial, values, told={SCORES: scores})
        report(sweep, trial, values)


def report(sweep: Sweep, trial: Any, values: list[float]) -> None:
    """One line on a trial, for whoever watches."""
    told = ", ".join(f"{m} {v:.4f}" for m, v in zip(sweep.metrics, values, strict=True))
    done = len(sweep.trials.finished())
    print(f"trial {trial.number}: {told} ({done} of {sweep.asked.settings.n})", flush=True)


@dataclass(frozen=True)
class Worker:
    """Another worker of the same command, wherever it runs."""

    root: Path
    arguments: list[str]
    mirror: Path | None

    def __call__(self) -> str:
        """Carry out trials; empty, or why that is refused."""
        keep_private()
        try:
            work(Sweep.read(self.root, self.arguments, mirror=self.mirror))
        except MedgraftError as error:
            return str(error)
        return ""

    def checkpoint(self, *_: Any) -> Any:
        """Begin anew: the study knows what is done, and the trial it was at is done again."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


def search(sweep: Sweep, arguments: list[str], *, workers: int) -> None:
    """Carry out trials with this many workers until exactly n have finished.

    Whoever starts the same command elsewhere joins in.

    Raises:
        StageError: every worker has ended before.
    """
    if workers < 1:
        raise ConfigError(f"--workers {workers}: expected 1 or more")
    launcher, folder = sweep.asked.launcher, sweep.root / PLACE / sweep.asked.name / "jobs"
    if sweep.done:  # the study is made, or refused as another's, before others start
        return
    others = Worker(sweep.root, arguments, sweep.mirror)
    crew = launcher.start(others, workers - launcher.takes_part, folder=folder)
    try:
        while not sweep.done:
            if launcher.takes_part:
                work(sweep)
            elif not crew.living() and not sweep.done:
                raise StageError(
                    "\n".join([f"all workers have ended; {GOES_ON}", *crew.complaints()])
                )
            else:
                time.sleep(1)
    except BaseException:
        crew.dismiss()
        raise
    crew.join()

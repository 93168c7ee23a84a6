"""Trials in a shared database: exactly n finish, whichever workers live, die or join.

Everything that changes how many trials run or have finished happens under one lock, which the
system or the database frees when its holder dies: a trial is claimed only while fewer than n run or
have finished. Optuna's `MaxTrialsCallback` looks after a trial, so that several workers overshoot.
"""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout

from medgraft.errors import ConfigError, MedgraftError, StageError
from medgraft.sweep.settings import Settings
from medgraft.sweep.space import Space, optuna

WORKER, REASON, SCORES, FIRST = "worker", "reason", "scores", "as_it_is"
MADE, LOGGED = "made_of", "logged"
RETRIES = 2
"""How often the values of a trial whose worker died are tried again before others are drawn."""
Answer = TypeVar("Answer")


class Trials:
    """The trials of one study, as one worker sees them.

    Args:
        address: ``sqlite:///FILE`` or that of a PostgreSQL database.
        name: of the study.
        space: what is searched.
        directions: ``maximize`` or ``minimize``, for every score.
        made_of: hashes of all that a score depends on, by what they are of.
        settings: how many trials, and how to tell that a worker is dead.
        first: values to try before any are drawn.

    Raises:
        StageError: a study of this name was made of something else.
        MedgraftError: the database cannot be reached.
    """

    def __init__(
        self,
        address: str,
        name: str,
        *,
        space: Space,
        directions: Sequence[str],
        made_of: Mapping[str, str],
        settings: Settings,
        first: Mapping[str, Any] | None = None,
    ) -> None:
        optuna().logging.set_verbosity(optuna().logging.WARNING)
        self.address, self.name, self.space, self.settings = address, name, space, settings
        with self._told_in_one_line():
            self.engine = _engine(address)
            with self.alone():
                self.storage = self._storage()
                self.study = optuna().create_study(
                    storage=self.storage,
                    study_name=name,
                    directions=list(directions),
                    load_if_exists=True,
                )
                self._check(dict(made_of), first)

    def _storage(self) -> Any:
        kept = optuna().storages
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
            return kept.RDBStorage(
                self.address,
                engine_kwargs=_options(self.address),
                heartbeat_interval=self.settings.heartbeat,
                grace_period=self.settings.grace,
            )

    def _check(self, made_of: dict[str, str], first: Mapping[str, Any] | None) -> None:
        known, waiting = self.study.user_attrs.get(MADE), optuna().trial.TrialState.WAITING
        if known is None and all(one.state == waiting for one in self.study.trials):
            if first:
                self.study.enqueue_trial(dict(first), user_attrs={FIRST: True}, skip_if_exists=True)
            self.study.set_user_attr(MADE, made_of)  # last: whoever dies before is not missed
        elif known != made_of:
            other = [one for one in made_of if (known or {}).get(one) != made_of[one]]
            raise StageError(
                f"the study {self.name!r} in {shown(self.address)} was made with another "
                f"{' and another '.join(other)}; give this sweep a name of its own "
                "(sweep.name=NAME), or go on with what that one was made with"
            )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other worker of this study, on any machine, out."""
        if file := _file(self.address):
            file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{file}.lock", timeout=self.settings.patience):
                yield
            return
        from sqlalchemy import text

        with self.engine.begin() as connection:
            key = text("SELECT pg_advisory_xact_lock(hashtext(:name))")
            connection.execute(key, {"name": f"medgraft {self.name}"})
            yield

    def claim(self) -> Any:
        """A trial to carry out, None while n run or have finished."""
        return self._patiently(self._claim, alone=True)

    def _claim(self) -> Any:
        states = optuna().trial.TrialState
        self._bury()
        known = self.study.get_trials(deepcopy=False)
        busy = [one for one in known if one.state in (*self.finished_states, states.RUNNING)]
        if len(busy) >= self.settings.n:
            return None
        # By the trial's number: the same sweep draws the same, and no two workers draw alike.
        self.study.sampler = _sampler(self.settings.seed + len(known))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Heartbeat of storage")
            trial = self.study.ask(self.space)
        self.storage.record_heartbeat(trial._trial_id)
        trial.set_user_attr(WORKER, f"{socket.gethostname()}:{os.getpid()}")
        return trial

    def _bury(self) -> None:
        """Give up the trials of the dead; those of workers that died while claiming included."""
        states = optuna().trial.TrialState
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
            optuna().storages.fail_stale_trials(self.study)
        for one in self.study.get_trials(deepcopy=False, states=(states.RUNNING,)):
            # Under the lock nobody else is between asking for a trial and putting a name to it.
            if WORKER not in one.user_attrs:
                self.study.tell(one.number, state=states.FAIL)
        self._retry()

    def _retry(self) -> None:
        """Enqueue what the dead had drawn, unless somebody waits to do it, does it or has done it.

        Read off the database each time. Optuna's own callback acts once, as a trial is given up:
        whoever dies in between, or is cut off from the database, loses the values.
        """
        fail, known = optuna().trial.TrialState.FAIL, self.study.get_trials(deepcopy=False)
        seen = [_drawn(one) for one in known if one.state != fail]
        failed = [one for one in known if one.state == fail and REASON not in one.user_attrs]
        tries = [_drawn(one) for one in failed]
        for one, drawn in zip(failed, tries, strict=True):
            if drawn.keys() != self.space.keys() or drawn in seen or tries.count(drawn) > RETRIES:
                continue
            kept = {key: value for key, value in one.user_attrs.items() if key == FIRST}
            self.study.enqueue_trial(drawn, user_attrs=kept)
            seen.append(drawn)

    def tell(
        self,
        trial: Any,
        values: Sequence[float] | None,
        *,
        told: Mapping[str, Any],
        state: Any = None,
    ) -> None:
        """Finish a trial; one that was given up meanwhile, for its worker seemed dead, stays so."""

        def write() -> None:
            known = self.study.get_trials(deepcopy=False)[trial.number]
            if known.state.is_finished():
                return
            for key, value in told.items():
                trial.set_user_attr(key, value)
            self.study.tell(trial, values, state=state)

        self._patiently(write, alone=True)

    @contextmanager
    def alive(self, trial: Any) -> Iterator[None]:
        """Give signs of life while a trial is carried out."""
        over = threading.Event()

        def beat() -> None:
            while not over.wait(self.settings.heartbeat):
                with suppress(*_refusals()):  # the next one may arrive
                    self.storage.record_heartbeat(trial._trial_id)
            self.storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @property
    def finished_states(self) -> tuple[Any, ...]:
        """Complete, or given up for a reason that another worker would meet too."""
        states = optuna().trial.TrialState
        return states.COMPLETE, states.PRUNED

    def finished(self) -> list[Any]:
        """Trials that count."""
        return self._patiently(
            lambda: self.study.get_trials(deepcopy=False, states=self.finished_states)
        )

    def twin(self, trial: Any) -> Any:
        """A finished trial of the same values, if there is one."""
        complete = (one for one in self.finished() if one.values is not None)
        return next((one for one in complete if one.params == trial.params), None)

    def _patiently(self, action: Callable[[], Answer], *, alone: bool = False) -> Answer:
        """Act, again if the database went away: every action may be repeated."""
        until = time.monotonic() + self.settings.patience
        with self._told_in_one_line():
            while True:
                try:
                    with self.alone() if alone else nullcontext():
                        return action()
                except _refusals():
                    if time.monotonic() > until:
                        raise
                    time.sleep(1)

    @contextmanager
    def _told_in_one_line(self) -> Iterator[None]:
        try:
            yield
        except _refusals() as error:
            lines = str(error.__cause__ or error).strip().splitlines()
            reason = re.sub(r"//[^/@\s]+@", "//", lines[0])
            raise MedgraftError(f"the study in {shown(self.address)}: {reason}") from None


def _drawn(trial: Any) -> dict[str, Any]:
    """A trial's values, those included that it was given and has not come to."""
    return {**trial.system_attrs.get("fixed_params", {}), **trial.params}


def shown(address: str) -> str:
    """An address without its password."""
    return _url(address).render_as_string(hide_password=True)


def _url(address: str) -> Any:
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(address)
    except (ArgumentError, ValueError):  # it may hold a password
        raise ConfigError(
            "sweep.storage: not an address; expected postgresql+psycopg://USER@HOST:PORT/DATABASE"
        ) from None


def _file(address: str) -> Path | None:
    """The file of a sqlite address; None for a server."""
    prefix = "sqlite:///"
    return Path(address.removeprefix(prefix)) if address.startswith(prefix) else None


def _options(address: str) -> dict[str, Any]:
    """A file that others write is waited for; a connection that a restart cut is made anew."""
    return {"connect_args": {"timeout": 60}} if _file(address) else {"pool_pre_ping": True}


def _engine(address: str) -> Any:
    from sqlalchemy import create_engine

    try:
        return create_engine(_url(address), **_options(address))
    except ImportError as error:
        raise MedgraftError(
            f"{shown(address)} needs the Python package {error.name}: install it, "
            "such as with pip install 'medgraft[postgres]'"
        ) from None


def _refusals() -> tuple[type[Exception], ...]:
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError, optuna().exceptions.StorageInternalError, Timeout


def _sampler(seed: int) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
        return optuna().samplers.TPESampler(seed=seed, constant_liar=True)

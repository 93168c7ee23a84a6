"""Training that was ended anywhere and begun again equals training in one go, to the bit."""

import os
import signal
from dataclasses import replace

import pytest
import torch

from medgraft.errors import Preempted, StageError
from medgraft.training import resume
from medgraft.training.batches import hide
from medgraft.training.course import Course
from medgraft.training.fit import fit
from medgraft.training.patients import Patients

from . import simulated as sim

SCHEDULE = {"_target_": "medgraft.training.schedules.warmup_cosine", "warmup": 0.1}
OPTIMIZERS = {"adamw": sim.ADAMW, "sgd": sim.SGD}
DROPOUT = sim.RESNET | {"dropout": 0.3}


class Killed(BaseException):
    """Stands in for a process that ends at once."""


def train(*, sizes=(12, 40, 25), optimizer=sim.ADAMW, encoder=sim.MLP, **changes):
    cohort, plan = sim.cohort(120), sim.design(sizes, 120)
    columns = (plan[name].to_list() for name in ("train", "validation", "init_seed"))
    patients = Patients(cohort.x, cohort.y, *columns)
    template, state = sim.start(cohort, patients, sim.parts(encoder=encoder))
    torch.seed()  # every process begins with another one
    return fit(
        template,
        state,
        replace(patients, augment=hide([0], 0.5)),
        trained={name for name, _ in template.named_parameters()},
        config=sim.fit_config(optimizer).model_copy(update={"schedule": SCHEDULE}),
        trainer=sim.trainer(**changes),
        course=Course(start_counts=True),
    )


def killed_at(folder, save: int, monkeypatch, **changes):
    """Train, and die at the ``save``-th save, half of it written."""
    written, real = [], resume.write

    def write(path, saved):
        written.append(path)
        if len(written) == save:
            path.with_suffix(".part").write_bytes(b"half")
            raise Killed
        real(path, saved)

    with monkeypatch.context() as patch:
        patch.setattr(resume, "RARELY", 0.0)  # save at every check
        patch.setattr(resume, "write", write)
        with pytest.raises(Killed), resume.resumable(folder, ["same"]):
            train(**changes)
    return len(written)


def same(one, other) -> bool:
    (values, history), (again, checks) = one, other
    return history.equals(checks) and all(torch.equal(values[n], again[n]) for n in values)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("encoder", "sizes", "at_once"),
    [(sim.MLP, (12, 40, 25), 128), (sim.MLP, (40,), 128), (DROPOUT, (12, 40, 25), 2)],
    ids=["stacked", "single", "dropout, two fits"],
)
def test_killed_equals_uninterrupted(
    tmp_path, monkeypatch, capsys, optimizer, encoder, sizes, at_once
):
    changes = {"encoder": encoder, "sizes": sizes, "replicas_at_once": at_once, "patience": 4}
    changes["optimizer"] = OPTIMIZERS[optimizer]
    expected = train(**changes)
    folder = tmp_path / "scratch"
    killed_at(folder, 4, monkeypatch, **changes)
    killed_at(folder, 2, monkeypatch, **changes)
    with resume.resumable(folder, ["same"]):
        found = train(**changes)
    assert "resumed at step 40, fit-1" in capsys.readouterr().out
    assert same(found, expected)
    assert not folder.exists()


def test_other_inputs_start_anew(tmp_path, monkeypatch, capsys):
    killed_at(tmp_path / "scratch", 4, monkeypatch)
    with resume.resumable(tmp_path / "scratch", ["others"]):
        assert list((tmp_path / "scratch").iterdir()) == []
        train()
    assert "resumed" not in capsys.readouterr().out


def test_sigterm_saves_and_says_so(tmp_path, monkeypatch, capsys):
    expected, real = train(), resume.Progress.keep

    def keep(self, module):
        if module.steps == 50:
            os.kill(os.getpid(), signal.SIGTERM)
        real(self, module)

    with monkeypatch.context() as patch:
        patch.setattr(resume.Progress, "keep", keep)
        message = "ended by SIGTERM; its state is saved"
        with pytest.raises(Preempted, match=message), resume.resumable(tmp_path / "s", ["same"]):
            train()
    with resume.resumable(tmp_path / "s", ["same"]):
        found = train()
    assert "resumed at step 50, fit-1" in capsys.readouterr().out
    assert same(found, expected)


def test_saving_takes_at_most_two_percent(tmp_path, monkeypatch):
    """A save of one second makes the next one wait for fifty."""
    now = [0.0]
    monkeypatch.setattr(resume.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(resume, "write", lambda *_: now.__setitem__(0, now[0] + 1.0))
    scratch = resume.Scratch(tmp_path)
    scratch.save((tmp_path / "fit-1.safetensors", ({}, {})))
    now[0] += 49.0
    assert not scratch.due
    now[0] += 1.0
    assert scratch.due


def test_damaged_state_is_not_used(tmp_path):
    path = tmp_path / "fit-1.safetensors"
    resume.write(path, ({"a": torch.ones(3)}, {"steps": 1}))
    assert resume.read(path)[1] == {"steps": 1}
    sound = path.read_bytes()
    path.write_bytes(sound[:-4])
    assert resume.read(path) is None
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 4]) + sound[at + 1 :])
        assert resume.read(path) is None, at


def test_unwritable_scratch_says_so(tmp_path):
    with pytest.raises(StageError, match=r"fit-1\.safetensors: the state of training cannot be"):
        resume.write(tmp_path / "absent" / "fit-1.safetensors", ({"a": torch.ones(3)}, {}))

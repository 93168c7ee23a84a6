"""Is the verdict right? Simulated studies whose truth is known, judged as a diagnostic test is.

    python benchmarks/verdict.py                # goes on where it was stopped; two processes
    python benchmarks/verdict.py --share 0.05   # a taste: a twentieth of the studies
    python benchmarks/verdict.py --table        # only the tables of what has been simulated
    python benchmarks/verdict.py --again        # after a change of the method: judge anew
    python benchmarks/verdict.py --world 1      # other hospitals, other patients

A study is a target cohort drawn anew, the strategies below on its design table, and the verdict on
them, all by the code that `medgraft repro` runs; the replica axis carries several studies at once.
The truth is measured on patients drawn for each study, with their true risks in place of outcomes:
of the study's own networks, and as a mean over all studies of a setting.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit
from tqdm import tqdm

from medgraft.cohorts.catalogue import simulated
from medgraft.cohorts.schema import Outcome
from medgraft.composition import vary
from medgraft.config import Config, validate
from medgraft.evaluation.intervals import training_factor
from medgraft.evaluation.metrics.ranking import Auroc
from medgraft.evaluation.predictions import StrategyResult, Study, learned_from
from medgraft.evaluation.summary import Evaluation, evaluate
from medgraft.preparation.arrays import Prepared
from medgraft.preparation.splits import Plan, draw, draw_source
from medgraft.tasks import task as tasks
from verdict_tables import PLACEBO, print_tables

ROOT = Path(__file__).resolve().parents[1]
OUTCOME = Outcome("illness", "binary", ("well", "ill"))
REFERENCE = "scratch"
MARKERS, NORMAL, SIGNAL = 12, 0.5, 4.0  # as simulated_table has them
SOURCE_PATIENTS, NETWORKS, RUNS, FOLDS = 1500, 20, 5, 5
TRUTH = 2000  # patients a study's networks are truly tested on
DRAWS = 500
AT_ONCE = 10  # studies on one replica axis
LEAST_CASES = 5  # a cohort with fewer patients of a class than folds is refused
OVERRIDES = [
    "strategies=[scratch,source_only,linear_probe,fine_tune]",
    "encoder.widths=[16]",
    f"design.runs={RUNS}",
    f"design.folds={FOLDS}",
    f"design.sources={NETWORKS}",
    "pretrain.optimizer.lr=0.01",
    "pretrain.max_steps=400",
    "finetune.optimizer.lr=0.01",
    "finetune.max_steps=200",
    "trainer.patience=3",
    "trainer.replicas_at_once=250",
]

KEPT = ("strategy", "difference", "low", "high", "p", "p_holm", "verdict", "smallest_effect")

Arrays = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Setting:
    """How many target patients, how many of them ill, and how related the source is."""

    patients: int
    prevalence: float
    relatedness: float
    world: int = 0

    @property
    def number(self) -> int:
        """Every setting has hospitals, a source cohort and patients of its own in every world."""
        return SETTINGS.index(replace(self, world=0)) + 1 + self.world * len(SETTINGS)

    @property
    def studies(self) -> int:
        """How many, more where false alarms are counted."""
        return 500 if self.relatedness == 0 else 200

    def random(self, *key: int) -> np.random.Generator:
        """The chance of this setting that belongs to this key."""
        return np.random.default_rng([self.number, *key])


SETTINGS = [
    Setting(*values)
    for values in itertools.product((40, 100, 300), (0.5, 0.15), (1.0, 0.5, 0.0, -1.0))
]


@dataclass(frozen=True)
class Hospital:
    """A mechanism: draws patients and knows their true risks."""

    weights: np.ndarray
    intercept: float

    def patients(self, count: int, random: np.random.Generator) -> Arrays:
        """Markers [count, MARKERS] and true risks [count]."""
        x = random.standard_normal((count, MARKERS))
        return x.astype(np.float32), expit(self.intercept + score(x, self.weights))

    def cohort(self, count: int, random: np.random.Generator) -> Arrays:
        """Markers and outcomes [count] of a cohort that can be folded."""
        while True:
            x, risk = self.patients(count, random)
            y = (random.random(count) < risk).astype(np.float32)
            if min(y.sum(), (1 - y).sum()) >= LEAST_CASES:
                return x, y


def score(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """What lies beyond the normal range of a marker adds to the risk."""
    high, low = np.maximum(x - NORMAL, 0), np.maximum(-x - NORMAL, 0)
    return SIGNAL * simulated.burden(weights, high, low)


@cache
def hospitals(setting: Setting) -> tuple[Hospital, Hospital]:
    """Source and target."""
    both = simulated.mechanisms(MARKERS, setting.relatedness, seed=setting.number)
    everyone = setting.random(0).standard_normal((20_000, MARKERS))
    return tuple(
        Hospital(weights, simulated.intercept(score(everyone, weights), setting.prevalence))
        for weights in both
    )  # type: ignore[return-value]


@cache
def configuration() -> Config:
    """The project's configuration with small networks."""
    return validate(vary(ROOT, OVERRIDES, chosen=False))


def prepared(x: np.ndarray, y: np.ndarray) -> Prepared:
    """As `preprocess` leaves a cohort, in memory."""
    feature = {
        "kind": "number", "categories": [], "unit": "SD", "may_be_missing": False,
        "origin": "shared", "details": {},
    }  # fmt: skip
    outcome = {
        "name": OUTCOME.name, "task": OUTCOME.task, "classes": list(OUTCOME.classes),
        "unit": "", "horizons": [],
    }  # fmt: skip
    features = [{"name": f"marker_{i}", **feature} for i in range(x.shape[1])]
    row = np.arange(len(y), dtype=np.int32)
    patients = pl.DataFrame({"row": row, "patient": row, "site": "simulated"})
    schema = {"modality": "table", "features": features, "outcome": outcome, "sites": []}
    return Prepared(x, y, patients, schema)


def parts() -> dict[str, Any]:
    """Constructors of input, encoder and head."""
    config = configuration()
    return {
        "input": config.preparation.input,
        "encoder": config.encoder,
        "head": config.task.head,
    }


def plan(seed: int) -> Plan:
    """The design of one study."""
    design = configuration().design
    return Plan(
        runs=design.runs, folds=design.folds, validation_fraction=design.validation_fraction,
        sources=design.sources, seed=seed,
    )  # fmt: skip


def pretrain_networks(setting: Setting, folder: Path) -> None:
    """Train the source's networks once; every study takes some of them."""
    from medgraft.training.pretrain import pretrain

    if (folder / "weights.safetensors").exists():
        return
    x, y = hospitals(setting)[0].cohort(SOURCE_PATIENTS, setting.random(1))
    design = draw_source(np.arange(len(y)), y, OUTCOME, plan(setting.number))
    spec = {**parts(), "readout": {"_target_": "medgraft.networks.readout.LastLayer"}}
    config = configuration()
    pretrain(
        prepared(x, y),
        design,
        spec=spec,
        config=config.pretrain,
        trainer=config.trainer,
        out=folder,
    )


@dataclass(frozen=True)
class Trial:
    """A study: outcomes, the design with rows counted from 0, and true risks of other patients."""

    y: np.ndarray
    design: pl.DataFrame
    risk: np.ndarray


def trials(setting: Setting, first: int, count: int) -> tuple[list[Trial], np.ndarray]:
    """Studies first..first+count, and the markers of all, each study's own before its truth's."""
    found, markers = [], []
    for number in range(first, first + count):
        random = setting.random(2, number)
        target = hospitals(setting)[1]
        x, y = target.cohort(setting.patients, random)
        others, risk = target.patients(TRUTH, random)
        design = draw(np.arange(len(y)), y, OUTCOME, plan(setting.number * 10_000 + number))
        network = random.permutation(NETWORKS)
        compared = design.filter(pl.col("use") == "compare").with_columns(
            source_seed=pl.Series(network[design.filter(pl.col("use") == "compare")["source_seed"]])
        )
        found.append(Trial(y, compared, risk))
        markers += [x, others]
    return found, np.concatenate(markers)


def together(found: list[Trial]) -> pl.DataFrame:
    """The replicas of all studies; those on whom the truth is measured are tested too."""
    designs = []
    for number, trial in enumerate(found):
        start = number * (len(trial.y) + TRUTH)
        truth = list(range(start + len(trial.y), start + len(trial.y) + TRUTH))
        moved = [pl.col(part).list.eval(pl.element() + start) for part in ("train", "validation")]
        test = (pl.col("test").list.eval(pl.element() + start)).list.concat(
            pl.lit(truth, dtype=pl.List(pl.Int32))
        )
        designs.append(trial.design.with_columns(*moved, test=test))
    return pl.concat(designs)


def answered(setting: Setting, found: list[Trial], x: np.ndarray, pretrained: Path) -> Answers:
    """What every replica of every strategy says of those it is asked about."""
    from medgraft.training.finetune import Study as Task
    from medgraft.training.finetune import run_network

    config = configuration()
    y = np.concatenate([np.append(t.y, np.zeros(TRUTH, np.float32)) for t in found])
    task = Task(
        target=prepared(x, y), design=together(found), parts=parts(), pretrained=pretrained,
        config=config.finetune, trainer=config.trainer,
    )  # fmt: skip
    said = {name: run_network(name, s, task).answers for name, s in config.strategies.items()}
    if setting.relatedness == 0:
        # Scratch once more with other seeds: the same learner, so nothing can help or harm.
        others = task.design.with_columns(pl.col("init_seed") + 1)
        said[PLACEBO] = run_network(
            REFERENCE, config.strategies[REFERENCE], replace(task, design=others)
        ).answers
    return said


Answers = dict[str, list[np.ndarray]]


def judged(trial: Trial, said: Answers, names: list[str]) -> Evaluation:
    """The verdict on these strategies."""
    strategies = {name: result(trial, said[name], name) for name in names}
    rows, design = (trial.y.astype(float), np.arange(len(trial.y))), trial.design
    study = Study(
        *rows, *rows, OUTCOME.task, OUTCOME.classes, strategies,
        training=training_factor(rows[1], design["test"].to_list(), learned_from(design)),
    )  # fmt: skip
    return evaluate(
        study, {"auroc": Auroc()}, primary="auroc", reference=REFERENCE, draws=DRAWS, seed=1
    )


def result(trial: Trial, answers: list[np.ndarray], name: str) -> StrategyResult:
    """One strategy's predictions as `evaluate` reads them from disk."""
    n, design = len(trial.y), trial.design
    test, fold = np.zeros((RUNS, n, 2)), np.zeros((RUNS, n), dtype=np.int64)
    validation: list[list[np.ndarray]] = [[], [], [], []]
    for answer, replica in zip(answers, design.iter_rows(named=True), strict=True):
        chance = tasks.of(OUTCOME.task).probabilities(np.asarray(answer, float)[:, None])
        held = len(replica["validation"])
        run, rows = replica["run"], np.array(replica["test"])
        test[run, rows], fold[run, rows] = chance[held:], replica["fold"]
        mine = [np.full(held, replica[key]) for key in ("run", "fold")]
        whose = (mine[0], np.array(replica["validation"]), mine[1])
        pieces = (*whose, chance[:held])
        for column, piece in zip(validation, pieces, strict=True):
            column.append(piece)
    columns = [np.concatenate(column) for column in validation]
    strategy = configuration().strategies.get(name)
    return StrategyResult(test, fold, *columns, bool(strategy and strategy.uses_source), 0, "")


def true_auroc(risk: np.ndarray, said: np.ndarray) -> float:
    """AUROC of scores [n] among patients of known risk: no chance of who falls ill in it."""
    order = np.argsort(said)
    ill, well = risk[order], 1 - risk[order]
    below = np.cumsum(well) - well
    return float((ill * below).sum() / (ill.sum() * well.sum() - (ill * well).sum()))


def simulate(setting: Setting, first: int, count: int, folder: Path) -> Path:
    """Train what these studies train and keep what it answers, or find it kept.

    A row for each study, strategy and replica: the answers to the study's own patients, and the
    true AUROC. Training costs nine tenths, so another method can judge the same studies cheaply.
    """
    path = folder / f"answers_{setting.number}_{first}.parquet"
    if path.exists():
        return path
    found, x = trials(setting, first, count)
    said = answered(setting, found, x, folder / f"source_{setting.number}")
    each = len(found[0].design)
    rows = [
        {
            "study": first + number,
            "strategy": name,
            "replica": replica,
            "said": one[:-TRUTH, 0],
            "auroc": true_auroc(found[number].risk, one[-TRUTH:, 0]),
        }
        for name, answers in said.items()
        for number, replica, one in zip(
            np.repeat(np.arange(count), each), list(range(each)) * count, answers, strict=True
        )
    ]
    write(pl.DataFrame(rows), path)
    return path


def judge(setting: Setting, first: int, count: int, folder: Path) -> None:
    """Write a row for each comparison of these studies, beside the truth."""
    kept = pl.read_parquet(simulate(setting, first, count, folder))
    found, _ = trials(setting, first, count)
    rows = [
        row
        for trial, (number, part) in zip(
            found,
            kept.partition_by("study", as_dict=True, maintain_order=True).items(),
            strict=True,
        )
        for row in compared(setting, int(number[0]), trial, part)
    ]
    write(pl.DataFrame(rows), judgement(setting, first, folder))


def judgement(setting: Setting, first: int, folder: Path) -> Path:
    """Where the comparisons of these studies are."""
    return folder / f"judged_{setting.number}_{first}.parquet"


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a file that is whole or not there."""
    fresh = path.with_suffix(".new")
    frame.write_parquet(fresh)
    fresh.replace(path)


def compared(
    setting: Setting, number: int, trial: Trial, kept: pl.DataFrame
) -> Iterator[dict[str, Any]]:
    """One study's comparisons beside the truth: the mean over the study's networks."""
    parts = kept.partition_by("strategy", as_dict=True, maintain_order=True)
    said = {str(name): list(part["said"].to_numpy()) for (name,), part in parts.items()}
    truth = {str(name): part["auroc"].mean() for (name,), part in parts.items()}
    real = judged(trial, said, [name for name in said if name != PLACEBO])
    tables = [real.comparisons]
    if PLACEBO in said:
        tables.append(judged(trial, said, [REFERENCE, PLACEBO]).comparisons)
    for row in pl.concat(tables).iter_rows(named=True):
        name = row["strategy"]
        yield {
            "setting": setting.number,
            "study": number,
            **{key: row[key] for key in KEPT},
            "truth": truth[name] - truth[REFERENCE],
            "ships": real.champion.strategy == name,
        }


Job = tuple[Setting, int, int, Path]


def run(job: Job) -> int:
    """One batch of studies, in a process of its own."""
    judge(*job)
    return job[2]


def jobs(settings: list[Setting], share: float, folder: Path) -> list[Job]:
    """What is still to be simulated or judged, all settings in turn."""
    wanted = [
        (setting, first, min(AT_ONCE, round(setting.studies * share) - first), folder)
        for setting in settings
        for first in range(0, round(setting.studies * share), AT_ONCE)
    ]
    left = [job for job in wanted if not judgement(job[0], job[1], folder).exists()]
    return sorted(left, key=lambda job: (job[1] / job[0].studies, job[0].number))


def simulate_all(settings: list[Setting], share: float, folder: Path, processes: int) -> None:
    """Simulate and judge what is missing, with a progress bar."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    folder.mkdir(parents=True, exist_ok=True)
    left = jobs(settings, share, folder)
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        pool.starmap(
            pretrain_networks, [(s, folder / f"source_{s.number}") for s in settings], chunksize=1
        )
        with tqdm(total=sum(job[2] for job in left), unit="study") as bar:
            for done in pool.imap_unordered(run, left):
                bar.update(done)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="of the studies")
    parser.add_argument("--out", type=Path, default=ROOT / "work")
    parser.add_argument("--world", type=int, default=0, help="0 is the one methods are chosen on")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="simulate nothing")
    parser.add_argument("--again", action="store_true", help="judge anew what has been trained")
    options = parser.parse_args()
    settings = [replace(one, world=options.world) for one in SETTINGS]
    folder = options.out / f"verdict_study_{options.world}"
    for old in folder.glob("judged_*.parquet") if options.again else ():
        old.unlink()
    if not options.table:
        simulate_all(settings, options.share, folder, options.processes)
    print_tables(folder, [{"setting": one.number, **asdict(one)} for one in settings])


if __name__ == "__main__":
    main()

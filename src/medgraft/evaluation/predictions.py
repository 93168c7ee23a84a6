import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from medgraft.errors import StageError
from medgraft.evaluation.intervals import Sample, training_factor
from medgraft.evaluation.metrics.metric import Bools, Floats, Integers
from medgraft.tasks import task as tasks

Labels = npt.NDArray[np.object_]


@dataclass(frozen=True)
class StrategyResult:
    """What one strategy predicted and what is known about it.

    test: [K, n, C] class probabilities, or values [K, n, 1]. fold: [K, n]. The validation
    predictions are a long table: run, row and fold of who predicted it [V], prediction [V, C]; a
    row may come more than once.
    """

    test: Floats
    fold: Integers
    validation_run: Integers
    validation_row: Integers
    validation_fold: Integers
    validation: Floats
    uses_source: bool
    fitted_parameters: int
    description: str

    @property
    def folds(self) -> int:
        """How many there are in all runs together."""
        return sum(len(np.unique(of_run)) for of_run in self.fold)

    def validated(self) -> Iterator[tuple[int, int, Integers, Floats]]:
        """Run, fold, validation rows and what was predicted for them, of every replica."""
        key = np.stack([self.validation_run, self.validation_fold])
        for run, fold in np.unique(key, axis=1).T.tolist():
            mine = (key == [[run], [fold]]).all(axis=0)
            yield run, fold, self.validation_row[mine], self.validation[mine]


@dataclass(frozen=True)
class Study:
    """The outcome of every tested row, and what every strategy predicted for it.

    outcome: [n] or [n, k], class index or value. patient: [n] codes 0..P-1. classes: their names,
    empty for regression. everyone and everyone_patient: the same for all target rows [N], those
    that a given split never tests included; validation rows count among these. training: see
    `intervals.Sample`.
    """

    outcome: Floats
    patient: Integers
    everyone: Floats
    everyone_patient: Integers
    task: str
    classes: tuple[str, ...]
    strategies: dict[str, StrategyResult]
    horizons: tuple[float, ...] = ()
    training: float = 1.0

    @property
    def sample(self) -> Sample:
        """The tested rows as a sample of patients."""
        return Sample(self.patient, self.fewest(), self.training)

    @property
    def sample_of_validation(self) -> Sample:
        """All target rows as a sample of patients, of whom few validate a replica.

        A network is stopped and judged by its own validation patients alone, so its validation
        loss is believed as little as the rarest class among so few deserves.
        """
        fewest = _fewest(self.everyone, self.everyone_patient, self.task)
        held = [
            len(np.unique(self.everyone_patient[rows]))
            for result in self.strategies.values()
            for _, _, rows, _ in result.validated()
        ]
        share = np.mean(held) / (self.everyone_patient.max() + 1)
        return Sample(self.everyone_patient, max(2, round(fewest * share)), self.training)

    def among(self, rows: Bools) -> Sample:
        """Some of the tested rows as a sample of patients; who is among them, not their class."""
        patient = np.unique(self.patient[rows], return_inverse=True)[1].astype(np.int64)
        return Sample(patient, int(patient.max()) + 1, self.training)

    def fewest(self, rows: Bools | None = None) -> int:
        """How many patients the rarest class among these rows has; all patients without classes."""
        chosen = slice(None) if rows is None else rows
        return _fewest(self.outcome[chosen], self.patient[chosen], self.task)

    @property
    def patients(self) -> int:
        """How many patients the rows belong to."""
        return int(self.patient.max()) + 1

    @property
    def runs(self) -> int:
        """How often the target cohort was predicted."""
        return max((len(result.test) for result in self.strategies.values()), default=0)


def _fewest(outcome: Floats, patient: Integers, task: str) -> int:
    label = tasks.of(task).classes(outcome)
    if label is None:
        return len(np.unique(patient))
    return min((len(np.unique(patient[label == one])) for one in np.unique(label)), default=0)


def load_study(prepared: Path, finetuned: Path) -> Study:
    """Read the target cohort and the predictions of every strategy; see docs/architecture.md.

    Raises StageError for a missing file, a row not predicted exactly once per run, a prediction by
    a replica that was not to make it, or one that is not finite.
    """
    design = _comparisons(_design(prepared))
    return _study(prepared, finetuned, design, whole=design)


def load_sizes(prepared: Path, finetuned: Path) -> dict[int, Study]:
    """Read the learning curve: a study for every number of training patients, the whole last.

    Empty where none was drawn. A size that some fold has no replica of is left out. Raises as
    `load_study` does.
    """
    design = _design(prepared)
    whole = _comparisons(design)
    curve = design.filter(pl.col("use") == "curve")
    if curve.is_empty():
        return {}
    by_size = {
        int(size): _ranked(curve.filter(pl.col("size") == size))
        for size in curve["size"].unique().sort()
    }
    complete = {size: part for size, part in by_size.items() if len(part) == len(whole)}
    if not complete:
        return {}
    complete[int(whole["size"].median())] = whole  # type: ignore[arg-type]
    return {size: _study(prepared, finetuned, part, whole=whole) for size, part in complete.items()}


def load_subgroups(prepared: Path) -> dict[str, Labels]:
    """Read the declared subgroups of the tested rows: name -> labels [n], "" where not recorded."""
    design = _comparisons(_design(prepared))
    tested = np.unique(design["test"].explode().to_numpy())
    patients = pl.read_parquet(_present(prepared / "target" / "patients.parquet"), glob=False).sort(
        "row"
    )
    names = [name for name in patients.columns if name not in ("row", "patient", "site")]
    return {name: patients[name].to_numpy().astype(object)[tested] for name in names}


def learned_from(design: pl.DataFrame) -> list[list[int]]:
    """Return the rows that each replica trained on or that stopped its training."""
    return design.select(pl.col("train").list.concat("validation")).to_series().to_list()


def _design(prepared: Path) -> pl.DataFrame:
    return pl.read_parquet(_present(prepared / "design.parquet"), glob=False)


def _study(prepared: Path, finetuned: Path, design: pl.DataFrame, *, whole: pl.DataFrame) -> Study:
    target = prepared / "target"
    schema = json.loads(_present(target / "schema.json").read_text())["outcome"]
    outcome = np.load(_present(target / "y.npy"), allow_pickle=False).astype(np.float64)
    patients = pl.read_parquet(_present(target / "patients.parquet"), glob=False).sort("row")[
        "patient"
    ]
    code = _codes(patients.to_numpy())
    tested = np.unique(design["test"].explode().to_numpy())
    folders = sorted(path.parent for path in finetuned.glob("*/summary.json"))
    if not folders:
        raise StageError(f"no strategy in {finetuned}: expected <strategy>/summary.json")
    return Study(
        outcome=outcome[tested],
        patient=_codes(code[tested]),
        everyone=outcome,
        everyone_patient=code,
        task=schema["task"],
        classes=tuple(schema.get("classes") or ()),
        horizons=tuple(schema.get("horizons") or ()),
        # Smaller parts of the cohort differ from run to run, so runs show what they add.
        training=training_factor(code, whole["test"].to_list(), learned_from(whole)),
        strategies={
            path.name: _load_strategy(path, design, tested=tested, schema=schema)
            for path in folders
        },
    )


def _codes(patient: Integers) -> Integers:
    return np.unique(patient, return_inverse=True)[1].astype(np.int64)


def _present(path: Path) -> Path:
    if not path.is_file():
        raise StageError(f"{path} is missing: the stage that writes it has not run")
    return path


def _comparisons(design: pl.DataFrame) -> pl.DataFrame:
    compared = design.filter(pl.col("use") == "compare")
    if compared.is_empty():
        raise StageError("the design has no replica of use 'compare': there is nothing to evaluate")
    return _ranked(compared)


def _ranked(design: pl.DataFrame) -> pl.DataFrame:
    return design.with_columns(
        pl.col("replica").cast(pl.Int64), run=pl.col("run").rank("dense").cast(pl.Int64) - 1
    )


def _load_strategy(
    folder: Path, design: pl.DataFrame, *, tested: Integers, schema: dict[str, Any]
) -> StrategyResult:
    summary = json.loads((folder / "summary.json").read_text())
    frame = pl.read_parquet(_present(folder / "predictions.parquet"), glob=False).with_columns(
        pl.col("replica", "row").cast(pl.Int64)
    )
    task, outputs = tasks.of(schema["task"]), _outputs(frame, folder.name, schema)
    frame = frame.filter(pl.col("replica").is_in(design["replica"].to_list()))
    _refuse_non_finite(frame, folder.name, outputs)
    test = _part(frame, design, part="test", strategy=folder.name)
    validation = _part(frame, design, part="validation", strategy=folder.name)
    runs = int(design["run"].max()) + 1  # type: ignore[arg-type]
    _refuse_gaps(test, folder.name, runs=runs, tested=tested)
    test = test.sort("run", "row")
    predicted = task.probabilities(_raw(test, outputs))
    return StrategyResult(
        test=predicted.reshape(runs, len(tested), -1),
        fold=test["fold"].to_numpy().astype(np.int64).reshape(runs, len(tested)),
        validation_run=validation["run"].to_numpy().astype(np.int64),
        validation_row=validation["row"].to_numpy().astype(np.int64),
        validation_fold=validation["fold"].to_numpy().astype(np.int64),
        validation=task.probabilities(_raw(validation, outputs)),
        uses_source=bool(summary["uses_source"]),
        fitted_parameters=int(summary["fitted_parameters"]),
        description=str(summary["description"]),
    )


def _outputs(frame: pl.DataFrame, strategy: str, schema: dict[str, Any]) -> list[str]:
    names = [name for name in frame.columns if name.startswith("output_")]
    expected = tasks.of(schema["task"]).outputs(schema)
    if len(names) != expected:
        raise StageError(
            f"strategy {strategy}: expected {expected} output columns for a {schema['task']} "
            f"outcome, got {len(names)}"
        )
    return [f"output_{i}" for i in range(expected)]


def _raw(frame: pl.DataFrame, outputs: list[str]) -> Floats:
    return frame.select(outputs).to_numpy().astype(np.float64)


def _refuse_non_finite(frame: pl.DataFrame, strategy: str, outputs: list[str]) -> None:
    finite = pl.all_horizontal(pl.col(outputs).is_finite().fill_null(False))
    for bad in frame.filter(~finite).head(1).iter_rows(named=True):
        raise StageError(
            f"strategy {strategy}: replica {bad['replica']} predicted "
            f"{bad[outputs[0]]} for row {bad['row']}, expected a finite number"
        )


def _part(frame: pl.DataFrame, design: pl.DataFrame, *, part: str, strategy: str) -> pl.DataFrame:
    planned = (
        design.select("replica", "run", "fold", row=pl.col(part))
        .explode("row")
        .with_columns(pl.col("row").cast(pl.Int64))
    )
    made = frame.filter(pl.col("part") == part).join(planned, on=["replica", "row"], how="left")
    for bad in made.filter(pl.col("run").is_null()).head(1).iter_rows(named=True):
        raise StageError(
            f"strategy {strategy}: replica {bad['replica']} predicted row {bad['row']} as {part}, "
            f"but the design does not have that row in its {part} part"
        )
    return made


def _refuse_gaps(test: pl.DataFrame, strategy: str, *, runs: int, tested: Integers) -> None:
    times = np.zeros((runs, len(tested)), dtype=np.int64)
    place = np.searchsorted(tested, test["row"].to_numpy())
    np.add.at(times, (test["run"].to_numpy(), place), 1)
    for run, at in np.argwhere(times != 1)[:1]:
        raise StageError(
            f"strategy {strategy}, run {run}: row {tested[at]} was predicted {times[run, at]} "
            "times, expected once"
        )

"""Numbers, labels and survival are learned from every kind of data: only the task is another.

By the network that starts from the source, and by the classical learner of that kind of data.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from medgraft import composition
from medgraft.evaluation.metrics.error import R2
from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.metrics.multilabel import MacroAuroc
from medgraft.evaluation.metrics.survival import CIndex
from medgraft.evaluation.predictions import load_study

from .carried import carry_out

pytestmark = pytest.mark.slow

PROTEIN = "ACDEFGHIKLMNPQRSTVWY"
Maker = Callable[[Path, str, np.random.Generator], tuple[list[str], np.ndarray]]
COUNTS = {"big": 300, "small": 80}
DESCRIPTION = """\
name: mine
patient: id
outcomes:
  stay: {{column: stay, task: regression, unit: days}}
  signs: {{task: multilabel, labels: {{long: long, short: short}}, negative: [0], positive: [1]}}
  death:
    {{task: survival, time: time, event: dead, happened: [1], censored: [0], unit: days,
     horizons: [10, 30]}}
columns:
  {column}
sites:
  big: {{file: big.csv}}
  small: {{file: small.csv}}
"""
GIVEN = (
    "cohort=own",
    "cohort.folder=raw",
    "cohort.source=[big]",
    "cohort.target=[small]",
    "design={runs: 2, folds: 2, sources: 2}",
    "trainer.check_every=10",
    "pretrain.max_steps=200",
    "finetune.max_steps=60",
)


def sequences(letters: str) -> Maker:
    """Letters of an alphabet, and how many of them are of its first half."""

    def made(_: Path, site: str, random: np.random.Generator) -> tuple[list[str], np.ndarray]:
        rows, kinds = COUNTS[site], len(letters)
        upto = np.cumsum(random.dirichlet([20 / kinds] * kinds, (rows, 1)), axis=2)
        tokens = (random.random((rows, 40, 1)) < upto).argmax(axis=2)
        return ["".join(letters[i] for i in row) for row in tokens], (tokens < kinds / 2).sum(1)

    return made


def images(folder: Path, site: str, random: np.random.Generator) -> tuple[list[str], np.ndarray]:
    """Films that are as bright as a patient is ill."""
    names, ill = [], random.uniform(1, 9, COUNTS[site])
    for number, level in enumerate(ill):
        name, pixels = f"{site}_{number}.png", random.normal(20 * level, 20, (16, 16))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name)
        names.append(name)
    return names, ill


def expression(
    folder: Path, site: str, random: np.random.Generator
) -> tuple[list[str], np.ndarray]:
    """Two of twenty genes that count."""
    values = random.normal(size=(COUNTS[site], 20))
    samples = [f"{site}{i}" for i in range(len(values))]
    table = pl.DataFrame(
        {"gene": [f"g{i}" for i in range(20)], **dict(zip(samples, values, strict=True))}
    )
    table.write_csv(folder / f"{site}_genes.csv")
    return samples, 3 * values[:, 0] - 2 * values[:, 1]


SEQUENCE = ("preparation=sequence", "encoder=small_dilated_cnn")
MODALITIES: dict[str, tuple[Maker, str, tuple[str, ...]]] = {
    **{
        alphabet: (
            sequences(letters),
            f"shown: {{kind: sequence, alphabet: {alphabet}, length: 40}}",
            SEQUENCE,
        )
        for alphabet, letters in {"dna": "CGAT", "rna": "CGAU", "protein": PROTEIN}.items()
    },
    "image": (
        images,
        "shown: {kind: image, height: 16, width: 16, mode: grey}",
        ("preparation=image", "encoder=small_compact_cnn"),
    ),
    "expression": (
        expression,
        "shown: {kind: expression, matrices: [{file: big_genes.csv, values: log},"
        " {file: small_genes.csv, values: log}]}",
        ("preparation=expression",),
    ),
}


# What is asked of each outcome, and what no network reaches that learned nothing.
LEARNED: dict[str, tuple[str, Metric, float]] = {
    "stay": ("regression", R2(), 0.3),
    "signs": ("multilabel", MacroAuroc(), 0.7),
    "death": ("survival", CIndex(), 0.6),
}
# The learner of each kind of data.
CLASSICAL = {
    "dna": {"stay": "kmer_logistic", "signs": "kmer_logistic", "death": "kmer_cox"},
    "image": {"stay": "pixel_regression", "signs": "pixel_regression", "death": "pixel_cox"},
    "expression": {"stay": "elastic_net", "signs": "elastic_net", "death": "cox"},
}
ONE_STRAND = [("rna", "stay"), ("protein", "stay")]
CASES = [(kind, outcome) for kind in ("dna", "image", "expression") for outcome in LEARNED]


def outcomes(stay: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
    """The higher the number the sooner death; a third are lost sight of before."""
    days = 20 * np.exp((stay.mean() - stay) / stay.std() + 0.3 * random.normal(size=len(stay)))
    dead = random.random(len(stay)) > 1 / 3
    return {
        "stay": stay,
        "long": (stay > np.median(stay)).astype(int),
        "short": (stay < np.quantile(stay, 0.4)).astype(int),
        "time": np.where(dead, days, days * random.random(len(stay))),
        "dead": dead.astype(int),
    }


@pytest.mark.parametrize(("modality", "outcome"), CASES + ONE_STRAND)
def test_it_is_learned(modality, outcome, root, tmp_path):
    maker, column, choices = MODALITIES[modality]
    folder = tmp_path / "raw"
    folder.mkdir()
    for seed, site in enumerate(COUNTS):
        random = np.random.default_rng(seed)
        shown, stay = maker(folder, site, random)
        ids = [f"{site}{i}" for i in range(len(shown))]
        table = pl.DataFrame({"id": ids, "shown": shown, **outcomes(stay, random)})
        table.write_csv(folder / f"{site}.csv")
    (folder / "cohort.yaml").write_text(DESCRIPTION.format(column=column))
    task, metric, enough = LEARNED[outcome]
    classical = CLASSICAL.get(modality, {}).get(outcome)
    strategies = ",".join(name for name in ("scratch", "fine_tune", classical) if name)
    asked = (f"task={task}", f"cohort.outcome.target={outcome}", f"strategies=[{strategies}]")
    carry_out(composition.compose(root, [*GIVEN, *asked, *choices]), tmp_path)
    study = load_study(tmp_path / "prepared", tmp_path / "finetuned")
    everyone = np.ones((1, len(study.outcome)))
    for name in filter(None, ("fine_tune", classical)):
        told = study.strategies[name]
        for said, fold in zip(told.test, told.fold, strict=True):
            assert metric.at(study.horizons)(study.outcome, said, everyone, fold)[0] > enough, name

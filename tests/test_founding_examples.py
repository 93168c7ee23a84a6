"""The two examples every introduction to transfer learning starts with, through our own code.

First a two-layer classifier, trained and used; then a network that is trained on one task, its
shared layers copied into another and its specific layers adjusted.
"""

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from scipy.stats import ttest_1samp
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from medgraft.config import FitConfig, PretrainConfig, Strategy, TrainerConfig
from medgraft.preparation.arrays import Prepared
from medgraft.training import weights
from medgraft.training.finetune import Study, finetune, start
from medgraft.training.pretrain import pretrain

LAST = {"_target_": "medgraft.networks.readout.LastLayer"}


@pytest.fixture(scope="module")
def conf(root):
    """What a yaml of the configuration says."""
    return lambda name: yaml.safe_load((root / "conf" / f"{name}.yaml").read_text())


def trainer(conf, **changes):
    return TrainerConfig(**(conf("trainer/cpu") | changes))


def parts(conf, encoder, task):
    head = conf(f"task/{task}")["head"]
    return {"input": conf("preparation/table")["input"], "encoder": encoder, "head": head}


def strategy(init, trainable, **arguments):
    return Strategy(
        description=trainable,
        uses_source=init != "random",
        init={"_target_": f"medgraft.transfer.init.{init}"},
        trainable={"_target_": f"medgraft.transfer.trainable.{trainable}", **arguments},
        readout=LAST,
    )


def cohort(x, y, classes):
    number = {"kind": "number", "may_be_missing": False, "origin": "shared"}
    features = [number | {"name": f"m{i}"} for i in range(x.shape[1])]
    task = "binary" if len(classes) == 2 else "multiclass"
    schema = {
        "features": features,
        "outcome": {"name": "it", "task": task, "classes": classes},
    }
    people = pl.DataFrame({"patient": range(len(y))})
    return Prepared(x.astype(np.float32), y.astype(np.float32), people, schema)


def design(train, validation, test):
    """One replica per entry of ``train`` and ``validation``; all have the same test rows."""
    count = len(train)
    columns = {"replica": range(count), "source_seed": [0] * count, "init_seed": range(count)}
    rows = {"train": train, "validation": validation, "test": [test] * count}
    return pl.DataFrame(columns | rows)


def answers(folder):
    """Raw outputs ``[R, n, C]`` for the test rows, in their order."""
    table = pl.read_parquet(folder / "predictions.parquet").filter(pl.col("part") == "test")
    each = table.partition_by("replica", maintain_order=True)
    return np.stack([one.select(pl.col("^output_.*$")).to_numpy() for one in each])


def test_classifier_matches_scikit_learn(conf, tmp_path):
    digits, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    train, validation, test = (part.tolist() for part in np.split(order, [900, 1100]))
    study = Study(
        target=cohort(digits, labels, [str(digit) for digit in range(10)]),
        design=design([train], [validation], test),
        parts=parts(conf, conf("encoder/one_hidden"), "multiclass"),
        pretrained=tmp_path / "none",
        config=FitConfig(optimizer=conf("optimizer/sgd"), batch_size=32),
        trainer=trainer(conf, max_steps=1500),
    )
    finetune("scratch", strategy("random", "everything"), study, out=tmp_path)
    ours = np.mean(answers(tmp_path)[0].argmax(1) == labels[test])

    scaler = StandardScaler().fit(digits[train])
    theirs = MLPClassifier(
        [64], solver="sgd", learning_rate_init=0.05, batch_size=32, max_iter=50, random_state=0
    ).fit(scaler.transform(digits[train]), labels[train])
    score = theirs.score(scaler.transform(digits[test]), labels[test])
    # 697 digits, 96 % right: two accuracies differ by 0.01 (standard error), four are allowed.
    assert ours == pytest.approx(score, abs=0.04)
    assert ours > 0.92


def people(n, *, level, seed):
    """Ten measurements; the risk follows products of them, which no straight line can see."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, 10))
    score = 2 * (x[:, 0] * x[:, 1] + x[:, 2] * x[:, 3]) + x[:, 4] + level
    return x, (score + rng.logistic(size=n) > 0).astype(float)


def learn_source(conf, out, *, related):
    """A 64-64 network, trained with Adam on 3,000 people (or on outcomes dealt out at random)."""
    x, y = people(3000, level=-1, seed=1)
    if not related:
        y = np.random.default_rng(2).permutation(y)
    rows = list(range(3000))
    pretrain(
        cohort(x, y, ["no", "yes"]),
        design([rows[:2500]], [rows[2500:]], []),
        spec=parts(conf, conf("encoder/mlp"), "binary") | {"readout": LAST},
        config=PretrainConfig(optimizer=conf("optimizer/adam"), batch_size=64, hide_probability=0),
        trainer=trainer(conf, max_steps=1500, check_every=50),
        out=out,
    )


REPLICAS, SMALL = 20, 30


@pytest.fixture(scope="module")
def small_study(conf):
    """Twenty small cohorts of the target task, no patient in two, and a thousand to test on."""
    x, y = people(REPLICAS * 2 * SMALL + 1000, level=1, seed=3)
    parted = np.arange(REPLICAS * 2 * SMALL).reshape(REPLICAS, 2, SMALL).tolist()
    test = list(range(REPLICAS * 2 * SMALL, len(y)))
    plan = design([one[0] for one in parted], [one[1] for one in parted], test)

    def study(pretrained):
        return Study(
            target=cohort(x, y, ["no", "yes"]),
            design=plan,
            parts=parts(conf, conf("encoder/mlp"), "binary"),
            pretrained=pretrained,
            config=FitConfig(optimizer=conf("optimizer/adam"), batch_size=16),
            trainer=trainer(conf, max_steps=300),
        )

    return study


@pytest.fixture(scope="module")
def pretrained(conf, tmp_path_factory):
    out = tmp_path_factory.mktemp("source")
    learn_source(conf, out, related=True)
    return out


def aurocs(study, strategy, out):
    """AUROC of each replica on the thousand."""
    finetune("any", strategy, study, out=out)
    outcome = study.target.y[study.design["test"][0].to_list()]
    return np.array([roc_auc_score(outcome, one[:, 0]) for one in answers(out)])


CONFIGURED = {
    "specific": (strategy("source_shared", "specific_layers"), set()),
    "from_second": (strategy("source_shared", "from_layer", first=1), {"1"}),
    "all": (strategy("source_shared", "everything"), {"0", "1"}),
}


@pytest.mark.parametrize("name", list(CONFIGURED))
def test_shared_layers_are_copied(name, small_study, pretrained, tmp_path):
    study, (how, moving) = small_study(pretrained), CONFIGURED[name]
    source = weights.read(pretrained)[0]
    layers = [key for key in source if key.startswith("encoder.")]
    _, before, _ = start("any", how, study, study.parts | {"readout": LAST})
    for key in layers:
        assert torch.equal(before[key], source[key].expand_as(before[key]))
    assert not torch.isclose(before["head.linear.weight"], source["head.linear.weight"]).all()
    finetune("any", how, study, out=tmp_path)
    after = weights.read(tmp_path)[0]
    moved = {key.split(".")[2] for key in layers if not torch.equal(after[key], before[key])}
    assert moved == moving
    assert not torch.equal(after["head.linear.weight"], before["head.linear.weight"])


def test_related_source_beats_scratch(small_study, pretrained, tmp_path):
    study = small_study(pretrained)
    scratch = aurocs(study, strategy("random", "everything"), tmp_path / "scratch")
    for name, (how, _) in CONFIGURED.items():
        gain = aurocs(study, how, tmp_path / name) - scratch
        # More than 0.05 AUROC gained from this source: were it not so, one draw of the twenty
        # cohorts in a million would say it is.
        assert ttest_1samp(gain, 0.05, alternative="greater").pvalue < 1e-6, name


def test_unrelated_source_gains_nothing(conf, small_study, tmp_path):
    learn_source(conf, tmp_path / "noise", related=False)
    study = small_study(tmp_path / "noise")
    scratch = aurocs(study, strategy("random", "everything"), tmp_path / "scratch")
    gain = aurocs(study, CONFIGURED["specific"][0], tmp_path / "specific") - scratch
    # Less than 0.05 AUROC gained, with the same certainty.
    assert ttest_1samp(gain, 0.05, alternative="less").pvalue < 1e-6

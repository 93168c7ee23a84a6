"""Do 95 % intervals hold what they promise? `python benchmarks/intervals.py` prints the tables.

First a difference d_ik = a_i + b_k + e_ik of patient i in run k, whose truth is 0: coverage and, as
1 - coverage, the false alarms of three intervals, the two pigeonhole ones as Owen 2007 (Ann. Appl.
Stat. 1:386) has them. Then the AUROC of two equally good strategies, through `resample`.
"""

import argparse
from functools import partial

import numpy as np
from scipy.special import expit

from medgraft.evaluation.intervals import Resampled, Sample, by_run, estimate, resample
from medgraft.evaluation.metrics.ranking import Auroc

SIZES = [(40, 5), (40, 10), (100, 5), (100, 10)]
SPREADS = {
    "patients": (1, 0, 0),
    "runs": (0, 1, 0),
    "interaction": (0, 0, 1),
    "patients, few runs": (1, 0.3, 1),
    "mostly interaction": (1, 0.1, 3),
    "all": (1, 1, 1),
}


def crossed(generator, size, spread):
    """Draw d [n, K] whose true mean is 0."""
    (n, runs), (a, b, e) = size, spread
    normal = generator.standard_normal
    return a * normal((n, 1)) + b * normal((1, runs)) + e * normal((n, runs))


def multinomial(generator, of, *, take, draws):
    """Mean weights [draws, of] of `take` out of `of`."""
    return generator.multinomial(take, np.full(of, 1 / of), size=draws) / take


def intervals(d, generator, draws):
    """Every interval of one simulated study."""
    n, runs = d.shape
    pigeonhole = (
        (multinomial(generator, n, take=n, draws=draws) @ d)
        * multinomial(generator, runs, take=runs, draws=draws)
    ).sum(axis=1)
    reach = 1.96 * pigeonhole.std()
    ours = Resampled(
        d.mean(axis=0), multinomial(generator, n, take=n - 1, draws=draws) @ d, fewest=n
    )
    return {
        "percentile": np.quantile(pigeonhole, [0.025, 0.975]),
        "normal": (d.mean() - reach, d.mean() + reach),
        "medgraft": estimate(ours).interval(),
    }


def coverage(size, spread, *, studies, draws, seed):
    """How often each interval holds the truth, and how wide it is beside the best possible."""
    generator = np.random.default_rng(seed)
    ideal = (
        2 * 1.96 * np.sqrt(np.array(spread) ** 2 @ [1 / size[0], 1 / size[1], 1 / np.prod(size)])
    )
    ends = [intervals(crossed(generator, size, spread), generator, draws) for _ in range(studies)]
    low_high = {name: np.array([end[name] for end in ends]) for name in ends[0]}
    return {
        name: (((e[:, 0] <= 0) & (e[:, 1] >= 0)).mean(), (e[:, 1] - e[:, 0]).mean() / ideal)
        for name, e in low_high.items()
    }


def auroc_study(generator, size, shift):
    """Two equally good strategies [K, n, 2] whose scores differ by patient, run and both."""
    n = size[0]
    outcome = np.repeat([0.0, 1.0], n // 2)
    common = 2 * shift * outcome - shift + generator.standard_normal(n)
    p = [expit(common + crossed(generator, size, (0.5, 0, 0.5)).T) for _ in range(2)]
    return outcome, [np.stack([1 - q, q], axis=-1) for q in p]


def auroc_false_alarms(size, shift, *, studies, draws, seed):
    """How often two equally good strategies are called different at p < 0.05."""
    generator, alarms, areas = np.random.default_rng(seed), 0, []
    fold = np.zeros((size[1], size[0]), dtype=np.int64)
    for _ in range(studies):
        outcome, strategies = auroc_study(generator, size, shift)
        statistics = {
            i: partial(by_run, metric=Auroc(), outcome=outcome, prediction=p, fold=fold)
            for i, p in enumerate(strategies)
        }
        found = resample(
            statistics, Sample(np.arange(size[0]), size[0] // 2), draws=draws, seed=seed
        )
        alarms += estimate(found[1] - found[0]).p < 0.05
        areas.append(found[0].by_run.mean())
    return np.mean(areas), alarms / studies


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    print("| patients | runs | what varies | percentile | normal | medgraft | its width |")
    print("|---|---|---|---|---|---|---|")
    for size in SIZES:
        for name, spread in SPREADS.items():
            found = coverage(size, spread, studies=given.studies, draws=given.draws, seed=1)
            shares = " | ".join(f"{100 * share:.1f} %" for share, _ in found.values())
            print(f"| {size[0]} | {size[1]} | {name} | {shares} | {found['medgraft'][1]:.2f} |")
    print("\n| patients | runs | AUROC | false alarms |\n|---|---|---|---|")
    for size in SIZES:
        for shift in (0.8, 2.0):
            area, alarms = auroc_false_alarms(
                size, shift, studies=given.studies, draws=given.draws // 2, seed=1
            )
            print(f"| {size[0]} | {size[1]} | {area:.2f} | {100 * alarms:.1f} % |", flush=True)


if __name__ == "__main__":
    main()

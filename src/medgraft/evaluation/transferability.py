"""How promising a source network looks for a target, from the network as it is.

Every score is higher where transfer is expected to do better. They agree with each other, and with
what training finds, only loosely: evidence about a source, not a way to choose one. All need
outcomes of target patients, so give them training patients alone. Features [n, d] are outputs of
the last shared layer, `said` [n, Z] the probabilities of the source's classes, `y` [n] the target's
classes. NaN where a score is not defined, as for patients who are all of one class.
"""

from collections.abc import Callable, Iterator
from itertools import combinations

import numpy as np

from medgraft.evaluation.metrics.metric import Floats

EVIDENCE_STEPS = 100
STOP = 0.01
"""LogME's relative change of alpha / beta that ends its iteration; the value of its authors."""
DISTORTION = 1e-4
"""TransRate's tolerated squared error; the value of its authors."""
LEAST_VARIANCE = 1e-12
"""Of a class, relative to all patients; a unit that is silent in one class has none."""


def leep(said: Floats, y: Floats) -> float:
    """Mean log probability of the target's class, predicted through the source's classes.

    At most 0. Nguyen et al. 2020, LEEP (ICML, arXiv:2002.12462), eq. 2.
    """
    member = _member(y)
    joint = member.T @ said / len(y)
    given_source = joint / joint.sum(axis=0)
    return float(np.log((said @ given_source.T)[member]).mean())


def nce(said: Floats, y: Floats) -> float:
    """Minus the entropy of the target's class given the source's likeliest class, in nats.

    At most 0. Tran et al. 2019, negative conditional entropy (ICCV, arXiv:1908.08142).
    """
    likeliest = _member(said.argmax(axis=1))
    joint = _member(y).T.astype(np.float64) @ likeliest / len(y)
    given_source = joint / joint.sum(axis=0)
    seen = joint > 0
    return float((joint[seen] * np.log(given_source[seen])).sum())


def logme(features: Floats, y: Floats, *, tolerance: float = STOP) -> float:
    """Log evidence per patient of a linear model on the features; the mean over classes.

    You et al. 2021, LogME (ICML, arXiv:2102.11005), by the cheaper iteration of You et al. 2022
    (JMLR 23:203). tolerance: as of `log_evidence`.
    """
    member = _member(y)
    if member.shape[1] < 2:
        return float("nan")
    each = member.T.astype(np.float64)
    return float(np.mean([log_evidence(features, one, tolerance=tolerance) for one in each]))


def log_evidence(features: Floats, value: Floats, *, tolerance: float = STOP) -> float:
    """Log evidence per patient of value [n] under Bayesian linear regression on the features.

    Prior precision alpha and noise precision beta are those of the largest evidence, approached
    until alpha / beta changes by less than `tolerance` of itself. MacKay 1992 (Neural Comput.
    4:415). NaN for a value that does not vary, whose evidence has no largest.
    """
    n, d = features.shape
    if np.ptp(value) == 0:
        return float("nan")
    left, singular, _ = np.linalg.svd(features, full_matrices=False)
    eigen, squared = singular**2, (left.T @ value) ** 2
    unreached = max(float((value**2).sum() - squared.sum()), 0.0)
    alpha = beta = 1.0
    for _ in range(EVIDENCE_STEPS):
        ratio = alpha / beta
        used = (eigen / (ratio + eigen)).sum()
        weights = (eigen * squared / (ratio + eigen) ** 2).sum()
        residual = (squared * ratio**2 / (ratio + eigen) ** 2).sum() + unreached
        alpha, beta = used / weights, (n - used) / residual
        if abs(alpha / beta - ratio) < tolerance * ratio:
            break
    determinant = np.log(alpha + beta * eigen).sum() + (d - len(eigen)) * np.log(alpha)
    evidence = d * np.log(alpha) + n * np.log(beta / (2 * np.pi)) - determinant
    return float((evidence - beta * residual - alpha * weights) / (2 * n))


def h_score(features: Floats, y: Floats) -> float:
    """Share of the features' variation that lies between classes, summed over directions.

    0 to the number of classes less 1. Bao et al. 2019, H-score (ICIP, arXiv:1903.07569). With more
    features than patients it cannot tell anything; see `shrunk_h_score`.
    """
    covariance = np.atleast_2d(np.cov(features.T))
    return float(np.trace(np.linalg.pinv(covariance, hermitian=True) @ _between(features, y)))


def shrunk_h_score(features: Floats, y: Floats) -> float:
    """The H-score with Ledoit and Wolf's covariance, for few patients and many features.

    Ibrahim, Ponomareva & Mazumder 2021 (arXiv:2110.06893). Exactly 0 where the covariance shrinks
    fully: then what lies between classes cannot be told from chance.
    """
    from sklearn.covariance import ledoit_wolf

    covariance, shrinkage = ledoit_wolf(features)
    if shrinkage == 1:
        return 0.0
    between = (1 - shrinkage) * _between(features, y)
    return float(np.trace(np.linalg.pinv(covariance, hermitian=True) @ between))


def transrate(features: Floats, y: Floats) -> float:
    """Coding rate of all features less the mean coding rate within the classes, in nats.

    Huang et al. 2022, TransRate (ICML, arXiv:2106.09863): classes count alike, as in the authors'
    code.
    """
    centred = features - features.mean(axis=0)
    within = [_coding_rate(centred[rows]) for rows in _member(y).T]
    return float(_coding_rate(centred) - np.mean(within))


def gbc(features: Floats, y: Floats, *, spherical: bool = True) -> float:
    """Minus the overlap of the classes as Gaussians, over ordered pairs of classes.

    0: none overlap; -C (C - 1): all are one. Pándy et al. 2022, GBC (CVPR, arXiv:2111.12780).
    spherical: one variance for all features of a class, whose log counts once: that gives the
    reference value of the tests (the textbook distance counts it d times). NaN where a class has a
    single patient.
    """
    members = _member(y).T
    if len(members) < 2 or members.sum(axis=1).min() < 2:
        return float("nan")
    varying = features[:, features.var(axis=0) > 0]
    least = LEAST_VARIANCE * varying.var(axis=0)
    mean = np.stack([varying[rows].mean(axis=0) for rows in members])
    variance = np.stack([np.maximum(varying[rows].var(axis=0), least) for rows in members])
    if spherical:
        variance = variance.mean(axis=1, keepdims=True)
    pairs = combinations(range(len(members)), 2)
    return float(-2 * sum(np.exp(-_distance(mean, variance, pair)) for pair in pairs))


def of_classes(features: Floats, said: Floats | None, y: Floats) -> Iterator[tuple[str, float]]:
    """Yield every score by name; without `said` those that need no source classes."""
    if said is not None:
        yield "leep", leep(said, y)
        yield "nce", nce(said, y)
    for name, score in OF_FEATURES.items():
        yield name, score(features, y)


def of_values(features: Floats, said: Floats | None, y: Floats) -> Iterator[tuple[str, float]]:
    """Yield the one score that is defined for a numeric outcome."""
    del said
    yield "logme", log_evidence(features, y)


OF_TASK = {"binary": of_classes, "multiclass": of_classes, "regression": of_values}


def _diagonal_gbc(features: Floats, y: Floats) -> float:
    return gbc(features, y, spherical=False)


OF_FEATURES: dict[str, Callable[[Floats, Floats], float]] = {
    "logme": logme,
    "h_score": h_score,
    "shrunk_h_score": shrunk_h_score,
    "transrate": transrate,
    "gbc": gbc,
    "diagonal_gbc": _diagonal_gbc,
}


def _member(y: Floats) -> np.ndarray:
    """Whether each patient is of each class that occurs, [n, C]."""
    return np.asarray(y)[:, None] == np.unique(y)


def _between(features: Floats, y: Floats) -> Floats:
    """Covariance of the features' class means over patients, [d, d]."""
    member = _member(y).astype(np.float64)
    means = (member / member.sum(axis=0)).T @ features
    return np.atleast_2d(np.cov((member @ means).T))


def _coding_rate(centred: Floats) -> float:
    """Ma et al. 2007 (IEEE Trans. Pattern Anal. Mach. Intell. 29:1546), as TransRate has it."""
    n, d = centred.shape
    return float(np.linalg.slogdet(np.eye(d) + centred.T @ centred / (n * DISTORTION))[1] / 2)


def _distance(mean: Floats, variance: Floats, pair: tuple[int, int]) -> float:
    """Bhattacharyya distance of two classes."""
    first, second = pair
    both = (variance[first] + variance[second]) / 2
    apart = ((mean[first] - mean[second]) ** 2 / both).sum() / 8
    logs = np.log(both) - (np.log(variance[first]) + np.log(variance[second])) / 2
    return float(apart + logs.sum() / 2)

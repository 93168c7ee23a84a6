# ruff: noqa: ARG002  (one signature for every metric; only AUROC needs the folds)
import numpy as np
import numpy.typing as npt

from medgraft.evaluation.metrics.metric import CLASSIFICATION, Floats, Integers, Metric, ratio

Mask = npt.NDArray[np.bool_]


def within_fold_auroc(case: Mask, score: Floats, weight: Floats, fold: Integers) -> Floats:
    """Share of case-control pairs of one fold that the case wins, [B]; a tie is half a win.

    case: [n] bool. score, fold: [n]. weight: [B, n]. O(n log n + nB).
    """
    rank = np.unique(score, return_inverse=True)[1]
    width = int(rank.max()) + 1
    key = np.unique(fold, return_inverse=True)[1] * width + rank
    controls = np.flatnonzero(~case)
    controls = controls[np.argsort(key[controls])]
    below = _running_total(weight.T[controls])
    first = key[case] // width * width
    start, end, low, tied = (
        below[np.searchsorted(key[controls], limit)]
        for limit in (first, first + width, key[case], key[case] + 1)
    )
    weight_of_case = weight.T[case]
    won = np.einsum("ib,ib->b", weight_of_case, (low + tied) / 2 - start)
    return ratio(won, np.einsum("ib,ib->b", weight_of_case, end - start))


def average_precision(case: Mask, score: Floats, weight: Floats) -> Floats:
    """Sum of precision times the recall gained, over the distinct scores from the top, [B].

    case: [n] bool. score: [n]. weight: [B, n]. NaN where there is no case, or nothing else: then
    every score would have 1.
    """
    order = np.argsort(-score)
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    ordered = weight.T[order]
    everyone = np.cumsum(ordered, axis=0)[last]
    found = np.cumsum(ordered * case[order, None], axis=0)[last]
    gained = np.diff(found, axis=0, prepend=0.0)
    precision = np.divide(found, everyone, out=np.zeros_like(found), where=everyone > 0)
    area = ratio(np.einsum("gb,gb->b", gained, precision), found[-1])
    return np.where(found[-1] < everyone[-1], area, np.nan)


def _running_total(value: Floats) -> Floats:
    total = np.zeros((value.shape[0] + 1, value.shape[1]))
    np.cumsum(value, axis=0, out=total[1:])
    return total


def _classes(prediction: Floats) -> range:
    return range(1, 2) if prediction.shape[1] == 2 else range(prediction.shape[1])


class Auroc(Metric):
    """Area under the ROC curve, over pairs of one fold; one against the rest, macro over classes.

    Predictions of different folds come from differently calibrated models. Ranking a case of one
    fold against a control of another would measure that, so only pairs of one fold are compared.
    """

    name = "auroc"
    within_folds = True
    label = "AUROC"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = (
        "Airola et al. 2011, Comput. Stat. Data Anal. 55:1828; "
        "Forman & Scholz 2010, SIGKDD Explor. 12:49"
    )

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return AUROC [B]; see `Metric`. Undefined where no fold has a case and a control."""
        areas = [
            within_fold_auroc(outcome == c, prediction[:, c], weight, fold)
            for c in _classes(prediction)
        ]
        return np.mean(areas, axis=0)


class Auprc(Metric):
    """Average precision, pooled over folds; one against the rest, macro over classes.

    Pooled, because precision depends on how common the outcome is, which folds of few patients
    do not hold constant.
    """

    name = "auprc"
    label = "AUPRC (average precision)"
    tasks = CLASSIFICATION
    higher_is_better = True
    bounds = (0.0, 1.0)
    citation = "Davis & Goadrich 2006, ICML; Forman & Scholz 2010, SIGKDD Explor. 12:49"

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return average precision [B]; see `Metric`. Undefined where a class has no row."""
        areas = [
            average_precision(outcome == c, prediction[:, c], weight) for c in _classes(prediction)
        ]
        return np.mean(areas, axis=0)

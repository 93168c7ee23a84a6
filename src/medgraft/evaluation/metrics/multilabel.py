from typing import ClassVar

import numpy as np

from medgraft.evaluation.metrics.confusion import F1
from medgraft.evaluation.metrics.metric import Floats, Integers, Metric
from medgraft.evaluation.metrics.proper import Brier, LogLoss
from medgraft.evaluation.metrics.ranking import Auprc, Auroc

MULTILABEL = frozenset({"multilabel"})


def per_label(
    metric: Metric, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
) -> Floats:
    """A binary metric of every label on the rows that recorded it, [L, B].

    outcome: [n, L], 0 or 1, NaN where not recorded. prediction: [n, L].
    """
    return np.stack(
        [
            _of_label(metric, outcome[:, label], prediction[:, label], weight, fold)
            for label in range(outcome.shape[1])
        ]
    )


def _of_label(
    metric: Metric, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
) -> Floats:
    known = ~np.isnan(outcome)
    if not known.any():
        return np.full(len(weight), np.nan)
    said = np.stack([1 - prediction[known], prediction[known]], axis=1)
    return metric(outcome[known], said, weight[:, known], fold[known])


class Macro(Metric):
    """The mean of a binary metric over the labels, each judged on the rows that recorded it.

    A label that is undefined on all rows together (no case at all, say) is left out of the mean;
    the figure of labels counts those. A draw that leaves another label undefined is undefined.
    """

    tasks = MULTILABEL
    of: ClassVar[Metric]

    def __call__(
        self, outcome: Floats, prediction: Floats, weight: Floats, fold: Integers
    ) -> Floats:
        """Return the mean over labels [B]; see `Metric`. Undefined where every label is."""
        plain = per_label(self.of, outcome, prediction, np.ones((1, len(outcome))), fold)
        defined = ~np.isnan(plain[:, 0])
        if not defined.any():
            return np.full(len(weight), np.nan)
        return per_label(self.of, outcome[:, defined], prediction[:, defined], weight, fold).mean(
            axis=0
        )


class MacroAuroc(Macro):
    """Mean AUROC over the labels."""

    of = Auroc()
    name = "macro_auroc"
    within_folds = Auroc.within_folds
    label = "macro AUROC"
    higher_is_better = Auroc.higher_is_better
    bounds = Auroc.bounds
    citation = Auroc.citation


class MacroAuprc(Macro):
    """Mean average precision over the labels."""

    of = Auprc()
    name = "macro_auprc"
    label = "macro AUPRC"
    higher_is_better = Auprc.higher_is_better
    bounds = Auprc.bounds
    citation = Auprc.citation


class MacroF1(Macro):
    """Mean F1 over the labels, each said to be there from a probability of 0.5."""

    of = F1()
    name = "macro_f1"
    label = "macro F1"
    higher_is_better = F1.higher_is_better
    bounds = F1.bounds
    citation = F1.citation


class MacroBrier(Macro):
    """Mean Brier score over the labels."""

    of = Brier()
    name = "macro_brier"
    label = "macro Brier score"
    higher_is_better = Brier.higher_is_better
    bounds = (0.0, 1.0)
    citation = Brier.citation


class MacroLogLoss(Macro):
    """Mean log loss over the labels, in nats."""

    of = LogLoss()
    name = "macro_log_loss"
    label = "macro log loss"
    higher_is_better = LogLoss.higher_is_better
    bounds = LogLoss.bounds
    citation = LogLoss.citation

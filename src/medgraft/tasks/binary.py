"""One class out of two; a head answers the logit of the second, the positive one."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from medgraft.tasks.task import Classes, Floats


class Binary(Classes):
    """Two classes."""

    figures = ("calibration", "roc", "precision_recall")

    def about(self, outcome: Mapping[str, Any]) -> list[str]:
        """The second class."""
        return [str(outcome["classes"][1])]

    def outputs(self, outcome: Mapping[str, Any]) -> int:
        """A logit."""
        del outcome
        return 1

    def probabilities(self, raw: Floats) -> Floats:
        """Of both classes, [m, 2]."""
        # Not 1 - p: that loses the small probabilities which the log loss is made of.
        return np.concatenate([expit(-raw), expit(raw)], axis=1)


TASK = Binary()

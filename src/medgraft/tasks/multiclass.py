"""One class out of several; a head answers a logit for each."""

from scipy.special import softmax

from medgraft.tasks.task import Classes, Floats


class Multiclass(Classes):
    """Several classes."""

    only_differences = True
    figures = ("calibration",)

    def probabilities(self, raw: Floats) -> Floats:
        """Of every class, [m, C]."""
        chance: Floats = softmax(raw, axis=1)
        return chance


TASK = Multiclass()

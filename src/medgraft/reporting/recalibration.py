"""Calibration before and after corrections fitted on validation patients, as a figure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from medgraft.evaluation.metrics.metric import Metric
from medgraft.evaluation.predictions import Study
from medgraft.evaluation.recalibration import AS_IT_IS, Corrected
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet, size
from medgraft.reporting.dots import HEAD, ROW, dots, near, short
from medgraft.reporting.text import signed

# What is ideal where neither end is better; of the others less is better.
IDEAL = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
PREFERRED = ("brier", "calibration_slope", "calibration_intercept", "log_loss", "ece")
MOST = 3
"""Metrics side by side."""
BEFORE = {"color": "#666666", "marker": "o", "markerfacecolor": "white"}
AFTER = [{"color": c, "marker": marker} for c, marker in zip(COLOURS, "oDs^", strict=True)]


def recalibration_figure(
    study: Study, scores: Sequence[Corrected], metrics: Mapping[str, Metric]
) -> Figure | None:
    """Draw at most three metrics of every strategy before and after every correction.

    The title speaks of the first strategy. None where nothing was measured.
    """
    measured = {score.metric for score in scores}
    names = [name for name in PREFERRED if name in measured][:MOST]
    if not names:
        return None
    lines = list(dict.fromkeys((score.strategy, score.method) for score in scores))
    methods = list(dict.fromkeys(method for _, method in lines if method != AS_IT_IS))
    looks = [AFTER[methods.index(m)] if m != AS_IT_IS else BEFORE for _, m in lines]
    figure, axes = sheet(HEAD + ROW * len(lines), ncols=len(names), sharey=True, squeeze=False)
    found = {((one.strategy, one.method), one.metric): one for one in scores}
    for panel, name in zip(axes[0], names, strict=True):
        rows = [asdict(found[line, name]) for line in lines]
        dots(panel, rows, looks=looks)
        near(panel, rows, mark=IDEAL.get(name))
        panel.set_xlabel(metrics[name].label)
    axes[0, 0].set_yticks(range(len(lines)), [_label(*line) for line in lines])
    return finish(
        figure,
        "recalibration",
        title=title([one for one in scores if one.metric == names[0]], metrics[names[0]]),
        caption=(
            "Probabilities as they are (hollow) and corrected on each model’s validation patients, "
            f"judged on its test patients ({size(study)}; means over runs, 95 % intervals, which "
            "may reach beyond a panel). Dotted: ideal, a slope of 1 and an intercept of 0; of the "
            "other metrics less is better. The title goes by paired differences. What the model "
            "that is served is corrected by, if at all, is in the model card."
        ),
    )


def title(scores: Sequence[Corrected], metric: Metric) -> str:
    """What the corrections do for the first strategy, by one metric of which less is better."""
    first = scores[0].strategy
    after = [one for one in scores if one.strategy == first and one.method != AS_IT_IS]
    found = [one for one in after if one.change_low > 0 or one.change_high < 0]
    if not found:
        return f"No correction is shown to change the {metric.label} of {first}"
    told = ", ".join(
        f"{one.method} {'raises' if one.change > 0 else 'lowers'} it ({signed(one.change)}, 95 % "
        f"CI {signed(one.change_low)} to {signed(one.change_high)})"
        for one in found
    )
    return f"{metric.label} of {first}, less is better: {told}"


def _label(strategy: str, method: str) -> str:
    return f"{short(strategy)}\n{method}" if method == AS_IT_IS else method

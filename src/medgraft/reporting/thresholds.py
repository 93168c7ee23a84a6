"""What acting at a threshold chosen on validation patients does to test patients, as a figure."""

from collections.abc import Mapping
from dataclasses import asdict

from medgraft.evaluation.predictions import Study
from medgraft.evaluation.thresholds import Aim, Cost, Rate, Threshold
from medgraft.reporting.canvas import COLOURS, Figure, finish, sheet, size
from medgraft.reporting.dots import HEAD, ROW, dots, near, short

SHOWN = ("sensitivity", "specificity")
SPAN = ("value", "low", "high")
LOOKS = {name: {"color": colour, "marker": marker} for name, colour, marker in zip(
    SHOWN, COLOURS, "oD", strict=False)}  # fmt: skip


def thresholds_figure(
    study: Study, found: Mapping[str, Threshold | str], aim: Aim
) -> Figure | None:
    """Draw what every strategy's threshold for an aim does; the title speaks of the first.

    found: as `threshold` gives them, by strategy. None where no strategy has one.
    """
    chosen = [one for one in found.values() if isinstance(one, Threshold)]
    if not chosen:
        return None
    return _costs(study, chosen, aim) if isinstance(aim, Cost) else _shares(study, chosen)


def _costs(study: Study, chosen: list[Threshold], aim: Cost) -> Figure:
    figure, axes = sheet(HEAD + ROW * len(chosen))
    rows = [
        {key: 100 * value for key, value in asdict(rate(one, "cost")).items() if key in SPAN}
        for one in chosen
    ]
    dots(axes, rows, looks=[LOOKS[SHOWN[0]]] * len(rows))
    all_of, none = (100 * one for one in aim.without_model(study.outcome == 1).values())
    near(axes, rows, mark=min(all_of, none))
    axes.set_xlabel("cost of 100 patients, in false alarms")
    axes.set_yticks(range(len(chosen)), [short(one.strategy) for one in chosen])
    first = rows[0]
    return finish(
        figure,
        "costs",
        title=(
            f"{chosen[0].strategy}: 100 patients cost as much as {first['value']:.0f} false alarms "
            f"({first['low']:.0f} to {first['high']:.0f}); flagging all of them {all_of:.0f}, "
            f"none {none:.0f}"
        ),
        caption=(
            f"A missed case costs as much as {aim.wanted:g} false alarms (evaluation.cost). Each "
            "strategy at the threshold of least cost, chosen for each model on its validation "
            f"patients and judged on its test patients ({size(study)}; means over runs, 95 % "
            "intervals). Dotted: the cheaper of flagging everybody and flagging nobody; to the "
            "right of it a model costs more than it spares."
        ),
    )


def _shares(study: Study, chosen: list[Threshold]) -> Figure:
    wanted = chosen[0].wanted
    figure, panels = sheet(HEAD + ROW * len(chosen), ncols=len(SHOWN), sharey=True)
    for axes, name in zip(panels, SHOWN, strict=True):
        rows = [asdict(rate(one, name)) for one in chosen]
        dots(axes, rows, looks=[LOOKS[name]] * len(rows))
        near(axes, rows, mark=wanted if name == "sensitivity" else None)
        axes.set_xlabel(name)
    panels[0].set_yticks(range(len(chosen)), [short(one.strategy) for one in chosen])
    return finish(
        figure,
        "thresholds",
        title=title(chosen[0]),
        caption=(
            f"Each strategy at the threshold that was to flag {wanted:.0%} of the cases (dotted, "
            "left), chosen for each model on its validation patients and judged on its test "
            f"patients ({size(study)}; means over runs, 95 % intervals). Sensitivity: the share of "
            "the cases that is flagged; specificity: the share of the others that is not. Left of "
            "the dotted line more cases are missed than was meant. Strategies differ in both at "
            "once, so none is better for one of them alone."
        ),
    )


def rate(one: Threshold, name: str) -> Rate:
    """The share of this name."""
    return next(rate for rate in one.rates if rate.name == name)


def title(one: Threshold) -> str:
    """What the first strategy's threshold keeps of what it promised."""
    reached, spared = rate(one, "sensitivity"), rate(one, "specificity")
    return (
        f"{one.strategy}: meant to flag {one.wanted:.0%} of the cases, the threshold flags "
        f"{reached.value:.0%} ({reached.low:.0%} to {reached.high:.0%}) and spares "
        f"{spared.value:.0%} of the others"
    )

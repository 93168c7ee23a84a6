"""The time to an event; a head answers log(-log S) at the outcome's horizons."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from medgraft.tasks.task import EPS, NO_TIMES, Floats, Integers, Part, Quantity, Task, named


class Survival(Task):
    """Time and event, y [n, 2]; an event of 0 is a censoring."""

    loss = "log loss on the time grid"
    figures = ("kaplan_meier", "survival_calibration", "over_time")

    def about(self, outcome: Mapping[str, Any]) -> list[str]:
        """The event by each horizon: the higher the output, the likelier."""
        name, unit = outcome["name"], outcome["unit"]
        return [f"{name} by {horizon:g} {unit}".rstrip() for horizon in outcome["horizons"]]

    def probabilities(self, raw: Floats) -> Floats:
        """Survival at the horizons, [m, T]."""
        # A correction fitted on few patients may let a curve rise; nobody lives again.
        return np.exp(-np.exp(np.maximum.accumulate(raw, axis=1)))

    def row_losses(self, y: Floats, said: Floats, horizons: Floats = NO_TIMES) -> Floats:
        """Minus the log probability of what was seen of each patient on the grid, in nats.

        An event counts for the interval (h_j-1, h_j] it fell into; who was censored has lived
        through an interval if through half of it, and who had the event after the grid through all.
        Gensheimer & Narasimhan 2019 (PeerJ 7:e6257).
        """
        time, event = y[:, 0], y[:, 1] == 1
        rows, middles = np.arange(len(time)), horizons - np.diff(horizons, prepend=0) / 2
        known = np.concatenate([np.ones((len(said), 1)), said], axis=1)
        to_half = np.searchsorted(middles, time, "right")
        lived = np.where(event, np.searchsorted(horizons, time, "left"), to_half)
        seen = known[rows, lived]
        died = event & (lived < len(horizons))
        seen = seen - np.where(died, known[rows, np.minimum(lived + 1, len(horizons))], 0.0)
        return -np.log(np.maximum(seen, EPS))

    def classes(self, y: Floats) -> Integers:
        """Censored or not: events are what is learned from."""
        return y[:, 1].astype(np.int64)

    def strata(self, y: Floats, names: Sequence[str]) -> tuple[Integers, tuple[str, ...]]:
        """Censored or not."""
        del names
        return self.classes(y), ("censored", "event")

    def parts(self, name: str, y: Floats, names: Sequence[str]) -> Iterator[Part]:
        """The time, and whether the event came."""
        del names
        everyone = np.ones(len(y), bool)
        yield Part(f"the time of {name}", everyone, y[:, 0], ())
        yield Part(f"the event of {name}", everyone, y[:, 1], ("censored", "event"))

    def quantities(
        self, y: Floats, name: str, names: Sequence[str], unit: str
    ) -> Iterator[Quantity]:
        """Events per time; compared by the log-rank score."""
        del name, names
        time, event = y[:, 0], y[:, 1]
        score = event - cumulative_hazard(time, event)
        per = f"events per time{f' in {unit}' if unit else ''}"
        yield Quantity(per, "", event, time, share=False, score=score)

    def sizes(self, y: Floats, names: Sequence[str]) -> dict[str, int]:
        """How many had the event."""
        del names
        return {"event": int(y[:, 1].sum())}

    def columns(self, answers: Floats, outcome: Mapping[str, Any]) -> list[pl.Series]:
        """Survival at each horizon."""
        return named("survival", [f"{horizon:g}" for horizon in outcome["horizons"]], answers)


def cumulative_hazard(time: Floats, event: Floats) -> Floats:
    """Nelson & Aalen's estimate at every row's time; event minus it is the log-rank score."""
    at = np.unique(time)
    place = np.searchsorted(at, time)
    events = np.bincount(place, event, len(at))
    at_risk = np.bincount(place, minlength=len(at))[::-1].cumsum()[::-1]
    return np.asarray(np.cumsum(events / at_risk)[place])


TASK = Survival()

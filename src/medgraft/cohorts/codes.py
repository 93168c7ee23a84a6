"""What a user writes in `cohort.yaml` about the cells of a column: codes, labels, ranges."""

import datetime
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainValidator

from medgraft.construct import finite, shown


def _unread(value: object) -> None:
    """YAML turns `no` into False, 2020-01-01 into a date and .nan into what equals no cell."""
    endless = isinstance(value, int | float) and not finite(value)
    if value is None or endless or isinstance(value, bool | datetime.date):
        raise ValueError(f"YAML reads this as {shown(value)}: put it in quotes")


def _code(value: object) -> int | float | str:
    _unread(value)
    if not isinstance(value, int | float | str):
        raise ValueError("expected a code: a number, or a text exactly as in the file")
    return value


def _label(value: object) -> str:
    return str(_code(value))


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if not all(map(finite, value)):
        raise ValueError(
            f"expected two plausible limits, got [{value[0]:g}, {value[1]:g}]; "
            "where none is known, leave range out"
        )
    if not value[0] < value[1]:
        raise ValueError(f"expected [lowest, highest], got [{value[0]:g}, {value[1]:g}]")
    return value


def _distinct(value: object) -> object:
    """Of the labels 1 and "1" the second would take the place of the first."""
    if isinstance(value, Mapping):
        for label, count in Counter(map(str, value)).items():
            if count > 1:
                raise ValueError(f"label {shown(label)} is written twice")
    return value


# A number matches every spelling of it (1, 1.0, 01); a text matches exactly.
Code = Annotated[int | float | str, PlainValidator(_code)]
Label = Annotated[str, PlainValidator(_label)]
Distinct = BeforeValidator(_distinct)
"""Of what is keyed by labels."""
Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class Strict(BaseModel):
    """A part of `cohort.yaml`; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Rule:
    """How the cells of one column become numbers; `codes` None: they are numbers already."""

    codes: Mapping[int | float | str, float] | None = None
    unit: str = ""
    range: tuple[float, float] | None = None
    missing: tuple[int | float | str, ...] = ()
    disguised: tuple[int | float | str, ...] = ()
    never_missing: bool = False

    def __hash__(self) -> int:
        """Equal rules read alike; one with a mapping has no hash by itself."""
        return hash((tuple(self.codes or ()), self.missing, self.disguised, self.range))

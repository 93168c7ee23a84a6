"""A picture of each patient: PNG, JPEG, DICOM, or a place in a numpy archive."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
from pydantic import Field

from medgraft.cohorts.cells import Reading, absent
from medgraft.cohorts.codes import Code
from medgraft.cohorts.kinds.kind import Measured
from medgraft.cohorts.schema import Column
from medgraft.cohorts.table import quoted

Pixels = Annotated[int, Field(ge=1, le=4096)]
SHOWN = 60  # characters of a cell worth showing


class Image(Measured):
    """Images of one size and one kind, 8 bits a channel once they are read.

    `resize: fit` scales what is larger or smaller and fills with black, so that shapes are kept;
    `exact` refuses it. `window` (centre, width) is how DICOM values become grey; without it each
    file's own window decides, and a file without one is stretched from its darkest to its
    brightest value. A file's name may tell who the patient is: messages give the line of the list
    alone, unless `identifier: false` says that names tell nobody.
    """

    kind: Literal["image"]
    height: Pixels
    width: Pixels
    mode: Literal["grey", "colour"] = "grey"
    resize: Literal["exact", "fit"] = "exact"
    window: tuple[float, Annotated[float, Field(gt=0)]] | None = None
    identifier: bool = True

    @property
    def channels(self) -> int:
        """How many numbers a pixel has."""
        return {"grey": 1, "colour": 3}[self.mode]

    def read(self, cells: pl.Series, *, missing: tuple[Code, ...], folder: Path) -> Reading:
        """Cells [n] to uint8 [n, c, h, w]; an image that cannot be read is black and `wrong`."""
        from medgraft.cohorts.images import cells as images  # Pillow

        form = images.Form(
            self.channels, self.height, self.width, fit=self.resize == "fit", window=self.window
        )
        values, why = images.read(cells.to_list(), folder, form)
        wrong = np.zeros(len(cells), dtype=bool)
        wrong[list(why)] = True
        gone = absent(cells, (*missing, *self.missing_codes)).to_numpy()
        return Reading(values, gone, wrong | gone, why=why)

    def breach(self, name: str, cells: pl.Series, reading: Reading, row: int) -> str:
        """What is wrong with one cell: `column xray: the image is 8-bit colour, expected …`."""
        if reading.missing[row]:
            return f"column {name}: missing, expected an image"
        if self.identifier:
            return f"column {name}: the image{_place(cells[row])} {reading.why[row]}"
        return f"column {name}: {quoted(cells[row], SHOWN)} {reading.why[row]}"

    def column(self, name: str, reading: Reading) -> Column:
        """The column as the validated cohort states it."""
        del reading
        details = {"channels": self.channels, "height": self.height, "width": self.width}
        return Column(name, "image", may_be_missing=False, details=details)

    def example(self) -> str:
        """A picture that fits: grey shades from left to right."""
        from PIL import Image as Picture

        from medgraft.cohorts.images.cells import MODES, uri

        shades = Picture.linear_gradient("L").rotate(90).resize((self.width, self.height))
        return uri(shades.convert(MODES[self.channels]))


def _place(cell: str) -> str:
    """Where an image lies in its archive, without the archive's name."""
    from medgraft.cohorts.images.cells import PLACE

    place = PLACE.fullmatch(cell)
    return f" {place['array']}/{place['row']}" if place else ""

"""Images of one shape: copies never part, and a copy across the line is a leak."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from medgraft.cohorts.schema import Cohort, Column
from medgraft.errors import ConfigError
from medgraft.preparation import features
from medgraft.preparation.alignment import (
    Aligned,
    Drift,
    Emptiness,
    Feature,
    Summary,
    Table,
    check_agreement,
    numbers_only,
    pool,
)
from medgraft.preparation.drift import drift
from medgraft.preparation.findings import Finding, count, listed
from medgraft.preparation.likeness import near_copies, summaries, thumbnails

Overlap = Literal["refuse", "leave_out", "note"]
Integers = NDArray[np.int64]
GRAIN = 16  # side of the thumbnails by which source and target may be told apart
# Where an image lies twice, the copy in the later of these stays: tests are published, and whoever
# has the smaller cohort can spare nobody.
RANKS = {"source": 0, "train": 1, "": 1, "validation": 2, "test": 3}

NOTHING_ELSE: dict[str, list[str]] = {"source_only": [], "target_only": [], "partly_measured": []}


@dataclass(frozen=True)
class Place:
    """Where a row lies: its role, and the part a given split puts it in ("" without one)."""

    role: str
    part: str

    @property
    def rank(self) -> int:
        """The higher stays."""
        return RANKS[self.part if self.role == "target" else self.role]

    def __str__(self) -> str:
        return f"{self.part} of the target" if self.part else f"the {self.role}"


class Images:
    """One image a row; source and target share one shape.

    Equal images are found by hash. Within a place (the source, the target, or a part of a given
    split) they count as one patient. Between places they leak: `refuse` stops, `leave_out` keeps
    the copy that tests (else the one that stops training, else the target's) and counts the
    others, `note` keeps all and says so.
    """

    name: ClassVar[str] = "image"

    def __init__(self, overlap: Overlap = "refuse") -> None:
        if overlap not in get_args(Overlap):
            expected = ", ".join(get_args(Overlap))
            raise ConfigError(f"alignment overlap {overlap!r}: expected one of {expected}")
        self.overlap: Overlap = overlap

    def align(self, sources: Sequence[Cohort], targets: Sequence[Cohort]) -> Aligned:
        """Pool each role's images, as they were read.

        Raises:
            CohortError: a cohort has no image, or images of another shape.
        """
        cohorts = [*sources, *targets]
        check_agreement(sources, targets, _shape_conflicts(cohorts))
        column = cohorts[0].columns[0]
        shape = "{channels} × {height} × {width}".format(**column.details)
        aligned = Aligned(
            features=(Feature(column, "shared"),),
            source=pool("source", sources),
            target=pool("target", targets),
            told={"mode": self.overlap, "shared": [column.name]} | NOTHING_ELSE,
            line=f"images: {shape} (channels × height × width); copies: {self.overlap}",
        )
        return _without_copies(aligned) if self.overlap == "leave_out" else aligned

    def group(self, aligned: Aligned) -> tuple[Integers, Integers, list[Finding]]:
        """Rows of one patient, or with the same image in one place, never part."""
        codes: list[Integers] = []
        joined: list[Finding] = []
        for table in aligned.tables:
            person = _codes(table.patient)
            picture = _codes(list(zip(_digests(table), _places(table), strict=True)))
            code = _connected(person, picture)
            codes.append(code)
            joined.extend(_joined(table, person, picture))
        return codes[0], codes[1], joined

    def findings(self, aligned: Aligned) -> Iterator[Finding]:
        """Copies across places, near copies, blank images, and what plain light gives away."""
        yield from _crossing(aligned, "leak" if self.overlap == "refuse" else "warning")
        yield from _alike(aligned)
        light = _light(aligned)
        for table in light.tables:
            yield from _blank(table)
        yield from features.findings(light)

    def drift(self, aligned: Aligned) -> list[Drift]:
        """Brightness and contrast of the images, and the histogram of their pixels."""
        return [*drift(_light(aligned)), *_histogram_drift(aligned)]

    def measurements(self, aligned: Aligned) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Give thumbnails of 16 × 16 means."""
        source, target = (summary(table.x).values for table in aligned.tables)
        return source, target


def summary(x: NDArray[np.uint8], features: object = None) -> Summary:
    """Give thumbnails of 16 × 16 means of the images [n, channels, height, width]."""
    del features
    small = thumbnails(x, min(GRAIN, *x.shape[2:])).reshape(len(x), -1)
    return numbers_only(small.astype(np.float64))


def emptiness(x: NDArray[np.uint8], features: object = None) -> Emptiness:
    """Say which images tell nothing, and how."""
    del features
    return np.ptp(x.reshape(len(x), -1), axis=1) == 0, "all pixels are alike"


def _shape_conflicts(cohorts: Sequence[Cohort]) -> Iterator[str]:
    first: Cohort | None = None
    for cohort in cohorts:
        if [column.kind for column in cohort.columns] != ["image"]:
            kinds = listed([f"{column.name} ({column.kind})" for column in cohort.columns])
            yield f"{cohort.name}: expected one image column and nothing else, got {kinds}"
            continue
        first = first or cohort
        here, there = (one.columns[0].details for one in (cohort, first))
        for fact in ("channels", "height", "width"):
            if here[fact] != there[fact]:
                yield (
                    f"image {fact} is {there[fact]} in {first.name}, {here[fact]} in {cohort.name}"
                )


def _digests(table: Table) -> list[bytes]:
    """A fingerprint per image; equal exactly where every pixel is."""
    return [blake2b(image.tobytes(), digest_size=16).digest() for image in table.x]


def _places(table: Table) -> list[Place]:
    parts = [""] * len(table) if table.split is None else table.split.tolist()
    return [Place(table.role, part if table.role == "target" else "") for part in parts]


def _without_copies(aligned: Aligned) -> Aligned:
    """Of an image in several places only the copies in the highest one stay."""
    highest: dict[bytes, Place] = {}
    known = [list(zip(_digests(t), _places(t), strict=True)) for t in aligned.tables]
    for digest, place in [*known[0], *known[1]]:
        if digest not in highest or place.rank > highest[digest].rank:
            highest[digest] = place
    excluded: dict[str, dict[str, int]] = {}
    tables = []
    for table, rows in zip(aligned.tables, known, strict=True):
        stays = np.array([place == highest[digest] for digest, place in rows])
        for row in np.flatnonzero(~stays):
            reason = f"copy of an image in {highest[rows[row][0]]}"
            reasons = excluded.setdefault(table.site[row], {})
            reasons[reason] = reasons.get(reason, 0) + 1
        tables.append(table if stays.all() else table.take(stays))
    return replace(aligned, source=tables[0], target=tables[1], excluded=excluded)


def _crossing(aligned: Aligned, severity: Any) -> Iterator[Finding]:
    """Images that lie in several places, for every pair of places."""
    where: dict[bytes, dict[Place, list[str]]] = {}
    for table in aligned.tables:
        named = (f"{site} line {line}" for site, line in zip(table.site, table.line, strict=True))
        for digest, place, name in zip(_digests(table), _places(table), named, strict=True):
            where.setdefault(digest, {}).setdefault(place, []).append(name)
    pairs: dict[tuple[Place, Place], list[str]] = {}
    for lies in where.values():
        low, *others = sorted(lies, key=lambda place: place.rank)
        for high in others:
            pairs.setdefault((low, high), []).append(f"{lies[low][0]} is {lies[high][0]}")
    for (low, high), copies in pairs.items():
        message = (
            f"{count(len(copies), 'image')} of {low} also in {high} ({listed(copies)}); "
            "preparation.align.overlap=leave_out counts the first and goes on without them"
        )
        yield Finding("identical images", severity, f"{low} and {high}", len(copies), message)


def _alike(aligned: Aligned) -> Iterator[Finding]:
    """Images of the target that look like one of the source; a warning, as likeness is no proof."""
    source, target = aligned.tables
    pairs = near_copies(source.x, target.x)
    if pairs:
        shown = [
            f"{source.site[i]} line {source.line[i]} and {target.site[j]} line {target.line[j]}"
            for i, j in pairs
        ]
        message = (
            f"{count(len(pairs), 'pair')} of source and target images that differ in little but "
            f"light ({listed(shown)}): the same patient?"
        )
        yield Finding("near copies", "warning", "source and target", len(pairs), message)


def _joined(table: Table, person: Integers, picture: Integers) -> Iterator[Finding]:
    """Images that several patients of one place share."""
    pairs = np.unique(np.stack([picture, person]), axis=1)[0]
    shared = np.isin(picture, np.flatnonzero(np.bincount(pairs) > 1))
    if shared.any():
        rows = int(shared.sum())
        lines = listed([f"{table.site[i]} line {table.line[i]}" for i in np.flatnonzero(shared)])
        message = (
            f"{count(rows, 'image')} of the {table.role} equal to another patient's ({lines}): "
            "treated as one patient, so copies never part"
        )
        yield Finding("copied images", "warning", table.role, rows, message)


def _connected(person: Integers, picture: Integers) -> Integers:
    """Codes [n], numbered by first appearance, of rows joined by person or picture."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    people = int(person.max()) + 1
    size = people + int(picture.max()) + 1
    edges = (np.ones(len(person), dtype=bool), (person, people + picture))
    component = connected_components(coo_array(edges, shape=(size, size)), directed=False)[1]
    return _codes(component[person].tolist())


def _codes(values: Sequence[Any] | NDArray) -> Integers:
    """0, 1, … in the order in which different values first appear."""
    number: dict[Any, int] = {}
    return np.array([number.setdefault(value, len(number)) for value in values], dtype=np.int64)


def _light(aligned: Aligned) -> Aligned:
    """The same rows with the brightness and the contrast of each image instead of its pixels."""
    columns = [Column(name, "number", may_be_missing=False) for name in ("brightness", "contrast")]
    source, target = (replace(table, x=summaries(table.x)) for table in aligned.tables)
    return replace(
        aligned,
        features=tuple(Feature(column, "shared") for column in columns),
        source=source,
        target=target,
    )


def _blank(light: Table) -> Iterator[Finding]:
    blank = np.flatnonzero(light.x[:, 1] == 0)
    if len(blank):
        lines = listed([f"{light.site[i]} line {light.line[i]}" for i in blank])
        message = f"{count(len(blank), 'image')} of the {light.role} of one shade ({lines})"
        yield Finding("blank images", "warning", light.role, len(blank), message)


def _histogram_drift(aligned: Aligned) -> Iterator[Drift]:
    """Half the summed difference of the shares of all levels, channel by channel.

    Without a p: the pixels of an image are not independent.
    """
    name = aligned.columns[0].name
    for channel in range(aligned.source.x.shape[1]):
        counts = [
            np.bincount(table.x[:, channel].ravel(), minlength=256) for table in aligned.tables
        ]
        shares = [number / number.sum() for number in counts]
        label = f"{name} pixels" + (f", channel {channel}" if aligned.source.x.shape[1] > 1 else "")
        yield Drift(label, total_variation=float(np.abs(shares[0] - shares[1]).sum() / 2))

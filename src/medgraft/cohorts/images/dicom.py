"""DICOM files to pictures of 8 bits: rescale, window, invert.

Of a file's own windows the first is taken, as a straight line (PS3.3, C.11.2.1.2); without one the
smallest and largest value of the image are its limits. VOI look-up tables are not applied.
A header names the patient, and a damaged one anywhere: no message repeats a value, but codes known.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgraft.cohorts.images.pictures import UnreadableImageError, Window, refuse_bomb

if TYPE_CHECKING:
    from pydicom import Dataset

COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
# Defined terms of the standard (PS3.3, C.7.3.1.1.1) that a list of images is likely to meet.
MODALITIES = (
    *("AR", "AU", "BI", "CR", "CT", "DX", "ECG", "EEG", "EMG", "EOG", "ES", "GM", "HD", "IO"),
    *("IVOCT", "IVUS", "KO", "LS", "MG", "MR", "NM", "OCT", "OP", "OT", "PR", "PT", "PX", "REG"),
    *("RF", "RG", "RTDOSE", "RTIMAGE", "RTPLAN", "RTRECORD", "RTSTRUCT", "SC", "SEG", "SM"),
    *("SR", "TG", "US", "XA", "XC"),
)
PATIENT = ["PatientID", "IssuerOfPatientID"]


def picture(data: bytes, *, window: Window | None = None) -> Image.Image:
    """Decode one single-frame DICOM file to a grey or colour picture.

    Args:
        data: the whole file.
        window: centre and width in the file's rescaled values, instead of the file's own.

    Raises:
        UnreadableImageError: it has no pixels, several frames, a compression without a decoder, or
            is damaged.
    """
    with _unquoted():
        return _picture(_dataset(data), window)


@contextmanager
def _unquoted() -> Iterator[None]:
    """What pydicom raises, warns of and logs, without the values of the header it repeats."""
    log = logging.getLogger("pydicom")
    before, log.disabled = log.disabled, True
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except UnreadableImageError:
        raise
    except Exception as error:  # tags are decoded when asked for, and raise many kinds
        kind = type(error).__name__
        raise UnreadableImageError(f"is a damaged DICOM file ({kind})") from None
    finally:
        log.disabled = before


def _picture(dataset: Dataset, window: Window | None) -> Image.Image:
    _refuse(dataset)
    kind = _value(dataset, "PhotometricInterpretation")
    if kind not in (*GREY, PALETTE, *COLOUR):
        raise UnreadableImageError(
            f"has an unknown PhotometricInterpretation, expected one of "
            f"{', '.join((*GREY, PALETTE, *COLOUR))}"
        )
    pixels = _pixels(dataset)
    if kind in COLOUR:
        return Image.fromarray(_bytes(pixels))
    if kind == PALETTE:
        from pydicom.pixels import apply_color_lut

        return Image.fromarray(_bytes(apply_color_lut(pixels, dataset)))
    grey = windowed(_rescaled(pixels, dataset), window or _own_window(dataset))
    return Image.fromarray(255 - grey if kind == "MONOCHROME1" else grey)


def patient(data: bytes) -> str:
    """Who the picture shows, as the file says it; "" where it says nothing or is no DICOM file."""
    try:
        with _unquoted():
            dataset = _dataset(data, specific_tags=PATIENT, stop_before_pixels=True)
            known, issuer = (str(dataset.get(name) or "").strip() for name in PATIENT)
    except UnreadableImageError:
        return ""
    return f"{issuer}:{known}" if known and issuer else known


def windowed(values: NDArray[np.float32], window: Window | None) -> NDArray[np.uint8]:
    """Values [h, w] to levels 0 to 255: outside the window black and white, a line within.

    The standard's LINEAR function, PS3.3 C.11.2.1.2.1; without a window, smallest to largest.
    """
    if window is None:
        low, high = float(values.min()), float(values.max())
    else:
        centre, width = window[0] - 0.5, max(window[1] - 1, 1e-6)
        low, high = centre - width / 2, centre + width / 2
    share = (values - low) / (high - low if high > low else 1.0)
    return np.rint(255 * share.clip(0, 1)).astype(np.uint8)


def _dataset(data: bytes, **options: Any) -> Dataset:
    try:
        from pydicom import dcmread
    except ModuleNotFoundError:
        raise UnreadableImageError(
            'is a DICOM file, which needs pydicom: pip install "medgraft[images]"'
        ) from None
    return dcmread(io.BytesIO(data), **options)


def _refuse(dataset: Dataset) -> None:
    if "PixelData" not in dataset:
        modality = _value(dataset, "Modality")
        modality = modality if modality in MODALITIES else "unknown"
        raise UnreadableImageError(f"is a DICOM file without pixels (modality {modality})")
    frames = int(_value(dataset, "NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImageError(
            f"holds {frames} frames, expected 1; write the frame to be used to a file of its own"
        )
    refuse_bomb(*(int(_value(dataset, name) or 0) for name in ("Columns", "Rows")))


def _pixels(dataset: Dataset) -> NDArray:
    from pydicom.pixels import get_decoder, pixel_array
    from pydicom.uid import UID_dictionary

    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        ready = not syntax.is_compressed or get_decoder(syntax).is_available
    except (AttributeError, NotImplementedError, ValueError):
        ready, syntax = False, dataset.file_meta.get("TransferSyntaxUID")
    if not ready:
        name = syntax.name if syntax in UID_dictionary else "an unknown way"
        raise UnreadableImageError(
            f"is compressed as {name}, for which pydicom finds no decoder here"
        )
    return pixel_array(dataset)


def _rescaled(pixels: NDArray, dataset: Dataset) -> NDArray[np.float32]:
    from pydicom.pixels import apply_modality_lut

    for tag in ("RescaleSlope", "RescaleIntercept"):
        _number(dataset, tag)
    with np.errstate(over="ignore"):  # refused below
        values = apply_modality_lut(pixels, dataset).astype(np.float32)
    if not np.isfinite(values).all() or (np.ptp(values) == 0 and np.ptp(pixels) > 0):
        raise UnreadableImageError(
            "has a RescaleSlope or RescaleIntercept that leaves no picture: too large, or slope 0"
        )
    return values


def _own_window(dataset: Dataset) -> Window | None:
    centre, width = (_number(dataset, name) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    if width <= 0:
        raise UnreadableImageError("has a WindowWidth that is not above 0")
    return centre, width


def _number(dataset: Dataset, tag: str) -> float | None:
    """The first of a tag's numbers; None where it has none."""
    value = _value(dataset, tag)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):  # pydicom leaves as text what is none
        number = math.nan
    if not math.isfinite(number):
        raise UnreadableImageError(f"has a {tag} that is no finite number")
    return number


def _value(dataset: Dataset, tag: str) -> Any:
    """The first of a tag's values, decoded now; None where it has none."""
    from pydicom.multival import MultiValue

    try:
        value = dataset.get(tag)
    except Exception as error:  # as many kinds as there are ways to spoil a tag
        kind = type(error).__name__
        raise UnreadableImageError(f"is a damaged DICOM file ({kind} in {tag})") from None
    return (value[0] if len(value) else None) if isinstance(value, MultiValue) else value


def _bytes(pixels: NDArray) -> NDArray[np.uint8]:
    """Colour of 8 or 16 bits as 8."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)

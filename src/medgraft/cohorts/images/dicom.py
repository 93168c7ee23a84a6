"""DICOM files to pictures of 8 bits: rescale, window, invert.

Of a file's own windows the first is taken, as a straight line (PS3.3, C.11.2.1.2); without one the
smallest and largest value of the image are its limits. VOI look-up tables are not applied.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medgraft.cohorts.images.pictures import UnreadableImageError, Window, refuse_bomb

if TYPE_CHECKING:
    from pydicom import Dataset

COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
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
    dataset = _dataset(data)
    try:
        return _picture(dataset, window)
    except UnreadableImageError:
        raise
    except Exception as error:  # tags are decoded when they are asked for, and raise many kinds
        raise UnreadableImageError(f"is a damaged DICOM file ({_line(error)})") from None


def _picture(dataset: Dataset, window: Window | None) -> Image.Image:
    _refuse(dataset)
    pixels = _pixels(dataset)
    kind = str(dataset.PhotometricInterpretation)
    if kind in COLOUR:
        return Image.fromarray(_bytes(pixels))
    if kind == "PALETTE COLOR":
        from pydicom.pixels import apply_color_lut

        return Image.fromarray(_bytes(apply_color_lut(pixels, dataset)))
    grey = windowed(_rescaled(pixels, dataset), window or _own_window(dataset))
    return Image.fromarray(255 - grey if kind == "MONOCHROME1" else grey)


def patient(data: bytes) -> str:
    """Who the picture shows, as the file says it; "" where it says nothing or is no DICOM file."""
    try:
        dataset = _dataset(data, specific_tags=PATIENT, stop_before_pixels=True)
        known, issuer = (str(dataset.get(name) or "").strip() for name in PATIENT)
    except Exception:  # a damaged file, found out when it is opened or when a tag is decoded
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
    try:
        return dcmread(io.BytesIO(data), **options)
    except Exception as error:  # pydicom raises many kinds for a damaged file
        raise UnreadableImageError(f"is a damaged DICOM file ({_line(error)})") from None


def _refuse(dataset: Dataset) -> None:
    if "PixelData" not in dataset:
        modality = dataset.get("Modality") or "unknown"
        raise UnreadableImageError(f"is a DICOM file without pixels (modality {modality})")
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames > 1:
        raise UnreadableImageError(
            f"holds {frames} frames, expected 1; write the frame to be used to a file of its own"
        )
    refuse_bomb(int(dataset.get("Columns") or 0), int(dataset.get("Rows") or 0))


def _pixels(dataset: Dataset) -> NDArray:
    from pydicom.pixels import get_decoder, pixel_array

    try:
        syntax = dataset.file_meta.TransferSyntaxUID
        ready = not syntax.is_compressed or get_decoder(syntax).is_available
    except (AttributeError, NotImplementedError):
        ready, syntax = False, dataset.file_meta.get("TransferSyntaxUID")
    if not ready:
        name = getattr(syntax, "name", "an unknown way")
        raise UnreadableImageError(
            f"is compressed as {name}, for which pydicom finds no decoder here"
        )
    try:
        return pixel_array(dataset)
    except Exception as error:  # pydicom and its decoders raise many kinds for a damaged file
        raise UnreadableImageError(f"is a damaged DICOM file ({_line(error)})") from None


def _rescaled(pixels: NDArray, dataset: Dataset) -> NDArray[np.float32]:
    from pydicom.pixels import apply_modality_lut

    return apply_modality_lut(pixels, dataset).astype(np.float32)


def _own_window(dataset: Dataset) -> Window | None:
    pair = [_first(dataset.get(name)) for name in ("WindowCenter", "WindowWidth")]
    return None if None in pair else (float(pair[0]), float(pair[1]))


def _first(value: Any) -> Any:
    from pydicom.multival import MultiValue

    return (value[0] if len(value) else None) if isinstance(value, MultiValue) else value


def _bytes(pixels: NDArray) -> NDArray[np.uint8]:
    """Colour of 8 or 16 bits as 8."""
    return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(". ")

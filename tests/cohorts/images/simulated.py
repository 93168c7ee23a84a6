"""Folders of images as a user would bring them, and DICOM files as a scanner would write them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

DESCRIPTION = """\
name: films
patient: {patient}
outcomes:
  ill: {{column: ill, task: binary, negative: [0], positive: [1]}}
columns:
  film: {{kind: image, height: 8, width: 6, mode: {mode}, resize: {resize}{more}}}
format: {{reader: {reader}}}
sites:
  here: {{file: {file}}}
"""


def folder(
    at: Path,
    films: dict[str, bytes],
    *,
    mode: str = "grey",
    resize: str = "exact",
    more: str = "",
    reader: str = "medgraft.cohorts.readers.csv.read",
    patient: str = "row",
) -> Path:
    """A list of `films` (name -> content), the files, and their description."""
    at.mkdir(exist_ok=True)
    for name, data in films.items():
        if name and "/" not in name and not name.startswith("data:"):
            (at / name).write_bytes(data)
    rows = "".join(f'"{name}",{i % 2}\n' for i, name in enumerate(films))
    (at / "list.csv").write_text("film,ill\n" + rows)
    text = DESCRIPTION.format(
        mode=mode, resize=resize, more=more, reader=reader, patient=patient, file="list.csv"
    )
    (at / "cohort.yaml").write_text(text)
    return at


def shades(height: int = 8, width: int = 6, channels: int = 1, *, seed: int = 0) -> np.ndarray:
    """Any picture: uint8 [h, w] or [h, w, 3]."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def png(picture: np.ndarray | Image.Image, kind: str = "PNG") -> bytes:
    """Its file."""
    data = io.BytesIO()
    whole = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    whole.save(data, format=kind)
    return data.getvalue()


def dicom(pixels: np.ndarray | None, **tags: Any) -> bytes:
    """A DICOM file of grey `pixels` [h, w] or [frames, h, w], int16, with more tags."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = tags.pop("syntax", ExplicitVRLittleEndian)
    made.SOPClassUID, made.SOPInstanceUID = CTImageStorage, generate_uid()
    made.Modality, made.PatientID = "CT", "P1"
    if pixels is not None:
        made.Rows, made.Columns = pixels.shape[-2:]
        if pixels.ndim == 3:
            made.NumberOfFrames = len(pixels)
        made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
        made.BitsAllocated = made.BitsStored = 16
        made.HighBit, made.PixelRepresentation = 15, 1
        made.PixelData = pixels.astype("<i2").tobytes()
    for name, value in tags.items():
        setattr(made, name, value)
    data = io.BytesIO()
    made.save_as(data, enforce_file_format=True)
    return data.getvalue()

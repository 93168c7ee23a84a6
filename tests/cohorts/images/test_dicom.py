import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pydicom = pytest.importorskip("pydicom", reason='needs pydicom: pip install "medgraft[images]"')

from cohorts.images.simulated import dicom, folder  # noqa: E402
from medgraft.cohorts.images.dicom import patient  # noqa: E402
from medgraft.cohorts.images.pictures import UnreadableImageError, picture  # noqa: E402
from medgraft.cohorts.load import load  # noqa: E402
from medgraft.errors import CohortError  # noqa: E402

HOUNSFIELD = {"RescaleSlope": 2, "RescaleIntercept": -1000, "RescaleType": "HU"}
READER = "medgraft.cohorts.readers.dicom.read, image: film, patient: who"


def ramp() -> np.ndarray:
    return np.arange(48).reshape(8, 6) * 20


def refused(data: bytes) -> str:
    with pytest.raises(UnreadableImageError) as caught:
        picture(data)
    return str(caught.value)


def test_window_is_the_standards(tmp_path):
    """Rescaled and windowed as pydicom does it, up to the rounding to 8 bits."""
    data = dicom(ramp(), WindowCenter=[-400, 10], WindowWidth=[600, 20], **HOUNSFIELD)
    stored = pydicom.dcmread(io.BytesIO(data))
    values = pydicom.pixels.apply_modality_lut(stored.pixel_array, stored)
    shown = pydicom.pixels.apply_windowing(values, stored)
    low, high = (2 * limit - 1000 for limit in (-(2**15), 2**15 - 1))  # of 16 signed bits, rescaled
    np.testing.assert_allclose(picture(data), 255 * (shown - low) / (high - low), atol=0.51)


def test_given_window_wins():
    """Centre 100, width 101: black up to 49.5, white from 149.5."""
    data = dicom(ramp(), WindowCenter=0, WindowWidth=5)
    found = np.asarray(picture(data, window=(100, 101))).ravel()
    assert found[:10].tolist() == [0, 0, 0, 27, 78, 129, 180, 231, 255, 255]


def test_without_window_the_image_decides():
    found = np.asarray(picture(dicom(ramp())))
    assert (found.min(), found.max()) == (0, 255)


def test_monochrome1_is_inverted():
    plain, inverted = (
        np.asarray(picture(dicom(ramp(), PhotometricInterpretation=f"MONOCHROME{i}")))
        for i in (2, 1)
    )
    np.testing.assert_array_equal(plain, 255 - inverted)


@st.composite
def stored(draw):
    """Any pixels [3, 4] of 8 to 16 bits, signed or not, and the tags that say so."""
    bits, signed = draw(st.sampled_from([8, 10, 12, 16])), draw(st.booleans())
    low = -(2 ** (bits - 1)) if signed else 0
    values = draw(st.lists(st.integers(low, low + 2**bits - 1), min_size=12, max_size=12))
    size = 8 if bits == 8 else 16
    pixels = np.array(values).reshape(3, 4)
    kind = f"<{'i' if signed else 'u'}{size // 8}"
    return pixels, {
        "BitsAllocated": size,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(signed),
        "PixelData": pixels.astype(kind).tobytes(),
    }


@settings(max_examples=100, deadline=None)
@given(
    stored=stored(),
    slope=st.sampled_from([1, 2, 0.5, 0.25, -1, -3]),
    intercept=st.integers(-2000, 2000),
    inverted=st.booleans(),
    window=st.none() | st.tuples(st.integers(-1000, 1000), st.integers(2, 4000)),
)
def test_every_pixel_comes_out_as_it_was_written(stored, slope, intercept, inverted, window):
    """To the nearest of 256 levels: slope and intercept, the window, black and white changed."""
    pixels, tags = stored
    values = slope * pixels + intercept
    low, high = values.min(), values.max()
    if window:
        low, high = window[0] - 0.5 - (window[1] - 1) / 2, window[0] - 0.5 + (window[1] - 1) / 2
        tags |= {"WindowCenter": window[0], "WindowWidth": window[1]}
    expected = 255 * ((values - low) / max(high - low, 1e-9)).clip(0, 1)
    scaled = {"RescaleSlope": slope, "RescaleIntercept": intercept, "RescaleType": "US"}
    kind = {"PhotometricInterpretation": f"MONOCHROME{1 if inverted else 2}"}
    found = np.asarray(picture(dicom(pixels, **scaled, **kind, **tags))).astype(int)
    np.testing.assert_allclose(255 - found if inverted else found, expected, atol=0.501)


def test_frames_are_refused():
    assert refused(dicom(np.zeros((3, 8, 6)))) == (
        "holds 3 frames, expected 1; write the frame to be used to a file of its own"
    )


def test_no_pixels_are_refused():
    assert refused(dicom(None)) == "is a DICOM file without pixels (modality CT)"


def test_unknown_compression_is_refused():
    compressed = pydicom.encaps.encapsulate([b"\0" * 10])
    data = dicom(ramp(), syntax=pydicom.uid.HTJ2KLossless, PixelData=compressed)
    assert refused(data) == (
        "is compressed as High-Throughput JPEG 2000 Image Compression (Lossless Only), for which "
        "pydicom finds no decoder here"
    )


def test_cut_file_is_refused():
    assert refused(dicom(ramp())[:-40]).startswith("is a damaged DICOM file (")


def test_damaged_tags_are_refused():
    """pydicom decodes a tag when it is asked for: what a flipped byte does there is no crash."""
    data = dicom(ramp(), PatientID="Eve")
    rows, who = b"\x28\x00\x10\x00", b"\x10\x00\x20\x00"
    assert refused(data.replace(rows + b"US", rows + b"Lr")).startswith("is a damaged DICOM file (")
    assert patient(data.replace(who + b"LO", who + b"Lr")) == ""
    assert patient(data) == "Eve"


CANARY = "Canary^Eve1"


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        ("RescaleSlope", "has a RescaleSlope that is no finite number"),
        ("RescaleIntercept", "has a RescaleIntercept that is no finite number"),
        ("WindowCenter", "has a WindowCenter that is no finite number"),
        ("WindowWidth", "has a WindowWidth that is no finite number"),
        ("PhotometricInterpretation", "has an unknown PhotometricInterpretation, expected one of "),
    ],
)
def test_no_value_of_the_header_is_repeated(tag, told, recwarn, caplog):
    """Neither by the message, nor by a warning or the log: it may be the patient's name."""
    scaled = {"RescaleSlope": 1, "RescaleIntercept": 0, "WindowCenter": 9, "WindowWidth": 9}
    plain = "12345678901" if tag in scaled else "MONOCHROME9"
    data = dicom(ramp(), **{**scaled, tag: plain}).replace(plain.encode(), CANARY.encode())
    said = refused(data)
    assert said.startswith(told)
    assert "Canary" not in said
    assert not recwarn.list
    assert not caplog.text


def test_unknown_modality_is_not_repeated(recwarn):
    said = refused(dicom(None, Modality="CANARY"))
    assert said == "is a DICOM file without pixels (modality unknown)"
    assert not recwarn.list


@pytest.mark.parametrize(
    ("tags", "told"),
    [
        ({"RescaleSlope": "0", "RescaleIntercept": "0"}, "RescaleSlope"),
        ({"RescaleSlope": "1", "RescaleIntercept": "1e39"}, "RescaleIntercept"),
        ({"RescaleSlope": "1", "RescaleIntercept": "1e30"}, "RescaleIntercept"),
        ({"RescaleSlope": "nan", "RescaleIntercept": "0"}, "RescaleSlope"),
        ({"WindowCenter": "nan", "WindowWidth": "10"}, "WindowCenter"),
        ({"WindowCenter": "1e400", "WindowWidth": "10"}, "WindowCenter"),
        ({"WindowCenter": "10", "WindowWidth": "-10"}, "WindowWidth"),
        ({"WindowCenter": "10", "WindowWidth": "0"}, "WindowWidth"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of pydicom, as it writes such values
def test_tags_that_make_no_picture_are_named(tags, told):
    assert told in refused(dicom(ramp(), **tags))


def test_messages_name_file_and_record(tmp_path):
    films = {"a.dcm": dicom(ramp()), "b.dcm": dicom(None), "c.dcm": dicom(np.zeros((2, 8, 6)))}
    at = folder(tmp_path / "films", films)
    with pytest.raises(CohortError) as caught:
        load(at, "here", "ill")
    assert str(caught.value) == (
        f"{at}/list.csv, line 3, column film: the image is a DICOM file without pixels "
        f"(modality CT)\n"
        f"{at}/list.csv, line 4, column film: the image holds 2 frames, expected 1; write the "
        "frame to be used to a file of its own"
    )


def test_patient_comes_from_the_file(tmp_path):
    """Two films of one person belong together; a film of nobody is refused, and nobody is named."""
    films = {
        f"{i}.dcm": dicom(ramp(), PatientID=who) for i, who in enumerate(("Eve", "Ada", "Eve"))
    }
    at = folder(tmp_path / "films", films, reader=READER, patient="who")
    assert load(at, "here", "ill").patient.tolist() == ["Eve", "Ada", "Eve"]
    (at / "2.dcm").write_bytes(dicom(ramp(), PatientID=""))
    with pytest.raises(CohortError) as caught:
        load(at, "here", "ill")
    assert str(caught.value) == (
        f"{at}/list.csv, line 4, column who: missing, expected a patient identifier"
    )


REAL = {
    "CT_small.dcm": ("L", (128, 128)),
    "MR_small.dcm": ("L", (64, 64)),
    "MR_small_RLE.dcm": ("L", (64, 64)),
    "MR_small_bigendian.dcm": ("L", (64, 64)),
    "examples_overlay.dcm": ("L", (484, 300)),
    "examples_palette.dcm": ("RGB", (800, 350)),
    "examples_rgb_color.dcm": ("RGB", (320, 240)),
    "SC_rgb_jpeg_dcmtk.dcm": ("RGB", (100, 100)),
    "examples_jpeg2k.dcm": ("RGB", (640, 480)),
    "rtdose_1frame.dcm": ("L", (10, 10)),
    "liver_1frame.dcm": ("L", (512, 512)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_become_pictures(cohorts_folder, name):
    found = picture((cohorts_folder / "dicom_samples" / name).read_bytes())
    assert (found.mode, found.size) == REAL[name]
    assert len(np.unique(np.asarray(found))) > 1


def test_encodings_of_one_image_agree(cohorts_folder):
    """The same magnetic resonance image in four transfer syntaxes."""
    names = ("MR_small", "MR_small_RLE", "MR_small_bigendian", "MR_small_implicit")
    films = [picture((cohorts_folder / "dicom_samples" / f"{n}.dcm").read_bytes()) for n in names]
    for film in films[1:]:
        np.testing.assert_array_equal(np.asarray(film), np.asarray(films[0]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test-SR.dcm", "is a DICOM file without pixels (modality SR)"),
        ("waveform_ecg.dcm", "is a DICOM file without pixels (modality ECG)"),
        (
            "examples_ybr_color.dcm",
            "holds 30 frames, expected 1; write the frame to be used to a file of its own",
        ),
    ],
)
def test_real_files_are_refused(cohorts_folder, name, message):
    assert refused((cohorts_folder / "dicom_samples" / name).read_bytes()) == message


def test_palette_has_its_colours(cohorts_folder):
    """Pixel by pixel what pydicom's look-up table says."""
    data = (cohorts_folder / "dicom_samples" / "examples_palette.dcm").read_bytes()
    stored = pydicom.dcmread(io.BytesIO(data))
    colours = pydicom.pixels.apply_color_lut(stored.pixel_array, stored) >> 8
    np.testing.assert_array_equal(np.asarray(picture(data)), colours)

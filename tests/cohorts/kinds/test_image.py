import base64

import numpy as np
import pytest
from PIL import Image as Picture

from cohorts.images.simulated import folder, png, shades
from medgraft.cohorts.images import pictures
from medgraft.cohorts.kinds.image import Image
from medgraft.cohorts.load import load
from medgraft.errors import CohortError


def refused(at) -> str:
    with pytest.raises(CohortError) as caught:
        load(at, "here", "ill")
    return str(caught.value)


def test_png_files_keep_every_pixel(tmp_path):
    films = [shades(seed=i) for i in range(3)]
    at = folder(tmp_path / "films", {f"{i}.png": png(film) for i, film in enumerate(films)})
    cohort = load(at, "here", "ill")
    assert cohort.values.dtype == np.uint8
    np.testing.assert_array_equal(cohort.values, np.stack(films)[:, None])
    assert cohort.columns[0].details == {"channels": 1, "height": 8, "width": 6}


def test_colour_is_channels_first(tmp_path):
    film = shades(channels=3)
    at = folder(tmp_path / "films", {"a.png": png(film), "b.png": png(film)}, mode="colour")
    np.testing.assert_array_equal(load(at, "here", "ill").values[1], np.moveaxis(film, -1, 0))


@pytest.mark.parametrize("named", [False, True])
def test_every_wrong_image_is_told(tmp_path, named):
    """By its line, as a name may be a patient's; by name where the description allows it."""
    whole = png(shades())
    films = {
        "text.png": b"not an image",
        "cut.png": whole[:-30],
        "large.png": png(shades(9, 6)),
        "colour.png": png(shades(channels=3)),
        "clear.png": png(Picture.new("RGBA", (6, 8))),
        "gone/absent.png": b"",
        "../secret.png": b"",
        "data:image/png;base64,???": b"",
        "whole.png": whole,
    }
    films["Wilhelmina.npz#a/3"] = b""
    at = folder(tmp_path / "films", films)
    if named:
        path = at / "cohort.yaml"
        path.write_text(path.read_text().replace("kind: image", "kind: image, identifier: false"))
    shown = [line.removeprefix(f"{at}/list.csv, ") for line in refused(at).splitlines()]
    cells = [f'"{cell}"' if named else "the image" for cell in films]
    cells[-1] = cells[-1] if named else "the image a/3"
    assert shown[1].startswith(f"line 3, column film: {cells[1]} is damaged or cut short (")
    assert shown[:1] + shown[2:] == [
        f"line 2, column film: {cells[0]} is not a PNG, JPEG or DICOM image",
        f"line 4, column film: {cells[2]} is 6 × 9 pixels (width × height), expected 6 × 8",
        f"line 5, column film: {cells[3]} is 8-bit colour, expected 8-bit grey",
        f"line 6, column film: {cells[4]} is mode RGBA, expected 8-bit grey",
        f"line 7, column film: {cells[5]} cannot be read: is there such a file?",
        f"line 8, column film: {cells[6]} lies outside the cohort's folder",
        f"line 9, column film: {cells[7]} is not base64 text",
        f"line 11, column film: {cells[9]} is said to be in an archive: there is no such file",
    ]


def test_how_many_more_are_wrong(tmp_path):
    at = folder(tmp_path / "films", {f"{i}.png": png(shades(5, 5)) for i in range(23)})
    message = refused(at).splitlines()
    assert len(message) == 21
    assert message[-1] == "… and 3 more"


def test_missing_image_is_refused(tmp_path):
    at = folder(tmp_path / "films", {"a.png": png(shades()), "": b""})
    assert refused(at) == f"{at}/list.csv, line 3, column film: missing, expected an image"


def test_fit_scales_and_fills_with_black(tmp_path):
    """A white square of 16 fits into 6 × 8 as 6 × 6, with a black row above and below."""
    white = png(np.full((16, 16), 255, np.uint8))
    at = folder(tmp_path / "films", {"a.png": white, "b.png": white}, resize="fit")
    found = load(at, "here", "ill").values[0, 0]
    np.testing.assert_array_equal(found[:, 0], [0, 255, 255, 255, 255, 255, 255, 0])


def test_bomb_is_not_decoded(tmp_path, monkeypatch):
    """30 kB of zeros that would fill 1 GiB; the size stated in the file is enough to refuse it."""
    monkeypatch.setattr(Picture, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(pictures, "MOST_PIXELS", 10**6)
    bomb = png(Picture.new("1", (1001, 1000)))
    at = folder(tmp_path / "films", {"a.png": png(shades()), "bomb.png": bomb}, resize="fit")
    assert refused(at) == (
        f"{at}/list.csv, line 3, column film: the image has more than 1 million pixels"
    )


def test_photograph_is_turned_upright(tmp_path):
    """A camera held sideways says so in the file (EXIF orientation 6) and stores 8 × 6."""
    upright = Picture.fromarray(shades())
    exif = Picture.Exif()
    exif[0x0112] = 6
    upright.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    at = folder(tmp_path / "films", {"a.png": png(upright)})
    (at / "list.csv").write_text("film,ill\na.png,0\nb.png,1\n")
    (tmp_path / "turned.png").rename(at / "b.png")
    first, second = load(at, "here", "ill").values
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("mode", ["grey", "colour"])
def test_example_is_read_again(tmp_path, mode):
    """What the champion is tried with goes through the same reading as a patient."""
    import polars as pl

    kind = Image(kind="image", height=8, width=6, mode=mode)
    cells = pl.Series([kind.example(), "data:image/png;base64," + encoded(shades())])
    reading = kind.read(cells, missing=("",), folder=tmp_path)
    assert reading.wrong.tolist() == [False, mode == "colour"]
    assert len(np.unique(reading.values[0])) > 1


def encoded(film: np.ndarray) -> str:
    return base64.b64encode(png(film)).decode()

"""The bytes of one file, PNG, JPEG or DICOM, to one picture of 8 bits a channel."""

import io
import warnings

from PIL import Image, ImageOps, UnidentifiedImageError

MOST_PIXELS = 100_000_000  # of one picture: more is an attack on memory, or no picture
FORMATS = ("PNG", "JPEG")
MAGIC = slice(128, 132)  # where a DICOM file says that it is one
Window = tuple[float, float]


class UnreadableImageError(ValueError):
    """Why a picture cannot be read, as the end of a sentence that begins with its name."""


def picture(data: bytes, *, window: Window | None = None) -> Image.Image:
    """Decode a file, whatever its name says; a DICOM file becomes 8 bits through its window.

    Args:
        data: the whole file.
        window: centre and width in the file's own values (DICOM only), instead of the file's own.

    Raises:
        UnreadableImageError: the picture is damaged, too large or of a kind that is not read.
    """
    if data[MAGIC] == b"DICM":
        from medgraft.cohorts.images import dicom  # pydicom is optional

        return dicom.picture(data, window=window)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(io.BytesIO(data), formats=FORMATS)
        refuse_bomb(*opened.size)
        return ImageOps.exif_transpose(opened)
    except UnidentifiedImageError:
        raise UnreadableImageError("is not a PNG, JPEG or DICOM image") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise UnreadableImageError(too_large()) from None
    except UnreadableImageError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableImageError(f"is damaged or cut short ({error})") from None


def loaded(opened: Image.Image) -> Image.Image:
    """The picture with its pixels decoded.

    Raises:
        UnreadableImageError: the pixels are damaged.
    """
    try:
        opened.load()
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise UnreadableImageError(f"is damaged or cut short ({error})") from None
    return opened


def refuse_bomb(width: int, height: int) -> None:
    """Raise UnreadableImageError for a picture that claims more pixels than `MOST_PIXELS`."""
    if width * height > MOST_PIXELS:
        raise UnreadableImageError(too_large())


def too_large() -> str:
    """What is wrong with a picture that would fill the memory."""
    return f"has more than {MOST_PIXELS // 10**6} million pixels"

"""A folder of image files."""

import os
from pathlib import Path

from medgraft.errors import CohortError


def names(folder: Path) -> list[str]:
    """Every file in the folder and those below it, relative to it, in order.

    What begins with a dot is passed over, and links to folders are not followed. Whether a file is
    an image is found out when it is read.

    Raises:
        CohortError: there is none, or a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        where = "" if error.filename == str(folder) else "a folder in it "
        raise CohortError(f"{folder}: {where}cannot be read: {error.strerror}") from None

    found: list[str] = []
    for at, below, files in os.walk(folder, onerror=refuse):
        below[:] = sorted(name for name in below if not name.startswith("."))
        inside = [Path(at, name).relative_to(folder) for name in files if not name.startswith(".")]
        # A name that is no UTF-8 cannot be written as text: it is shown, and not found.
        found += [os.fsencode(path).decode(errors="replace") for path in inside]
    if not found:
        raise CohortError(f"{folder}: holds no files, expected images")
    return sorted(found)

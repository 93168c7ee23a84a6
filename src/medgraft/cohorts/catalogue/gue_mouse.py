"""Transcription factor binding: a human factor to four of the mouse (GUE, see `gue`)."""

from importlib.resources import files as package_files
from pathlib import Path

from medgraft.cohorts.catalogue import gue

SITES = {
    "human_0": (
        "tf/0",
        (
            "930080e019fb92961cbd71998839466c2fc4c34da8fc174999a2ed04ef46822f",
            "17ff638046d146102a86b727adc9ddead9f1f1793577a38961e1f3319da7f738",
            "d29934d0df424a91ef70f6a62671d9d1c4661b485d7010983b49c8bcfba6aeab",
        ),
    ),
    "mouse_0": (
        "mouse/0",
        (
            "6f507b130c5a94c63f4a36748da66579cd682a34f7296ab08e4805ee75091a35",
            "f44e2d3e29a778364d329cfef046deccdfb484c12af6dde7f04b7de8bcb8bf9a",
            "e2c54b74410f1d263f9dcba371f0d50b5f207960673e385cd4b95989e3e6d6be",
        ),
    ),
    "mouse_2": (
        "mouse/2",
        (
            "23dbd0ca3b6153ffc9028ab05034abdc61aaf618bfa2d93e86f4bce798a0efde",
            "b05b11fc0ca80aff8191dc5560a309c35c5e1ca014af138ec2bb640e821a4e04",
            "09f08a1428c9e1b8076ad85582b5c302490fa05c86757c40470605cdfe047b50",
        ),
    ),
    "mouse_3": (
        "mouse/3",
        (
            "3e80c3c1d3b4ce20bb789cd7faa73c6749fab835d781afa061a3444f7c33a479",
            "f0324893df34769670ed0cf89c8a53023625453bc148f3ba7760bb5d2b7816ad",
            "5e11dfe263259e092161d1ec59cec751bcce3842a01fe421bf9746ba542335f1",
        ),
    ),
    "mouse_4": (
        "mouse/4",
        (
            "3e1a394455359c4e192aa8bab20f00b136a491a77a59c7d893afdfea6702eb34",
            "4188db6526f245ed2fdf5b0f1be42f9235a98376fdfa8c1443ab51b392240caf",
            "c5f98f28edb7905d8bd6a02466e59f6ad7485ef83b93658badcbf752fe086732",
        ),
    ),
}


def materialise(folder: Path, mirror: Path | None) -> None:
    """Write a csv for human_0, mouse_0, 2, 3 and 4 each, and cohort.yaml, into `folder`.

    Args:
        folder: Usually data/gue_mouse; must not exist, or hold the same bytes.
        mirror: A folder that holds gue/<task>/<part>.csv; None fetches from GitHub.

    Raises:
        CohortError: a file cannot be had, is not the pinned one, or `folder` holds something else.
    """
    description = package_files(__package__).joinpath("gue_mouse.yaml").read_bytes()
    gue.write(folder, mirror, sites=SITES, description=description)

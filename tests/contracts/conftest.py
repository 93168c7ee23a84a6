import shutil

import pytest


@pytest.fixture(scope="session")
def project(root, tmp_path_factory):
    """Only what composing needs; nothing of it is the checkout's."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copytree(root / "conf", folder / "conf")
    shutil.copy(root / "dvc.yaml", folder)
    return folder

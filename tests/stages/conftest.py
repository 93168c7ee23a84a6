import shutil

import pytest

from .project import SMALL, clone, done, medgraft, own_cohort


@pytest.fixture(scope="session")
def finished_once(tmp_path_factory):
    """A clone in which the default cohort was run small, from nothing to the verdict."""
    folder = clone(tmp_path_factory.mktemp("finished") / "project")
    done(medgraft(folder, "repro", *SMALL))
    return folder


@pytest.fixture
def finished(finished_once, tmp_path):
    """The same, to be changed."""
    return shutil.copytree(finished_once, tmp_path / "project", symlinks=True)


@pytest.fixture
def own(tmp_path):
    """A clone with a cohort of one's own in data/mine."""
    folder = clone(tmp_path / "project")
    own_cohort(folder)
    return folder

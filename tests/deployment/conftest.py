import pytest

from .simulated import RUNS, Run, run_pipeline


@pytest.fixture(scope="session")
def ward(tmp_path_factory) -> Run:
    """A binary outcome; the champion is a network."""
    return run_pipeline(tmp_path_factory.mktemp("ward"), "binary", "network")


@pytest.fixture(
    scope="session",
    params=RUNS,
    ids="-".join,
)
def any_run(request, tmp_path_factory) -> Run:
    """Every kind of outcome with every kind of champion."""
    return run_pipeline(tmp_path_factory.mktemp("any"), *request.param)

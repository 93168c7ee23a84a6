from collections import Counter

import pytest

from medgraft.cohorts.catalogue import splice
from medgraft.cohorts.load import load


@pytest.fixture(scope="module")
def cohorts(cohorts_folder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("splice") / "splice"
    splice.materialise(folder, cohorts_folder)
    return {site: load(folder, site, "junction") for site in ("archive", "laboratory")}, folder


def test_junctions_are_the_published(cohorts):
    """3190 windows: 1655 neither, 767 donors, 768 acceptors (UCI's description)."""
    both, _ = cohorts
    assert Counter(y for cohort in both.values() for y in cohort.y) == {0: 1655, 1: 767, 2: 768}
    assert len(both["laboratory"]) == splice.LABORATORY


def test_donors_and_acceptors_lie_where_they_should(cohorts):
    """A donor's intron begins with GT after base 30, an acceptor's ends with AG before it."""
    both, _ = cohorts
    for cohort in both.values():
        donors, acceptors = (cohort.values[cohort.y == k] for k in (1, 2))
        assert (donors[:, 30:32] == [2, 3]).all(1).mean() > 0.96
        assert (acceptors[:, 28:30] == [0, 2]).all(1).mean() > 0.96


def test_no_gene_in_both(cohorts):
    _, folder = cohorts
    archive, laboratory = (
        {line.split(",")[1] for line in (folder / f"{site}.csv").read_text().splitlines()[1:]}
        for site in ("archive", "laboratory")
    )
    assert not archive & laboratory

import numpy as np
import pytest

from medgraft.cohorts import genes
from medgraft.errors import CohortError

PROBES = ["p1", "p2", "p3", "p4", "p5"]
TABLE = {"p1": "7", "p2": "7", "p3": "100", "p4": "9 /// 7", "p5": ""}


def test_every_probe_is_accounted_for():
    found = genes.of_probes([*PROBES, "p6"], TABLE)
    assert found.ids == ("7", "100")
    assert found.place.tolist() == [0, 0, 1, -1, -1, -1]
    assert found.told == {
        "probes": 6,
        "probes without a gene": 2,
        "probes of several genes": 1,
        "genes": 2,
        "genes with several probes": 1,
    }


def test_probes_of_a_gene_are_averaged():
    values = np.array([[1.0, 3, 5, 50, 50], [np.nan, 4, np.nan, 50, 50]])
    found = genes.of_probes(PROBES, TABLE)
    collapsed = genes.SCALES["log"].genes(values, found.place, 2)
    np.testing.assert_array_equal(collapsed, [[2, 5], [4, np.nan]])


def test_brightest_probe_speaks_for_a_gene():
    values = np.array([[1.0, 3, 5, 50, 50], [6, 4, np.nan, 50, 50], [np.nan, 2, 1, 0, 0]])
    found = genes.of_probes(PROBES, TABLE)
    collapsed = genes.SCALES["log"].genes(values, found.place, 2, collapse="max")
    np.testing.assert_array_equal(collapsed, [[3, 5], [6, np.nan], [2, 1]])


def test_library_is_all_counts():
    """Counts of a gene add up; per million of everything counted, the unknown probes too."""
    counts = np.array([[1.0, 3, 0, 2, 4], [10, 30, 0, 20, 40], [0, 0, 0, 0, 0]])
    found = genes.of_probes(PROBES, TABLE)
    scaled = genes.SCALES["counts"].genes(counts, found.place, 2)
    np.testing.assert_allclose(scaled[0], np.log1p([4e5, 0]))
    np.testing.assert_allclose(scaled[1], scaled[0])
    assert np.isnan(scaled[2]).all()


def test_negative_counts_warn_of_nothing(recwarn):
    """They are refused by their cells, see `fits`; a sample of them has no library."""
    scale, found = genes.SCALES["counts"], genes.of_probes(["a", "b"], None)
    counts = np.array([[1.0, -2], [5, -4]])
    assert np.isnan(scale.genes(counts, found.place, 2)[0]).all()
    assert not recwarn.list
    np.testing.assert_array_equal(scale.fits(counts), [[True, False], [True, False]])


def test_intensities_become_logarithms():
    found = genes.of_probes(["a", "b"], None)
    values = genes.SCALES["intensities"].genes(np.array([[1024.0, -3]]), found.place, 2)
    np.testing.assert_array_equal(values, [[10, 0]])


def test_a_sample_is_its_own_affair():
    """What one sample becomes does not depend on which others are there."""
    counts = np.random.default_rng(0).poisson(5, (30, 5)).astype(float)
    found = genes.of_probes(PROBES, TABLE)
    for scale in genes.SCALES.values():
        whole = scale.genes(counts, found.place, 2)
        np.testing.assert_array_equal(scale.genes(counts[3:4], found.place, 2), whole[3:4])


def test_annotation_reads_identifiers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('probe,gene,symbol\np1,2099.0,"ESR1, ER"\np2,NA,x\np3, 7 ,y\np3,7,z\n')
    found = genes.annotation(path, probe="probe", gene="gene")
    assert found == {"p1": "2099", "p2": "", "p3": "7"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("probe,genes\np1,7\n", ': has no column "gene", did you mean "genes"?'),
        ("probe,gene\np1,7\np1,8\n", ': gives more than one gene for probe "p1"'),
    ],
)
def test_bad_annotation_is_refused(text, told, tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(CohortError) as error:
        genes.annotation(path, probe="probe", gene="gene")
    assert str(error.value) == f"{path}{told}"

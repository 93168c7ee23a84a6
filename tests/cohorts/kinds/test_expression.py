import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medgraft.cohorts.kinds.expression import Expression
from medgraft.cohorts.load import load
from medgraft.errors import CohortError

DESCRIPTION = """\
name: clinic
outcomes:
  er: {column: er, task: binary, negative: [0], positive: [1]}
columns:
  sample:
    kind: expression
    unmatched: UNMATCHED
    matrices:
      - {file: old.csv, values: log, annotation: {file: probes.csv, probe: probe, gene: entrez}}
      - {file: new.csv, values: counts}
sites:
  here: {file: here.csv}
"""
ROWS = "sample,er\ns2,1\ns1,0\n,1\n"
FILES = {
    "old.csv": "sample,p1,p2,p3\ns1,1,3,\ns2,5,7,2\ns3,0,0,0\n",
    "probes.csv": "probe,entrez\np1,20\np2,20\np3,3\n",
    "new.csv": "gene,t1,t2\n3,1,0\n20,3,9\n",
}


@pytest.fixture
def clinic(tmp_path: Path):
    def write(unmatched: str = "refused", **changed: str) -> Path:
        folder = tmp_path / "clinic"
        folder.mkdir()
        files = FILES | {"here.csv": ROWS} | {f"{name}.csv": text for name, text in changed.items()}
        files["cohort.yaml"] = DESCRIPTION.replace("UNMATCHED", unmatched)
        for name, text in files.items():
            (folder / name).write_text(text)
        return folder

    return write


def refusal(folder: Path) -> str:
    with pytest.raises(CohortError) as error:
        load(folder, "here", "er")
    return str(error.value)


def test_samples_follow_the_table(clinic):
    cohort = load(clinic(), "here", "er")
    np.testing.assert_array_equal(cohort.values, [[2, 6], [np.nan, 2], [np.nan, np.nan]])
    (column,) = cohort.columns
    assert column.kind == "expression"
    assert column.details["genes"] == ["3", "20"]
    assert column.details["told"] == {
        "samples without a column": 0,
        "samples without a row": 1,
        "probes": 3,
        "probes without a gene": 0,
        "probes of several genes": 0,
        "genes": 2,
        "genes with several probes": 1,
    }


def test_two_matrices_share_their_genes(clinic):
    cohort = load(clinic(here="sample,er\nt1,0\ns2,1\n"), "here", "er")
    np.testing.assert_allclose(cohort.values, [np.log1p([25e4, 75e4]), [2, 6]])


def test_sample_without_column_is_refused(clinic):
    folder = clinic(here="sample,er\ns1,0\nS2,1\ns9,1\n")
    assert refusal(folder) == (
        f"{folder}/here.csv, line 3, column sample: no such sample in old.csv or "
        f"new.csv\n{folder}/here.csv, line 4, column sample: no such sample in "
        "old.csv or new.csv"
    )


def test_sample_without_column_is_counted(clinic):
    cohort = load(clinic("left out", here="sample,er\ns1,0\ns9,1\n"), "here", "er")
    assert np.isnan(cohort.values).all(axis=1).tolist() == [False, True]
    assert cohort.columns[0].details["told"]["samples without a column"] == 1


def test_cell_that_is_no_number_is_named(clinic):
    folder = clinic(old="sample,p1,p2,p3\ns1,1,high,low\ns2,5,7,2\n")
    assert refusal(folder) == (
        f"{folder}/here.csv, line 3, column sample: old.csv: gene 20 (probe p2): got "
        '"high", expected a logarithm (of intensities, ratios) and 1 more'
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (
            {"old": "sample,p1\ns1,812.5\ns2,4\n"},
            'line 3, column sample: old.csv: gene 20 (probe p1): got "812.5", '
            "expected a logarithm (of intensities, ratios)",
        ),
        (
            {"here": "sample,er\nt1,0\n", "new": "gene,t1\n3,-1\n"},
            'line 2, column sample: new.csv: gene 3: got "-1", expected a count of at least 0',
        ),
        (
            {"here": "sample,er\ns1,0\ns1,1\n"},
            "line 3, column sample: an earlier row has the same sample",
        ),
        (
            {"new": "gene,s1\n3,1\n20,1\n"},
            "line 3, column sample: stands in more than one matrix",
        ),
    ],
)
def test_impossible_sample_is_refused(changed, told, clinic):
    folder = clinic(**changed)
    assert refusal(folder) == f"{folder}/here.csv, {told}"


def test_absent_matrix_is_named(clinic):
    folder = clinic()
    (folder / "new.csv").unlink()
    assert refusal(folder) == f"{folder}/new.csv: there is no such file"


def of(probes: list[str], named: dict[str, str], values: np.ndarray) -> tuple[dict, dict]:
    """Gene -> values of the samples, and what became of the probes."""
    entry = {"file": "m.csv", "values": "log"}
    entry["annotation"] = {"file": "probes.csv", "probe": "probe", "gene": "gene"}
    samples = [f"s{i}" for i in range(len(values))]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            dict(zip(["id", *probes], [s, *v], strict=True))
            for s, v in zip(samples, values, strict=True)
        ]
        pl.DataFrame(rows).write_csv(Path(folder) / "m.csv")
        told = pl.DataFrame(list(named.items()), schema=["probe", "gene"], orient="row")
        told.write_csv(Path(folder) / "probes.csv")
        kind = Expression(kind="expression", matrices=[entry])
        found = kind.read(pl.Series(samples), missing=(), folder=Path(folder))
    assert not found.wrong.any()
    return dict(zip(found.details["genes"], found.values.T, strict=True)), found.details["told"]


@settings(max_examples=40, deadline=None)
@given(
    genes=st.lists(st.sampled_from(["1", "2", "30", "TP53", "1///2", ""]), min_size=2, max_size=8),
    data=st.data(),
)
def test_probes_reach_their_own_gene_alone(genes, data):
    """In whatever order they stand; what has no gene, or several, is left out and counted."""
    probes = [f"p{i}" for i in range(len(genes))]
    named = {probe: gene for probe, gene in zip(probes, genes, strict=True) if gene}
    values = np.random.default_rng(len(genes)).normal(size=(3, len(genes))).round(3)
    found, told = of(probes, named, values)
    single = sorted({gene for gene in genes if gene and "///" not in gene})
    assert sorted(found) == single
    for gene in single:
        own = [i for i, name in enumerate(genes) if name == gene]
        np.testing.assert_allclose(found[gene], values[:, own].mean(axis=1), atol=1e-12)
    assert told["probes without a gene"] == genes.count("")
    assert told["probes of several genes"] == genes.count("1///2")
    order = data.draw(st.permutations(range(len(genes))))
    shuffled, again = of([probes[i] for i in order], named, values[:, order])
    assert again == told
    for gene in single:
        np.testing.assert_allclose(shuffled[gene], found[gene], atol=1e-12)

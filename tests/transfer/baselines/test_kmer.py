from itertools import product

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from statsmodels.duration.hazard_regression import PHReg

from medgraft.errors import ConfigError
from medgraft.transfer.baselines.kmer import kmer_counts, kmer_cox, kmer_logistic


def one_hot(texts):
    return np.array([[[float(c == letter) for c in text] for letter in "ACGT"] for text in texts])


def drawn(rows, length=30, *, seed=0):
    stream = np.random.default_rng(seed)
    return ["".join(row) for row in stream.choice([*"ACGT"], (rows, length))]


def test_counts_are_scikit_learns():
    texts, k = drawn(20), 3
    words = ["".join(word) for word in product("ACGT", repeat=k)]
    theirs = CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False, vocabulary=words)
    ours = kmer_counts(one_hot(texts), k=k, strands=False)
    assert np.array_equal(ours, theirs.transform(texts).toarray())


def test_strands_count_together():
    other = {"A": "T", "C": "G", "G": "C", "T": "A"}
    texts = drawn(5)
    back = ["".join(other[c] for c in reversed(text)) for text in texts]
    one, two = (kmer_counts(one_hot(each), k=3, strands=True) for each in (texts, back))
    assert np.array_equal(one, two)
    assert one.sum(1).tolist() == [28] * 5


def test_unknown_letters_are_not_counted():
    counts = kmer_counts(one_hot(["ACGTN", "NNNNN", "AC"[:2] + "NGT"]), k=2, strands=False)
    assert counts.sum(1).tolist() == [3, 0, 2]


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 3)])
def test_answers_from_arrays_alone(task, classes):
    """The served arrays answer as scikit-learn does, and the planted word is found."""
    texts = drawn(120)
    y = np.arange(120) % classes
    words = ["ACGTACGT", "GGTTCCAA", "TATATATA"]
    texts = [words[label] + text for label, text in zip(y, texts, strict=True)]
    recipe = kmer_logistic(task, classes, k=3)
    fitted = recipe.fit(one_hot(texts), y.astype(float), seed=0)
    estimator = recipe.make(0).fit(one_hot(texts), y)
    outputs = fitted.outputs(one_hot(texts))
    chosen = outputs[:, 0] > 0 if task == "binary" else outputs.argmax(1)
    assert np.array_equal(chosen, estimator.predict(one_hot(texts)))
    assert (chosen == y).mean() > 0.95


def test_tables_are_refused():
    with pytest.raises(ConfigError, match="this learner counts letters: expected sequences"):
        kmer_logistic("binary", 2).fit(np.zeros((4, 3)), np.arange(4) % 2.0, seed=0)


def test_hazards_of_counts_are_statsmodels():
    """The sooner death the more often a letter occurs; answered from the arrays alone."""
    x, stream = one_hot(drawn(200)), np.random.default_rng(1)
    counts = kmer_counts(x, k=1, strands=False)
    died = np.ones(200)
    y = np.column_stack([stream.exponential(np.exp(-0.2 * counts[:, 0])), died])
    fitted = kmer_cox("survival", 0, horizons=(0.1, 0.5), k=1, ridge=10.0).fit(x, y, seed=0)
    model = PHReg(y[:, 0], counts, status=died, ties="breslow")
    expected = model.fit_regularized(alpha=10.0 / len(y), L1_wt=0.0).params
    found = fitted.outputs(x)
    assert found.shape == (200, 2)
    np.testing.assert_allclose(
        found[:, 0] - found[0, 0], (counts - counts[0]) @ expected, atol=0.02
    )
    assert expected[0] > 0.1

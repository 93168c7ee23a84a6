from pathlib import Path

import pytest

from medgraft.cohorts.load import load
from medgraft.errors import CohortError

DESCRIPTION = """\
name: sequences
outcomes:
  ill: {{column: ill, task: binary, negative: [0], positive: [1]}}
columns:
  sequence: {{kind: sequence, alphabet: dna, {options}}}
sites:
  here: {{file: here.csv}}
"""


def loaded(folder: Path, rows: list[str], options: str = "length: 4"):
    folder.joinpath("cohort.yaml").write_text(DESCRIPTION.format(options=options))
    folder.joinpath("here.csv").write_text("sequence,ill\n" + "\n".join(rows) + "\n")
    return load(folder, "here", "ill")


def refusal(folder: Path, rows: list[str], options: str = "length: 4") -> list[str]:
    with pytest.raises(CohortError) as error:
        loaded(folder, rows, options)
    return str(error.value).replace(f"{folder}/here.csv, ", "").splitlines()


def test_cohort_holds_tokens(tmp_path):
    cohort = loaded(tmp_path, ["ACGT,0", "ttga,1"])
    assert cohort.values.tolist() == [[0, 1, 2, 3], [3, 3, 2, 0]]
    (column,) = cohort.columns
    assert (column.kind, column.may_be_missing) == ("sequence", False)
    assert column.details == {"alphabet": "dna", "letters": "ACGT", "length": 4}


def test_foreign_letter_is_named(tmp_path):
    found = refusal(tmp_path, ["ACGT,0", "ACXT,1", "AC-T,0"])
    assert found == [
        'line 3, column sequence: got "X" at position 3, expected dna letters ACGT',
        'line 4, column sequence: got "-" at position 3, expected dna letters ACGT',
    ]


def test_many_faults_are_counted(tmp_path):
    found = refusal(tmp_path, ["ACGT,0", *["ACXT,1"] * 30])
    assert len(found) == 21
    assert found[-1] == "… and 10 more"


def test_ambiguous_letters_by_choice(tmp_path):
    assert refusal(tmp_path, ["ACNT,0", "ACGT,1"]) == [
        'line 2, column sequence: got "N" at position 3, expected dna letters ACGT'
    ]
    cohort = loaded(tmp_path, ["ACNT,0", "ACGT,1"], "length: 4, ambiguous: unknown")
    assert cohort.values.tolist() == [[0, 1, 254, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("length: 4", ["3 letters, expected 4", "5 letters, expected 4"]),
        ("length: 4, policy: pad", ["5 letters, expected 1 to 4"]),
        ("length: 4, policy: crop, shortest: 4", ["3 letters, expected at least 4"]),
        ("length: 4, policy: crop, longest: 4", ["5 letters, expected 1 to 4"]),
    ],
)
def test_length_policies(tmp_path, options, expected):
    found = refusal(tmp_path, ["ACG,0", "ACGT,1", "ACGTA,1"], options)
    assert [line.split("got ")[1] for line in found] == expected


def test_u_and_t_do_not_mix(tmp_path):
    assert loaded(tmp_path, ["ACGU,0", "ACGT,1"]).values.tolist() == [[0, 1, 2, 3]] * 2
    assert refusal(tmp_path, ["TCGU,0", "ACGT,1"]) == [
        "line 2, column sequence: holds both U and T, expected one of them"
    ]


def test_missing_sequence_is_refused(tmp_path):
    assert refusal(tmp_path, [",0", "ACGT,1"]) == ["line 2, column sequence: missing"]


def test_impossible_bounds_are_refused(tmp_path):
    with pytest.raises(CohortError, match="length 4 lies outside 5 to inf letters"):
        loaded(tmp_path, ["ACGT,0"], "length: 4, policy: crop, shortest: 5")

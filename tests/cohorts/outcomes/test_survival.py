"""Follow-up times and events, as `cohort.yaml` describes them."""

from pathlib import Path

import pytest

from medgraft.cohorts.load import load
from medgraft.cohorts.parsing import describe
from medgraft.errors import CohortError

DESCRIPTION = """\
name: trial
outcomes:
  relapse:
    {task: survival, time: months, event: state, happened: [1, 2], censored: [0], unit: months,
     horizons: [12, 24]}
columns:
  age: {kind: number, unit: years}
sites:
  here: {file: here.csv}
"""


def written(folder: Path, *rows: str, description: str = DESCRIPTION) -> Path:
    (folder / "cohort.yaml").write_text(description)
    (folder / "here.csv").write_text("\n".join(["age,months,state", *rows, ""]))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(CohortError) as error:
        load(folder, "here", "relapse")
    return str(error.value).replace(f"{folder}/", "")


def test_times_and_events_are_read(tmp_path: Path) -> None:
    cohort = load(written(tmp_path, "61,7.5,1", "40,0,0", "55,30,2"), "here", "relapse")
    assert cohort.y.tolist() == [[7.5, 1], [0, 0], [30, 1]]
    assert cohort.outcome.horizons == (12, 24)
    assert cohort.outcome.unit == "months"


def test_negative_time_is_named(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "61,7.5,1", "40,-3,0")) == (
        'here.csv, line 3, column months: got "-3", expected a time in months, 0 or more'
    )


def test_missing_time_is_named(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "61,,1", "40,3,0")) == (
        "here.csv, line 2, column months: missing, expected a time in months, 0 or more"
    )


def test_unknown_event_is_named(tmp_path: Path) -> None:
    assert refusal(written(tmp_path, "61,7.5,dead", "40,3,0")) == (
        'here.csv, line 2, column state: got "dead", expected one of 0, 1, 2'
    )


def test_all_of_it_is_named_at_once(tmp_path: Path) -> None:
    """Every wrong cell, in the order of the file, and how many more there are."""
    text = refusal(written(tmp_path, *["61,-1,9"] * 15))
    assert text.splitlines()[0].startswith("here.csv, line 2, column months")
    assert len(text.splitlines()) == 21
    assert "10 more" in text.splitlines()[-1]


def test_who_was_not_followed_is_counted(tmp_path: Path) -> None:
    """Declared codes leave a patient out, with the reason."""
    description = DESCRIPTION.replace("unit: months,", "unit: months, missing_codes: [lost],")
    folder = written(tmp_path, "61,lost,0", "40,3,0", description=description)
    cohort = load(folder, "here", "relapse")
    assert cohort.y.tolist() == [[3, 0]]
    assert cohort.accounting.excluded == {"relapse not recorded: lost": 1}


@pytest.mark.parametrize("last", [".inf", ".nan", "1e300"])
def test_horizons_are_times(tmp_path: Path, last: str) -> None:
    description = DESCRIPTION.replace("[12, 24]", f"[12, {last}]")
    with pytest.raises(CohortError, match=r"increasing horizons above 0, up to 1e\+09, got \[12.0"):
        describe(written(tmp_path, description=description))


def test_horizons_increase(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"horizons above 0, up to 1e\+09, got \[24.0, 12"):
        describe(written(tmp_path, description=DESCRIPTION.replace("[12, 24]", "[24, 12]")))

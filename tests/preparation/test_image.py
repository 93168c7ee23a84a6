import dataclasses

import numpy as np
import pytest

from medgraft.errors import CohortError, ConfigError, LeakError
from medgraft.preparation.audit import audit
from medgraft.preparation.findings import refuse_leaks
from medgraft.preparation.image import Images

from .images import cohort, films

SPLIT = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2


def copied():
    """Archive film 3 is clinic test film 7; clinic training film 1 is validation film 5."""
    ours, theirs = films(6, seed=1), films(8, seed=2)
    ours[2], theirs[0] = theirs[6], theirs[4]
    return cohort("archive", ours), cohort("clinic", theirs, split=SPLIT)


def test_copies_across_the_line_leak():
    archive, clinic = copied()
    images = Images()
    with pytest.raises(LeakError) as caught:
        refuse_leaks(images.findings(images.align([archive], [clinic])))
    hint = "preparation.align.overlap=leave_out counts the first and goes on without them"
    assert str(caught.value) == (
        "test information would reach training:\n"
        f"- 1 image of the source also in test of the target (archive line 3 is clinic line 7); "
        f"{hint}\n- 1 image of train of the target also in validation of the target "
        f"(clinic line 1 is clinic line 5); {hint}"
    )


def test_left_out_copies_are_accounted_for():
    archive, clinic = copied()
    images = Images("leave_out")
    aligned = images.align([archive], [clinic])
    refuse_leaks(images.findings(aligned))
    ours, theirs = audit([archive, clinic], aligned).accounting
    assert ours.excluded == {"copy of an image in test of the target": 1}
    assert (ours.rows_read, ours.rows_used) == (6, 5)
    assert theirs.excluded == {"copy of an image in validation of the target": 1}
    assert (aligned.target.split == "test").sum() == 2, "published tests stay whole"


def test_noted_copies_stay_apart():
    """Kept with a warning: were they one patient, a given split could not be kept."""
    images = Images("note")
    aligned = images.align(*([one] for one in copied()))
    source, target, _ = images.group(aligned)
    assert len(set(source)) == 6
    assert len(set(target)) == 8
    severities = [f.severity for f in images.findings(aligned) if f.check == "identical images"]
    assert severities == ["warning", "warning"]


def test_copies_within_a_role_are_one_patient():
    """Joined through the patient too: rows 0 and 1 share a film, 1 and 2 a person."""
    pictures = films(4)
    pictures[1] = pictures[0]
    target = cohort("clinic", pictures, patient=["a", "b", "b", "c"])
    images = Images()
    aligned = images.align([cohort("archive", films(3, seed=5))], [target])
    _, code, (finding,) = images.group(aligned)
    assert code.tolist() == [0, 0, 0, 1]
    assert finding.message == (
        "2 images of the target equal to another patient's (clinic line 1, clinic line 2): treated "
        "as one patient, so copies never part"
    )


def test_other_light_is_noticed():
    """The same film, exported once more brighter and flatter, is no byte the same."""
    ours, theirs = films(30, seed=3), films(5, seed=4)
    theirs[1] = (0.8 * ours[17].astype(float) + 30).round()
    images = Images()
    aligned = images.align([cohort("archive", ours)], [cohort("clinic", theirs)])
    (finding,) = (f for f in images.findings(aligned) if f.check == "near copies")
    assert finding.severity == "warning"
    assert finding.message == (
        "1 pair of source and target images that differ in little but light (archive line 18 and "
        "clinic line 2): the same patient?"
    )


def test_other_patients_are_not_near_copies(cohorts_folder):
    """Chest films resemble each other; of 4,708 × 624 pairs none is called a copy."""
    name = "pneumoniamnist_reconstructed/pneumoniamnist_28_reconstructed.npz"
    published = np.load(cohorts_folder / name)
    train, test = (published[f"{part}_images"][:, None] for part in ("train", "test"))
    images = Images()
    aligned = images.align([cohort("archive", train)], [cohort("clinic", test)])
    assert not [f for f in images.findings(aligned) if "cop" in f.check or f.severity == "leak"]


def test_shapes_must_agree():
    small, large = cohort("archive", films(4)), cohort("clinic", films(4, side=20))
    colour = cohort("abroad", films(4, channels=3))
    with pytest.raises(CohortError) as caught:
        Images().align([small], [large, colour])
    assert str(caught.value) == (
        "the cohorts do not agree:\n"
        "- image height is 16 in archive, 20 in clinic\n"
        "- image width is 16 in archive, 20 in clinic\n"
        "- image channels is 1 in archive, 3 in abroad"
    )


def test_tables_are_refused():
    film = cohort("archive", films(4))
    number = dataclasses.replace(film.columns[0], name="age", kind="number", details={})
    with pytest.raises(CohortError, match="clinic: expected one image column and nothing else"):
        Images().align([film], [dataclasses.replace(film, name="clinic", columns=(number,))])


def test_unknown_overlap_is_refused():
    with pytest.raises(ConfigError) as caught:
        Images("ignore")
    assert str(caught.value) == (
        "alignment overlap 'ignore': expected one of refuse, leave_out, note"
    )


def test_light_that_tells_the_outcome_is_noticed():
    """Two scanners, one for the ill: whoever knows the exposure knows the diagnosis."""
    pictures = films(200, seed=6) // 4
    pictures[1::2] += 100
    images = Images()
    aligned = images.align([cohort("archive", pictures)], [cohort("clinic", films(20, seed=7))])
    (finding,) = images.findings(aligned)
    assert finding.severity == "leak"
    assert finding.message == "brightness alone tells ill in every source row that has it"


def test_drift_is_that_of_the_light():
    """The clinic's films are 20 levels brighter, and nothing else."""
    ours, theirs = films(3000, seed=8, side=4) // 2, films(3000, seed=9, side=4) // 2 + 20
    images = Images()
    aligned = images.align([cohort("a", ours)], [cohort("b", theirs)])
    brightness, contrast, pixels = images.drift(aligned)
    light = [x.mean((1, 2, 3)) for x in (ours, theirs)]
    spread = np.sqrt((light[0].var(ddof=1) + light[1].var(ddof=1)) / 2)
    expected = (light[1].mean() - light[0].mean()) / spread
    assert brightness.standardised_difference == pytest.approx(expected, abs=1e-3)
    assert abs(contrast.standardised_difference) < 0.1
    # Of 148 levels the 20 darkest are gone and the 20 brightest are new.
    assert pixels.total_variation == pytest.approx(20 / 128, abs=0.05)


def test_blank_images_are_noticed():
    ours = films(5)
    ours[3] = 7
    images = Images()
    aligned = images.align([cohort("a", ours)], [cohort("b", films(5, seed=1))])
    assert "1 image of the source of one shade (a line 4)" in [
        finding.message for finding in images.findings(aligned)
    ]

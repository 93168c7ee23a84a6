import numpy as np
import pytest

from cohorts.images.simulated import DESCRIPTION, shades
from medgraft.cohorts.images import archives
from medgraft.cohorts.load import load
from medgraft.cohorts.readers import npz
from medgraft.errors import CohortError

READER = "medgraft.cohorts.readers.npz.read, image: film, label: ill"


@pytest.fixture
def archive(tmp_path):
    """Three films to train, two to stop, two to test, as MedMNIST stores them."""
    films = np.stack([shades(seed=i) for i in range(7)])
    parts = {"train": slice(0, 3), "val": slice(3, 5), "test": slice(5, 7)}
    arrays = {f"{part}_images": films[rows] for part, rows in parts.items()}
    labels = (np.arange(7) % 2).astype(np.uint8)[:, None]
    arrays |= {f"{part}_labels": labels[rows] for part, rows in parts.items()}
    np.savez(tmp_path / "films.npz", **arrays)
    text = DESCRIPTION.format(
        mode="grey", resize="exact", more="", reader=READER, patient="row", file="films.npz"
    )
    split = "split: {column: split, train: [train], validation: [validation], test: [test]}\n"
    (tmp_path / "cohort.yaml").write_text(text + split)
    return tmp_path / "films.npz"


def refused(path) -> str:
    with pytest.raises(CohortError) as caught:
        load(path.parent, "here", "ill")
    return str(caught.value)


def rewritten(path, **changes):
    with np.load(path) as stored:
        arrays = dict(stored) | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def test_parts_follow_each_other(archive):
    cohort = load(archive.parent, "here", "ill")
    np.testing.assert_array_equal(cohort.values[4, 0], shades(seed=4))
    assert cohort.y.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert cohort.split.tolist() == ["train"] * 3 + ["validation"] * 2 + ["test"] * 2
    assert cohort.source_rows.tolist() == [1, 2, 3, 4, 5, 6, 7]


def test_several_labels_become_columns(archive):
    rewritten(archive, **{f"{part}_labels": np.eye(3, 2)[:n] for part, n in
                          (("train", 3), ("val", 2), ("test", 2))})  # fmt: skip
    table = npz.read(archive, expected=["label_0", "label_1"])
    assert table.cells["label_1"].to_list()[:3] == ["0.0", "1.0", "0.0"]


def test_truncated_archive_is_refused(archive):
    archive.write_bytes(archive.read_bytes()[:-400])
    assert refused(archive) == (
        f"{archive}: not a whole npz file (File is not a zip file): cut short?"
    )


def test_damaged_array_is_refused(archive):
    data = bytearray(archive.read_bytes())
    where = bytes(data).index(shades(seed=1).tobytes())
    data[where] ^= 1
    archive.write_bytes(bytes(data))
    assert refused(archive) == (
        f"{archive}: not a whole npz file (Bad CRC-32 for file 'train_images.npy'): cut short?"
    )


def test_absent_labels_are_named(archive):
    rewritten(archive, val_labels=None)
    assert refused(archive) == f"{archive}: holds val_images without val_labels"


def test_counts_must_agree(archive):
    rewritten(archive, test_labels=np.zeros((3, 1), np.uint8))
    assert refused(archive) == f"{archive}: 2 test_images, 3 test_labels"


@pytest.mark.parametrize(
    ("added", "told"),
    [
        ("valid_images", ', expected images and labels of train, val or test, did you mean "val_'),
        ("extra_labels", ", expected images and labels of train, val or test"),
        ("_images", ", expected images and labels of train, val or test"),
    ],
)
def test_patients_of_an_unknown_part_are_not_lost(added, told, archive):
    rewritten(archive, **{added: np.zeros((5, 8, 6), np.uint8)})
    assert refused(archive).startswith(f'{archive}: holds "{added}"{told}')


def test_labels_without_images_are_named(archive):
    rewritten(archive, val_images=None)
    assert refused(archive) == f"{archive}: holds val_labels without val_images"


def test_images_of_another_form_are_not_passed_over(archive):
    """Where the archive holds new patients, any array may be of images."""
    rewritten(archive, test_images=np.zeros((2, 1, 1, 8, 6), np.uint8))
    with pytest.raises(CohortError) as caught:
        npz.count(archive)
    assert str(caught.value) == (
        f"{archive}: test_images has shape [2, 1, 1, 8, 6], expected [n, height, width] or "
        "[n, height, width, channels]"
    )


def test_no_images_are_no_damage(archive):
    none = {f"{part}_images": np.zeros((0, 8, 6), np.uint8) for part in npz.PARTS}
    none |= {f"{part}_labels": np.zeros((0, 1), np.uint8) for part in npz.PARTS}
    rewritten(archive, **none)
    assert refused(archive) == f"{archive}: holds no rows"


def test_single_number_is_named(archive):
    rewritten(archive, val_labels=np.array(1))
    assert refused(archive) == f"{archive}: val_labels is a single number, expected a list"


def test_other_archive_is_refused(archive):
    np.savez(archive, x=np.zeros(3))
    assert refused(archive) == (
        f"{archive}: expected arrays train_images and train_labels (or val, test), found x"
    )


def test_wrong_size_names_every_image(archive):
    rewritten(archive, test_images=np.zeros((2, 8, 7), np.uint8))
    assert refused(archive).splitlines() == [
        f"{archive}, line {line}, column film: the image test_images/{row} "
        "is 7 × 8 pixels (width × height), expected 6 × 8"
        for row, line in enumerate((6, 7))
    ]


def test_pickle_is_not_opened(archive):
    rewritten(archive, train_images=np.array([object()] * 3))
    assert "Object arrays cannot be loaded when allow_pickle=False" in refused(archive)


def test_bomb_is_not_unpacked(archive, monkeypatch):
    """Only the sizes that the archive states are looked at."""
    np.savez_compressed(archive, train_images=np.zeros((10**5, 8, 6), np.uint8))
    monkeypatch.setattr(archives, "MOST_BYTES", 10**6)
    assert refused(archive) == f"{archive}: would unpack to 0 GiB; refused"

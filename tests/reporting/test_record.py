import numpy as np

from medgraft.reporting.record import record_figure

WHO = {"who": "P7", "explains": "ill", "output": 1.5, "reference": -0.5}


def test_features_are_drawn_signed_the_largest_first(sheets):
    drawn = sheets("record")
    names = ["age = 61", "sex = male", "lab = missing"]
    figure = record_figure(np.array([0.4, -1.0, 2.6]), names, are_features=True, **WHO)
    (axes,) = drawn["record"].axes
    bars = {
        label.get_text(): (bar.get_width(), bar.get_facecolor())
        for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert list(bars) == ["lab = missing", "sex = male", "age = 61"]
    assert [width for width, _ in bars.values()] == [2.6, -1.0, 0.4]
    assert bars["sex = male"][1] != bars["age = 61"][1] == bars["lab = missing"][1]
    assert figure.title == "P7: lab = missing raises the output for ill most (+2.600)"
    assert "3 contributions make up the difference but for +0.000" in figure.caption


def test_positions_keep_their_places(sheets):
    drawn = sheets("record")
    parts = np.array([0.0, -1.5, 0.5, 3.0])
    names = [f"position_{i}" for i in range(1, 5)]
    figure = record_figure(parts, names, are_features=False, **WHO)
    bars = drawn["record"].axes[0].patches
    assert [bar.get_height() for bar in bars] == list(parts)
    assert [bar.get_x() + bar.get_width() / 2 for bar in bars] == [1, 2, 3, 4]
    assert figure.title == "P7: position_4 raises the output for ill most (+3.000)"


def test_pixels_lie_beside_their_image(sheets):
    """Nothing is white: the scale is as long below 0 as above it."""
    drawn = sheets("record")
    parts, picture = np.array([[0.0, -2.0], [0.5, 1.0]]), np.array([[9.0, 8.0], [7.0, 6.0]])
    names = [f"pixel_{i}_{j}" for i in (1, 2) for j in (1, 2)]
    figure = record_figure(parts, names, are_features=False, picture=picture, **WHO)
    left, right = (axes.images[0] for axes in drawn["record"].axes[:2])
    np.testing.assert_array_equal(left.get_array(), picture)
    np.testing.assert_array_equal(right.get_array(), parts)
    assert right.get_clim() == (-2.0, 2.0)
    assert figure.title == "P7: pixel_1_2 lowers the output for ill most (-2.000)"

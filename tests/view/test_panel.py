import json
import sys

import numpy as np
import pytest

from mi_widgets.grid import Axis as GridAxis
from mi_widgets.grid import Grid
from mi_widgets.view import Axis, Panel, Top, mapping
from mi_widgets.view.panel import array, colour_range
from mi_widgets.view.picture import companded, pooled, thumbnails

LAYERS, HEADS = Axis("layer", ["0", "1", "2"]), Axis("head", ["0", "1", "2", "3"])
VALUES = np.arange(12.0).reshape(3, 4)
TOKEN = {"index": 0, "id": 7, "text": "·a", "kind": "text", "bos": False}


def test_an_array_keeps_shape_order_and_nan():
    wire = array(np.asfortranarray([[1.0, np.nan, -0.5]]), np.float32)
    assert (wire["shape"], wire["dtype"]) == ([1, 3], "float32")
    assert np.array_equal(np.frombuffer(wire["data"], "<f4"), [1.0, np.nan, -0.5], equal_nan=True)


def test_in_colab_an_array_crosses_as_text(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", sys)
    assert array(np.array([1.5, -2]), np.float32) == {"shape": [2], "dtype": "float32", "data": "AADAPwAAAMA="}


def test_a_signed_range_is_symmetric_and_without_the_excluded_columns():
    values = np.array([[900.0, -3.0, 1.0], [np.nan, np.nan, 2.0]])
    assert colour_range(values, "signed", [0]) == (-3.0, 3.0)
    assert colour_range(values, "sequential", [0]) == (-3.0, 2.0)


@pytest.mark.parametrize("values", [np.full((2, 2), np.nan), np.zeros((2, 2)), np.ones((2, 1))])
@pytest.mark.parametrize("scale", ["signed", "sequential"])
def test_a_range_is_always_finite_and_never_empty(values, scale):
    low, high = colour_range(values, scale, [0])
    assert np.isfinite([low, high]).all()
    assert low < high


def test_json_never_carries_nan_or_infinity():
    wire = Panel("p", LAYERS, HEADS, np.full((3, 4), np.nan), excluded=[np.int64(0)]).wire()
    plain = {name: value for name, value in wire.items() if name != "values"}
    json.loads(json.dumps(plain, allow_nan=False))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"values": VALUES.T}, r"values are \(4, 3\), the labels \(3, 4\)"),
        ({"values": np.full((3, 4), np.inf)}, "infinities"),
        ({"scale": "log"}, "'log'"),
        ({"spacing": "cubic"}, "spacing is 'cubic', not 'even' or 'log'"),
        ({"bright": "middle"}, "bright is 'middle', not 'high' or 'low'"),
        ({"excluded": [4]}, "excluded"),
        ({"thumbnails": np.zeros((3, 4, 2, 2))}, "float64, not uint8"),
        ({"thumbnails": np.zeros((4, 3, 2, 2), np.uint8)}, "thumbnails are"),
        ({"estimated": np.zeros((4, 3), bool)}, "estimated"),
        ({"texts": np.ones((3, 4), np.int32), "vocabulary": [TOKEN]}, "beyond the 1"),
        ({"top": Top(np.zeros((3, 4, 2), np.int32), np.zeros((3, 4, 1))), "vocabulary": [TOKEN]}, "as many values"),
    ],
)
def test_a_contradiction_is_refused_when_the_panel_is_made(wrong, says):
    with pytest.raises(ValueError, match=says):
        Panel(**{"name": "p", "rows": LAYERS, "cols": HEADS, "values": VALUES, **wrong})


RANKS = np.array([[1.0, 10.0, 49152.0], [3.0, 200.0, 7.0]])


def grid_of(unit: str) -> Grid:
    return Grid(np.ma.asarray(RANKS), (GridAxis("layer", (0, 1)), GridAxis("position", (0, 1, 2))), unit=unit)


@pytest.mark.parametrize(
    ("unit", "spacing", "bright", "low"),
    [("rank", "log", "low", 1), ("nats", "even", "low", 0), ("x", "even", "high", 0)],
)
def test_a_unit_says_how_its_numbers_become_colours(unit, spacing, bright, low):
    wire = mapping.panel(grid_of(unit), "g").wire()
    assert (wire["spacing"], wire["bright"], wire["range"]) == (spacing, bright, [low, 49152])


def test_a_figure_of_ranks_is_bright_at_the_first_place_and_by_the_logarithm():
    (ranks,) = grid_of("rank").figure().data
    assert (
        np.allclose(ranks.z, np.log10(RANKS))
        and ranks.reversescale
        and (ranks.zmin, ranks.zmax) == (0, np.log10(49152))
    )
    assert np.array_equal(ranks.customdata, RANKS) and "%{customdata}" in ranks.hovertemplate
    assert ranks.colorbar.ticktext[:3] == ("1", "10", "100") and ranks.colorbar.title.text == "rank"
    (plain,) = grid_of("x").figure().data
    assert np.array_equal(plain.z, RANKS) and not plain.reversescale


def test_pooling_keeps_the_brightest_position_and_small_patterns_whole():
    pattern = np.zeros((2, 100, 70))
    pattern[1, 99, 0] = 0.7
    small = pooled(pattern)
    assert small.shape == (2, 32, 32)
    assert small[1, 31, 0] == np.float32(0.7)
    assert small.sum() == np.float32(0.7)
    assert np.array_equal(pooled(pattern[:, :5, :7]), pattern[:, :5, :7])


def test_pooling_a_difference_keeps_what_is_furthest_from_zero_on_either_side():
    difference = np.zeros((100, 100))
    difference[0, 0], difference[1, 1] = 0.2, -0.6
    difference[99, 99], difference[98, 98] = 0.7, -0.6
    small = pooled(difference)
    assert (small[0, 0], small[31, 31]) == (np.float32(-0.6), np.float32(0.7))


def test_companding_both_sides_of_zero_up_to_a_number_of_ones_own():
    assert companded(np.array([-3.0, -0.5, 0.0, 0.5, 2.0, 9.0, np.nan]), 2.0, signed=True).tolist() == [
        0, 64, 128, 191, 255, 255, 128,
    ]  # fmt: skip
    assert companded(np.array([0.0, 0.5, 2.0, 9.0, -1.0]), 2.0).tolist() == [0, 128, 255, 255, 0]


def test_companding_keeps_what_plain_bytes_lose():
    values = np.array([0.0, 1 / 60_000, 0.001, 0.25, 1.0, np.nan])
    bytes_ = companded(values)
    assert bytes_.tolist() == [0, 1, 8, 128, 255, 0]
    assert np.allclose((bytes_[:5] / 255) ** 2, values[:5], atol=0.003)


def test_thumbnails_fit_a_panel():
    patterns = np.random.default_rng(0).random((3, 4, 50, 50))
    panel = Panel("heads", LAYERS, HEADS, VALUES, thumbnails=thumbnails(patterns))
    assert panel.wire()["thumbnails"]["shape"] == [3, 4, 32, 32]

"""Site, Grid, Selection, Intervention, Recipe, Direction, Card: refused when impossible, unchanged by a file."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.direction import Direction
from mi_widgets.grid import Axis, Grid, Readings
from mi_widgets.intervention import Intervention, Recipe
from mi_widgets.model import carrying, hook_name
from mi_widgets.reference import Reference
from mi_widgets.subspace import Subspace

HEAD = mi.Site("head", 2, 3)
LAYERS, HEADS, POSITIONS = 3, 4, 5

# -- Site -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"kind": "heads", "layer": 0}, "no kind of site"),
        ({"kind": "head", "layer": 0}, "needs its index"),
        ({"kind": "head", "index": 0}, "needs its layer"),
        ({"kind": "residual", "layer": 0, "index": 0}, "has no index"),
        ({"kind": "embedding", "layer": 0}, "has no layer"),
        ({"kind": "head", "layer": -1, "index": 0}, "whole number from 0"),
        ({"kind": "head", "layer": 1.0, "index": 0}, "whole number from 0"),
        ({"kind": "head", "layer": True, "index": 0}, "whole number from 0"),
        ({"kind": "head", "layer": 0, "index": 0, "part": "pre"}, "has no part"),
        ({"kind": "ffn", "layer": 0, "position": 1.5}, "position must be an int"),
    ],
)
def test_an_impossible_site_is_refused_when_it_is_made(fields: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.Site(**fields)


def test_sites_print_short_and_apart() -> None:
    after = mi.Site("residual", 2, part="post", position=-1)
    sites = [HEAD, mi.Site("head", 2, 3, "q"), mi.Site("residual", 2), after, mi.Site("ffn", 2)]
    sites += [mi.Site("neuron", 2, 3), mi.Site("embedding"), mi.Site("embedding", position=0)]
    assert len({str(site) for site in sites}) == len(sites)
    assert str(HEAD) == "L2H3" and str(sites[3]) == "resid_post.L2@-1" and str(sites[-1]) == "embedding@0"


def test_a_site_goes_through_json_and_unknown_fields_do_not() -> None:
    site = mi.Site("residual", 0, part="post", position=-1)
    assert mi.Site.from_dict(json.loads(json.dumps(site.to_dict()))) == site
    with pytest.raises(ValueError, match="no field 'colour'"):
        mi.Site.from_dict({**site.to_dict(), "colour": "red"})


def test_a_site_that_the_model_lacks_is_refused_with_what_it_has(llama: Any) -> None:
    for site, why in (
        (mi.Site("head", 3, 0), "layers 0 to 2"),
        (mi.Site("head", 0, 4), "heads 0 to 3"),
        (mi.Site("head", 0, 2, "k"), "heads 0 to 1"),
        (mi.Site("neuron", 0, 28), "neurons 0 to 27"),
        (mi.Site("head", 0, 0, position=15), "positions 0 to 14"),
        (mi.Site("head", 0, 0, position=-16), "positions 0 to 14"),
    ):
        with pytest.raises(ValueError, match=why):
            mi.run(llama.model, "When Mary and John went to the store, John gave a drink to", zero(site))


def test_every_kind_of_site_has_a_hook_in_the_model(llama: Any) -> None:
    for kind, parts in mi.site.PARTS.items():
        for part in parts:
            indexed = {"index": 0} if kind in ("head", "neuron", "feature") else {}
            site = mi.Site(kind, None if kind == "embedding" else 0, part=part, **indexed)
            assert hook_name(carrying(site)) in llama.model.hook_names


# -- Grid -------------------------------------------------------------------------------------------------------------


def axis(name: str, length: int) -> Axis:
    return Axis(name, tuple(range(length)))


def heads(values: Any = None, toward: int = 1, **more: Any) -> Grid:
    """Effects of heads; two cells of them not computed."""
    if values is None:
        values = np.linspace(-1, 1, LAYERS * HEADS).reshape(LAYERS, HEADS)
        values = np.ma.masked_array(values, np.zeros_like(values, dtype=bool))
        values[0, 1] = values[2, 3] = np.ma.masked
    return Grid(values, (axis("layer", LAYERS), axis("head", HEADS)), "head", "z", toward=toward, **more)


GRIDS = {
    1: Grid(np.zeros(LAYERS), (axis("layer", LAYERS),), "ffn"),
    2: heads(np.zeros((LAYERS, HEADS))),
    3: Grid(
        np.zeros((LAYERS, HEADS, POSITIONS)),
        (axis("layer", LAYERS), axis("head", HEADS), axis("position", POSITIONS)),
        "head",
        "z",
    ),
}


@pytest.mark.parametrize("axes", GRIDS)
def test_index_undoes_site_in_every_cell(axes: int) -> None:
    grid = GRIDS[axes]
    assert [grid.index(grid.site(cell)) for cell in np.ndindex(*grid.shape)] == list(np.ndindex(*grid.shape))
    assert len({grid.site(cell) for cell in np.ndindex(*grid.shape)}) == grid.values.size


def test_the_value_of_a_site_is_its_cells() -> None:
    grid = heads()
    assert [grid.value(grid.site(index)) for index, _ in grid.cells()] == [value for _, value in grid.cells()]
    masked = tuple(np.argwhere(np.ma.getmaskarray(grid.values))[0])
    assert np.isnan(grid.value(grid.site(masked)))
    with pytest.raises(KeyError, match="not a cell"):
        grid.value(mi.Site("ffn", 0))


def test_coordinates_are_not_indices() -> None:
    grid = Grid(np.zeros((2, 2)), (Axis("layer", (4, 7)), Axis("head", (1, 3))), "head", "z")
    assert grid.site((0, 0)) == mi.Site("head", 4, 1) and grid.index(mi.Site("head", 7, 3)) == (1, 1)
    with pytest.raises(KeyError, match="not a cell"):
        grid.index(mi.Site("head", 5, 1))


def test_a_cell_of_another_kind_is_not_in_the_grid() -> None:
    for stranger in (mi.Site("head", 0, 0, "q"), mi.Site("ffn", 0), mi.Site("head", 0, 0, position=1)):
        with pytest.raises(KeyError):
            heads().index(stranger)
    with pytest.raises(IndexError, match="2 indices"):
        heads().site((0,))
    with pytest.raises(ValueError, match="not places"):
        Grid(np.zeros(2), (Axis("strength", (0, 1)),)).site((0,))


def test_what_was_not_computed_is_masked_and_never_zero() -> None:
    grid = heads(np.array([[np.nan, 0, 1, 2], [np.inf, 0, 1, 2], [0, 0, 0, 0]]))
    assert grid.values.mask.sum() == 2 and grid.values[0, 1] == 0
    assert len(list(grid.cells())) == LAYERS * HEADS - 2
    assert (0, 0) not in dict(grid.cells()) and dict(grid.cells())[2, 3] == 0


def test_shapes_and_labels_must_agree() -> None:
    with pytest.raises(ValueError, match="axes say"):
        heads(np.zeros((HEADS, LAYERS)))
    with pytest.raises(ValueError, match="2 coordinates but 1 labels"):
        Axis("layer", (0, 1), ("a",))


@pytest.mark.parametrize("toward", [1, -1])
def test_top_orders_by_size_or_by_side(toward: int) -> None:
    grid = heads(np.array([[0.0, -3, 2, 1], [0, 0, 0, 0], [0, 0, 0, -0.5]]) * toward, toward)
    names = {by: [str(site) for site, _ in grid.top(3, by)] for by in ("magnitude", "toward", "against")}
    assert names == {"magnitude": ["L0H1", "L0H2", "L0H3"], "toward": ["L0H2", "L0H3"], "against": ["L0H1", "L2H3"]}
    assert grid.top(1)[0][1] == -3 * toward, "values keep their own sign"


def test_top_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="by must be one of"):
        heads().top(2, by="size")
    assert heads().top(100)[-1] and len(heads().top(100)) == LAYERS * HEADS - 2


def test_select_takes_exactly_one_rule() -> None:
    grid = heads()
    assert grid.select(top=2).sites == (mi.Site("head", 0, 0), mi.Site("head", 2, 2))
    assert len(grid.select(above=0.5)) == sum(abs(value) > 0.5 for _, value in grid.cells())
    assert grid.select(sites=[HEAD]).sites == (HEAD,)
    for rules in ({}, {"top": 2, "above": 0.1}):
        with pytest.raises(ValueError, match="exactly one"):
            grid.select(**rules)
    with pytest.raises(KeyError):
        grid.select(sites=[mi.Site("head", 9, 0)])
    with pytest.raises(ValueError, match="top"):
        grid.select(top=-1)


def ranking() -> Grid:
    """Three neurons of all sorts of layers, with two numbers each."""
    places = Axis("layer·neuron", ((2, 7), (0, 0), (2, 1)), ("L2N7", "L0N0", "L2N1"))
    numbers = Axis("effect", (0, 1), ("estimate", "exact"))
    return Grid(np.ma.asarray(np.arange(6.0).reshape(3, 2)), (places, numbers), "neuron", "post")


def test_an_axis_of_several_words_goes_through_chosen_places(tmp_path: Path) -> None:
    grid = ranking()
    assert [grid.site((row, col)) for row in range(3) for col in range(2)] == [
        mi.Site("neuron", layer, index) for layer, index in ((2, 7), (0, 0), (2, 1)) for _ in range(2)
    ]
    assert grid.index(mi.Site("neuron", 2, 1)) == (2, 0) and grid.value(mi.Site("neuron", 0, 0)) == 2
    for stranger in (mi.Site("neuron", 7, 2), mi.Site("neuron", 2, 7, "pre"), mi.Site("head", 2, 7)):
        with pytest.raises(KeyError, match="not a cell"):
            grid.index(stranger)
    back = Grid.load(grid.save(tmp_path / "grid.safetensors"))
    assert back.axes == grid.axes and back.site((0, 1)) == mi.Site("neuron", 2, 7)
    rows = grid.to_dataframe().to_dict("records")
    assert rows[1] == {
        "layer": 2, "neuron": 7, "layer·neuron_label": "L2N7", "effect": 1, "effect_label": "exact", "value": 1.0,
    }  # fmt: skip
    assert Axis("layer·neuron", ((2, 7),)).labels == ("2.7",)
    with pytest.raises(ValueError, match=r"has 2 words, its coordinate \(3,\) does not"):
        Axis("layer·neuron", (3,))


def test_a_ranking_is_a_panel_whose_rows_are_places() -> None:
    panel = ranking().show().panels[0]
    assert list(panel.rows.labels) == ["L2N7", "L0N0", "L2N1"] and panel.rows.name == "layer·neuron"
    assert panel.rows.places == [(2, 7), (0, 0), (2, 1)] and panel.cols.places == []


def test_a_grid_comes_back_from_its_file(tmp_path: Path) -> None:
    ids = np.arange(LAYERS * HEADS * 2).reshape(LAYERS, HEADS, 2)
    label = {"index": 0, "id": 0, "text": "<b>·‹E2 80›", "kind": "text", "bos": False}
    readings = Readings(ids, ids / 100, {int(i): {**label, "id": int(i)} for i in ids.reshape(-1)})
    axes = (axis("layer", LAYERS), Axis("position", tuple(range(HEADS)), ("<s>", "·the", "·the", "∅")))
    grid = Grid(
        heads().values, axes, "residual", "post", "T", "logits", "up is good", -1, {"weights": "ab", "n": 3}, readings
    )
    back = Grid.load(grid.save(tmp_path / "grid.safetensors"))
    np.testing.assert_array_equal(back.values.filled(9), grid.values.filled(9))
    for name in ("axes", "kind", "part", "title", "unit", "sign", "toward", "provenance"):
        assert getattr(back, name) == getattr(grid, name)
    np.testing.assert_array_equal(back.readings.ids, ids)
    assert back.readings.vocabulary == readings.vocabulary


def test_estimates_stay_estimates(tmp_path: Path) -> None:
    guessed = np.zeros((LAYERS, HEADS), bool)
    guessed[0, 0] = guessed[1, 3] = True
    grid = heads(estimated=guessed)
    back = Grid.load(grid.save(tmp_path / "grid.safetensors"))
    np.testing.assert_array_equal(back.estimated, guessed)
    table = back.to_dataframe()
    assert table[(table.layer == 0) & (table["head"] == 0)].estimated.item()
    assert table.estimated.sum() == guessed[~heads().values.mask].sum()
    np.testing.assert_array_equal((grid - heads()).estimated, guessed)
    assert "estimated" not in heads().to_dataframe() and heads(estimated=np.zeros_like(guessed)).estimated is None
    np.testing.assert_array_equal(grid.show().panels[0].estimated, guessed)
    shown = grid.figure()
    assert len(shown.data) == 2 and "estimates" in shown.layout.title.text and len(heads().figure().data) == 1
    with pytest.raises(ValueError, match="estimated has shape"):
        heads(estimated=guessed.T)


def test_collapsed_cells_and_numbers_beside_are_kept_listed_and_drawn(tmp_path: Path) -> None:
    broken, beside = np.zeros((2, 3), bool), {"perplexity": np.arange(6.0).reshape(2, 3)}
    broken[0, 0] = broken[1, 2] = True
    axes = (Axis("layer", (4.0, 7.0)), Axis("strength", (-0.5, 0.0, 0.5)))
    grid = Grid(np.ones((2, 3)), axes, toward=1, provenance={"natural": [0.25, 0.6]}, collapsed=broken, beside=beside)
    back = Grid.load(grid.save(tmp_path / "grid.safetensors"))
    np.testing.assert_array_equal(back.collapsed, broken)
    np.testing.assert_array_equal(back.beside["perplexity"], beside["perplexity"])
    table = back.to_dataframe()
    assert table.collapsed.tolist() == broken.ravel().tolist() and table.perplexity.tolist() == [0, 1, 2, 3, 4, 5]
    np.testing.assert_array_equal((grid - back).collapsed, broken)
    assert (grid - back).beside == {}
    crosses, strokes = back.figure().data[1:]
    assert (list(crosses.x), list(crosses.y)) == ([0, 2], [0, 1])
    assert (list(strokes.x), list(strokes.y)) == ([1.5], [0])  # 0.6 lies beyond the last column
    assert "Crossed" in back.figure().layout.title.text and "Strokes" in back.figure().layout.title.text
    mixed = replace(grid, axes=(axes[0], Axis("strength", (0.5, -0.5, 0.0)))).figure()
    assert len(mixed.data) == 2 and "Strokes" not in mixed.layout.title.text
    with pytest.raises(ValueError, match="collapsed has shape"):
        replace(grid, collapsed=broken.T)
    with pytest.raises(ValueError, match="perplexity has shape"):
        replace(grid, beside={"perplexity": broken.T})


def test_collapsed_points_of_a_curve_are_crossed_at_their_strength() -> None:
    axes = (Axis("strength", (-2.0, 0.0, 2.0)),)
    grid = Grid(np.array([np.nan, 0.0, 3.0]), axes, provenance={"natural": 0.5}, collapsed=[True, False, True])
    figure = grid.figure()
    crosses = figure.data[1]
    assert (list(crosses.x), list(crosses.y)) == ([-2.0, 2.0], [0.0, 3.0]) and crosses.marker.symbol == "x-thin"
    assert [shape.x0 for shape in figure.layout.shapes if shape.x0 == shape.x1] == [0.5]
    assert len(replace(grid, collapsed=None).figure().data) == 1


def test_a_file_of_another_format_or_with_unknown_fields_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    header = heads()._header()
    for change, why in (({"format": "mi_widgets.grid/99"}, "format"), ({"script": "x"}, "unknown field 'script'")):
        path = tmp_path / "grid.safetensors"
        save_file({"values": np.zeros((3, 4), np.float32)}, path, metadata={"grid": json.dumps({**header, **change})})
        with pytest.raises(ValueError, match=why):
            Grid.load(path)
    save_file({"values": np.zeros(2)}, path)
    with pytest.raises(ValueError, match="not a grid"):
        Grid.load(path)


def test_the_difference_of_two_maps_is_masked_where_either_is() -> None:
    other = heads(np.full((LAYERS, HEADS), 0.25))
    difference = heads() - other
    assert difference.values.mask.sum() == 2
    assert difference.values[0, 0] == pytest.approx(-1.25)
    for stranger in (replace(other, part="q"), replace(other, axes=(axis("layer", 3), Axis("head", (0, 1, 2, 9))))):
        with pytest.raises(ValueError, match="different cells"):
            heads() - stranger


def test_a_difference_of_two_units_is_refused() -> None:
    other = replace(heads(), unit="logprob")
    with pytest.raises(ValueError, match=r"different units, .* and 'logprob'"):
        heads() - other
    assert (other - other).unit == "logprob"


def test_a_dataframe_has_a_row_for_each_computed_cell() -> None:
    frame = heads().to_dataframe()
    assert list(frame.columns) == ["layer", "head", "value"] and len(frame) == LAYERS * HEADS - 2
    labelled = Grid(np.zeros(2), (Axis("position", (0, 1), ("<s>", "a")),), "embedding").to_dataframe()
    assert list(labelled["position_label"]) == ["<s>", "a"]


# -- Selection --------------------------------------------------------------------------------------------------------


def test_a_selection_is_an_ordered_set_of_sites() -> None:
    other = mi.Site("head", 0, 0)
    picked = mi.Selection((HEAD, other, HEAD))
    assert list(picked) == [HEAD, other] and str(picked) == "L2H3, L0H0" and str(mi.Selection(())) == "nothing"
    with pytest.raises(TypeError, match="holds Sites"):
        mi.Selection(((0, 1),))  # type: ignore[arg-type]


def test_a_selections_verbs_carry_its_provenance() -> None:
    picked = mi.Selection((HEAD,), {"prompt": "p"})
    assert picked.scale(2).provenance == {"prompt": "p"}
    assert [step.op for step in (*picked.switch_off().interventions, *picked.switch_off("zero").interventions)] == [
        "mean",
        "zero",
    ]
    with pytest.raises(ValueError, match="nothing is selected"):
        mi.Selection(()).scale(0)
    with pytest.raises(ValueError, match="'mean', 'zero' or 'resample'"):
        picked.switch_off("median")


# -- Intervention, Recipe, Direction -----------------------------------------------------------------------------------


def zero(site: mi.Site = HEAD) -> Recipe:
    return Recipe((Intervention("zero", site),))


def direction(width: int = 20, **fields: Any) -> Direction:
    return Direction(np.linspace(-1, 2, width), **{"layer": 1, "norm": 3.0, "natural": 0.5, **fields})


def everything(width: int = 20) -> Recipe:
    """One intervention of each kind."""
    steps = (
        Intervention("zero", HEAD),
        Intervention("mean", mi.Site("ffn", 0, position=-1), reference=Reference(("a b", "c <b>"))),
        Intervention("scale", mi.Site("neuron", 1, 5), amount=-2.5),
        Intervention("replace", mi.Site("residual", 0), prompt="another 😀", strength=0.5),
        Intervention("clamp", mi.Site("head", 0, 1), low=-1.0),
        Intervention("knock_out", mi.Site("head", 0, 1, "pattern", 3, 1)),
        Intervention("resample", HEAD, reference=Reference(("a b c",)), seed=3),
        Intervention("delta", mi.Site("weight", 1, part="W_out"), delta=delta(width)),
        Intervention("delta", mi.Site("weight", 0, part="W_Q"), delta=Delta(np.ones((2, 3)), None, (0, 4), (1, 2, 9))),
        *subspace(width).swap("another 😀", [1]).interventions,
    )
    turned = direction(width, name="turned")
    gated = turned.project_out(everywhere=True) + turned.add(0.5, where="generated", keep_norm=True).when(turned, 2.0)
    texts = {"positive": ("up", "öp"), "negative": ("down",)}
    return Recipe(steps, {"prompt": "p"}) + gated + direction(width, name="d", **texts).add(0.3, [0, 2])


def subspace(width: int, name: str = "a <b>") -> Subspace:
    return Subspace(np.eye(width)[[3, 0]], 1, name)


def delta(width: int) -> Delta:
    return Delta(np.linspace(0, 1, 28)[:, None], np.linspace(-1, 1, width)[None])


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "explode"},
        {"op": "mean"},
        {"op": "zero", "amount": 1.0},
        {"op": "scale"},
        {"op": "add", "amount": 1.0},
        {"op": "replace"},
        {"op": "scale", "amount": float("nan")},
        {"op": "zero", "strength": float("inf")},
        {"op": "scale", "amount": True},
        {"op": "scale", "amount": "2"},
        {"op": "replace", "prompt": ["a"]},
        {"op": "clamp"},
        {"op": "clamp", "low": 2.0, "high": 1.0},
        {"op": "clamp", "low": float("inf")},
        {"op": "resample", "reference": Reference(("a",))},
        {"op": "resample", "reference": Reference(("a",)), "seed": True},
        {"op": "knock_out"},
        {"op": "zero", "where": "elsewhere"},
        {"op": "zero", "spare_first": 1},
        {"op": "zero", "everywhere": True},
        {"op": "delta", "delta": Delta(np.ones((2, 3)))},
        {"op": "zero", "condition": "always"},
        {"op": "swap", "subspace": Subspace(np.eye(3), 0), "prompt": "a"},
        {"op": "swap", "site": mi.Site("residual", 0), "prompt": "a"},
        {"op": "swap", "site": mi.Site("residual", 0), "subspace": np.eye(3), "prompt": "a"},
    ],
)
def test_an_impossible_intervention_is_refused_when_it_is_made(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Intervention(**{"site": HEAD, **fields})


@pytest.mark.parametrize("vector", [np.zeros(4), np.array([1, np.nan]), np.ones((2, 2))])
def test_a_direction_is_one_finite_vector(vector: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one finite vector"):
        Direction(vector, 0, 1.0, 0.1)


@pytest.mark.parametrize(
    ("basis", "why"),
    [
        (np.ones((1, 4)), "orthonormal"),
        (np.full((1, 4), np.nan), "orthonormal"),
        (np.eye(4)[0], "of shape"),
        (np.eye(4)[:, :3], "of shape"),
    ],
)
def test_a_subspace_has_an_orthonormal_basis(basis: np.ndarray, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Subspace(basis, 0)


@pytest.mark.parametrize("fields", [{"layer": -1}, {"layer": True}, {"name": 5}])
def test_a_subspaces_place_and_name_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        Subspace(np.eye(4), **{"layer": 0, **fields})


def test_subspaces_are_equal_when_all_but_their_provenance_is() -> None:
    basis = np.eye(4)[:2]
    one = Subspace(basis, 1)
    assert one == Subspace(basis, 1, provenance={"model": "m"}) and len({one, Subspace(basis, 1)}) == 1
    assert all(other != one for other in (Subspace(basis, 2), Subspace(basis[::-1], 1), Subspace(basis, 1, "n")))


@pytest.mark.parametrize("fields", [{"norm": float("nan")}, {"norm": 0.0}, {"norm": -1.0}, {"natural": float("inf")}])
def test_a_directions_scale_is_a_finite_number(fields: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"norm .* natural"):
        direction(**fields)


@pytest.mark.parametrize(
    "fields", [{"layer": -1}, {"layer": 1.0}, {"layer": True}, {"positive": "one text"}, {"negative": (1,)}]
)
def test_a_directions_place_and_texts_are_checked(fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        direction(**fields)


def test_directions_are_equal_when_all_but_their_provenance_is() -> None:
    assert direction() == direction(provenance={"model": "m"}) and len({direction(), direction()}) == 1
    others = [direction(layer=2), direction(norm=4.0), direction(natural=0.4), direction(name="n"), direction(21)]
    assert all(other != direction() for other in others)


def test_what_a_direction_adds_knows_its_model() -> None:
    assert direction(provenance={"source": "gpt2"}).add().provenance == {"source": "gpt2"}


@pytest.mark.parametrize("texts", ["one text", (1, 2), ()])
def test_a_reference_is_a_list_of_texts(texts: Any) -> None:
    with pytest.raises(ValueError, match="reference set"):
        Reference(texts)


def test_what_changes_nothing_says_so() -> None:
    idle = (
        *mi.Selection((HEAD,)).scale(1).interventions,
        *direction().add(0).interventions,
        *zero().at(0).interventions,
    )
    assert all(step.changes_nothing for step in idle)
    assert not any(step.changes_nothing for step in everything().interventions)


def test_a_direction_has_length_one() -> None:
    assert np.linalg.norm(direction().vector) == pytest.approx(1, abs=1e-6)


strengths = st.floats(-4, 4, allow_nan=False)


@given(strengths, strengths)
def test_strengths_multiply(a: float, b: float) -> None:
    twice, once = (recipe.interventions for recipe in (everything().at(a).at(b), everything().at(a * b)))
    assert [step.strength for step in twice] == pytest.approx([step.strength for step in once], abs=1e-12)
    assert [step.site for step in twice] == [step.site for step in once]


def test_strength_zero_is_the_model_itself_bit_for_bit(llama: Any) -> None:
    recipe = zero(mi.Site("head", 0, 0)).at(0)
    assert recipe.hooks(llama.model) == []
    assert (mi.run(llama.model, "Mary", recipe).logits == mi.run(llama.model, "Mary").logits).all()


def test_plus_keeps_the_order_and_says_what_is_edited_twice() -> None:
    first, second = zero(), mi.Selection((HEAD,)).scale(2)
    assert [step.op for step in (first + second).interventions] == ["zero", "scale"]
    assert (first + second).conflicts == (HEAD,) and first.conflicts == ()
    assert (first + second).hash != (second + first).hash
    with pytest.raises(TypeError):
        first + "x"  # type: ignore[operator]


def test_a_hash_is_that_of_what_is_done() -> None:
    recipe = everything()
    assert recipe.hash == everything().hash == replace(recipe, provenance={}).hash
    assert len(recipe.hash) == 16 and int(recipe.hash, 16)
    steps = recipe.interventions
    others = [
        recipe.at(0.5),
        Recipe(steps[:-1]),
        Recipe(steps[::-1]),
        Recipe((replace(steps[0], site=mi.Site("head", 2, 0)), *steps[1:])),
        Recipe((steps[0], replace(steps[1], reference=Reference(("a b",))), *steps[2:])),
        Recipe((*steps[:3], replace(steps[3], prompt="another"), *steps[4:])),
        Recipe((*steps[:-1], replace(steps[-1], direction=direction(21)))),
        Recipe((*steps[:-1], replace(steps[-1], direction=direction(norm=4.0)))),
        *(Recipe((*steps[:4], replace(steps[4], **change), *steps[5:])) for change in ({"low": 0.0}, {"high": 2.0})),
        Recipe((*steps[:7], replace(steps[7], delta=delta(3)), *steps[8:])),
        Recipe((*steps[:9], replace(steps[9], subspace=subspace(20, "other")), *steps[10:])),
        Recipe(tuple(replace(step, condition=None) for step in steps)),
    ]
    assert len({recipe.hash, *(other.hash for other in others)}) == len(others) + 1


@pytest.mark.parametrize("width", [20, 3000], ids=["vector inside", "vector beside"])
def test_a_recipe_comes_back_from_its_file(tmp_path: Path, width: int) -> None:
    recipe = everything(width)
    path = recipe.save(tmp_path / "recipe.json")
    assert path.with_suffix(".safetensors").exists() == (width == 3000)
    back = Recipe.load(path)
    assert back.hash == recipe.hash and back.provenance == recipe.provenance and str(back) == str(recipe)
    found, made = back.interventions[-1].direction, recipe.interventions[-1].direction
    assert found.vector.tobytes() == made.vector.tobytes()
    for name in ("layer", "norm", "natural", "name", "positive", "negative"):
        assert getattr(found, name) == getattr(made, name)


def test_a_tampered_vector_is_refused(tmp_path: Path) -> None:
    path = everything().save(tmp_path / "recipe.json")
    data = json.loads(path.read_text("utf-8"))
    entry = next(iter(data["arrays"].values()))
    entry["shape"], entry["data"] = [20], base64.b64encode(np.ones(20, np.float32).tobytes()).decode()
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="does not have the hash"):
        Recipe.load(path)


def test_a_name_that_stands_twice_and_numbers_that_are_none_are_refused(tmp_path: Path) -> None:
    path = everything().save(tmp_path / "recipe.json")
    text = path.read_text("utf-8")
    for change in (('"strength": 1.0', '"strength": 1.0, "strength": 50.0'), ('"prompt": "p"', '"prompt": NaN')):
        assert change[0] in text
        path.write_text(text.replace(*change, 1), "utf-8")
        with pytest.raises(ValueError, match=r"recipe\.json"):
            Recipe.load(path)


def test_a_recipe_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    path = everything().save(tmp_path / "recipe.json")
    before = path.read_bytes()
    with pytest.raises(ValueError):
        Recipe((Intervention("replace", HEAD, prompt="half \ud800"),)).save(path)
    with pytest.raises(ValueError, match=r"\.json file"):
        everything(3000).save(tmp_path / "recipe.safetensors")
    assert path.read_bytes() == before


def test_a_vector_file_of_another_recipe_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    path = everything(3000).save(tmp_path / "recipe.json")
    beside = path.with_suffix(".safetensors")
    save_file({name: vector + 1 for name, vector in load_file(beside).items()}, beside)
    with pytest.raises(ValueError, match="does not have the hash"):
        Recipe.load(path)
    beside.unlink()
    with pytest.raises((ValueError, OSError)):
        Recipe.load(path)


def spoiled(data: dict[str, Any]) -> list[Any]:
    """A recipe's JSON with one thing wrong, in every way that comes to mind."""
    step, (key, entry) = data["interventions"][1], next(iter(data["directions"].items()))
    (name, array), (delta, change) = (next(iter(data[table].items())) for table in ("arrays", "deltas"))
    gated = next(step for step in data["interventions"] if "condition" in step)
    space, spanned = next(iter(data["subspaces"].items()))
    return [
        [],
        "text",
        {**data, "format": "mi_widgets.recipe/2"},
        {**data, "script": "import os"},
        *({name: value for name, value in data.items() if name != left_out} for left_out in data),
        *({**data, "interventions": [{**step, **change}]} for change in (
            {"code": "x"}, {"op": "exec"}, {"op": []}, {"strength": "1"}, {"strength": None}, {"reference": "nothing"},
            {"site": {"kind": "head"}}, {"site": []}, {"site": {**step["site"], "file": "/etc/passwd"}},
        )),
        *({**data, "interventions": [{k: v for k, v in step.items() if k != left_out}]} for left_out in ("op", "site")),
        *({**data, "interventions": wrong} for wrong in ("zero", {}, "")),
        {**data, "interventions": [{k: v for k, v in step.items() if k != "strength"}]},
        {**data, "references": [1]},
        {**data, "references": {key: ["other texts"] for key in data["references"]}},
        {**data, "references": {key: "abc" for key in data["references"]}},
        {**data, "provenance": []},
        *({**data, "directions": {key: {**entry, **change}}} for change in (
            {"norm": True}, {"norm": 4.0}, {"layer": 2}, {"layer": "1"}, {"layer": -1}, {"name": 5}, {"name": "other"},
            {"positive": "up"}, {"positive": [1]}, {"negative": ["up"]}, {"vector": 5},
        )),
        {**data, "directions": {key: {**entry, "path": "/etc/passwd"}}},
        {**data, "directions": {key: {**entry, "vector": "nothing"}}},
        *({**data, "arrays": {**data["arrays"], name: {**array, **change}}} for change in (
            {"data": "no base64!"}, {"data": 5}, {"shape": [3, 7]}, {"shape": "20"}, {"dtype": "O"}, {"data": None},
        )),
        *({**data, "deltas": {delta: {**change, **wrong}}} for wrong in (
            {"left": "nothing"}, {"rows": [0]}, {"rows": "ab"}, {"file": "/etc/passwd"}, {"columns": [-1, 0]},
        )),
        *({**data, "subspaces": {space: {**spanned, **wrong}}} for wrong in (
            {"basis": "nothing"}, {"basis": name}, {"layer": 2}, {"layer": "1"}, {"name": 5}, {"file": "/etc/passwd"},
        )),
        *({**data, "interventions": [{**gated, "condition": {**gated["condition"], **wrong}}]} for wrong in (
            {"above": None}, {"direction": "nothing"}, {"position": "first"}, {"code": "x"},
        )),
        {**data, "interventions": [{**gated, "where": "elsewhere"}]},
        {**data, "directions": {key: {**entry, "norm": "3"}}},
        *({**data, "directions": {key: {k: v for k, v in entry.items() if k != gone}}} for gone in entry),
    ]  # fmt: skip


def test_every_spoiled_recipe_is_refused_as_a_value_error_that_names_the_file(tmp_path: Path) -> None:
    path = everything().save(tmp_path / "recipe.json")
    for data in spoiled(json.loads(path.read_text("utf-8"))):
        path.write_text(json.dumps(data), "utf-8")
        with pytest.raises(ValueError, match=r"recipe\.json"):
            Recipe.load(path)
            pytest.fail(f"accepted: {json.dumps(data)[:300]}")
    path.write_text("{", "utf-8")
    with pytest.raises(ValueError):
        Recipe.load(path)


# -- Card -------------------------------------------------------------------------------------------------------------


def card(effect: float, controls: tuple[float, ...], interval: tuple[float, float]) -> mi.Card:
    advantage = effect - sum(controls) / len(controls)
    spread = (effect - 0.1, effect + 0.1)
    return mi.Card("T", "logit_diff", 9, 3, effect, spread, 2.0, "random heads", controls, advantage, interval)


@pytest.mark.parametrize(
    ("effect", "controls", "interval", "says"),
    [
        (-2.0, (-0.1, 0.1), (-2.2, -1.8), "lowers logit_diff by -2.00"),
        (2.0, (-0.1, 0.1), (1.8, 2.2), "raises logit_diff by +2.00"),
        (-2.0, (-1.9, -2.1), (-0.1, 0.1), "No effect shown beyond the controls"),
        (-0.5, (-2.0, -2.2), (1.2, 2.0), "less than"),
        (0.5, (2.0, 2.2), (-2.0, -1.2), "less than"),
    ],
)
def test_the_verdict_follows_from_the_interval(
    effect: float, controls: tuple[float, ...], interval: tuple[float, float], says: str
) -> None:
    told = card(effect, controls, interval)
    assert says in told.verdict
    assert f"{effect:+.2f}" in told.verdict


def test_an_effect_whose_own_interval_holds_zero_is_not_shown() -> None:
    assert card(0.05, (-0.3,) * 20, (0.1, 0.9)).verdict.startswith("No effect shown: +0.05")


def test_what_is_rounding_is_no_effect() -> None:
    small = replace(card(-6e-8, (0.2,), (-0.3, -0.1)), ci=(-3e-7, 2e-7))
    assert small.verdict.startswith("No effect shown") and "0.0001" in small.verdict


def test_a_card_beats_only_controls_that_move_less_whichever_way() -> None:
    assert card(-2.0, (-3.0, -1.0, 1.0, 5.0), (-3, -1)).beats == 2
    assert card(2.0, (3.0, 1.0, -1.0), (0.5, 2)).beats == 2


def test_a_card_is_json_and_a_figure() -> None:
    told = card(-2.0, (-0.1, 0.1), (-2.2, -1.8))
    data = json.loads(json.dumps(told.to_dict()))
    assert data["verdict"] == told.verdict and data["effect"] == -2.0
    assert told.verdict in str(told)
    assert len(told.figure().data) == 2


# -- numpy's numbers, and files that are not what they seem ------------------------------------------------------------


def test_numpys_numbers_are_numbers(tmp_path: Path) -> None:
    site = mi.Site("head", np.int64(1), np.int32(0), position=np.int64(-1))
    assert site == mi.Site("head", 1, 0, position=-1) and type(site.layer) is int
    recipe = mi.Selection((site,)).scale(np.float32(0.5)).at(np.float64(0.5))
    assert Recipe.load(recipe.save(tmp_path / "recipe.json")).hash == recipe.hash


@pytest.mark.parametrize("part", [0, [], {}, None])
def test_a_part_is_a_word(part: Any) -> None:
    with pytest.raises(ValueError, match="part"):
        mi.Site("head", 1, 0, part)


def test_a_recipe_holds_interventions_of_sites() -> None:
    with pytest.raises(TypeError, match="holds Interventions"):
        Recipe((HEAD,))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="site must be a Site"):
        Intervention("zero", "L0H1")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="positions is empty"):
        direction().add(0.5, positions=[])


def test_parts_of_models_with_other_weights_are_said() -> None:
    first, second = (Recipe(zero().interventions, {"weights": weights}) for weights in ("aa", "bb"))
    with pytest.warns(UserWarning, match="other weights"):
        first + second
    assert (first + Recipe(second.interventions)).provenance == {"weights": "aa"}


@pytest.mark.parametrize(
    "change",
    [{"kind": 5}, {"kind": "head", "part": "bogus"}, {"toward": 7}, {"title": None}, {"axes": 3}, {"provenance": []}],
)
def test_a_grid_file_with_wrong_types_is_refused_by_name(tmp_path: Path, change: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    header = {**heads()._header(), **change}
    path = tmp_path / "grid.safetensors"
    save_file({"values": np.zeros((3, 4), np.float32)}, path, metadata={"grid": json.dumps(header)})
    with pytest.raises(ValueError, match=r"grid\.safetensors"):
        Grid.load(path)
    path.write_bytes(b"junk")
    with pytest.raises(ValueError, match=r"grid\.safetensors"):
        Grid.load(path)


def test_a_file_of_a_thousand_brackets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    path.write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"recipe\.json"):
        Recipe.load(path)


def test_a_rule_that_picks_nothing_sensible_is_refused() -> None:
    for rule in ({"above": float("nan")}, {"sites": ["L0H1"]}):
        with pytest.raises((ValueError, TypeError)):
            heads().select(**rule)
    with pytest.raises(ValueError, match="number of cells"):
        heads().top(-1)


def test_a_figure_shows_quotes_and_no_markup() -> None:
    title = heads(title='logit(" Mary") − <b>1</b>').figure().layout.title.text
    assert title.startswith('logit(" Mary") − &lt;b&gt;1&lt;/b&gt;')

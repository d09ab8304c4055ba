"""Kept edits, the way back and forward, the journal, the dose curve, and views that pick together."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from traitlets import TraitError

import mi_widgets as mi
from mi_widgets.view.history import History

from . import tiny
from .conftest import Tiny
from .test_workbench import ZERO, attention, attribution, by_hand, lens, settled, short_texts  # noqa: F401
from .tiny import CLEAN

SCALE = {"verb": "scale", "factor": 0.5}


def pick(view: Any, *picks: tuple[int, int, int], act: dict[str, Any] = ZERO) -> Any:
    view.picks, view.act = list(picks), act
    return view


# -- kept edits -------------------------------------------------------------------------------------------------------


def test_a_kept_edit_stays_in_force_at_its_own_strength(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    first = view.recipe
    view.keep()
    assert view.picks == [] and view.tray == [{"id": 0, "label": "L0H0 set to zero", "strength": 1.0}]
    assert view.recipe.interventions == first.interventions
    view.tray = [{"id": 0, "strength": 0.5}]
    pick(view, (0, 1, 2), act=SCALE)
    both = first.at(0.5) + mi.Selection((mi.Site("head", 1, 2),)).scale(0.5)
    assert view.run()["difference"] == pytest.approx(by_hand(llama, both), abs=1e-5)
    assert view.result["tray"] == [{"id": 0, "label": "L0H0 set to zero (strength 0.5)", "strength": 0.5}]


def test_a_title_says_the_strength_of_each_edit_that_was_kept_together(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0), (0, 1, 2))
    view.tray = [{"id": view.keep(), "strength": 0.5}]
    view.run()
    assert view.result["tray"][0]["label"] == "L0H0 set to zero (strength 0.5); L1H2 set to zero (strength 0.5)"


def test_a_result_stays_that_of_its_recipe_when_the_draft_is_kept(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    numbers = dict(view.run())
    view.keep()
    assert (view.result["picks"], view.result["tray"]) == ([], view.tray)
    assert view.result["difference"] == numbers["difference"] and view.result["control"] == numbers["control"]
    view.undo()
    assert (view.result["picks"], view.result["tray"]) == ([[0, 0, 0]], [])
    view.redo()
    assert view.result["tray"] == view.tray != []


def test_a_result_of_another_recipe_is_not_taken_for_the_one_that_is_kept(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    view.run()
    pick(view, (0, 1, 2)).keep()
    assert view.result["picks"] == [[0, 0, 0]] and view.result["tray"] == []
    view.undo()
    view.undo()
    assert view.result["picks"] == [[0, 0, 0]]


def test_kept_edits_run_without_a_pick(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    alone = view.run()["difference"]
    view.receive({"type": "keep", "picks": [[0, 0, 0]], "act": ZERO})
    assert view.run()["difference"] == pytest.approx(alone, abs=1e-6)


def test_a_direction_is_kept_too_and_the_act_is_free_again(llama: Tiny) -> None:
    view = attention(llama)
    view.act = {"verb": "add", "direction": "up", "strength": 0.3}
    added = view.recipe
    view.keep()
    assert view.act["verb"] == "switch_off" and view.recipe.interventions == added.interventions


def test_nothing_is_not_kept(llama: Tiny) -> None:
    view = attention(llama)
    view.receive({"type": "keep", "picks": [], "act": ZERO})
    assert view.tray == [] and "nothing is selected" in view.error["why"]


@pytest.mark.parametrize(
    ("tray", "why"),
    [
        ([{"id": 3, "strength": 1.0}], "nothing with the id 3"),
        ([{"id": 0, "strength": math.nan}], "not a finite number"),
        ([{"id": 0}], "not a finite number"),
        ([{"strength": 1.0}], "nothing with the id None"),
    ],
)
def test_a_tray_that_holds_what_was_never_kept_is_refused(llama: Tiny, tray: list[Any], why: str) -> None:
    view = pick(attention(llama), (0, 0, 0))
    view.keep()
    with pytest.raises(TraitError, match=why):
        view.tray = tray
    assert view.tray[0]["strength"] == 1.0


def test_the_page_cannot_rename_what_is_kept(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    view.keep()
    view.set_state({"tray": [{"id": 0, "label": "<b>other</b>", "strength": 2.0}]})
    assert view.tray == [{"id": 0, "label": "L0H0 set to zero", "strength": 2.0}]


# -- back and forward -------------------------------------------------------------------------------------------------


def test_ten_steps_back_are_the_first_state_and_ten_forward_the_last(llama: Tiny) -> None:
    view = attention(llama)
    first = (view.picks, view.act, view.tray)
    for head in range(4):
        view.picks = [(0, 0, head)]
    for act in (SCALE, {"verb": "switch_off", "kind": "mean"}, ZERO):
        view.act = act
    view.picks = [(0, 1, 0), (0, 1, 1)]
    view.keep()
    view.picks = [(0, 2, 3)]
    last = (view.picks, view.act, view.tray)
    assert view.undoable == 10
    for _ in range(10):
        view.receive({"type": "undo"})
    assert (view.picks, view.act, view.tray) == first and (view.undoable, view.redoable) == (0, 10)
    view.undo()
    assert view.error == {} and view.redoable == 10
    for _ in range(10):
        view.redo()
    assert (view.picks, view.act, view.tray) == last and view.redoable == 0


def test_a_slider_that_is_dragged_is_one_step(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0), act=SCALE)
    before = view.undoable
    for factor in (0.6, 0.7, 0.8):
        view.act = {"verb": "scale", "factor": factor}
    assert view.undoable == before
    view.undo()
    assert view.act == {"verb": "switch_off", "kind": "mean"} and view.picks == [(0, 0, 0)]


def test_what_is_drawn_anew_is_no_step(llama: Tiny) -> None:
    view = attribution(llama)
    assert view.undoable == 0
    view.picks = [(1, 0, 3)]
    view.instruments[0].draw()
    view.wait()
    assert view.undoable == 1 and view.picks == [(1, 0, 3)]


def test_a_new_step_ends_what_was_undone_and_fifty_are_kept() -> None:
    history = History(0, length=3)
    for state in (1, 1, 2, 3, 4):
        history.note(state)
    assert [history.undo() for _ in range(3)] == [3, 2, 1] and history.depth == (0, 3)
    history.note(9)
    assert history.depth == (1, 0)
    with pytest.raises(IndexError):
        history.redo()
    assert history.now == 9


# -- the journal ------------------------------------------------------------------------------------------------------


def test_the_journal_is_a_table_of_the_runs(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    first = dict(view.run())
    pick(view, (0, 1, 2), act=SCALE)
    second = dict(view.run())
    table = view.session.to_dataframe()
    assert table["what"].tolist() == ["L0H0 set to zero", "L1H2 × 0.5"]
    assert table["difference"].tolist() == [first["difference"], second["difference"]]
    assert table["beats"].tolist() == [first["control"]["beats"], second["control"]["beats"]]
    settled(view)
    assert view.journal["rows"] == view.session.rows


def test_the_code_of_the_journal_does_it_all_again(tmp_path: Any) -> None:
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    view = mi.AttentionView(mi.load(tmp_path), CLEAN)
    pick(view, (0, 0, 0)).run()
    view.keep()
    view.tray = [{"id": 0, "strength": 0.5}]
    pick(view, (0, 1, 2), (0, 0, 3), act=SCALE).run()
    told = [row["difference"] for row in view.session.rows]
    again: dict[str, Any] = {}
    exec(view.session.code(), again)
    torch.set_grad_enabled(True)
    assert [row["difference"] for row in again["view"].session.rows] == pytest.approx(told, abs=1e-6)
    assert f"{told[-1]:+.4g}" in view.session.code().splitlines()[-1]


# -- strength and side effects ----------------------------------------------------------------------------------------


def test_the_curve_is_the_recipe_at_each_strength(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0), (0, 1, 1))
    recipe, curve = view.recipe, view.run()["curve"]
    expected = [by_hand(llama, recipe.at(strength)) if strength else 0.0 for strength in curve["strengths"]]
    assert curve["differences"] == pytest.approx(expected, abs=1e-4)
    assert curve["strengths"][0] == 0.0 and curve["differences"][0] == 0.0 and not any(curve["collapsed"])


def test_where_the_model_breaks_the_curve_says_so(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0), act={"verb": "scale", "factor": 1e18})
    curve = view.run()["curve"]
    assert curve["collapsed"] == [strength >= 1 for strength in curve["strengths"]]


def test_the_side_effect_is_the_perplexity_of_neutral_text(llama: Tiny) -> None:
    from mi_widgets.steer.sweep import perplexity

    view = pick(attention(llama), (0, 0, 0))
    side = view.run()["side"]
    assert side == {"before": perplexity(llama.model), "after": perplexity(llama.model, view.recipe)}
    assert side["before"] != side["after"]


def test_an_edit_at_positions_of_this_prompt_has_no_side_effect_to_measure(llama: Tiny) -> None:
    view = pick(lens(llama), (0, 1, 14))
    assert "positions of this prompt" in view.run()["side"]["why"]


# -- links ------------------------------------------------------------------------------------------------------------


def test_linked_views_pick_the_same_places(llama: Tiny) -> None:
    heads, maps = attention(llama), attribution(llama)
    maps.picks = [(1, 2, 5)]
    with mi.link(heads, maps):
        heads.picks = [(0, 0, 0), (0, 2, 3)]
        assert maps.picks == [(0, 0, 0), (0, 2, 3), (1, 2, 5)], "what heads cannot show stays"
        maps.picks = [(0, 1, 1)]
        assert heads.picks == [(0, 1, 1)]
        assert heads.group == maps.group != ""
    heads.picks = []
    assert maps.picks == [(0, 1, 1)] and heads.group == ""


def test_what_leaves_a_block_is_what_the_next_one_reads(llama: Tiny) -> None:
    reading, maps = lens(llama), attribution(llama)
    with mi.link(reading, maps):
        reading.picks = [(0, 0, 4), (0, tiny.LAYERS - 1, 4)]
        assert maps.selection.sites == (mi.Site("residual", 1, part="pre", position=4),)
        maps.picks = [(1, 0, 0)]
        assert reading.selection.sites == (mi.Site("residual", tiny.LAYERS - 1, part="post", position=4),)


def test_a_heatmap_of_a_grid_can_be_linked_and_picked(llama: Tiny) -> None:
    grid = mi.locate.causal(llama.model, llama.pair, progress=False)
    shown, heads = grid.show(), attention(llama)
    shown.selection = grid.select(top=2)
    assert set(shown.selection) == set(grid.select(top=2))
    with mi.link(shown, heads):
        assert set(heads.selection) == set(grid.select(top=2))


def test_three_views_settle_without_an_echo(llama: Tiny) -> None:
    views = [attention(llama) for _ in range(3)]
    changes: list[Any] = []
    for view in views:
        view.observe(lambda change: changes.append(change["owner"]), "picks")
    with mi.link(*views):
        views[1].picks = [(0, 0, 1)]
    assert [view.picks for view in views] == [[(0, 0, 1)]] * 3
    assert len(changes) == 3


def test_what_cannot_be_linked_is_refused(llama: Tiny) -> None:
    view = attention(llama)
    with pytest.raises(ValueError, match="two views or more"):
        mi.link(view)
    with pytest.raises(TypeError, match="only views can be linked"):
        mi.link(view, np.zeros(3))


# -- orders of things that went wrong once ----------------------------------------------------------------------------


def replayed(code: str, model: mi.Model) -> list[float]:
    """The differences that a journal's code gives on a model."""
    again: dict[str, Any] = {}
    exec(
        "\n".join(line for line in code.splitlines() if not line.startswith("model = ")),
        again | {"model": model},
        again,
    )
    return [row["difference"] for row in again["view"].session.rows]


def test_what_is_done_while_a_run_goes_on_is_not_taken_for_the_run(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = pick(attention(llama), (0, 0, 0))
    frozen = view._freeze
    monkeypatch.setattr(view, "_freeze", lambda recipe: (view.choose("summary", "entropy"), frozen(recipe)))
    told = view.run()
    view.wait()
    assert view.error == {} and view.session.rows[0]["beats"] == told["control"]["beats"]
    assert "view.choose('summary', 'entropy')" in view.session.code()


def test_an_emptied_tray_and_an_act_said_twice_are_in_the_journal(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0), act={"verb": "scale", "factor": 3.0})
    view.keep()
    view.tray = []
    told = [pick(view, (0, 1, 1)).run()["difference"]]
    view.keep()
    told.append(pick(view, (0, 1, 1)).run()["difference"])
    code = view.session.code().replace("  # put 'up' here again", "")
    assert replayed(code, llama.model) == pytest.approx(told, abs=1e-6)


@pytest.mark.parametrize("way_out", [lambda view: setattr(view, "tray", []), lambda view: view.undo()])
def test_what_is_kept_after_another_edit_was_removed_has_an_id_of_its_own(llama: Tiny, way_out: Any) -> None:
    view = pick(attention(llama), (0, 0, 0))
    removed = view.keep()
    way_out(view)
    kept = pick(view, (0, 1, 1)).keep()
    view.tray = [{"id": kept, "strength": 0.5}]
    told = view.run()["difference"]
    half = mi.Selection((mi.Site("head", 1, 1),)).switch_off("zero").at(0.5)
    assert kept != removed and told == pytest.approx(by_hand(llama, half), abs=1e-5)
    code = view.session.code().replace("  # put 'up' here again", "")
    assert replayed(code, llama.model) == pytest.approx([told], abs=1e-6)


def test_the_journal_says_which_directions_were_given(llama: Tiny) -> None:
    assert "directions = {}  # put 'up' here again\n" in attention(llama).session.code()


def test_the_journal_of_many_pairs_is_of_those_pairs(llama: Tiny) -> None:
    import dataclasses

    pairs = tuple(dataclasses.replace(llama.pair, group=str(number)) for number in range(20))
    view = mi.AttributionView(llama.model, mi.Task(pairs), pairs=8, directions={})
    view.wait()
    told = [pick(view, (0, 0, 0)).run()["difference"]]
    again: dict[str, Any] = {}
    code = "\n".join(line for line in view.session.code().splitlines() if not line.startswith("model = "))
    exec(code, again | {"model": llama.model}, again)
    assert len(again["view"].instruments[0].task) == len(view.instruments[0].task) == 8
    assert [row["difference"] for row in again["view"].session.rows] == pytest.approx(told, abs=1e-6)


def test_an_edit_that_other_texts_cannot_have_says_so_and_the_run_goes_on(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 1), act={"verb": "replace", "prompt": tiny.CORRUPT})
    result = view.run()
    assert "cannot be tried on other texts" in result["side"]["why"] and result["after"]["text"] is not None


def test_a_later_pick_of_a_linked_view_is_not_undone_by_maps_that_come_back(llama: Tiny) -> None:
    first, second = attention(llama), attribution(llama)
    with mi.link(first, second) as link:
        first.selection = mi.Site("head", 0, 0)
        second.choose("objects", "residual")
        second.wait()
        first.selection = mi.Site("head", 1, 1)
        second.choose("objects", "overview")
        second.wait()
        assert first.selection.sites == (mi.Site("head", 1, 1),)
        link.close()


def test_a_failed_run_is_forgotten_with_the_next_choice(llama: Tiny) -> None:
    view = pick(lens(llama), (0, 1, 14), act={"verb": "scale", "factor": 1e38})
    with pytest.raises(FloatingPointError):
        view.run()
    settled(view)
    view.choose("value", "rank")
    view.wait()
    assert view.error == {} and view.panels[0].quantity.startswith("rank")


def test_a_draft_is_taken_whole_or_not_at_all(llama: Tiny) -> None:
    view = pick(attention(llama), (0, 0, 0))
    before = (view.picks, view.act)
    view.receive({"type": "run", "picks": [[0, 1, 1]], "act": SCALE, "tray": [{"id": 77, "strength": 1.0}]})
    assert "nothing with the id 77" in view.error["why"] and (view.picks, view.act) == before

import re

import numpy as np
import pytest
import traitlets as t

from mi_widgets.view import AttentionMap, AttributionMap, Axis, Heatmap, Panel, bundle

HEADS = Panel("heads", Axis("layer", ["0", "1", "2"]), Axis("head", ["0", "1", "2", "3"]), np.zeros((3, 4)))
TOKENS = Panel("residual", Axis("layer", ["0", "1"]), Axis("position", ["a"]), np.zeros((2, 1)))
DIRECTIONS = [{"name": "cheerful", "layer": 1, "natural": 0.14}]


@pytest.fixture
def view():
    return AttributionMap([HEADS, TOKENS], directions=DIRECTIONS, runnable=True)


def test_picks_are_sorted_and_unique_and_cell_0_0_counts(view):
    view.picks = [(1, 1, 0), (0, 0, 0), (0, 2, 3), (0, 0, 0)]
    assert view.picks == [(0, 0, 0), (0, 2, 3), (1, 1, 0)]


def test_picks_come_back_from_the_page_as_tuples(view):
    view.set_state({"picks": [[0, 2, 3]]})
    assert view.picks == [(0, 2, 3)]


@pytest.mark.parametrize("pick", [(0, 3, 0), (0, 0, 4), (1, 0, 1), (2, 0, 0), (0, -1, 0)])
def test_a_pick_that_is_no_cell_is_refused_by_name(view, pick):
    said = rf"{re.escape(str(list(pick)))} is no cell here: panel 0 \(heads\) is 3 x 4"
    with pytest.raises(t.TraitError, match=said):
        view.picks = [(0, 0, 0), pick]
    assert view.picks == []


def test_picks_that_lost_their_cell_go_with_the_panel(view):
    view.picks = [(0, 0, 0), (0, 2, 3), (1, 1, 0)]
    view.panels = [TOKENS]
    assert view.picks == [(0, 0, 0)]


@pytest.mark.parametrize(
    "act",
    [
        {"verb": "switch_off", "kind": "zero"},
        {"verb": "scale", "factor": 0.0},
        {"verb": "add", "direction": "cheerful", "strength": -0.2},
        {"verb": "switch_off", "kind": "resample"},
        {"verb": "clamp", "low": None, "high": 0.0},
        {"verb": "replace", "prompt": "When Mary"},
        {"verb": "project_out", "direction": "cheerful"},
        {"verb": "reading", "how": "swap", "token": " Rome", "strength": 0.3},
    ],
)
def test_an_act_is_taken(view, act):
    view.act = act
    assert view.act == act


@pytest.mark.parametrize(
    ("act", "says"),
    [
        ({}, "None is none of switch_off, scale, add, clamp, replace, project_out, reading"),
        ({"verb": "explode"}, "'explode' is none of"),
        ({"verb": ["scale"]}, r"\['scale'\] is none of"),
        ({"verb": "switch_off"}, "takes"),
        ({"verb": "switch_off", "kind": "mean", "factor": 1.0}, "takes"),
        ({"verb": "switch_off", "kind": "median"}, "'median'"),
        ({"verb": "scale", "factor": float("nan")}, "not a finite number"),
        ({"verb": "scale", "factor": True}, "not a finite number"),
        ({"verb": "scale", "factor": 10**400}, "not a finite number"),
        ({"verb": "add", "direction": "gloomy", "strength": 1.0}, "'gloomy' is none of cheerful"),
        ({"verb": "project_out", "direction": "gloomy"}, "'gloomy' is none of cheerful"),
        ({"verb": "clamp", "low": "0", "high": None}, "low '0' is not a finite number"),
        ({"verb": "clamp", "low": 0.0, "high": float("inf")}, "high inf is not a finite number"),
        ({"verb": "clamp", "low": 0.0}, "takes"),
        ({"verb": "replace", "prompt": 3}, "prompt is a text of at most 10,000 letters, not 3"),
        ({"verb": "replace", "prompt": "x" * 10_001}, "at most 10,000 letters"),
        ({"verb": "reading", "how": "explode", "token": "", "strength": 0.3}, "'explode' is none of remove, add, swap"),
        ({"verb": "reading", "how": "add", "token": None, "strength": 0.3}, "token is a text"),
        ({"verb": "reading", "how": "add", "token": ""}, "takes"),
    ],
)
def test_an_act_that_is_not_understood_is_refused(view, act, says):
    with pytest.raises(t.TraitError, match=says):
        view.act = act


def test_a_refusal_of_what_the_page_wrote_is_a_card(view):
    view.set_state({"picks": [[0, 9, 9]]})
    assert view.picks == []
    assert "[0, 9, 9] is no cell" in view.error["why"]


def test_the_page_writes_nothing_but_picks_and_act(view):
    view.set_state({"code": "import os"})
    assert view.code == ""
    assert "code is written by Python only" in view.error["why"]


def test_a_run_sees_the_draft_that_came_with_it(view):
    seen = []
    view.on("run", lambda: seen.append((view.picks, view.act)))
    view.receive({"type": "run", "picks": [[0, 0, 0]], "act": {"verb": "scale", "factor": 2}})
    assert seen == [([(0, 0, 0)], {"verb": "scale", "factor": 2.0})]
    assert view.error == {}


def test_opening_a_head_says_which():
    view, opened = AttentionMap([HEADS]), []
    view.on("open", lambda row, col: opened.append((row, col)))
    view.receive({"type": "open", "row": 0, "col": 3})
    assert opened == [(0, 3)]


@pytest.mark.parametrize(
    "message",
    [
        None,
        "run",
        {},
        {"type": "exec"},
        {"type": "open"},
        {"type": "open", "row": "0", "col": 0},
        {"type": "open", "row": True, "col": 0},
    ],
)
def test_what_is_not_understood_is_a_card_and_calls_nothing(view, message):
    view.on("open", lambda *_: pytest.fail("called"))
    view.receive(message)
    assert view.error["what"]
    assert view.error["why"]


def test_a_bad_draft_runs_nothing(view):
    view.on("run", lambda: pytest.fail("called"))
    view.receive({"type": "run", "picks": [[7, 0, 0]], "act": {"verb": "scale", "factor": 2}})
    assert "no cell" in view.error["why"]


def test_an_exception_in_a_handler_is_a_card_with_its_trace_folded(view):
    view.on("run", lambda: 1 / 0)
    view.receive({"type": "run"})
    assert view.error["why"] == "division by zero"
    assert "ZeroDivisionError" in view.error["trace"]


def test_a_run_that_failed_ends(view):
    view.status, view.progress = "running", {"done": 1, "total": 2, "eta": 1.0, "label": ""}
    view.fail(MemoryError("8 GB needed"), fix="Take a shorter prompt.")
    assert (view.status, view.progress, view.error["fix"]) == ("error", {}, "Take a shorter prompt.")


def test_a_view_without_a_model_says_so():
    view = Heatmap([HEADS])
    view.receive({"type": "run"})
    assert "without a model" in view.error["why"]


def test_an_unknown_request_or_trait_is_refused_with_the_nearest_name(view):
    with pytest.raises(ValueError, match="No view asks 'rnu'"):
        view.on("rnu", print)
    with pytest.raises(TypeError, match="did you mean 'panels'"):
        AttributionMap(panel=[HEADS])


def test_code_belongs_to_the_draft_it_was_written_for(view):
    view.code = "old"
    view.picks = [(0, 0, 0)]
    assert view.code == ""


def test_panels_cross_as_bytes_and_stay_values_in_python(view):
    assert view.panels[0] is HEADS
    assert view.get_state("panels")["panels"][0]["values"]["data"] == bytes(48)
    assert AttentionMap([HEADS]).get_state("pattern")["pattern"] == {}


def test_a_view_prints_as_one_line(view):
    assert repr(view) == "AttributionMap('': heads 3 x 4, residual 2 x 1)"
    assert view._repr_mimebundle_()[0]["text/plain"] == repr(view)


def test_the_page_not_built_is_said_with_the_command(tmp_path, monkeypatch):
    monkeypatch.setattr(bundle, "STATIC", tmp_path)
    bundle.script.cache_clear()
    with pytest.raises(bundle.NotBuilt, match=r"heatmap\.js is missing.*make setup"):
        Heatmap([HEADS])

"""What any view's instruments share: steps on screen, choices, and picks that follow their sites."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event

import pytest

import mi_widgets as mi
from mi_widgets.grid import Grid
from mi_widgets.view import Choice, Heatmap
from mi_widgets.workbench.instrument import Instrument
from mi_widgets.workbench.live import Live

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN

OBJECTS = Choice("objects", "Objects", "heads", (("heads", "Heads"), ("residual", "Residual stream"), ("both", "Both")))


class Switching(Instrument):
    """Shows the maps of the objects that are chosen."""

    name = "switching"
    objects = "heads"

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        pair = mi.Pair(CLEAN, tiny.CORRUPT, "a", " John")
        for objects in ("residual", "heads") if self.objects == "both" else (self.objects,):
            yield (
                objects,
                mi.locate.causal(self.view.model, mi.Task((pair,), metric="accuracy"), objects, progress=False),
            )

    def choices(self) -> tuple[Choice, ...]:
        from dataclasses import replace

        return (replace(OBJECTS, value=self.objects),)


class SwitchingView(Live, Heatmap):
    def _equip(self) -> tuple[Instrument, ...]:
        return (Switching(self),)


@pytest.fixture
def view(llama: Tiny) -> SwitchingView:
    shown = SwitchingView(llama.model, CLEAN, directions={})
    shown.wait()
    return shown


def names(view: Live) -> list[str]:
    view.wait()
    return [panel.name for panel in view.panels]


def test_a_choice_draws_what_it_asks_for_and_says_what_holds(view: SwitchingView) -> None:
    assert names(view) == ["heads"] and view.choices[0]["value"] == "heads"
    view.receive({"type": "choose", "name": "objects", "value": "residual"})
    assert names(view) == ["residual"] and view.choices[0]["value"] == "residual"
    assert view.choices[0]["instrument"] == view.panels[0].instrument == "switching"


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("object", "heads", "no choice 'object' here; there is objects"),
        ("objects", "neurons", "objects is one of heads, residual, both, not 'neurons'"),
        ("objects", 3, "choose with value 3"),
        (None, "heads", "choose with name None"),
    ],
)
def test_an_answer_that_is_none_is_a_card_and_draws_nothing(
    view: SwitchingView, name: str, value: str, why: str
) -> None:
    view.receive({"type": "choose", "name": name, "value": value})
    assert why in view.error["why"]
    assert names(view) == ["heads"] and view.choices[0]["value"] == "heads"


def test_a_typed_answer_has_a_longest_length() -> None:
    typed = Choice("target", "Target", "")
    assert typed.checked(" Paris") == " Paris"
    with pytest.raises(ValueError, match="at most 2000 letters"):
        typed.checked("x" * 2001)


def test_picks_follow_their_sites_and_come_back_with_them(view: SwitchingView) -> None:
    view.picks = [(0, 0, 0), (0, 1, 2)]
    heads = view.selection.sites
    view.choose("objects", "both")
    assert names(view) == ["residual", "heads"] and view.picks == [(1, 0, 0), (1, 1, 2)]
    view.choose("objects", "residual")
    assert names(view) == ["residual"] and view.picks == []
    view.choose("objects", "heads")
    assert names(view) == ["heads"] and view.selection.sites == heads


def test_what_was_picked_elsewhere_is_forgotten_with_a_new_pick(view: SwitchingView) -> None:
    view.picks = [(0, 1, 2)]
    view.choose("objects", "residual")
    view.wait()
    view.picks = [(0, 0, 0)]
    view.choose("objects", "heads")
    assert names(view) == ["heads"] and view.picks == []


def test_a_panel_of_sites_says_where_its_rows_and_columns_are(view: SwitchingView) -> None:
    view.choose("objects", "both")
    view.wait()
    residual, heads = (panel.wire() for panel in view.panels)
    assert (heads["kind"], heads["part"], residual["part"]) == ("head", "z", "pre")
    assert heads["rows"]["places"] == [[i] for i in range(tiny.LAYERS)] and heads["cols"]["places"][-1] == [
        tiny.HEADS - 1
    ]
    assert residual["cols"]["places"] == [[i] for i in range(len(view.tokens))]


# -- another question -------------------------------------------------------------------------------------------------

OTHER = "When Anna and Peter sat in the old garden, Peter gave a"


def test_another_question_is_asked_of_another_prompt(view: SwitchingView, llama: Tiny) -> None:
    view.picks = [(0, 0, 0), (0, 1, 2)]
    heads = view.selection.sites
    view.act = {"verb": "switch_off", "kind": "zero"}
    view.run()
    view.ask(OTHER, " John", " Mary")
    view.wait()
    assert view.error == {} and view.result == {} and view.status == "idle"
    assert view.prompt == view.text == OTHER
    assert view.tokens == llama.model.labels(llama.model.ids(OTHER)) != llama.model.labels(llama.ids())
    assert view.provenance["tokens"] == str(len(view.tokens))
    assert names(view) == ["heads"] and view.selection.sites == heads
    before = view.run()["before"]["metric"]
    logits = mi.run(llama.model, OTHER).logits[-1]
    answer, foil = (llama.model.single(text) for text in (" John", " Mary"))
    assert before == pytest.approx(float(logits[answer] - logits[foil]), abs=1e-5)
    assert not any("no foil" in note for note in view.result["notes"])
    assert f"\nprompt = {OTHER!r}\n" in view.recipe.code()


def test_a_question_that_cannot_be_asked_is_a_card_and_changes_nothing(view: SwitchingView) -> None:
    tokens = view.tokens
    view.ask(OTHER, " John", " John")
    with pytest.raises(ValueError, match="share a token"):
        view.wait()
    view.model.do(lambda: None)  # a job's last words come just after its result
    assert "share a token" in view.error["why"] and view.status == "error"
    assert view.text == CLEAN and view.tokens == tokens and names_on_screen(view) == ["heads"]


def names_on_screen(view: Live) -> list[str]:
    return [panel.name for panel in view.panels]


class Slow(Switching):
    """Shows one map in two steps, and waits between them until it is let on."""

    def __init__(self, view: Live) -> None:
        super().__init__(view)
        self.waits, self.go = Event(), Event()

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        slow = self.objects == "heads"
        for name, grid in super().maps(halt):
            yield name, grid
            if slow:
                self.waits.set()
                self.go.wait(60)
                yield name, grid


class SlowView(Live, Heatmap):
    def _equip(self) -> tuple[Instrument, ...]:
        return (Slow(self),)


def test_a_step_that_was_on_its_way_is_not_shown_over_newer_maps(llama: Tiny) -> None:
    view = SlowView(llama.model, CLEAN, directions={})
    slow = view.instruments[0]
    assert isinstance(slow, Slow) and slow.waits.wait(60)
    old = slow._drawn
    view.choose("objects", "residual")
    view.wait()
    slow.go.set()
    old.result(60)
    assert names_on_screen(view) == ["residual"]


class Following(Switching):
    """Remembers what followed which run."""

    def __init__(self, view: Live) -> None:
        super().__init__(view)
        self.followed: list[tuple[mi.Recipe, object, bool]] = []

    def after_run(self, recipe: mi.Recipe) -> None:
        self.followed.append((recipe, self.view.result["control"], self.view.model.worker.is_current))


class FollowingView(Live, Heatmap):
    def _equip(self) -> tuple[Instrument, ...]:
        return (Following(self),)


def test_an_instrument_hears_of_each_run_once_its_numbers_are_there(llama: Tiny) -> None:
    view = FollowingView(llama.model, CLEAN, directions={})
    view.wait()
    view.picks = [(0, 1, 2)]
    view.run()
    assert view.instruments[0].followed == [(view.recipe, None, True)]  # type: ignore[attr-defined]


class Gated(Switching):
    """Its maps are drawn only when they are let go."""

    def __init__(self, view: Live) -> None:
        super().__init__(view)
        self.go, self.came = Event(), Event()
        self.go.set()

    def maps(self, halt: Event) -> Iterator[tuple[str, Grid]]:
        go = self.go
        for step in super().maps(halt):
            self.came.set()
            go.wait(60)
            yield step


class GatedView(Live, Heatmap):
    def _equip(self) -> tuple[Instrument, ...]:
        return (Gated(self),)


@pytest.mark.parametrize("anew", [True, False])
def test_maps_that_begin_again_take_the_old_ones_along_or_leave_them(llama: Tiny, anew: bool) -> None:
    view = GatedView(llama.model, CLEAN, directions={})
    view.wait()
    view.choose("objects", "both")
    assert names(view) == ["residual", "heads"]
    slow = view.instruments[0]
    assert isinstance(slow, Gated)
    slow.objects = "heads"
    slow.go.clear()
    slow.draw(anew)
    assert [panel.name for panel in view.panels] == ["residual", "heads"]
    slow.go.set()
    assert names(view) == (["heads"] if anew else ["residual", "heads"])

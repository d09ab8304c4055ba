"""What can be chosen in the attention view, against plain PyTorch on the Hugging Face model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from traitlets import TraitError

import mi_widgets as mi
from mi_widgets.locate.magnitude import MEASURES
from mi_widgets.view import Panel, picture

from . import tiny
from .conftest import Tiny
from .test_pattern import weighted
from .tiny import CLEAN, CORRUPT, HEADS, KV_HEADS, LAYERS, OTHERS

HEAD = (1, 2)
NEW = 3


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("live", "attention"):
        monkeypatch.setattr(f"mi_widgets.workbench.{room}._NEW_TOKENS", NEW)


def shown(small: Tiny, **chosen: Any) -> mi.AttentionView:
    pair = small.pair
    view = mi.AttentionView(small.model, CLEAN, answer=pair.answer, foil=pair.foil, directions={}, **chosen)
    view.wait()
    opened(view)
    return view


def opened(view: mi.AttentionView, head: tuple[int, int] = HEAD) -> Panel:
    view.receive({"type": "open", "row": head[0], "col": head[1]})
    view.model.do(lambda: None)
    assert view.opened == list(head)
    return view.pattern


def choose(view: mi.AttentionView, name: str, value: str) -> None:
    view.choose(name, value)
    view.wait()


def offered(view: mi.AttentionView) -> dict[str, list[str]]:
    return {choice["name"]: [each["value"] for each in choice["options"]] for choice in view.choices}


def plain(small: Tiny, text: str = CLEAN, layer: int = HEAD[0], head: int = HEAD[1]) -> np.ndarray:
    return small.plain.pattern(small.ids(text), layer)[0, head].numpy()


def lower(panel: Panel) -> np.ndarray:
    return np.nan_to_num(panel.values)


# -- the number of a head ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("measure", MEASURES)
def test_the_number_is_that_of_magnitude(small: Tiny, measure: str) -> None:
    view = shown(small)
    choose(view, "summary", measure)
    expected = mi.locate.magnitude(small.model, CLEAN, measure=measure, progress=False)
    np.testing.assert_allclose(view.grids[0].values, expected.values, atol=1e-6)
    assert view.grids[0].sign == expected.sign == view.panels[0].sign
    assert view.panels[0].scale == "sequential"


def test_going_back_to_a_number_runs_nothing(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    view = shown(llama)
    for way in ("forward", "run_to"):
        monkeypatch.setattr(mi.Model, way, lambda *_: pytest.fail("a pass"))
    choose(view, "summary", "entropy")
    choose(view, "summary", "away")


def test_the_effect_of_a_head_is_that_of_plain_hooks(small: Tiny) -> None:
    view = shown(small, summary="effect")
    grid = view.grids[0]
    for layer, head in ((0, 0), HEAD, (LAYERS - 1, HEADS - 1)):
        edited = small.plain.logits(small.ids(), (small.plain.z(layer), tiny.put(0.0, head=head)))
        expected = small.difference(edited) - small.unedited(CLEAN)
        assert grid.value(mi.Site("head", layer, head)) == pytest.approx(expected, abs=1e-4)
    assert not np.ma.getmaskarray(grid.values).any() and np.abs(grid.values).max() > 1e-2
    assert view.panels[0].scale == "signed" and grid.toward == -1 and view.progress == {}


def test_effects_that_are_known_are_not_computed_again(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    view = shown(llama, summary="effect")
    known = view.grids[0].values
    swept: list[int] = []
    sweep = mi.Model.sweep
    monkeypatch.setattr(
        mi.Model, "sweep", lambda self, base, plans, read: swept.append(len(plans)) or sweep(self, base, plans, read)
    )  # type: ignore[func-returns-value]
    choose(view, "weighting", "value_norm")
    assert sum(swept) == 0
    np.testing.assert_array_equal(view.grids[0].values, known)


def test_effects_that_are_stopped_stay_and_go_on_from_there(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shown(llama, summary="effect").grids[0].values
    view, swept, sweep = shown(llama), list[int](), mi.Model.sweep

    def first_only(self: mi.Model, base: Any, plans: Any, read: Any) -> Any:
        swept.append(len(plans))
        for step in sweep(self, base, plans, read):
            yield step
            if len(swept) == 1:
                view.stop()

    monkeypatch.setattr("mi_widgets.model.sweep.FIRST_TOKENS", 40)
    monkeypatch.setattr(mi.Model, "sweep", first_only)
    choose(view, "summary", "effect")
    missing = np.ma.getmaskarray(view.grids[0].values)
    assert 0 < missing.sum() < missing.size and view.status == "stopped"
    np.testing.assert_allclose(view.grids[0].values[~missing], whole[~missing], atol=1e-5)
    choose(view, "summary", "effect")
    assert swept == [missing.size, missing.sum()]
    np.testing.assert_allclose(view.grids[0].values, whole, atol=1e-5)


# -- what a picture shows ---------------------------------------------------------------------------------------------


def test_weighted_by_value_the_open_head_and_the_pictures_show_what_arrives(small: Tiny) -> None:
    view = shown(small, weighting="value_norm")
    expected = weighted(small, *HEAD).numpy()
    np.testing.assert_allclose(lower(view.pattern), expected, rtol=1e-4, atol=1e-5)
    low, most = view.panels[0].pictured
    own = np.delete(expected, view.pattern.excluded, axis=1).max()
    assert low == 0 and most >= own - 1e-4
    assert view.pattern.wire()["range"] == pytest.approx([0, own], abs=1e-4)
    assert np.abs(view.panels[0].thumbnails[HEAD].astype(int) - picture.companded(expected, most)).max() <= 1
    choose(view, "weighting", "plain")
    assert view.panels[0].pictured == (0, 1)
    np.testing.assert_allclose(lower(view.pattern), plain(small), atol=1e-5)


def test_the_number_of_a_head_is_of_plain_attention_whatever_the_pictures_show(llama: Tiny) -> None:
    view = shown(llama)
    before = view.grids[0].values
    choose(view, "weighting", "value_norm")
    np.testing.assert_allclose(view.grids[0].values, before, atol=1e-6)


@pytest.mark.parametrize(("shape", "shared"), [("llama", HEADS // KV_HEADS), ("gpt2", 1), ("qwen3", HEADS // KV_HEADS)])
def test_heads_that_share_a_key_value_head_are_grouped(shape: str, shared: int) -> None:
    from .conftest import _small

    assert shown(_small(shape)).panels[0].grouped == shared


# -- compared with something ------------------------------------------------------------------------------------------


def test_the_other_prompt_is_a_signed_difference(small: Tiny) -> None:
    view = shown(small, other=CORRUPT, compare="other")
    expected = plain(small, CORRUPT) - plain(small)
    np.testing.assert_allclose(lower(view.pattern), np.tril(expected), atol=1e-5)
    assert np.abs(expected).max() > 1e-3 and "more in the other prompt than in this one" in view.pattern.sign
    low, most = view.panels[0].pictured
    assert (view.pattern.scale, view.panels[0].scale, low) == ("signed", "signed", -most)
    assert view.pattern.range == (-most, most)
    assert (
        np.abs(view.panels[0].thumbnails[HEAD].astype(int) - picture.companded(expected, most, signed=True)).max() <= 1
    )
    numbers = [mi.locate.magnitude(small.model, text, measure="away", progress=False) for text in (CLEAN, CORRUPT)]
    np.testing.assert_allclose(view.grids[0].values, numbers[1].values - numbers[0].values, atol=1e-5)


def test_another_prompt_of_another_length_is_refused_with_both_lengths(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="other has 9 tokens and the prompt 15"):
        shown(llama, other=OTHERS[0])


def test_the_last_run_can_be_compared_with_once_there_is_one(llama: Tiny) -> None:
    view = shown(llama)
    assert "compare" not in offered(view)
    with pytest.raises(ValueError, match="compare is one of this, not 'after'"):
        shown(llama, compare="after")
    view.selection, view.act = mi.Site("head", 0, 1), {"verb": "switch_off", "kind": "zero"}
    view.run()
    assert offered(view)["compare"] == ["this", "after"]
    choose(view, "compare", "after")
    recipe, head = view.recipe, mi.Site("head", *HEAD)
    before, after = (mi.locate.pattern(llama.model, CLEAN, head, recipe=each) for each in (None, recipe))
    np.testing.assert_allclose(lower(view.pattern), (after - before).values.filled(0), atol=1e-6)
    assert np.abs(lower(view.pattern)).max() > 1e-4 and "after L0H1" in view.pattern.title
    assert not opened(view, (0, 0)).values[np.tri(15, dtype=bool)].any()


def test_a_newer_run_is_what_is_compared_with(llama: Tiny) -> None:
    view = shown(llama)
    for head in (0, 1):
        view.selection, view.act = mi.Site("head", 0, head), {"verb": "switch_off", "kind": "zero"}
        view.run()
        view.wait()
        if head == 0:
            choose(view, "compare", "after")
    assert "after L0H1" in view.pattern.title and "L0H0" not in view.pattern.title


def test_another_question_forgets_the_run_and_a_prompt_that_does_not_fit(llama: Tiny) -> None:
    view = shown(llama, other=CORRUPT, compare="other")
    view.selection, view.act = mi.Site("head", 0, 1), {"verb": "switch_off", "kind": "zero"}
    view.run()
    choose(view, "compare", "after")
    view.ask(OTHERS[0])
    view.wait()
    assert "compare" not in offered(view) and view.panels[0].pictured == (0, 1)
    assert view.pattern.shape == (9, 9)


# -- with what is written ---------------------------------------------------------------------------------------------


def test_what_the_model_writes_is_looked_at_too_and_said_to_be_its(small: Tiny) -> None:
    view = shown(small)
    length = len(view.tokens)
    choose(view, "text", "before")
    written = [token["id"] for token in view.continuation["tokens"]]
    assert small.model.tokenizer.decode(written) == mi.generate(small.model, CLEAN, max_new_tokens=NEW)
    assert view.continuation["whose"] == "written by the model as it is"
    assert [token["index"] for token in view.continuation["tokens"]] == list(range(length, length + len(written)))
    ids = torch.cat([small.ids(), torch.tensor([written])], dim=1)
    expected = small.plain.pattern(ids, HEAD[0])[0, HEAD[1]].numpy()
    np.testing.assert_allclose(lower(view.pattern), np.tril(expected), atol=1e-5)
    assert len(view.tokens) == length
    choose(view, "text", "prompt")
    assert view.continuation == {} and view.pattern.shape == (length, length)


def test_what_the_edited_model_writes_is_its_own(llama: Tiny) -> None:
    view = shown(llama)
    assert offered(view)["text"] == ["prompt", "before"]
    view.selection, view.act = [mi.Site("head", 0, n) for n in range(HEADS)], {"verb": "scale", "factor": 6.0}
    view.run()
    recipe = view.recipe
    choose(view, "text", "after")
    written = [token["id"] for token in view.continuation["tokens"]]
    edited, own = (mi.generate(llama.model, CLEAN, each, max_new_tokens=NEW) for each in (recipe, None))
    assert llama.model.tokenizer.decode(written, skip_special_tokens=True) == edited != own
    assert "written after" in view.continuation["whose"]


def test_another_prompt_has_no_continuation_of_this_one(llama: Tiny) -> None:
    view = shown(llama, other=CORRUPT, compare="other")
    choose(view, "text", "before")
    assert offered(view).get("compare") is None and view.pattern.scale == "sequential"
    with pytest.raises(ValueError, match="compare is one of this, not 'other'"):
        shown(llama, other=CORRUPT, compare="other", text="before")


# -- what crosses to the page -----------------------------------------------------------------------------------------


def test_a_choice_that_is_none_is_refused_by_name(llama: Tiny) -> None:
    with pytest.raises(ValueError, match=r"summary is one of away, entropy, .*, not 'size'"):
        shown(llama, summary="size")
    view = shown(llama)
    view.receive({"type": "choose", "name": "weighting", "value": "loud"})
    assert "weighting is one of plain, value_norm" in view.error["why"]


def test_the_journal_makes_the_same_view_again(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    view = shown(llama, other=CORRUPT, compare="other", summary="sink")
    choose(view, "weighting", "value_norm")
    monkeypatch.setattr(mi, "load", lambda name: llama.model)
    room: dict[str, Any] = {}
    exec(view.session.code(), room)
    again = room["view"]
    np.testing.assert_allclose(again.grids[0].values, view.grids[0].values, atol=1e-6)
    np.testing.assert_allclose(lower(opened(again)), lower(view.pattern), atol=1e-6)
    assert again.pattern.title == view.pattern.title


def test_before_a_head_is_picked_little_crosses_to_the_page_however_long_the_prompt() -> None:
    heads = {"num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 2, "hidden_size": 18}
    hf = tiny.hugging_face("llama", num_hidden_layers=30, max_position_embeddings=600, intermediate_size=8, **heads)
    model = mi.Model(hf, tiny.tokenizer(), "30 × 9")
    ids = [0, *np.random.default_rng(0).integers(2, 380, 511).tolist()]
    view = mi.AttentionView(model, ids, directions={})
    view.wait()
    assert view.panels[0].shape == (30, 9) and view.pattern.shape == (512, 512)
    assert crossing(view.get_state(view.border())) <= 2_000_000
    model.close()


def crossing(state: Any) -> int:
    """Bytes of a state: of buffers as they are, of the rest about as JSON has it."""
    if isinstance(state, bytes):
        return len(state)
    if isinstance(state, dict):
        return sum(crossing(name) + crossing(value) for name, value in state.items())
    if isinstance(state, (list, tuple)):
        return sum(1 + crossing(each) for each in state)
    return len(str(state)) + 3


def test_a_picture_reaches_from_nothing_or_as_far_to_both_sides(llama: Tiny) -> None:
    from dataclasses import replace

    heads = shown(llama).panels[0]
    with pytest.raises(ValueError, match="pictured is"):
        replace(heads, pictured=(0.5, 1.0))
    with pytest.raises(TraitError):
        shown(llama).set_trait("continuation", [])

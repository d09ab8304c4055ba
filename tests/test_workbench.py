"""The live views from Python, without a page: what Run shows is what plain hooks give, and errors become cards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from traitlets import TraitError
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.model import Stopped
from mi_widgets.view import Panel
from mi_widgets.workbench.live import Live

from . import tiny
from .conftest import Tiny
from .test_gate import Held
from .test_oracle import direction
from .tiny import CLEAN, OTHERS

LAST_HEAD = (0, tiny.LAYERS - 1, tiny.HEADS - 1)
ZERO, MEAN = ({"verb": "switch_off", "kind": kind} for kind in ("zero", "mean"))


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mi_widgets.workbench.live._NEW_TOKENS", 3)


def attention(small: Tiny) -> mi.AttentionView:
    up = {"up": direction(small.model.d_model)}
    return mi.AttentionView(small.model, CLEAN, answer=small.pair.answer, foil=small.pair.foil, directions=up)


def lens(small: Tiny) -> mi.LensView:
    view = mi.LensView(small.model, CLEAN, answer=small.pair.answer, foil=small.pair.foil, directions={})
    view.wait()
    return view


def attribution(small: Tiny) -> mi.AttributionView:
    view = mi.AttributionView(small.model, small.pair, directions={})
    view.wait()
    return view


VIEWS: dict[str, Callable[[Tiny], Live]] = {"attention": attention, "lens": lens, "attribution": attribution}


@pytest.fixture(params=VIEWS)
def view(request: pytest.FixtureRequest, llama: Tiny) -> Live:
    return VIEWS[request.param](llama)


def by_hand(small: Tiny, recipe: mi.Recipe) -> float:
    """The change of the metric by plain hooks on the user's own bridge."""
    bridge, ids = small.model.bridge, small.ids()
    with torch.no_grad():
        after = bridge.run_with_hooks(ids, fwd_hooks=recipe.hooks(small.model, CLEAN))[0]
        return small.difference(after) - small.difference(bridge(ids)[0])


# -- what is drawn ----------------------------------------------------------------------------------------------------


def test_each_view_draws_its_panels(llama: Tiny) -> None:
    length = llama.ids().shape[1]
    heads, positions = (tiny.LAYERS, tiny.HEADS), (tiny.LAYERS, length)
    assert [panel.shape for panel in attention(llama).panels] == [heads]
    assert [panel.shape for panel in lens(llama).panels] == [positions]
    assert [panel.shape for panel in attribution(llama).panels] == [heads, positions]


def test_a_view_says_what_it_shows(view: Live, llama: Tiny) -> None:
    assert view.prompt == CLEAN
    assert view.tokens == llama.model.labels(llama.ids()) and view.tokens[0]["bos"]
    assert view.provenance["weights"] == llama.model.weights
    assert view.runnable and view.status == "idle" and view.error == {}


def test_the_lens_view_leaves_bos_out_of_its_colours(llama: Tiny) -> None:
    assert list(lens(llama).panels[0].excluded) == [0]


def test_the_open_pattern_is_the_models_own(small: Tiny) -> None:
    shown = attention(small)
    shown.receive({"type": "open", "row": 0, "col": 0})
    small.model.do(lambda: None)
    assert shown.opened == [0, 0]
    with torch.no_grad():
        pattern = small.model.bridge.run_with_cache(small.ids())[1]["blocks.0.attn.hook_pattern"][0, 0]
    lower = np.tri(len(pattern), dtype=bool)
    np.testing.assert_allclose(shown.pattern.values[lower], pattern.numpy()[lower], atol=1e-5)
    assert np.isnan(shown.pattern.values[~lower]).all() and shown.pattern.causal


def test_the_maps_are_those_of_locate(llama: Tiny) -> None:
    shown = attribution(llama)
    for grid, objects in zip(shown.grids, ("heads", "residual"), strict=True):
        exact = mi.locate.causal(llama.model, llama.pair, objects, progress=False)
        np.testing.assert_allclose(grid.values, exact.values, atol=1e-5)


# -- picks ------------------------------------------------------------------------------------------------------------


def test_the_first_and_the_last_cell_go_in_and_come_out(view: Live) -> None:
    for number, panel in enumerate(view.panels):
        for cell in ((0, 0), (panel.shape[0] - 1, panel.shape[1] - 1)):
            view.picks = [(number, *cell)]
            sites = view.selection.sites
            assert len(sites) == 1
            view.picks = []
            view.selection = sites
            assert view.picks == [(number, *cell)]


def test_picked_heads_have_the_sites_they_stand_for(llama: Tiny) -> None:
    shown = attention(llama)
    shown.picks = [LAST_HEAD, (0, 0, 0)]
    assert shown.selection.sites == (mi.Site("head", 0, 0), mi.Site("head", tiny.LAYERS - 1, tiny.HEADS - 1))


def test_a_result_says_what_remains_with_attention_frozen(llama: Tiny) -> None:
    shown = attention(llama)
    shown.selection = mi.Site("head", 0, 1)
    shown.act = {"verb": "scale", "factor": 0.0}
    result = shown.run()
    held = mi.run(llama.model, CLEAN, shown.recipe, freeze_attention=True)
    assert result["frozen"] == pytest.approx(held.metric(*shown._read) - result["before"]["metric"], abs=1e-5)
    assert abs(result["frozen"] - result["difference"]) > 1e-3


def test_a_site_that_is_not_on_screen_is_refused(llama: Tiny) -> None:
    with pytest.raises(KeyError, match="not on screen"):
        attention(llama).selection = [mi.Site("ffn", 0)]


# -- runs -------------------------------------------------------------------------------------------------------------

FIELDS = {
    "picks", "act", "metric", "before", "after", "difference", "singles", "sum_of_singles", "frozen", "control",
    "joint", "notes", "warnings", "hooks", "tray", "side", "curve",
}  # fmt: skip


def test_a_result_has_the_fields_of_the_contract(view: Live) -> None:
    view.picks, view.act = [(0, 0, 0)], ZERO
    result = view.run()
    assert set(result) == FIELDS
    assert result["picks"] == [[0, 0, 0]] and result["act"] == ZERO
    for side in (result["before"], result["after"]):
        assert set(side) == {"metric", "top", "text"} and isinstance(side["text"], str)
        assert all(set(row) == {"token", "probability"} for row in side["top"])
    assert result["difference"] == result["after"]["metric"] - result["before"]["metric"]
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert view.status == "idle" and view.provenance["recipe"] == view.recipe.hash


@pytest.mark.parametrize("act", [ZERO, MEAN, {"verb": "scale", "factor": 2.5}], ids=["zero", "mean", "scale"])
@pytest.mark.parametrize("cell", [(0, 0, 0), LAST_HEAD], ids=["first", "last"])
def test_the_difference_is_that_of_plain_hooks(small: Tiny, act: dict[str, Any], cell: tuple[int, int, int]) -> None:
    shown = attention(small)
    shown.picks, shown.act = [cell], act
    expected = by_hand(small, shown.recipe)
    assert shown.run()["difference"] == pytest.approx(expected, abs=1e-5)
    assert abs(expected) > 1e-4
    assert shown.result["hooks"] == [f"blocks.{cell[1]}.attn.hook_z"]


def test_a_picked_place_in_the_lens_is_the_residual_after_that_block(llama: Tiny) -> None:
    shown = lens(llama)
    shown.picks, shown.act = [(0, 1, 14)], ZERO
    assert shown.run()["hooks"] == ["blocks.1.hook_resid_post"]
    assert shown.result["difference"] == pytest.approx(by_hand(llama, shown.recipe), abs=1e-5)


def test_several_cells_show_their_joint_effect_beside_each_alone(llama: Tiny) -> None:
    shown = attention(llama)
    shown.picks, shown.act = [(0, 0, 0), (0, 1, 2), LAST_HEAD], ZERO
    result = shown.run()
    steps = shown.recipe.interventions
    assert [row["label"] for row in result["singles"]] == [str(step.site) for step in steps]
    for row, step in zip(result["singles"], steps, strict=True):
        assert row["difference"] == pytest.approx(by_hand(llama, mi.Recipe((step,))), abs=1e-4)
    assert result["sum_of_singles"] == pytest.approx(sum(row["difference"] for row in result["singles"]))


def test_one_cell_has_no_singles(llama: Tiny) -> None:
    shown = attention(llama)
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    assert shown.run()["singles"] == [] and shown.result["sum_of_singles"] is None


def test_the_control_band_is_that_of_the_same_edit_elsewhere(llama: Tiny) -> None:
    from mi_widgets.improve.controls import controls

    shown = attention(llama)
    shown.picks, shown.act = [(0, 0, 0), (0, 0, 3)], ZERO
    result = shown.run()
    rivals = controls(llama.model, shown.recipe, 20, length=llama.ids().shape[1])
    expected = [by_hand(llama, rival) for rival in rivals]
    assert result["control"]["values"] == pytest.approx(expected, abs=1e-4)
    assert result["control"]["beats"] == sum(abs(result["difference"]) > abs(value) for value in expected)


def test_adding_a_direction_needs_no_cell_and_adds_everywhere(llama: Tiny) -> None:
    shown = attention(llama)
    shown.act = {"verb": "add", "direction": "up", "strength": 0.4}
    assert shown.recipe.interventions == direction_of(shown).add(0.4).interventions
    assert shown.run()["difference"] == pytest.approx(by_hand(llama, shown.recipe), abs=1e-5)
    assert len(shown.result["control"]["values"]) == 20


def test_adding_a_direction_at_picked_positions(llama: Tiny) -> None:
    up = direction(llama.model.d_model)
    shown = mi.LensView(llama.model, CLEAN, directions={"up": up})
    shown.picks, shown.act = [(0, 0, 3), (0, 2, 9)], {"verb": "add", "direction": "up", "strength": 0.4}
    assert {site.position for site in shown.recipe.sites} == {3, 9}
    assert {site.layer for site in shown.recipe.sites} == {up.layer}


def direction_of(shown: Live) -> mi.Direction:
    return shown._directions["up"]


def test_without_directions_a_cheerful_one_is_offered(llama: Tiny) -> None:
    shown = mi.LensView(llama.model, CLEAN)
    for thread in threading.enumerate():
        if thread.name == "mi-cheerful":
            thread.join(60)
    assert [offer["name"] for offer in shown.directions] == ["cheerful"]
    shown.act = {"verb": "add", "direction": "cheerful", "strength": 0.2}
    assert "difference" in shown.run()


def test_a_plain_prompt_says_that_its_metric_is_the_models_own(llama: Tiny) -> None:
    shown = mi.LensView(llama.model, CLEAN, directions={})
    shown.picks, shown.act = [(0, 0, 4)], ZERO
    result = shown.run()
    first, second = (row["token"]["id"] for row in result["before"]["top"][:2])
    logits = mi.run(llama.model, CLEAN).logits[-1]
    assert result["before"]["metric"] == pytest.approx(float(logits[first] - logits[second]), abs=1e-5)
    assert any("no foil" in note for note in result["notes"])


PROMPTS: dict[str, Any] = {
    "text": CLEAN,
    "chat": [{"role": "user", "content": "Mary and John"}],
    "ids": [0, 290, 300, 310],
}


@pytest.mark.parametrize("prompt", PROMPTS)
def test_a_views_recipe_knows_its_prompt(llama: Tiny, prompt: str) -> None:
    shown = mi.AttentionView(llama.model, PROMPTS[prompt], directions={})
    shown.picks, shown.act = [(0, 0, 0)], MEAN
    shown.receive({"type": "code"})
    assert shown.error == {} and shown.code == shown.recipe.code()
    wanted = CLEAN if prompt == "text" else llama.model.ids(PROMPTS[prompt])[0].tolist()
    assert f"\nprompt = {wanted!r}\n" in shown.code


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_code_of_a_click_gives_the_number_of_the_click(prompt: str, tmp_path: Any, capsys: Any) -> None:
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    shown = mi.AttentionView(mi.load(tmp_path), PROMPTS[prompt], directions={})
    shown.picks, shown.act = [(0, 0, 0)], MEAN
    result = shown.run()
    shown.receive({"type": "code"})
    assert shown.error == {}
    with torch.enable_grad():
        exec(shown.code, {})
    torch.set_grad_enabled(True)
    told = [float(word) for word in capsys.readouterr().out.split()[-3:]]
    wanted = (result["before"]["metric"], result["after"]["metric"], result["difference"])
    assert told == pytest.approx(wanted, abs=1e-5)


# -- stops and errors -------------------------------------------------------------------------------------------------


def test_a_run_of_nothing_becomes_a_card_and_the_model_is_as_before(llama: Tiny) -> None:
    shown, before = attention(llama), llama.model.fingerprint()
    shown.receive({"type": "run", "picks": [], "act": ZERO})
    assert "nothing is selected" in shown.error["why"]
    assert llama.model.fingerprint() == before


def test_an_error_inside_a_run_becomes_a_card_and_the_next_run_works(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, before = attention(llama), llama.model.fingerprint()
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    with monkeypatch.context() as patch:
        patch.setattr("mi_widgets.workbench.live.generate", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            shown.run()
        settled(shown)
    assert shown.status == "error" and set(shown.error) == {"what", "why", "fix", "trace"}
    assert "division" in shown.error["why"] and "ZeroDivisionError" in shown.error["trace"]
    assert llama.model.fingerprint() == before
    shown.run()
    settled(shown)
    assert shown.error == {} and shown.status == "idle"


def settled(shown: Live) -> None:
    """A job's last words come just after its result."""
    shown.model.do(lambda: None)


def test_a_stop_keeps_what_is_done(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = attention(llama)
    shown.picks, shown.act = [(0, 0, 0), (0, 1, 1)], ZERO

    def stop_first(*_: Any, **__: Any) -> str:
        shown.stop()
        llama.model.worker.check()
        return "never"

    monkeypatch.setattr("mi_widgets.workbench.live.generate", stop_first)
    result = shown.run()
    settled(shown)
    assert shown.status == "stopped" and shown.error == {}
    assert result["control"] is not None and result["before"]["text"] is None


def test_a_run_that_is_stopped_before_its_first_number_raises(fresh: mi.Model) -> None:
    shown = mi.AttentionView(fresh, CLEAN, directions={})
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    old = shown.run()
    held = Held(fresh)
    threading.Timer(0.2, lambda: (shown.stop(), held.let_go())).start()
    shown.picks = [(0, 1, 1)]
    with pytest.raises(Stopped, match="before it had a number"):
        shown.run()
    assert shown.result == old and shown.status == "stopped"


def filling(model: mi.Model) -> mi.AttributionView:
    """A view whose maps have begun to fill, and have far to go."""
    pair = mi.Pair(CLEAN, tiny.CORRUPT, "a", " John")
    shown = mi.AttributionView(model, mi.Task((pair,) * 30, metric="accuracy"), pairs=30, directions={})
    while not shown.panels or not shown.grids[0].values.count():
        time.sleep(0.01)
    return shown


def test_a_stop_ends_the_run_and_leaves_the_maps_to_fill(fresh: mi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shown, maps = filling(fresh), []

    def stop(*_: Any, **__: Any) -> None:
        maps.append(len(shown.grids))
        shown.stop()
        fresh.worker.check()

    monkeypatch.setattr("mi_widgets.workbench.live.generate", stop)
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    shown.run()
    shown.wait()
    assert maps == [1], "the maps had not yet come to the second one"
    assert len(shown.grids) == 2 and all(grid.values.count() == grid.values.size for grid in shown.grids)


def test_a_stop_without_a_run_ends_the_maps_and_keeps_what_is_done(fresh: mi.Model) -> None:
    shown = filling(fresh)
    shown.stop()
    shown.wait()
    assert shown.error == {} and shown.progress == {} and shown.status == "stopped"
    assert len(shown.grids) == 1 and shown.grids[0].values.count() > 0


def test_a_newer_run_waits_its_turn_and_wins(fresh: mi.Model) -> None:
    shown = mi.AttentionView(fresh, CLEAN, directions={})
    held = Held(fresh)
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    shown.receive({"type": "run"})
    shown.receive({"type": "run", "picks": [[0, 1, 1]], "act": ZERO})
    assert shown.status == "waiting"
    held.let_go()
    shown.wait()
    assert shown.result["picks"] == [[0, 1, 1]]


@pytest.mark.parametrize("kind", VIEWS)
def test_a_run_after_a_weight_edit_draws_the_map_again(fresh: mi.Model, kind: str) -> None:
    small = Tiny("llama")
    small.__dict__["model"] = fresh
    shown = VIEWS[kind](small)
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    shown.run()
    drawn, printed = shown.grids[0].values.copy(), shown.provenance["weights"]
    assert not any("drawn again" in note for note in shown.result["notes"])
    for parameter in fresh._source.parameters():
        parameter.data.mul_(1.1)
    shown.run()
    shown.wait()
    assert any("drawn again" in note for note in shown.result["notes"])
    assert shown.provenance["weights"] == fresh.weights != printed
    assert shown.grids[0].provenance["weights"] == fresh.weights
    again = VIEWS[kind](small)
    np.testing.assert_allclose(shown.grids[0].values, again.grids[0].values, atol=1e-5)
    assert np.abs(shown.grids[0].values - drawn).max() > 1e-3


def test_a_head_that_cannot_be_opened_becomes_a_card(fresh: mi.Model) -> None:
    shown = mi.AttentionView(fresh, CLEAN, directions={})
    opened = shown.opened
    shown.receive({"type": "open", "row": tiny.LAYERS, "col": 0})
    settled(shown)
    assert f"no layer {tiny.LAYERS}, head 0" in shown.error["why"] and shown.opened == opened


def test_a_model_without_attention_is_told_in_words() -> None:
    config = AutoConfig.for_model("mamba", vocab_size=400, hidden_size=16, num_hidden_layers=2, state_size=4)
    hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    model = mi.Model(hf, tiny.tokenizer(), "tiny mamba")
    with pytest.raises(ValueError, match=r"tiny mamba has no .*attention"):
        mi.AttentionView(model, CLEAN)
    with pytest.raises(ValueError, match="mamba"):
        mi.locate.causal(model, mi.Task((mi.Pair(CLEAN, tiny.CORRUPT, "a", " John"),), metric="accuracy"))
    assert mi.LensView(model, CLEAN, directions={}).panels[0].shape == (2, 15)
    model.close()


def test_an_attribution_view_of_an_unsolved_task_shows_a_card(llama: Tiny) -> None:
    turned = mi.Pair(llama.pair.clean, llama.pair.corrupt, llama.pair.foil, llama.pair.answer)
    shown = mi.AttributionView(llama.model, turned, directions={})
    with pytest.raises(ValueError, match="solves none"):
        shown.wait()
    assert "solves none" in shown.error["why"] and shown.status == "error"


# -- compare ----------------------------------------------------------------------------------------------------------


def test_compare_shows_a_recipe_before_and_after(llama: Tiny) -> None:
    recipe = mi.steer.switch_off([mi.Site("head", 0, 0), mi.Site("ffn", 1)], reference=OTHERS)
    shown = mi.compare(llama.model, CLEAN, recipe, answer=llama.pair.answer, foil=llama.pair.foil)
    shown.wait()
    assert shown.result["difference"] == pytest.approx(by_hand(llama, recipe), abs=1e-5)
    assert len(shown.result["singles"]) == 2 and not shown.runnable
    assert shown.result["before"]["text"] != "" and shown.recipe is recipe


def test_compare_of_no_change_shows_none(llama: Tiny) -> None:
    shown = mi.compare(llama.model, CLEAN, mi.Recipe())
    shown.wait()
    assert shown.result["difference"] == 0
    assert shown.result["control"]["values"] == [] and "No control" in shown.result["control"]["label"]
    assert shown.result["before"]["text"] == shown.result["after"]["text"]


def test_a_grid_is_shown_without_a_model(llama: Tiny) -> None:
    shown = mi.locate.causal(llama.model, llama.pair, progress=False).show()
    assert not shown.runnable and isinstance(shown.panels[0], Panel)
    assert shown.provenance["weights"] == llama.model.weights


def test_two_views_of_one_model_do_not_replace_each_others_runs(llama: Tiny) -> None:
    first, second = attention(llama), lens(llama)
    first.picks, first.act = [(0, 0, 0)], ZERO
    second.picks, second.act = [(0, 0, 1)], ZERO
    threads = [threading.Thread(target=shown.run) for shown in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert first.result["hooks"] == ["blocks.0.attn.hook_z"]
    assert second.result["hooks"] == ["blocks.0.hook_resid_post"]


# -- numbers that no page can show, closed models and views ------------------------------------------------------------


def test_a_run_that_is_not_a_number_becomes_a_card(llama: Tiny) -> None:
    shown = attention(llama)
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    old = shown.run()
    shown.act = {"verb": "scale", "factor": 1e38}
    with pytest.raises(FloatingPointError, match="not a number"):
        shown.run()
    settled(shown)
    assert shown.status == "error" and "not a number" in shown.error["why"] and shown.result == old


def test_a_view_never_carries_a_nan(llama: Tiny) -> None:
    shown = attention(llama)
    with pytest.raises(TraitError, match="not finite"):
        shown.result = {"difference": float("nan")}


@pytest.mark.parametrize(
    ("read", "why"),
    [
        ({"answer": " John"}, "both answer= and foil="),
        ({"answer": [], "foil": " John"}, "at least one token"),
        ({"answer": -5, "foil": " John"}, "token ids go from 0"),
        ({"answer": 10**6, "foil": " John"}, "token ids go from 0"),
    ],
)
def test_a_metric_that_says_nothing_is_refused(llama: Tiny, read: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.AttentionView(llama.model, CLEAN, directions={}, **read)


def test_an_answer_given_twice_counts_once(llama: Tiny) -> None:
    result = mi.run(llama.model, CLEAN)
    answer, foil = llama.pair.answer, llama.pair.foil
    assert result.metric([answer, answer], foil) == pytest.approx(result.metric(answer, foil))


@pytest.mark.parametrize("kind", VIEWS)
def test_a_view_of_a_closed_model_says_that_it_is_closed(fresh: mi.Model, kind: str) -> None:
    small = Tiny("llama")
    small.__dict__["model"] = fresh
    shown = VIEWS[kind](small)
    fresh.close()
    shown.receive({"type": "run", "picks": [[0, 0, 0]], "act": ZERO})
    assert shown.status == "closed" and "closed" in shown.error["why"]
    shown.wait()


def test_a_closed_view_computes_nothing_more(fresh: mi.Model) -> None:
    shown = filling(fresh)
    shown.close()
    shown.instruments[0].wait()
    assert len(shown.grids) == 1


def test_an_interrupted_run_is_stopped(fresh: mi.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = attention_of(fresh)
    held = Held(fresh)

    class Interrupted:
        def result(self) -> None:
            raise KeyboardInterrupt

        def done(self) -> bool:
            return False

    def submit(work: Any, owner: Any) -> Any:
        job = real(work, owner)
        monkeypatch.setattr(job, "future", Interrupted(), raising=True)
        job.future.add_done_callback = lambda _: None
        job.future.cancel = lambda: None
        return job

    real = fresh.submit
    monkeypatch.setattr(fresh, "submit", submit)
    with pytest.raises(KeyboardInterrupt):
        shown.run()
    assert shown._job.stopped
    held.let_go()


def attention_of(model: mi.Model) -> mi.AttentionView:
    shown = mi.AttentionView(model, CLEAN, directions={})
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    return shown


def test_a_selection_is_no_recipe(llama: Tiny) -> None:
    picked = mi.Selection((mi.Site("head", 0, 0),))
    for use in (lambda: mi.run(llama.model, CLEAN, picked), lambda: mi.compare(llama.model, CLEAN, picked)):
        with pytest.raises(TypeError, match="switch_off"):
            use()


def test_a_text_is_no_task(llama: Tiny) -> None:
    with pytest.raises(TypeError, match=r"mi\.Pair\(clean, corrupt, answer, foil\)"):
        mi.AttributionView(llama.model, CLEAN)
    with pytest.raises(ValueError, match="pairs must be at least 1"):
        mi.AttributionView(llama.model, llama.pair, pairs=0)


def test_maps_whose_weights_are_edited_meanwhile_begin_again(fresh: mi.Model) -> None:
    shown = filling(fresh)
    for parameter in fresh._source.parameters():
        parameter.data.mul_(1.1)
    shown.wait()
    assert shown.error == {} and shown.provenance["weights"] == fresh.weights
    again = mi.locate.causal(fresh, shown._task, split="all", progress=False)
    np.testing.assert_allclose(shown.grids[0].values, again.values, atol=1e-5)
    assert shown.grids[0].provenance["weights"] == fresh.weights


def test_pairs_without_common_positions_have_no_map_over_them_and_a_note(llama: Tiny) -> None:
    longer = mi.Pair(f"{llama.pair.clean} the old", f"{llama.pair.corrupt} the old", "a", " John")
    pairs = (mi.Pair(llama.pair.clean, llama.pair.corrupt, "a", " John"), longer)
    shown = mi.AttributionView(llama.model, mi.Task(pairs, metric="accuracy"), directions={})
    shown.wait()
    assert [panel.name for panel in shown.panels] == ["heads"] and shown.error == {}
    shown.picks, shown.act = [(0, 0, 0)], ZERO
    assert any("No map over positions" in note for note in shown.run()["notes"])

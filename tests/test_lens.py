"""The lens view: what can be chosen about it, the edited run beside the clean one, and edits of what it reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.view.panel import colour_range
from mi_widgets.workbench.live import Live

from . import tiny
from .conftest import Tiny
from .test_oracle import direction
from .test_reading import translator
from .test_workbench import by_hand
from .tiny import CLEAN, CORRUPT, LAYERS

TURNED = {"verb": "scale", "factor": -1.5}
CELL = (0, 1, 5)
SITE = mi.Site("residual", 1, part="post", position=5)


@pytest.fixture(autouse=True)
def short_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mi_widgets.workbench.live._NEW_TOKENS", 2)


def lens(small: Tiny, **more: Any) -> mi.LensView:
    given = {"answer": small.pair.answer, "foil": small.pair.foil, "directions": {}, **more}
    view = mi.LensView(small.model, CLEAN, **given)
    view.wait()
    return view


def word(small: Tiny, index: int = 0) -> str:
    """A text that is one token."""
    return [text for text in map(small._word, range(300, 330)) if text][index]


def read(small: Tiny, recipe: mi.Recipe | None = None, **more: Any) -> mi.Grid:
    return mi.locate.lens(small.model, CLEAN, recipe=recipe, **more)


def chosen(view: Live) -> dict[str, str]:
    return {choice["name"]: choice["value"] for choice in view.choices}


# -- values and targets -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "unit", "bright", "spacing", "low"),
    [
        ("prob", "probability", "high", "even", 0),
        ("rank", "rank", "low", "log", 1),
        ("kl", "nats", "low", "even", 0),
        ("logit_diff", "logits", "high", "even", None),
    ],
)
def test_a_value_is_shown_with_colours_that_fit_it(
    llama: Tiny, value: str, unit: str, bright: str, spacing: str, low: float | None
) -> None:
    shown = lens(llama)
    shown.choose("value", value)
    shown.wait()
    pair = {"answer": llama.pair.answer, "foil": llama.pair.foil} if value == "logit_diff" else {}
    np.testing.assert_allclose(shown.grids[0].values, read(llama, value=value, **pair).values, atol=1e-5)
    panel = shown.panels[0]
    assert (panel.unit, panel.bright, panel.spacing) == (unit, bright, spacing)
    first, last = panel.wire()["range"]
    kept = np.delete(panel.values, panel.excluded, axis=1)
    assert first <= kept.min() and kept.max() <= last, "no colour is cut off"
    assert first == (-last if low is None else pytest.approx(low, abs=1e-5))
    again = lens(llama, value=value)
    assert again.panels[0].title == panel.title and chosen(again)["value"] == value


def test_a_logit_difference_is_called_by_its_words(llama: Tiny) -> None:
    shown = mi.LensView(llama.model, CLEAN, value="logit_diff", directions={})
    words = shown.metric_name
    assert words.startswith('logit("') and not any(str(id_) in words for id_ in shown.read)
    labels = {option["value"]: option["label"] for option in shown.choices[0]["options"]}
    assert labels["logit_diff"] == shown.panels[0].quantity == words and words in shown.panels[0].title


def test_a_target_is_followed(llama: Tiny) -> None:
    shown, target = lens(llama), word(llama)
    shown.choose("target", target)
    shown.wait()
    np.testing.assert_allclose(shown.grids[0].values, read(llama, target=target).values, atol=1e-6)
    assert shown.panels[0].quantity == f'probability of "{target}"'
    shown.choose("value", "rank")
    shown.wait()
    np.testing.assert_allclose(shown.grids[0].values, read(llama, target=target, value="rank").values)
    shown.choose("value", "kl")
    assert "target" not in chosen(shown), "a divergence is of no token"
    assert lens(llama, target=target, value="rank").panels[0].quantity == f'rank of "{target}"'


def test_a_target_of_several_tokens_is_refused_with_its_pieces(llama: Tiny) -> None:
    shown = lens(llama)
    shown.receive({"type": "choose", "name": "target", "value": " Mary and"})
    assert "' Mary and' is 2 tokens (·Mary | ·and)" in shown.error["why"]
    assert chosen(shown)["target"] == "" and shown.panels[0].quantity == "probability of the first token"
    with pytest.raises(ValueError, match="is 2 tokens"):
        lens(llama, target=" Mary and")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"value": "entropy"}, "value is one of prob, rank, kl, logit_diff"),
        ({"side": "left"}, "side is one of clean, edited, both, difference"),
        ({"translator": "affine"}, "translator is one of plain for tiny llama, not 'affine'"),
    ],
)
def test_a_keyword_that_is_none_is_refused(llama: Tiny, more: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        lens(llama, **more)


def test_a_translator_that_was_given_can_be_put_aside(llama: Tiny) -> None:
    own = translator(llama)
    shown = lens(llama, translator=own)
    assert chosen(shown)["translator"] == "given"
    np.testing.assert_allclose(shown.grids[0].values, read(llama, translator=own).values, atol=1e-6)
    shown.choose("translator", "plain")
    shown.wait()
    np.testing.assert_allclose(shown.grids[0].values, read(llama).values, atol=1e-6)
    assert "translator" not in chosen(lens(llama)), "there is nothing to choose"


@pytest.mark.model
def test_the_default_model_has_an_affine_lens_to_choose(default_model: Any) -> None:
    shown = mi.LensView(default_model, "The capital of France is", directions={})
    assert [option["value"] for option in shown.choices[-1]["options"]] == ["plain", "affine"]
    shown.choose("translator", "affine")
    shown.wait()
    assert shown.panels[0].title.startswith("Translated lens")


# -- sides ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["edited", "both", "difference"])
def test_before_a_run_every_side_is_the_clean_one_and_says_so(llama: Tiny, side: str) -> None:
    shown = lens(llama, side=side)
    assert [panel.name for panel in shown.panels] == ["lens"]
    assert "There is no run yet" in shown.panels[0].sign
    np.testing.assert_allclose(shown.grids[0].values, read(llama).values, atol=1e-6)
    assert "no run" not in lens(llama).panels[0].sign


def ran(small: Tiny, side: str, **more: Any) -> mi.LensView:
    """After a run with what is at CELL turned around."""
    shown = lens(small, side=side, **more)
    shown.picks, shown.act = [CELL], TURNED
    shown.run()
    shown.wait()
    return shown


def test_the_edited_side_is_the_lens_of_the_edited_run(small: Tiny) -> None:
    shown = ran(small, "edited")
    (grid,) = shown.grids
    cut = (small.plain.post(1), tiny.put(lambda x: -1.5 * x, slice(5, 6)))
    for layer in range(LAYERS):
        seen: list[torch.Tensor] = []
        keep = (small.plain.post(layer), lambda x, seen=seen: seen.append(x.clone()) or x)
        small.plain.logits(small.ids(), cut, keep)
        expected = small.plain.read(seen[0][0]).softmax(-1)
        np.testing.assert_allclose(grid.values[layer], expected.amax(-1), atol=1e-4)
        assert grid.readings is not None
        np.testing.assert_array_equal(grid.readings.ids[layer, :, 0], expected.argmax(-1))
    assert shown.panels[0].title == "After resid_post.L1@5 × -1.5: probability of the first token"


def test_both_sides_stand_side_by_side_in_one_colour_range(llama: Tiny) -> None:
    shown = ran(llama, "both", value="logit_diff")
    pair = {"answer": llama.pair.answer, "foil": llama.pair.foil, "value": "logit_diff"}
    clean, edited = read(llama, **pair), read(llama, shown.recipe, **pair)
    assert [panel.name for panel in shown.panels] == ["lens", "edited"]
    for grid, expected in zip(shown.grids, (clean, edited), strict=True):
        np.testing.assert_allclose(grid.values, expected.values, atol=1e-5)
    ranges = [panel.range for panel in shown.panels]
    assert ranges[0] == ranges[1] == colour_range(np.vstack([clean.values, edited.values]), "signed", [0])
    assert shown.panels[0].shape == shown.panels[1].shape


def test_a_difference_is_signed_and_names_what_has_changed(llama: Tiny) -> None:
    target = word(llama)
    shown = ran(llama, "difference", target=target)
    clean, edited = read(llama, target=target), read(llama, shown.recipe, target=target)
    (panel,) = shown.panels
    np.testing.assert_allclose(panel.values, edited.values - clean.values, atol=1e-6)
    low, high = panel.wire()["range"]
    assert panel.scale == "signed" and low == -high == -np.abs(np.delete(panel.values, 0, axis=1)).max()
    assert panel.quantity == f'probability of "{target}", edited minus clean'
    assert panel.sign.startswith("Positive: more probable in the edited run.") and "Each run" not in panel.sign
    assert clean.readings is not None and edited.readings is not None and panel.texts is not None
    written = [panel.vocabulary[i]["id"] if i >= 0 else -1 for i in panel.texts.flat]  # type: ignore[index]
    now, before = edited.readings.ids[..., 0].ravel(), clean.readings.ids[..., 0].ravel()
    assert written == np.where(now == before, -1, now).tolist() and -1 in written and set(written) != {-1}


def test_a_difference_without_a_target_says_that_two_tokens_may_be_meant(llama: Tiny) -> None:
    assert "Each run's own first token is meant" in ran(llama, "difference").panels[0].sign
    kl = ran(llama, "difference", value="kl").panels[0]
    assert "Each run" not in kl.sign and kl.spacing == "even" and kl.scale == "signed"
    assert ran(llama, "difference", value="rank").panels[0].spacing == "log"


def test_the_edited_side_is_read_again_after_each_run_and_picks_stay(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mi_widgets.workbench import lens as room

    asked: list[mi.Recipe | None] = []
    steps = room.lens_steps
    monkeypatch.setattr(room, "lens_steps", lambda *args, **more: asked.append(more["recipe"]) or steps(*args, **more))
    shown = ran(llama, "both")
    first = shown.grids[1].values.copy()
    shown.picks = [(1, 2, 3), (0, 0, 1)]
    shown.run()
    shown.wait()
    assert shown.picks == [(0, 0, 1), (1, 2, 3)]
    assert asked[0] is None and asked[2:] == [shown.recipe] and len(asked) == 3, "the clean run is read once"
    np.testing.assert_allclose(shown.grids[1].values, read(llama, shown.recipe).values, atol=1e-6)
    assert np.abs(shown.grids[1].values - first).max() > 1e-3
    shown.choose("side", "clean")
    shown.wait()
    assert shown.selection.sites == (mi.Site("residual", 0, part="post", position=1),
                                     mi.Site("residual", 2, part="post", position=3))  # fmt: skip


def test_the_edited_side_is_there_before_the_controls(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    from mi_widgets.workbench import live

    shown, seen = lens(llama, side="edited"), []
    compare = live.controls
    monkeypatch.setattr(live, "controls", lambda *a, **k: seen.extend(p.name for p in shown.panels) or compare(*a, **k))
    shown.picks, shown.act = [CELL], TURNED
    shown.run()
    assert seen == ["edited"]


def test_a_clean_side_is_not_read_again(llama: Tiny) -> None:
    shown = lens(llama)
    (grid,) = shown.grids
    shown.picks, shown.act = [CELL], TURNED
    shown.run()
    shown.wait()
    assert shown.grids == (grid,)


def test_another_question_forgets_the_edited_run(llama: Tiny) -> None:
    shown = ran(llama, "both")
    shown.ask(CORRUPT, llama.pair.answer, llama.pair.foil)
    shown.wait()
    assert [panel.name for panel in shown.panels] == ["lens"] and "no run yet" in shown.panels[0].sign
    np.testing.assert_allclose(shown.grids[0].values, mi.locate.lens(llama.model, CORRUPT).values, atol=1e-6)


def test_a_stop_during_the_second_reading_ends_the_run_and_leaves_the_lens(
    llama: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mi_widgets.locate import vocabulary

    shown = ran(llama, "both")
    names = [panel.name for panel in shown.panels]
    columns = vocabulary._Lens._columns

    def stopping(self: Any) -> Any:
        for number, step in enumerate(columns(self)):
            if number == 1:
                shown.stop()
                llama.model.worker.check()
            yield step

    monkeypatch.setattr("mi_widgets.model.readout._BYTES", 1)
    monkeypatch.setattr(vocabulary._Lens, "_columns", stopping)
    shown.picks = [(0, 0, 1)]
    shown.run()
    shown.wait()
    llama.model.do(lambda: None)
    assert shown.status == "stopped" and shown.error == {} and [panel.name for panel in shown.panels] == names


# -- what is done to a reading, and the other verbs --------------------------------------------------------------------

UP = {"up": direction(20)}


def acting(small: Tiny, act: dict[str, Any], *cells: tuple[int, int, int], **more: Any) -> mi.LensView:
    shown = lens(small, directions=UP, **more)
    shown.picks, shown.act = list(cells or [CELL]), act
    return shown


def remove(token: str = "", how: str = "remove", strength: float = 0.5) -> dict[str, Any]:
    return {"verb": "reading", "how": how, "token": token, "strength": strength}


def first_of(small: Tiny, grid: mi.Grid | None = None, site: mi.Site = SITE) -> int:
    grid = grid or read(small)
    assert grid.readings is not None
    return int(grid.readings.ids[grid.index(site)][0])


def test_a_verb_makes_the_recipe_that_its_method_makes(llama: Tiny) -> None:
    picked = mi.Selection((SITE,))
    texts = [text for text in mi.steer.neutral() if llama.model.ids(text).shape[1] >= llama.ids().shape[1]]
    expected = {
        "clamp": ({"verb": "clamp", "low": None, "high": 0.5}, picked.clamp(None, 0.5)),
        "replace": ({"verb": "replace", "prompt": CORRUPT}, picked.replace(CORRUPT)),
        "resample": (
            {"verb": "switch_off", "kind": "resample"},
            picked.switch_off("resample", reference=texts[:4]),
        ),
        "project_out": ({"verb": "project_out", "direction": "up"}, UP["up"].project_out([5])),
        "remove": (remove(), mi.steer.reading(llama.model, SITE, first_of(llama))),
        "other": (remove(word(llama)), mi.steer.reading(llama.model, SITE, word(llama))),
        "add": (
            remove(word(llama), "add", 0.7),
            mi.steer.reading(llama.model, SITE, word(llama), "add", strength=0.7),
        ),
        "swap": (
            remove(word(llama), "swap"),
            mi.steer.reading(llama.model, SITE, first_of(llama), "swap", word(llama)),
        ),
    }
    for act, recipe in expected.values():
        shown = acting(llama, act)
        assert shown.recipe.interventions == recipe.interventions
        assert shown.recipe.provenance["prompt"] == CLEAN


ACTS: dict[str, Any] = {
    "clamp": {"verb": "clamp", "low": -0.2, "high": 0.1},
    "replace": {"verb": "replace", "prompt": CORRUPT},
    "resample": {"verb": "switch_off", "kind": "resample"},
    "remove": remove(),
    "add": remove(how="add", strength=1.5),
    "swap": remove(" John", "swap"),
}
LATER = ((0, 1, 12), (0, 2, 14))


@pytest.mark.parametrize("name", ACTS)
def test_a_verbs_number_is_that_of_plain_hooks_and_of_its_code(name: str, tmp_path: Path, capsys: Any) -> None:
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    small = Tiny("llama")
    small.__dict__["model"] = mi.load(tmp_path)
    shown = acting(small, ACTS[name], *LATER)
    result = shown.run()
    assert result["difference"] == pytest.approx(by_hand(small, shown.recipe), abs=1e-5)
    assert abs(result["difference"]) > 1e-3
    shown.receive({"type": "code"})
    assert shown.error == {}
    try:
        exec(shown.code, {})
    finally:
        torch.set_grad_enabled(True)
    told = [float(text) for text in capsys.readouterr().out.split()[-3:]]
    assert told[-1] == pytest.approx(result["difference"], abs=1e-5)


def test_each_picked_cell_loses_its_own_token_as_it_is_shown(llama: Tiny) -> None:
    cells = [(0, 0, 3), (0, 2, 9)]
    shown = acting(llama, remove(), *cells)
    sites = shown.selection.sites
    tokens = [step.direction.tokens for step in shown.recipe.interventions if step.direction]
    assert tokens == [(first_of(llama, None, site),) for site in sites] and shown.recipe.sites == sites


def test_a_cell_of_the_edited_side_loses_what_it_reads_there(llama: Tiny) -> None:
    shown = ran(llama, "both")
    clean, edited = (grid.readings.ids[..., 0] for grid in shown.grids if grid.readings)
    row, col = np.argwhere(clean != edited)[-1].tolist()
    shown.act = remove()
    for panel, ids in enumerate((clean, edited)):
        shown.picks = [(panel, row, col)]
        (step,) = shown.recipe.interventions
        assert step.direction is not None and step.direction.tokens == (ids[row, col],)


def test_a_reading_goes_through_the_lens_that_reads(llama: Tiny) -> None:
    own = translator(llama)
    shown = acting(llama, remove(), translator=own)
    grid = read(llama, translator=own)
    expected = mi.steer.reading(llama.model, SITE, grid, translator=own)
    assert shown.recipe.interventions == expected.interventions
    plain = mi.steer.reading(llama.model, SITE, grid)
    assert shown.recipe.interventions != plain.interventions


def test_a_direction_is_projected_out_everywhere_without_picks(llama: Tiny) -> None:
    shown = lens(llama, directions=UP)
    shown.act = {"verb": "project_out", "direction": "up"}
    assert shown.recipe.interventions == UP["up"].project_out().interventions
    assert shown.run()["difference"] == pytest.approx(by_hand(llama, shown.recipe), abs=1e-5)
    shown.keep()
    assert shown.act["verb"] == "switch_off" and len(shown.tray) == 1


@pytest.mark.parametrize(
    ("act", "why"),
    [
        ({"verb": "replace", "prompt": "Mary and John"}, r"it has \d+ tokens, the prompt 15"),
        ({"verb": "replace", "prompt": ""}, r"it has 1 tokens, the prompt 15"),
        ({"verb": "clamp", "low": None, "high": None}, "needs low or high"),
        ({"verb": "clamp", "low": 2.0, "high": 1.0}, "low must not be above high"),
        (remove("", "swap"), "a swap needs the token that comes in"),
        (remove(" Mary and"), "is 2 tokens"),
    ],
)
def test_what_cannot_be_done_is_a_card(llama: Tiny, act: dict[str, Any], why: str) -> None:
    shown = acting(llama, act)
    shown.receive({"type": "run"})
    llama.model.do(lambda: None)
    import re

    assert re.search(why, shown.error["why"]), shown.error["why"]


def test_a_swap_for_the_token_that_is_read_is_refused(llama: Tiny) -> None:
    readings = read(llama).readings
    assert readings is not None
    words = {cell: llama._word(int(readings.ids[cell][0])) for cell in np.ndindex(readings.ids.shape[:2])}
    (row, col), text = next((cell, text) for cell, text in words.items() if text)
    with pytest.raises(ValueError, match="already"):
        _ = acting(llama, remove(text, "swap"), (0, row, col)).recipe


def test_a_head_reads_no_token(llama: Tiny) -> None:
    shown = mi.AttentionView(llama.model, CLEAN, directions={})
    shown.act = remove()
    with pytest.raises(ValueError, match="none is picked"):
        _ = shown.recipe
    shown.picks = [(0, 0, 1)]
    with pytest.raises(ValueError, match="L0H1 reads no token"):
        _ = shown.recipe


def test_a_cell_that_is_not_read_yet_says_so(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = acting(llama, remove())
    grid = shown.grids[0]
    grid.values[1, 5] = np.ma.masked
    with pytest.raises(ValueError, match=r"resid_post\.L1@5 is not read yet"):
        _ = shown.recipe


def test_a_prompt_longer_than_the_packages_texts_cannot_be_resampled(llama: Tiny) -> None:
    from mi_widgets.workbench import draft

    with pytest.raises(ValueError, match=r"the prompt has 9999 tokens, more than any of the package's texts"):
        draft.drafted({"verb": "switch_off", "kind": "resample"}, mi.Selection((SITE,)), {}, llama.model, 9999)


def test_the_journal_does_a_reading_again(tmp_path: Path) -> None:
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    view = mi.LensView(mi.load(tmp_path), CLEAN, target=" John", directions={})
    view.wait()
    view.choose("side", "both")
    view.picks, view.act = [CELL], TURNED
    view.run()
    view.wait()
    view.picks, view.act = [(1, 2, 12)], remove(how="add", strength=2.0)
    number = view.run()["difference"]
    again: dict[str, Any] = {}
    exec(view.session.code(), again)
    assert again["view"].result["difference"] == pytest.approx(number, abs=1e-5)
    assert "target=' John'" in view.session.code() and again["view"].panels[0].title == view.panels[0].title

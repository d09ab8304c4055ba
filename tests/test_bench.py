"""The Workbench: three instruments over one prompt, one selection, one tray and one result."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .test_workbench import ZERO, by_hand, short_texts  # noqa: F401
from .tiny import CLEAN, CORRUPT

OTHER = "When Anna and Peter sat in the old garden, Peter gave a"


@pytest.fixture
def bench(llama: Tiny) -> mi.Workbench:
    view = mi.Workbench(llama.model, llama.pair, directions={})
    view.wait()
    return view


def test_a_workbench_has_the_maps_of_all_three_views(bench: mi.Workbench) -> None:
    assert [(panel.instrument, panel.name) for panel in bench.panels] == [
        ("attention", "attention-heads"),
        ("lens", "lens-lens"),
        ("attribution", "attribution-heads"),
        ("attribution", "attribution-residual"),
    ]
    assert bench.opened and bench.pattern is not None
    assert bench.question == {"prompt": CLEAN, "corrupt": CORRUPT, "answer": bench.read[0], "foil": bench.read[1]}


def test_a_head_picked_in_two_maps_is_one_site(bench: mi.Workbench, llama: Tiny) -> None:
    bench.picks, bench.act = [(0, 1, 2), (2, 1, 2)], ZERO
    assert bench.selection.sites == (mi.Site("head", 1, 2),)
    assert bench.run()["difference"] == pytest.approx(by_hand(llama, bench.recipe), abs=1e-5)


def test_attention_is_compared_with_that_of_the_corrupted_prompt(bench: mi.Workbench, llama: Tiny) -> None:
    bench.choose("compare", "other")
    bench.wait()
    layer, head = bench.opened
    clean, corrupt = (llama.plain.pattern(llama.ids(text), layer)[0, head] for text in (CLEAN, CORRUPT))
    expected = (corrupt - clean).tril()
    assert torch.from_numpy(bench.pattern.values).nan_to_num().sub(expected).abs().max() < 1e-5
    assert expected.abs().max() > 1e-3


def test_every_word_of_the_trade_that_can_be_chosen_is_explained(bench: mi.Workbench) -> None:
    explained = {"summary", "weighting", "value", "effect", "method", "range"}
    options = [each for choice in bench.choices if choice["name"] in explained for each in choice["options"]]
    assert explained <= {choice["name"] for choice in bench.choices} and len(options) >= 20
    assert all(each["help"] for each in options)


def test_picks_of_several_maps_are_one_recipe(bench: mi.Workbench, llama: Tiny) -> None:
    bench.picks, bench.act = [(0, 0, 0), (1, 1, 14), (3, 2, 5)], ZERO
    assert {site.kind for site in bench.selection} == {"head", "residual"}
    assert bench.run()["difference"] == pytest.approx(by_hand(llama, bench.recipe), abs=1e-5)


def test_a_prompt_alone_has_no_attribution(llama: Tiny) -> None:
    view = mi.Workbench(llama.model, CLEAN, answer=llama.pair.answer, foil=llama.pair.foil, directions={})
    view.wait()
    assert [instrument.name for instrument in view.instruments] == ["attention", "lens"]
    assert view.question["corrupt"] == ""


def test_another_prompt_is_opened_and_its_maps_drawn(bench: mi.Workbench, llama: Tiny) -> None:
    bench.picks, bench.act = [(0, 0, 0)], ZERO
    bench.run()
    bench.receive({"type": "ask", "prompt": OTHER, "corrupt": "", "answer": "", "foil": ""})
    bench.wait()
    assert bench.error == {} and bench.prompt == OTHER == bench.question["prompt"] and bench.result == {}
    assert {panel.instrument for panel in bench.panels} == {"attention", "lens"}
    assert len(bench.tokens) == llama.model.ids(OTHER).shape[1] == bench.panels[1].shape[1]
    assert bench.selection.sites == (mi.Site("head", 0, 0),)


def test_a_pair_that_is_typed_has_attribution_again(bench: mi.Workbench, llama: Tiny) -> None:
    bench.look_at(OTHER)
    bench.wait()
    typed = {"prompt": CORRUPT, "corrupt": CLEAN, "answer": llama.pair.foil, "foil": llama.pair.answer}
    bench.receive({"type": "ask", **typed})
    bench.wait()
    exact = mi.locate.causal(llama.model, mi.Pair(CORRUPT, CLEAN, llama.pair.foil, llama.pair.answer), progress=False)
    assert bench.question == typed
    assert float(abs(bench.grids[2].values - exact.values).max()) < 1e-5


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ({"prompt": ""}, "no tokens besides BOS"),
        ({"prompt": "word " * 1100}, "the model reads at most 64"),
        ({"prompt": OTHER, "answer": "a"}, "both answer= and foil="),
        ({"prompt": OTHER, "corrupt": CLEAN}, "give answer and foil as well"),
        ({"prompt": 3}, "ask with prompt 3"),
    ],
)
def test_a_question_that_cannot_be_asked_is_a_card_and_all_stays(
    bench: mi.Workbench, question: dict[str, Any], why: str
) -> None:
    before = [panel.name for panel in bench.panels]
    bench.receive({"type": "ask", "prompt": OTHER, "corrupt": "", "answer": "", "foil": "", **question})
    bench.model.do(lambda: None)
    bench.model.do(lambda: None)
    assert why in bench.error["why"] and "draft" not in bench.error["fix"]
    assert bench.prompt == CLEAN and [panel.name for panel in bench.panels] == before and len(bench.instruments) == 3


def test_a_question_that_fails_says_what_to_do_about_the_question(bench: mi.Workbench) -> None:
    bench.receive({"type": "ask", "prompt": OTHER, "corrupt": "", "answer": " garden old", "foil": " a"})
    bench.model.do(lambda: None)
    bench.model.do(lambda: None)
    assert bench.error["fix"] == "Change the question and read it again."


def test_an_answer_without_its_space_is_told_to_have_one(bench: mi.Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["mi_widgets.run"], "_UNSPACED", -100.0)
    bench.receive({"type": "ask", "prompt": OTHER, "corrupt": "", "answer": "a", "foil": " old"})
    bench.model.do(lambda: None)
    bench.model.do(lambda: None)
    assert "use ' a'" in bench.error["why"] and "Type a space before the word" in bench.error["fix"]


def test_a_task_brings_its_own_answers(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="bring their own answer"):
        mi.Workbench(llama.model, llama.pair, answer="a", foil=" John")


def test_the_journal_of_a_workbench_does_it_all_again(tmp_path: Any, llama: Tiny) -> None:
    tiny.hugging_face("llama").save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    view = mi.Workbench(mi.load(tmp_path), llama.pair, directions={})
    view.wait()
    view.picks, view.act = [(0, 0, 0), (3, 1, 5)], ZERO
    view.run()
    view.look_at(OTHER)
    view.wait()
    view.picks = [(0, 2, 1)]
    view.run()
    told = [row["difference"] for row in view.session.rows]
    again: dict[str, Any] = {}
    exec(view.session.code(), again)
    torch.set_grad_enabled(True)
    assert [row["difference"] for row in again["view"].session.rows] == pytest.approx(told, abs=1e-6)


def actions(seed: int, count: int, bench: mi.Workbench) -> Any:
    """Messages that a page may send, valid and not, in a random order."""
    import random

    draw = random.Random(seed)
    for _ in range(count):
        panel = draw.randrange(len(bench.panels))
        rows, cols = bench.panels[panel].shape
        picks = [[panel, draw.randrange(rows), draw.randrange(cols)] for _ in range(draw.randint(1, 3))]
        act = draw.choice([ZERO, {"verb": "scale", "factor": draw.uniform(-2, 3)}, {"verb": "explode"}])
        draft = {"picks": picks, "act": act, "tray": bench.tray}
        yield draw.choice(
            [
                {"type": "run", **draft},
                {"type": "run", "picks": [[9, 9, 9]], "act": ZERO},
                {"type": "keep", **draft},
                {"type": "code", **draft},
                {"type": "undo"},
                {"type": "redo"},
                {"type": "stop"},
                {"type": "open", "row": draw.randrange(rows), "col": draw.randrange(9)},
                {"type": "choose", "name": "no such choice", "value": ""},
                {"type": "ask", "prompt": draw.choice([OTHER, ""]), "corrupt": "", "answer": "", "foil": ""},
            ]
        )


def test_the_model_is_as_it_was_after_each_of_a_hundred_actions(bench: mi.Workbench, llama: Tiny) -> None:
    before = llama.model.fingerprint()
    for number, message in enumerate(actions(0, 100, bench)):
        bench.receive(message)
        if number % 3 == 0:
            bench.model.do(lambda: None)
        assert llama.model.fingerprint() == before, message
    bench.wait()
    bench.picks, bench.act, bench.tray = [(0, 0, 0)], ZERO, []
    assert bench.run()["difference"] == pytest.approx(by_hand_of(bench, llama), abs=1e-5)
    assert llama.model.fingerprint() == before


def by_hand_of(bench: mi.Workbench, small: Tiny) -> float:
    """The change of the bench's own metric by plain hooks on the user's own bridge."""
    bridge, ids = small.model.bridge, small.model.ids(bench.text)
    answer, foil = bench.read
    ids_of = [each if isinstance(each, int) else small.model.single(str(each)) for each in (answer, foil)]
    with torch.no_grad():
        after = bridge.run_with_hooks(ids, fwd_hooks=bench.recipe.hooks(small.model))[0, -1]
        before = bridge(ids)[0, -1]
    return float((after - before)[ids_of[0]] - (after - before)[ids_of[1]])


def test_the_pair_whose_prompt_is_shown_is_the_one_that_all_instruments_mean(llama: Tiny) -> None:
    unsolved = mi.Pair(CLEAN, CORRUPT, llama.pair.foil, llama.pair.answer)
    solved = mi.Pair(CORRUPT, CLEAN, llama.pair.foil, llama.pair.answer)
    view = mi.Workbench(llama.model, [unsolved, solved], directions={})
    view.wait()
    assert view.prompt == view.question["prompt"] == CORRUPT
    assert view.question["corrupt"] == view.other == CLEAN
    view.choose("pair", "1")
    view.model.do(lambda: None)
    assert view.prompt == view.question["prompt"] == CLEAN and view.question["corrupt"] == view.other == CORRUPT


def test_hooks_of_the_users_own_are_in_the_small_print(llama: Tiny) -> None:
    view = mi.Workbench(llama.model, llama.pair, directions={})
    assert "hooks" not in view.provenance
    bridge = llama.model.bridge
    bridge.hook_dict["blocks.0.attn.hook_z"].add_hook(lambda x, hook: x)
    try:
        view.picks, view.act = [(0, 0, 0)], ZERO
        view.run()
        assert view.provenance["hooks"] == "1 of your bridge's own, not applied here"
    finally:
        bridge.reset_hooks()

"""The built-in tasks on the default model: every word one token, prompts of equal length, and solved."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.tasks.tone import CHEERFUL, GLOOMY

TASKS = {"ioi": mi.tasks.ioi, "capitals": mi.tasks.capitals, "tone": mi.tasks.tone}


def words(task: mi.Task) -> list[str]:
    sides = [side for pair in task for side in (pair.answer, pair.foil)]
    return sorted({word for side in sides for word in ([side] if isinstance(side, str) else side)})


@pytest.mark.parametrize("name", TASKS)
def test_a_task_has_splits_and_no_item_twice(name: str) -> None:
    task = TASKS[name]()
    assert task.has_splits and task.name == name
    assert len({(pair.clean, pair.corrupt) for pair in task}) == len(task)
    assert [round(len(task.split(part)) / len(task), 1) for part in ("fit", "select", "report")] == [0.4, 0.2, 0.4]


@pytest.mark.parametrize("name", ["ioi", "capitals"])
def test_no_answer_of_one_split_is_a_word_of_another(name: str) -> None:
    task = TASKS[name]()
    answers = [{pair.answer for pair in task.split(part)} for part in ("fit", "select", "report")]
    assert all(not one & other for one, other in combinations(answers, 2))


def test_each_pair_of_capitals_has_its_mirror() -> None:
    pairs = mi.tasks.capitals().items
    assert {(p.clean, p.answer, p.foil) for p in pairs} == {(p.corrupt, p.foil, p.answer) for p in pairs}


@pytest.mark.model
@pytest.mark.parametrize("name", TASKS)
def test_every_answer_is_one_token_and_every_pair_of_one_length(default_model: Any, name: str) -> None:
    task = TASKS[name]()
    assert all(default_model.single(word) for word in words(task))
    lengths = [[default_model.ids(text).shape[1] for text in (pair.clean, pair.corrupt)] for pair in task]
    assert all(clean == corrupt for clean, corrupt in lengths)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("name", ["ioi", "capitals"])
def test_the_default_model_solves_it(default_model: Any, name: str) -> None:
    """Of all pairs it solves all; a sample of every fifth has to keep nine in ten."""
    sample = TASKS[name]().items[::5]
    solved = [_metric(default_model, pair, pair.clean) - _metric(default_model, pair, pair.corrupt) for pair in sample]
    assert sum(difference >= 1 for difference in solved) >= 0.9 * len(sample)


@pytest.mark.model
@pytest.mark.slow
def test_a_cheerful_direction_makes_the_next_word_happier(default_model: Any) -> None:
    cheerful = mi.steer.contrast(default_model, CHEERFUL, GLOOMY, layer=19, name="cheerful")
    assert 0.05 < cheerful.natural < 0.4
    sample = mi.tasks.tone().report[:8]
    changes = [
        _metric(default_model, p, p.clean, cheerful.add(0.2)) - _metric(default_model, p, p.clean) for p in sample
    ]
    assert sum(change > 0 for change in changes) >= 7


def _metric(model: mi.Model, pair: mi.Pair, text: str, recipe: mi.Recipe | None = None) -> float:
    return mi.run(model, text, recipe).metric(pair.answer, pair.foil)


@pytest.mark.model
@pytest.mark.parametrize(("layer", "head"), [(0, 0), (29, 8)])
def test_a_head_of_the_default_model_is_switched_off_as_by_hand(default_model: Any, layer: int, head: int) -> None:
    from transformers import AutoModelForCausalLM

    from mi_widgets.model import checkpoint

    pair = mi.tasks.ioi().items[0]
    plain = AutoModelForCausalLM.from_pretrained(checkpoint.fetch(), attn_implementation="eager").eval()

    def off(_: Any, args: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        z = args[0].clone()
        z[..., head * 64 : (head + 1) * 64] = 0
        return (z,)

    handle = plain.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(off)
    with torch.no_grad():
        expected = plain(default_model.ids(pair.clean)).logits[0]
    handle.remove()
    recipe = mi.Recipe((Intervention("zero", mi.Site("head", layer, head)),))
    found = mi.run(default_model, pair.clean, recipe).logits
    assert (found - expected).abs().max() < 1e-3
    answer, foil = (default_model.single(str(word)) for word in (pair.answer, pair.foil))
    by_hand = float(expected[-1, answer] - expected[-1, foil])
    assert mi.run(default_model, pair.clean, recipe).metric(pair.answer, pair.foil) == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.model
@pytest.mark.slow
def test_the_code_for_the_default_model_gives_the_same(default_model: Any) -> None:
    pair = mi.tasks.ioi().items[0]
    source = mi.Recipe(provenance={**default_model.provenance, "answer": pair.answer, "foil": pair.foil})
    recipe = source + mi.steer.switch_off([mi.Site("head", 0, 0), mi.Site("head", 29, 8)], reference=CHEERFUL[:2])
    names: dict[str, Any] = {}
    try:
        exec(recipe.code(pair.clean), names)
    finally:
        torch.set_grad_enabled(True)
    found = mi.run(default_model, pair.clean, recipe).metric(pair.answer, pair.foil)
    assert names["difference"](names["after"]) == pytest.approx(found, abs=1e-5)

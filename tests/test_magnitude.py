"""Measures of heads against the same arithmetic, written out in loops over a Hugging Face model's attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.locate.magnitude import MEASURES, Seen, continued, each_measure
from mi_widgets.model import Attention

from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, HEADS, LAYERS, OTHERS

REPEATED = "Mary and John went to the store, Mary and John went to the store"
WINDOW = 5  # of gemma2's even layers


def patterns(small: Tiny, text: str) -> list[torch.Tensor]:
    """[head, query_pos, key_pos] of each layer."""
    return [small.plain.pattern(small.ids(text), layer)[0] for layer in range(LAYERS)]


def sees(small: Tiny, layer: int, query: int) -> int:
    local = small.shape == "gemma2" and layer % 2 == 0
    return min(query + 1, WINDOW) if local else query + 1


def by_hand(small: Tiny, text: str, measure: str) -> np.ndarray:
    """A measure [layer, head], one query after the other."""
    ids = small.ids(text)[0].tolist()
    found = np.zeros((LAYERS, HEADS))
    for layer, pattern in enumerate(patterns(small, text)):
        for head in range(HEADS):
            found[layer, head] = np.mean(of_queries(small, pattern[head].tolist(), ids, layer, measure))
    return found


def of_queries(small: Tiny, rows: list[list[float]], ids: list[int], layer: int, measure: str) -> list[float]:
    numbers = []
    for query in range(1, len(ids)):
        row = rows[query]
        if measure == "entropy":
            spread = -sum(share * math.log(share) for share in row if share > 0)
            numbers.append(spread / math.log(sees(small, layer, query)))
        elif measure == "previous":
            numbers.append(row[query - 1])
        elif measure in ("sink", "away"):
            numbers.append(row[0] if measure == "sink" else 1 - row[0])
        elif ids[query] in ids[:query]:
            before = max(place for place in range(query) if ids[place] == ids[query])
            numbers.append(row[before + 1])
    return numbers


@pytest.mark.parametrize("measure", MEASURES)
def test_a_measure_is_that_of_the_models_own_attention(small: Tiny, measure: str) -> None:
    grid = mi.locate.magnitude(small.model, REPEATED, measure=measure, progress=False)
    np.testing.assert_allclose(grid.values, by_hand(small, REPEATED, measure), rtol=1e-4, atol=1e-6)
    assert grid.shape == (LAYERS, HEADS) and np.ptp(grid.values) > 1e-3
    assert grid.site((0, 0)) == mi.Site("head", 0, 0) and grid.toward == 0
    assert grid.provenance["measure"] == measure and grid.provenance["prompt"] == REPEATED


def test_of_several_prompts_it_is_the_mean(llama: Tiny) -> None:
    grid = mi.locate.magnitude(llama.model, list(OTHERS), measure="previous", progress=False)
    expected = np.mean([by_hand(llama, text, "previous") for text in OTHERS], axis=0)
    np.testing.assert_allclose(grid.values, expected, rtol=1e-4)
    assert grid.provenance["prompts"] == list(OTHERS)


def test_of_a_task_its_clean_prompts_count(llama: Tiny) -> None:
    one = mi.locate.magnitude(llama.model, llama.pair, measure="sink", progress=False)
    np.testing.assert_allclose(one.values, by_hand(llama, CLEAN, "sink"), rtol=1e-4)
    pairs = [mi.Pair(f"{CLEAN} {n}", f"{CORRUPT} {n}", " Mary", " John", group=str(n)) for n in range(8)]
    task = mi.Task(pairs)
    grid = mi.locate.magnitude(llama.model, task, measure="sink", split="report", progress=False)
    assert grid.provenance["prompts"] == [pair.clean for pair in task.report]


def test_chat_messages_and_ids_are_one_prompt(llama: Tiny) -> None:
    ids = llama.ids(CLEAN)[0].tolist()
    grid = mi.locate.magnitude(llama.model, ids, measure="entropy", progress=False)
    np.testing.assert_allclose(grid.values, by_hand(llama, CLEAN, "entropy"), rtol=1e-4)
    chat = mi.locate.magnitude(llama.model, [{"role": "user", "content": "Mary"}], measure="entropy", progress=False)
    assert chat.provenance["prompt"] != ids and chat.shape == (LAYERS, HEADS)


def test_induction_without_a_repeated_token_is_not_computed_and_says_why(llama: Tiny) -> None:
    grid = mi.locate.magnitude(llama.model, OTHERS[0][:22], measure="induction", progress=False)
    assert np.ma.getmaskarray(grid.values).all()
    assert "Not computed: no token comes a second time" in grid.sign and grid.provenance["queries"] == 0
    both = mi.locate.magnitude(llama.model, [OTHERS[0][:22], REPEATED], measure="induction", progress=False)
    np.testing.assert_allclose(both.values, by_hand(llama, REPEATED, "induction"), rtol=1e-4)


def test_induction_looks_after_the_last_earlier_occurrence() -> None:
    assert continued([7, 8, 7, 9, 7]) == ([2, 4], [1, 3])
    assert continued([7, 7, 7]) == ([], [])
    assert continued([7, 7, 8, 7]) == ([3], [2])
    assert continued([1, 2, 3]) == ([], [])


def test_a_head_that_continues_a_repeated_text_has_induction_one() -> None:
    ids = (0, 5, 6, 7, 5, 6, 7)
    pattern = torch.zeros(2, 7, 7)
    pattern[:, :, 0] = 1
    for query in (4, 5, 6):
        pattern[1, query] = torch.eye(7)[query - 2]
    measured = each_measure(pattern, Seen(ids))
    assert measured["induction"].tolist() == [0, 1]
    assert measured["sink"].tolist() == [1, 0.5] and measured["away"].tolist() == [0, 0.5]
    assert measured["entropy"].tolist() == [0, 0]


@pytest.mark.parametrize("window", [None, 3])
def test_a_head_that_looks_at_all_it_sees_alike_has_entropy_one(window: int | None) -> None:
    seen = Seen(tuple(range(6)), window)
    sees = torch.tensor([[query - (window or 9) < key <= query for key in range(6)] for query in range(6)])
    pattern = sees / sees.sum(-1, keepdim=True)
    assert each_measure(pattern[None], seen)["entropy"] == pytest.approx(1)


def test_a_prompt_of_one_token_has_no_measure(llama: Tiny) -> None:
    for measure in MEASURES:
        grid = mi.locate.magnitude(llama.model, [290], measure=measure, progress=False)
        assert np.ma.getmaskarray(grid.values).all() and grid.sign.startswith("Not computed")


def test_a_recipe_changes_what_later_layers_look_at(llama: Tiny) -> None:
    recipe = mi.Recipe((mi.Intervention("zero", mi.Site("head", 0, 1)),))
    plain = mi.locate.magnitude(llama.model, CLEAN, measure="sink", progress=False)
    edited = mi.locate.magnitude(llama.model, CLEAN, measure="sink", recipe=recipe, progress=False)
    change = edited.values - plain.values
    assert np.abs(change[0]).max() < 1e-6 and np.abs(change[1:]).max() > 1e-4
    assert edited.provenance["recipe"] == recipe.hash


def test_one_layer_is_held_at_a_time(llama: Tiny) -> None:
    """Memory: no pattern outlives its layer."""
    import gc
    import weakref

    alive: list[weakref.ref[torch.Tensor]] = []
    most = 0

    def keep(layer: int, found: Attention) -> int:
        nonlocal most
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        alive.append(weakref.ref(found.pattern))
        return layer

    llama.model.do(lambda: llama.model.attention([(llama.ids(), None)], keep))
    assert len(alive) == LAYERS and most <= 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"measure": "size"}, "measure of heads must be one of away, entropy, previous, induction, sink, not 'size'"),
        ({"objects": "neurons"}, "objects must be one of heads"),
    ],
)
def test_what_is_not_known_is_refused_by_name(llama: Tiny, wrong: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mi.locate.magnitude(llama.model, CLEAN, **wrong)

"""Generation: equal to the model's own, and positions stay absolute while the cache grows."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Intervention

from . import tiny
from .conftest import Tiny
from .test_oracle import all_operations, direction
from .tiny import CLEAN, CORRUPT, OTHERS, put

NEW, STRONG = 8, 9.0


def without_cache(small: Tiny, ids: torch.Tensor, *edits: tuple[tiny.Place, tiny.Change]) -> list[int]:
    """Greedy tokens, each from a whole forward pass under plain hooks."""
    for _ in range(NEW):
        new = small.plain.logits(ids, *edits)[-1].argmax()
        ids = torch.cat([ids.reshape(-1), new[None]])
        if new == small.model.tokenizer.eos_token_id:
            break
    return ids.tolist()


def with_cache(model: mi.Model, text: str, recipe: mi.Recipe | None = None) -> list[int]:
    ids = model.ids(text)
    return ids[0].tolist() + model.do(lambda: [new for (new,) in model.stream([ids], recipe, NEW, 0.0, 0)])


@pytest.mark.parametrize("text", [CLEAN, *OTHERS])
def test_greedy_text_is_the_models_own(small: Tiny, text: str) -> None:
    ids = small.ids(text)
    settings = {"do_sample": False, "max_new_tokens": NEW, "pad_token_id": 1}
    theirs = small.plain.hf.generate(ids, attention_mask=torch.ones_like(ids), **settings)[0]
    assert with_cache(small.model, text) == theirs.tolist()
    said = small.model.tokenizer.decode(theirs[ids.shape[1] :], skip_special_tokens=True)
    assert mi.generate(small.model, text, max_new_tokens=NEW) == said


@pytest.mark.parametrize("position", [None, 0, 4, -1], ids=["everywhere", "first", "fifth", "last of the prompt"])
def test_an_edit_means_the_same_position_with_and_without_a_cache(small: Tiny, position: int | None) -> None:
    text = OTHERS[0]  # short, so that each position matters
    ids = small.ids(text)
    d = direction(small.model.d_model, layer=0)
    step = torch.tensor(d.vector) * STRONG * d.norm
    place = None if position is None else position % ids.shape[1]
    where = slice(None) if place is None else slice(place, place + 1)
    expected = without_cache(small, ids[0], (small.plain.post(0), put(lambda x: x + step, where)))
    recipe = d.add(STRONG, None if position is None else [position])
    assert with_cache(small.model, text, recipe) == expected
    assert expected != with_cache(small.model, text)


def test_a_mean_keeps_position_0_apart_only_in_the_prompt(llama: Tiny) -> None:
    recipe = mi.steer.switch_off([mi.Site("head", 1, 2)], reference=OTHERS)
    seen = [tiny.one_head(llama.plain.see(llama.ids(text), llama.plain.z(1)), 2)[0] for text in OTHERS]
    first, rest = torch.stack([z[0] for z in seen]).mean(0), torch.cat([z[1:] for z in seen]).mean(0)
    z = llama.plain.z(1)
    edits = (z, put(first, slice(0, 1), 2)), (z, put(rest, slice(1, None), 2))
    assert with_cache(llama.model, CLEAN, recipe) == without_cache(llama, llama.ids()[0], *edits)


def test_what_is_taken_from_another_prompt_leaves_new_tokens_alone(llama: Tiny) -> None:
    recipe = mi.Recipe((Intervention("replace", mi.Site("residual", 1), prompt=CORRUPT),))
    there = llama.plain.see(llama.ids(CORRUPT), llama.plain.pre(1))
    edit = llama.plain.pre(1), put(there, slice(0, there.shape[1]))
    assert with_cache(llama.model, CLEAN, recipe) == without_cache(llama, llama.ids()[0], edit)


@pytest.mark.parametrize("where", ["prompt", "generated"])
def test_only_the_prompt_or_only_what_follows_it(small: Tiny, where: str) -> None:
    text = OTHERS[0]
    ids, d = small.ids(text), direction(small.model.d_model, layer=0)
    step, length = torch.tensor(d.vector) * 9.0 * d.norm, ids.shape[1]
    places = slice(0, length) if where == "prompt" else slice(length, None)
    expected = without_cache(small, ids[0], (small.plain.post(0), put(lambda x: x + step, places)))
    assert with_cache(small.model, text, d.add(9.0, where=where)) == expected


def test_a_condition_holds_while_text_is_generated(llama: Tiny) -> None:
    d = direction(llama.model.d_model, layer=0)
    assert with_cache(llama.model, OTHERS[0], d.add(9.0).when(d, 1e9)) == with_cache(llama.model, OTHERS[0])
    assert with_cache(llama.model, OTHERS[0], d.add(9.0).when(d, -1e9)) == with_cache(
        llama.model, OTHERS[0], d.add(9.0)
    )


def rows(model: mi.Model, texts: Sequence[str], recipe: mi.Recipe | None = None) -> list[list[int]]:
    """Each text's ids and new ones, generated as one batch."""
    prompts = [model.ids(text) for text in texts]
    steps = model.do(lambda: list(model.stream(prompts, recipe, NEW, 0.0, 0)))
    return [ids[0].tolist() + [step[row] for step in steps if step[row] is not None] for row, ids in enumerate(prompts)]


def beyond_the_window(small: Tiny, recipe: mi.Recipe) -> bool:
    """Whether patterns are edited in a layer whose cache drops keys."""
    return small.shape == "gemma2" and any(site.part == "pattern" and site.layer == 0 for site in recipe.sites)


def test_a_batch_gives_each_prompt_its_own_text(small: Tiny) -> None:
    texts = (CLEAN, *OTHERS)
    for recipe in (None, *all_operations(small)):
        if recipe is not None and beyond_the_window(small, recipe):
            with pytest.raises(ValueError, match="attends to 5 tokens"):
                rows(small.model, texts, recipe)
        elif recipe is None or not any(step.prompt or step.op == "resample" for step in recipe.interventions):
            some = texts if recipe is None else (CLEAN, CORRUPT, CLEAN + " to")
            assert rows(small.model, some, recipe) == [with_cache(small.model, text, recipe) for text in some], recipe


def test_positions_are_each_rows_own_in_a_batch(small: Tiny) -> None:
    d = direction(small.model.d_model, layer=0)
    for recipe in (d.add(STRONG, [2]), d.add(STRONG, [-1]), d.add(STRONG, where="generated"), d.project_out()):
        alone = [with_cache(small.model, text, recipe) for text in OTHERS]
        assert rows(small.model, OTHERS, recipe) == alone
        assert alone != [with_cache(small.model, text) for text in OTHERS]


def test_a_condition_is_decided_for_each_row(llama: Tiny) -> None:
    gate, d = direction(llama.model.d_model, layer=1), direction(llama.model.d_model, layer=0)
    read = torch.tensor(gate.vector)
    values = np.array([float(llama.plain.residual(llama.ids(text), 1, "post")[0, -1] @ read) for text in OTHERS])
    recipe = d.add(STRONG).when(gate, float(np.median(values)))
    plain, edited = rows(llama.model, OTHERS), rows(llama.model, OTHERS, d.add(STRONG))
    fires = values > np.median(values)
    assert 0 < fires.sum() < len(OTHERS)
    assert rows(llama.model, OTHERS, recipe) == [e if f else p for p, e, f in zip(plain, edited, fires, strict=True)]


def test_texts_come_as_a_list_for_a_list(llama: Tiny) -> None:
    heard: list[object] = []
    texts = mi.generate(llama.model, list(OTHERS[:2]), max_new_tokens=3, on_text=heard.append)
    assert texts == [mi.generate(llama.model, text, max_new_tokens=3) for text in OTHERS[:2]] == heard[-1]


def test_the_plain_model_and_the_bridge_generate_the_same(small: Tiny) -> None:
    """Over one storage: with the plain model taken away, the bridge does the work."""
    plain, bridge = (mi.Model(tiny.hugging_face(small.shape), tiny.tokenizer()) for _ in range(2))
    bridge.do(lambda: setattr(bridge, "_plain", None))
    assert plain.do(lambda: plain.plain) is not None
    for recipe in (None, *all_operations(small)):
        if recipe is not None and beyond_the_window(small, recipe):
            continue
        assert with_cache(plain, CLEAN, recipe) == with_cache(bridge, CLEAN, recipe), recipe


def test_what_a_users_bridge_adds_counts_in_generation() -> None:
    """A bridge gives the unembedding a bias of zero, which is no reason to be slow until it is another one."""
    model = mi.Model(tiny.hugging_face("llama"), tiny.tokenizer())
    bridge = model.bridge
    assert model.do(lambda: model.plain) is not None
    plain = with_cache(model, OTHERS[0])
    with torch.no_grad():
        bridge.original_model.lm_head.bias[5] = 1e4
    assert set(with_cache(model, OTHERS[0])[-NEW:]) == {5} and 5 not in plain[-NEW:]


def test_a_weight_edited_in_place_is_seen_by_generation() -> None:
    hf = tiny.hugging_face("llama")
    model = mi.Model(hf, tiny.tokenizer())
    before = with_cache(model, OTHERS[0])
    with torch.no_grad():
        hf.model.layers[0].mlp.down_proj.weight.mul_(-3)
    ids = model.ids(OTHERS[0])
    theirs = hf.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW, pad_token_id=1)
    assert with_cache(model, OTHERS[0]) == theirs[0].tolist() != before


def test_output_that_is_no_number_ends_in_words(llama: Tiny) -> None:
    huge = mi.Recipe((Intervention("scale", mi.Site("residual", 1, part="post"), amount=1e38),))
    with pytest.raises(ValueError, match="too strong"):
        mi.generate(llama.model, CLEAN, huge + huge, max_new_tokens=3)
    assert any("from block 1 on" in said for said in mi.run(llama.model, CLEAN, huge + huge).warnings)


def test_equal_seeds_give_equal_texts_while_another_thread_draws(llama: Tiny) -> None:
    texts = {seed: mi.generate(llama.model, CLEAN, max_new_tokens=NEW, temperature=1.0, seed=seed) for seed in range(4)}
    assert len(set(texts.values())) > 1
    with drawing():
        for seed, text in texts.items():
            assert mi.generate(llama.model, CLEAN, max_new_tokens=NEW, temperature=1.0, seed=seed) == text


class drawing:
    """A thread that draws random numbers for the length of a block."""

    def __enter__(self) -> None:
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._draw)
        self._thread.start()

    def _draw(self) -> None:
        while not self._done.is_set():
            torch.rand(10)

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@pytest.fixture
def ends_at_second() -> Iterator[mi.Model]:
    """A model that, by its own settings, ends with the second token it says after CLEAN."""
    hf = tiny.hugging_face("llama")
    model = mi.Model(hf, tiny.tokenizer())
    hf.generation_config.eos_token_id = with_cache(model, CLEAN)[-NEW + 1]
    yield model
    model.close()


def test_a_text_ends_after_an_end_token(ends_at_second: mi.Model) -> None:
    prompt = len(ends_at_second.ids(CLEAN)[0])
    assert len(with_cache(ends_at_second, CLEAN)) == prompt + 2


def test_a_text_ends_where_the_model_reads_no_further(small: Tiny) -> None:
    ids = [5] * (tiny.N_CTX - 2)
    told: list[str] = []
    mi.generate(small.model, ids, max_new_tokens=NEW, on_text=told.append)
    assert len(told) == 3, "two more tokens fit, and the last of them still says what follows"


def test_on_text_hears_each_token_and_the_last_is_the_text(llama: Tiny) -> None:
    told: list[str] = []
    text = mi.generate(llama.model, CLEAN, max_new_tokens=NEW, on_text=told.append)
    assert told[-1] == text and 1 < len(told) <= NEW


def test_a_position_outside_the_prompt_is_refused(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    with pytest.raises(ValueError, match="touches nothing"):
        mi.generate(llama.model, CLEAN, d.add(1.0, [15]), max_new_tokens=NEW)


def test_a_selection_in_place_of_a_recipe_is_named(llama: Tiny) -> None:
    with pytest.raises(TypeError, match="switch_off"):
        mi.generate(llama.model, CLEAN, mi.Selection((mi.Site("head", 0, 0),)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong", [{"temperature": float("nan")}, {"temperature": -1.0}, {"max_new_tokens": -1}], ids=str
)
def test_generation_refuses_numbers_that_mean_nothing(llama: Tiny, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="start at 0"):
        mi.generate(llama.model, CLEAN, **wrong)


def test_generation_refuses_an_empty_list(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="list of prompts is empty"):
        mi.generate(llama.model, [])

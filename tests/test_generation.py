"""Generation: equal to the model's own, and positions stay absolute while the cache grows."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Intervention

from . import tiny
from .conftest import Tiny
from .test_oracle import direction
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
    return ids[0].tolist() + model.do(lambda: list(model.stream(ids, recipe, NEW, 0.0, 0)))


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

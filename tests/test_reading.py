"""Readings beside plain PyTorch: which vector a lens reads a token by, and what removing, adding, swapping it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.grid import Axis
from mi_widgets.locate.translator import Translator

from . import tiny
from .conftest import Tiny
from .test_code import WITHIN, _saved, loaded_once  # noqa: F401 - a fixture
from .test_oracle import agrees
from .test_translator import source
from .tiny import CLEAN, LAYERS

TOKEN, OTHER = 300, 271
LAYER, POSITION = 1, 5
PLACE = mi.Site("residual", LAYER, part="post", position=POSITION)
LAST = mi.Site("residual", LAYERS - 1, part="post", position=-1)


def weight(small: Tiny) -> torch.Tensor:
    """The final norm's weight, which Gemma writes as what it adds to 1."""
    own = small.plain.norm.weight.detach()
    return 1 + own if small.shape == "gemma2" else own


def centres(small: Tiny) -> bool:
    return small.shape in ("gpt2", "pythia")


def vector(small: Tiny, token: int) -> torch.Tensor:
    """By hand: the row less the mean row, times the norm's weight, centred where the norm centres; of length 1."""
    rows = small.plain.unembed.weight.detach()
    v = weight(small) * (rows[token] - rows.mean(0))
    v = v - v.mean() if centres(small) else v
    return v / v.norm()


def at(change: Callable[[torch.Tensor], torch.Tensor], position: int = POSITION) -> tiny.Change:
    return tiny.put(change, slice(position, position + 1))


def edited(small: Tiny, recipe: mi.Recipe, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """At PLACE the recipe does what a plain hook does, which is something."""
    expected = small.plain.logits(small.ids(), (small.plain.post(LAYER), at(change)))
    found = mi.run(small.model, CLEAN, recipe).logits
    assert (found - expected).abs().max() < 1e-4
    assert (expected - small.plain.logits(small.ids())).abs().max() > 1e-2


def stream(small: Tiny, recipe: mi.Recipe | None = None) -> torch.Tensor:
    """What is at PLACE [d_model]."""
    name = f"blocks.{LAYER}.hook_resid_post"
    model = small.model
    return model.do(lambda: model.capture(small.ids(), [name], recipe))[name][0, POSITION]


def centred(small: Tiny, x: torch.Tensor) -> torch.Tensor:
    """What a lens reads of x, before a cap, less the mean over the vocabulary."""
    with torch.no_grad():
        logits = small.plain.unembed(small.plain.norm(x))
    return logits - logits.mean()


def constant(small: Tiny, token: int) -> float:
    """The part of a token's centred logit that no x changes."""
    return float(centred(small, torch.zeros(small.model.d_model))[token]) if centres(small) else 0.0


# -- the three edits --------------------------------------------------------------------------------------------------


def test_removing_takes_the_tokens_direction_out(small: Tiny) -> None:
    recipe, v = mi.steer.reading(small.model, PLACE, TOKEN), vector(small, TOKEN)
    edited(small, recipe, lambda x: x - (x @ v)[..., None] * v)
    before, after = (centred(small, stream(small, edit))[TOKEN] for edit in (None, recipe))
    assert float(after) == pytest.approx(constant(small, TOKEN), abs=1e-4)
    assert abs(float(before - after)) > 1e-2


def test_adding_is_in_median_norms_of_the_neutral_texts(small: Tiny) -> None:
    runs = [small.plain.see(small.model.ids(text), small.plain.post(LAYER))[0, 1:] for text in mi.steer.neutral()]
    seen, v = torch.cat(runs), vector(small, TOKEN)
    norm = float(np.median(seen.norm(dim=-1)))
    edited(small, mi.steer.reading(small.model, PLACE, TOKEN, "add", strength=0.7), lambda x: x + 0.7 * norm * v)
    usual = float((seen @ v).square().mean().sqrt())
    edited(small, mi.steer.reading(small.model, PLACE, TOKEN, "add"), lambda x: x + usual * v)
    recipe = mi.steer.reading(small.model, PLACE, TOKEN, "add", strength=3.0)
    assert centred(small, stream(small, recipe))[TOKEN] > centred(small, stream(small))[TOKEN]


def test_swapping_exchanges_what_there_is_of_two_tokens(small: Tiny) -> None:
    recipe = mi.steer.reading(small.model, PLACE, TOKEN, "swap", OTHER)
    v, w = vector(small, TOKEN), vector(small, OTHER)
    both = torch.stack([v, w], dim=1)

    def exchanged(x: torch.Tensor) -> torch.Tensor:
        amounts = x @ torch.linalg.pinv(both).T  # x is amounts along v and w, and a rest at right angles to both
        return x + (amounts.flip(-1) - amounts) @ both.T

    edited(small, recipe, exchanged)
    before, after = stream(small), stream(small, recipe)
    assert torch.allclose(torch.stack([after @ v, after @ w]), torch.stack([before @ w, before @ v]), atol=1e-4)
    assert float(after.norm()) == pytest.approx(float(before.norm()), rel=1e-5)
    back = mi.run(small.model, CLEAN, recipe + recipe).logits
    assert (back - mi.run(small.model, CLEAN).logits).abs().max() < 1e-4


def test_half_a_swap_leaves_as_much_of_one_as_of_the_other(llama: Tiny) -> None:
    x = stream(llama, mi.steer.reading(llama.model, PLACE, TOKEN, "swap", OTHER).at(0.5))
    assert float(x @ vector(llama, TOKEN)) == pytest.approx(float(x @ vector(llama, OTHER)), abs=1e-4)


# -- places and tokens ------------------------------------------------------------------------------------------------


def test_the_cells_of_a_lens_have_their_own_tokens(llama: Tiny) -> None:
    grid = mi.locate.lens(llama.model, CLEAN)
    sites = [PLACE, mi.Site("residual", 0, part="post", position=3)]
    recipe = mi.steer.reading(llama.model, mi.Selection(tuple(sites), {"prompt": CLEAN, "answer": "a"}), grid)
    tops = [int(llama.plain.read(llama.plain.see(llama.ids(), llama.plain.post(s.layer)))[0, s.position].argmax())
            for s in sites]  # fmt: skip
    assert [step.direction.tokens for step in recipe.interventions if step.direction] == [(top,) for top in tops]
    assert recipe.sites == tuple(sites) and tops[0] != tops[1]
    assert recipe.provenance["prompt"] == CLEAN and recipe.provenance["answer"] == "a"
    same = mi.steer.reading(llama.model, sites, tops)
    assert same.interventions == recipe.interventions


def test_a_text_is_its_token_and_stands_in_the_recipes_words(llama: Tiny) -> None:
    word = llama.model.tokenizer.decode([TOKEN])
    made = {how: mi.steer.reading(llama.model, PLACE, word, how, **more) for how, more in
            (("remove", {}), ("add", {"strength": 0.5}), ("swap", {"other": OTHER}))}  # fmt: skip
    shown, other = (llama.model.labels([id_])[0]["text"] for id_ in (TOKEN, OTHER))
    assert str(made["remove"]) == f"resid_post.L1@5 without ‘{shown}’"
    assert str(made["add"]) == f"resid_post.L1@5 + 0.5 × ‘{shown}’"
    assert str(made["swap"]) == f"resid_post.L1@5 mirrored along ‘{shown}’ ↔ ‘{other}’"


def test_a_site_without_a_position_spares_the_first(llama: Tiny) -> None:
    everywhere = mi.Site("residual", LAYER, part="post")
    v = vector(llama, TOKEN)
    expected = llama.plain.logits(
        llama.ids(), (llama.plain.post(LAYER), tiny.put(lambda x: x - (x @ v)[..., None] * v, slice(1, None)))
    )
    found = mi.run(llama.model, CLEAN, mi.steer.reading(llama.model, everywhere, TOKEN)).logits
    assert (found - expected).abs().max() < 1e-4


@pytest.mark.parametrize(
    ("sites", "token", "more", "why"),
    [
        ([], TOKEN, {}, "pick at least one cell"),
        (mi.Site("residual", 1), TOKEN, {}, r"resid_pre\.L1 is not read"),
        (mi.Site("head", 1, 0), TOKEN, {}, "L1H0 is not read"),
        (mi.Site("residual", 9, part="post"), TOKEN, {}, "9"),
        (PLACE, "Mary and John", {}, r"is \d tokens \("),
        (PLACE, 10**6, {}, "token ids go from 0 to"),
        (PLACE, [TOKEN, OTHER], {}, "2 tokens for 1 sites"),
        (PLACE, TOKEN, {"how": "explode"}, "remove, add, swap, not 'explode'"),
        (PLACE, TOKEN, {"how": "swap"}, "a swap needs other="),
        (PLACE, TOKEN, {"other": OTHER}, "a swap needs other="),
        (PLACE, TOKEN, {"how": "swap", "other": TOKEN}, "is read at .* already"),
        (PLACE, TOKEN, {"strength": 2.0}, r"strength= is for how='add'"),
        (PLACE, mi.Grid(np.ma.zeros((1,)), (Axis("layer", (0,)),)), {}, "has no readings"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(llama: Tiny, sites: Any, token: Any, more: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.steer.reading(llama.model, sites, token, **more)


# -- through a translator ---------------------------------------------------------------------------------------------


def translator(small: Tiny) -> Translator:
    generator, width = torch.Generator().manual_seed(1), small.model.d_model
    parts = [torch.randn(shape, generator=generator) for shape in ((LAYERS, width, 2), (LAYERS, 2, width))]
    header = source(weights=small.model.weights)
    return Translator(*parts, torch.zeros(LAYERS, width), header)


def test_what_a_translated_lens_reads_is_removed_where_it_reads_it(llama: Tiny) -> None:
    lens = translator(llama)
    recipe = mi.steer.reading(llama.model, PLACE, TOKEN, translator=lens)
    read = [float(centred(llama, lens.apply(LAYER, stream(llama, edit)))[TOKEN]) for edit in (None, recipe)]
    assert abs(read[0]) > 1e-2 and read[1] == pytest.approx(0, abs=1e-4)
    assert str(mi.steer.reading(llama.model, LAST, TOKEN, translator=lens)) == str(
        mi.steer.reading(llama.model, LAST, TOKEN)
    )
    plain, through = (
        mi.steer.reading(llama.model, LAST, TOKEN, translator=each).interventions[0].direction for each in (None, lens)
    )
    assert plain is not None and through is not None
    np.testing.assert_allclose(plain.vector, through.vector, atol=1e-6)  # the last layer has no translator


class Transported:
    """A lens as TransformerLens's Jacobian lenses are: a matrix for each layer."""

    def __init__(self, width: int) -> None:
        self.matrix = torch.randn(width, width, generator=torch.Generator().manual_seed(2))

    def transport(self, x: torch.Tensor, layer: int) -> torch.Tensor:
        return x @ self.matrix.T


def test_a_jacobian_lens_reads_along_its_own_vectors(llama: Tiny) -> None:
    lens = Transported(llama.model.d_model)
    (step,) = mi.steer.reading(llama.model, PLACE, TOKEN, translator=lens).interventions
    rows = llama.plain.unembed.weight.detach()
    expected = lens.matrix.T @ (weight(llama) * (rows[TOKEN] - rows.mean(0)))
    assert step.direction is not None
    np.testing.assert_allclose(step.direction.vector, (expected / expected.norm()).numpy(), atol=1e-5)
    with pytest.raises(TypeError, match=r"a translator has apply\(layer, x\) or transport\(x, layer\)"):
        mi.steer.reading(llama.model, PLACE, TOKEN, translator=object())


def test_another_models_translator_is_refused(llama: Tiny) -> None:
    stranger = Translator(*(getattr(translator(llama), n) for n in ("down", "up", "bias")), source())
    with pytest.raises(ValueError, match="was trained for some model"):
        mi.steer.reading(llama.model, PLACE, TOKEN, translator=stranger)


# -- files and code ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flavour", WITHIN)
def test_its_code_makes_the_directions_again(
    small: Tiny,
    flavour: str,
    tmp_path_factory: pytest.TempPathFactory,
    loaded_once: None,  # noqa: F811
) -> None:
    model = _saved(small.shape, tmp_path_factory.getbasetemp() / f"saved-{small.shape}")
    places = [PLACE, LAST]
    for how, more in (("remove", {}), ("add", {"strength": 0.4}), ("swap", {"other": OTHER})):
        recipe = mi.steer.reading(model, places, [TOKEN, TOKEN + 1], how, **more)
        code = recipe.code(CLEAN, model, flavour)
        assert "load_file" not in code
        agrees(model, recipe, code, within=WITHIN[flavour])


def test_a_translated_readings_code_needs_its_vectors(llama: Tiny) -> None:
    recipe = mi.steer.reading(llama.model, PLACE, TOKEN, translator=translator(llama))
    with pytest.raises(ValueError, match=r"recipe\.save_vectors\(path\)"):
        recipe.code(CLEAN, llama.model)


def test_a_recipe_comes_back_from_its_file_and_gives_the_same_code(llama: Tiny, tmp_path: Path) -> None:
    recipe = mi.steer.reading(llama.model, PLACE, TOKEN, "swap", OTHER)
    back = mi.Recipe.load(recipe.save(tmp_path / "swap.json"))
    assert back == recipe and str(back) == str(recipe) and back.code(CLEAN) == recipe.code(CLEAN)
    made = recipe.interventions[0].direction
    assert made is not None and mi.Direction.load(made.save(tmp_path / "d.safetensors")) == made
    with pytest.raises(ValueError, match="at most two ids from 0"):
        mi.Direction(np.ones(3), 0, 1.0, 0.1, tokens=(1, 2, 3))


def test_the_control_of_a_reading_takes_out_as_much_elsewhere(llama: Tiny) -> None:
    from mi_widgets.improve.controls import controls, describe

    recipe = mi.steer.reading(llama.model, PLACE, TOKEN)
    found = controls(llama.model, recipe, 5, length=llama.ids().shape[1])
    texts = torch.cat([llama.plain.see(llama.model.ids(t), llama.plain.post(LAYER))[0, 1:] for t in mi.steer.neutral()])
    own = float((texts @ vector(llama, TOKEN)).square().mean())
    for control in found:
        (step,) = control.interventions
        assert step.direction is not None and step.site == PLACE
        taken = float((texts @ torch.from_numpy(step.direction.vector)).square().mean())
        assert taken == pytest.approx(own, rel=0.05) or "less to take out" in describe(recipe, found)
    assert len(found) == 5

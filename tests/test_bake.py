"""Recipes as weights: they do what the hooks do and load without this package, and the user's own are as they were."""

from __future__ import annotations

import json
import random
from importlib import import_module
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.direction import Direction
from mi_widgets.intervention import Intervention

from . import tiny
from .conftest import Tiny
from .test_oracle import HEAD, LAYER, direction, head, once, residual, same
from .tiny import CLEAN, CORRUPT, OTHERS, put

NEURON, FFN, EMBEDDING = mi.Site("neuron", LAYER, 4), mi.Site("ffn", LAYER), mi.Site("embedding")


def at_head() -> Direction:
    return Direction(np.linspace(-1, 2, tiny.D_HEAD), LAYER, 3.0, 0.5, head=HEAD)


def delta(width: int, part: str, strength: float = 0.5) -> mi.Recipe:
    rng = np.random.default_rng(0)
    rows = {"W_O": tiny.HEADS * tiny.D_HEAD, "W_out": tiny.D_MLP}.get(part, width)
    added = Delta(rng.standard_normal((rows - 1, 1)), rng.standard_normal((1, 3)), tuple(range(1, rows)), (0, 5, 2))
    return once("delta", mi.Site("weight", LAYER, part=part), delta=added, strength=strength)


def added(site: mi.Site, width: int) -> mi.Recipe:
    return once("add", site, amount=0.7, direction=direction(width))


def affine(width: int) -> dict[str, mi.Recipe]:
    """What is the same affine map at every position, and has weights on every block shape."""
    d = direction(width)
    return {
        "zero head": once("zero", head()),
        "first head": once("zero", head(0, 0)),
        "half of a scaled head": once("scale", head(), amount=2.5).at(0.5),
        **{part: once("scale", head(index=1, part=part), amount=0.3) for part in "qkv"},
        "direction out of a head": at_head().project_out(first=True),
        "zero neuron": once("zero", NEURON),
        "what a neuron reads": once("scale", mi.Site("neuron", LAYER, 4, "pre"), amount=3.0),
        "zero ffn": once("zero", FFN),
        "scaled ffn": once("scale", FFN, amount=-0.4),
        "scaled embedding": once("scale", EMBEDDING, amount=0.4),
        "scaled entrance": once("scale", residual(0), amount=0.4),
        "added to the embedding": added(EMBEDDING, width),
        "added at the entrance": added(residual(0), width),
        **{part: delta(width, part) for part in ("W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")},
        "nothing": mi.Recipe((Intervention("scale", head(), amount=1.0),)),
        "two steps": once("zero", head()) + d.add(0.0) + once("scale", FFN, amount=0.5),
    }


def added_behind(width: int) -> dict[str, mi.Recipe]:
    """What needs a bias behind the FFN, or plain writers: not on post-norm blocks, nor where a class has no bias."""
    d = direction(width)
    return {
        "added after a block": d.add(0.7),
        "added before a block": added(residual(2), width),
        "added after the last block": added(residual(2, "post"), width),
    }


def everywhere(width: int, **more: Any) -> mi.Recipe:
    return direction(width).project_out(everywhere=True, **more)


def baked_is_hooked(model: mi.Model, recipe: mi.Recipe, within: float = 1e-4) -> mi.Baked:
    baked = mi.bake(model, recipe)
    assert (baked.label, baked.reasons) == ("exact", ())
    assert baked.difference is not None and baked.difference <= within
    same(logits(baked.model, model), mi.run(model, CLEAN, recipe).logits, within)
    return baked


def logits(hf: Any, model: mi.Model) -> torch.Tensor:
    """Of all positions, with the attention that the gate uses."""
    hf.set_attn_implementation("eager")
    with torch.no_grad():
        return hf(model.ids(CLEAN)).logits[0]


def read_again(baked: mi.Baked, path: Path) -> Any:
    """The checkpoint without this package."""
    return AutoModelForCausalLM.from_pretrained(baked.save_pretrained(path)).eval()


@pytest.mark.parametrize("name", affine(4))
def test_baked_weights_do_what_the_hooks_do(small: Tiny, name: str, tmp_path: Path) -> None:
    model = small.model
    before = model.fingerprint()
    baked = baked_is_hooked(model, affine(model.d_model)[name])
    assert model.fingerprint() == before
    found = logits(baked.model, model)
    swallowed = small.shape == "qwen3" and name in "qk"  # by the norm of queries and keys, in the run as in the weights
    assert ((found - mi.run(model, CLEAN).logits).abs().max() > 1e-3) == (name != "nothing" and not swallowed)
    assert torch.equal(logits(read_again(baked, tmp_path), model), found)


@pytest.mark.parametrize("name", added_behind(4))
def test_an_addition_to_the_stream_is_the_bias_of_the_last_write(small: Tiny, name: str, tmp_path: Path) -> None:
    recipe = added_behind(small.model.d_model)[name]
    if small.shape in ("gemma2", "qwen3"):
        baked = mi.bake(small.model, recipe)
        assert baked.label == "not bakeable" and "bias" in baked.reasons[0] + "bias" * (small.shape == "gemma2")
        return
    baked = baked_is_hooked(small.model, recipe)
    assert torch.equal(logits(read_again(baked, tmp_path), small.model), logits(baked.model, small.model))


def test_a_llama_gets_biases_that_are_zero_elsewhere(llama: Tiny) -> None:
    baked = baked_is_hooked(llama.model, direction(llama.model.d_model).add(0.7))
    assert baked.model.config.mlp_bias and not baked.model.config.attention_bias
    biases = {name: p for name, p in baked.model.named_parameters() if name.endswith("bias")}
    assert [name for name, p in biases.items() if p.any()] == [f"model.layers.{LAYER}.mlp.down_proj.bias"]
    assert len(biases) == 3 * tiny.LAYERS


def test_in_the_middle_of_a_block_it_is_the_attentions_bias(llama: Tiny) -> None:
    baked = baked_is_hooked(llama.model, added(residual(part="mid"), llama.model.d_model))
    assert baked.model.config.attention_bias and not baked.model.config.mlp_bias


@pytest.mark.parametrize("strength", [1.0, 0.5, -1.0])
def test_a_direction_out_of_all_that_writes(small: Tiny, strength: float, tmp_path: Path) -> None:
    recipe = everywhere(small.model.d_model, first=True).at(strength)
    if small.shape == "gemma2":
        assert "norm stands behind" in mi.bake(small.model, recipe).reasons[0]
        return
    baked = baked_is_hooked(small.model, recipe, 1e-3)
    assert torch.equal(logits(read_again(baked, tmp_path), small.model), logits(baked.model, small.model))


@pytest.fixture(scope="module")
def tied() -> mi.Model:
    """A llama whose unembedding is its embedding."""
    return mi.Model(tiny.hugging_face("llama", tie_word_embeddings=True), tiny.tokenizer(), "tied")


def test_what_was_tied_is_saved_apart_when_the_embedding_is_edited(tied: mi.Model, tmp_path: Path) -> None:
    before = tied.fingerprint()
    baked = baked_is_hooked(tied, everywhere(tied.d_model, first=True), 1e-3)
    assert baked.model.config.tie_word_embeddings is False and baked.model.lm_head.weight.requires_grad
    assert tied.fingerprint() == before
    again = read_again(baked, tmp_path)
    assert torch.equal(logits(again, tied), logits(baked.model, tied))
    mine = tied.bridge.original_model
    assert torch.equal(again.lm_head.weight, mine.lm_head.weight)  # the head still reads what it read
    assert mine.config.tie_word_embeddings


def test_what_was_tied_stays_so_when_it_is_not_edited(tied: mi.Model, tmp_path: Path) -> None:
    baked = baked_is_hooked(tied, once("zero", head()))
    assert (
        baked.model.config.tie_word_embeddings and baked.model.lm_head.weight is baked.model.model.embed_tokens.weight
    )
    again = read_again(baked, tmp_path)
    assert torch.equal(logits(again, tied), logits(baked.model, tied))


def test_the_copy_shares_nothing(llama: Tiny) -> None:
    baked = mi.bake(llama.model, once("zero", head()))
    before = mi.run(llama.model, CLEAN).logits
    with torch.no_grad():
        for parameter in baked.model.parameters():
            parameter.zero_()
    assert torch.equal(mi.run(llama.model, CLEAN).logits, before)


# -- only nearly ---------------------------------------------------------------------------------------------------


def test_a_mean_is_baked_as_that_of_the_later_positions(small: Tiny) -> None:
    baked = mi.bake(small.model, mi.Selection((head(),)).switch_off(reference=OTHERS))
    seen = [tiny.one_head(small.plain.see(small.ids(text), small.plain.z(LAYER)), HEAD)[0] for text in OTHERS]
    rest = torch.cat([z[1:] for z in seen]).mean(0)
    same(
        logits(baked.model, small.model), small.plain.logits(small.ids(), (small.plain.z(LAYER), put(rest, head=HEAD)))
    )
    assert baked.label == "approximate" and "position 0 keeps its own mean" in baked.reasons[0]
    assert baked.difference is not None and baked.difference > 1e-3 and f"{baked.difference:.2g}" in str(baked)


def test_a_direction_that_spares_position_0_is_baked_at_all(llama: Tiny) -> None:
    width = llama.model.d_model
    baked, whole = (mi.bake(llama.model, everywhere(width, first=first)) for first in (False, True))
    assert baked.label == "approximate" and "position 0 is spared" in baked.reasons[0]
    assert torch.equal(logits(baked.model, llama.model), logits(whole.model, llama.model))


def test_the_difference_is_of_all_positions_and_of_those_after_the_first(llama: Tiny) -> None:
    """An edit of the last layer's FFN reaches no other position: after position 0 nothing differs."""
    recipe = once("mean", mi.Site("ffn", 2), reference=mi.Reference(OTHERS))
    baked = mi.bake(llama.model, recipe)
    assert baked.difference is not None and baked.after_first is not None
    assert baked.after_first < 1e-4 < baked.difference


def test_exact_formulas_that_miss_by_measure_are_approximate(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("mi_widgets.steer.bake"), "_BOUND", -1.0)
    baked = mi.bake(llama.model, once("zero", head()))
    assert baked.label == "approximate" and "formula is exact" in baked.reasons[0]


# -- order ---------------------------------------------------------------------------------------------------------


def overlapping(width: int) -> list[list[mi.Recipe]]:
    """Steps that meet at one matrix, one site or one hook."""
    z = at_head()
    return [
        [once("scale", head(), amount=0.3), z.add(0.7), z.project_out(first=True)],
        [once("scale", head(), amount=0.3), delta(width, "W_O"), added(residual(part="mid"), width)],
        [delta(width, "W_Q"), once("scale", head(index=0, part="q"), amount=0.3)],
        [once("zero", FFN), direction(width).add(0.7), delta(width, "W_out")],
        [everywhere(width, first=True).at(0.5), once("scale", FFN, amount=3.0), direction(width).add(0.7)],
        [added(EMBEDDING, width), everywhere(width, first=True), added(residual(0), width)],
        [once("scale", EMBEDDING, amount=0.4), added(EMBEDDING, width), once("scale", residual(0), amount=2.0)],
        [once("scale", NEURON, amount=0.3), delta(width, "W_out"), delta(width, "W_in")],
        [everywhere(width, first=True), added(residual(part="mid"), width), once("zero", head())],
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(overlapping(4))))
def test_steps_act_on_each_other_in_the_recipes_order(llama: Tiny, number: int) -> None:
    steps = overlapping(llama.model.d_model)[number]
    for order in permutations(steps):
        baked_is_hooked(llama.model, sum(order[1:], start=order[0]), 5e-4)


def test_steps_of_all_kinds_together(small: Tiny) -> None:
    recipes = list(affine(small.model.d_model).values())
    for seed in range(3):
        drawn = random.Random(seed).sample(recipes, 6)
        baked = mi.bake(small.model, sum(drawn[1:], start=drawn[0]))
        assert baked.difference is not None and baked.difference < 5e-4


# -- not at all ----------------------------------------------------------------------------------------------------


def never(width: int) -> dict[str, mi.Recipe]:
    d, heads = direction(width), mi.Selection((head(),))
    return {
        "some positions only": once("zero", head(position=3)),
        "positions only": d.add(0.7, where="prompt"),
        "depends on the prompt": d.add(0.7).when(d, above=0.0),
        "another prompt": heads.replace(CORRUPT),
        "another text": heads.switch_off("resample", (CORRUPT,)),
        "not linear": heads.clamp(-1.0, 1.0),
        "length is put back": d.add(0.7, keep_norm=True),
        "patterns": heads.knock_out(),
        "everywhere=True": d.project_out(first=True),
        "only an addition": once("zero", residual()),
    }


@pytest.mark.parametrize("why", never(4))
def test_what_no_weights_can_do_is_said_and_not_saved(llama: Tiny, why: str, tmp_path: Path) -> None:
    good, bad = once("zero", head(0, 1)), never(llama.model.d_model)[why]
    baked = mi.bake(llama.model, good + bad)
    assert (baked.label, baked.model, baked.difference) == ("not bakeable", None, None)
    assert len(baked.reasons) == 1 and why in baked.reasons[0] and str(bad) in baked.reasons[0]
    assert str(baked).startswith("not bakeable")
    with pytest.raises(ValueError, match="nothing to save"):
        baked.save_pretrained(tmp_path / "no")
    assert not (tmp_path / "no").exists()


def test_sites_that_the_model_lacks_are_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="layers 0 to 2"):
        mi.bake(llama.model, once("zero", head(9)))
    with pytest.raises(TypeError, match="expected a Recipe"):
        mi.bake(llama.model, mi.Selection((head(),)))  # type: ignore[arg-type]


# -- files ---------------------------------------------------------------------------------------------------------


def test_a_folder_holds_the_recipe_and_what_was_measured(llama: Tiny, tmp_path: Path) -> None:
    recipe = mi.Selection((head(),)).switch_off(reference=OTHERS)
    baked = mi.bake(llama.model, recipe)
    baked.save_pretrained(tmp_path)
    said = json.loads((tmp_path / "mi_widgets.json").read_text("utf-8"))
    assert (said["label"], said["difference"], said["reasons"]) == (baked.label, baked.difference, list(baked.reasons))
    assert mi.Recipe.load(tmp_path / said["recipe"]).hash == recipe.hash == said["hash"]
    assert AutoTokenizer.from_pretrained(tmp_path)(CLEAN)["input_ids"] == llama.model.tokenizer(CLEAN)["input_ids"]
    assert (tmp_path / "generation_config.json").exists()


def test_a_baked_folder_is_a_model_again(llama: Tiny, tmp_path: Path) -> None:
    recipe = once("zero", head())
    again = mi.load(mi.bake(llama.model, recipe).save_pretrained(tmp_path))
    same(mi.run(again, CLEAN).logits, mi.run(llama.model, CLEAN, recipe).logits)


# -- other models --------------------------------------------------------------------------------------------------

GRANITE = {"residual_multiplier": 0.3, "embedding_multiplier": 2.0, "logits_scaling": 3.0, "attention_multiplier": 0.4}


def test_a_granites_multipliers(tmp_path: Path) -> None:
    model = mi.Model(tiny.hugging_face("llama", model_type="granite", **GRANITE), tiny.tokenizer(), "granite")
    recipes = [
        *added_behind(model.d_model).values(),
        added(residual(0), model.d_model),
        added(EMBEDDING, model.d_model),
    ]
    for recipe in (*recipes, once("scale", FFN, amount=0.5), everywhere(model.d_model, first=True)):
        baked_is_hooked(model, recipe)
    model.close()


@pytest.mark.parametrize("kind", ["olmo2", "gemma3_text"])
def test_a_post_norms_own_weight_takes_the_scale(kind: str) -> None:
    """Of OLMo it is the factor, of Gemma one less than it."""
    model = mi.Model(tiny.hugging_face("llama", model_type=kind), tiny.tokenizer(), kind)
    for recipe in (
        once("scale", FFN, amount=0.4),
        once("zero", FFN),
        once("zero", head()),
        once("scale", FFN, amount=3),
    ):
        baked_is_hooked(model, recipe)
    model.close()


def test_a_norm_behind_the_embedding_and_a_mixture_of_experts_are_said() -> None:
    bloom = mi.Model(tiny.hugging_face("gpt2", model_type="bloom", hidden_size=24), tiny.tokenizer(), "bloom")
    for site in (EMBEDDING, residual(0)):
        baked = mi.bake(bloom, once("scale", site, amount=0.4))
        assert "norm stands between the embedding" in baked.reasons[0]
    baked_is_hooked(bloom, once("zero", FFN) + once("scale", head(part="q"), amount=0.3))
    experts = {"model_type": "mixtral", "num_local_experts": 4}
    mixtral = mi.Model(tiny.hugging_face("llama", **experts), tiny.tokenizer(), "mixtral")
    assert mi.bake(mixtral, once("zero", FFN)).label == "not bakeable"
    baked_is_hooked(mixtral, once("zero", head()))
    for model in (bloom, mixtral):
        model.close()


def test_the_numbers_are_those_that_the_users_bridge_runs_on() -> None:
    """A bridge runs joint models on queries, keys and values that it has taken apart."""
    model = mi.Model(tiny.hugging_face("gpt2"), tiny.tokenizer(), "edited gpt2")
    with torch.no_grad():
        model.bridge.blocks[LAYER].attn.v.original_component.weight[:9] += 1.0
    baked_is_hooked(model, once("zero", head()))
    model.close()


def test_half_precision_is_measured_and_keeps_its_label() -> None:
    hf = tiny.hugging_face("llama").to(torch.bfloat16)
    model = mi.Model(hf, tiny.tokenizer(), "half")
    baked = mi.bake(model, once("scale", head(), amount=0.7))
    assert baked.label == "exact" and baked.model.dtype == torch.bfloat16
    assert baked.difference is not None and baked.difference > 0
    model.close()


@pytest.mark.slow
@pytest.mark.model
def test_the_default_model_without_a_direction(default_model: mi.Model, tmp_path: Path) -> None:
    d = mi.steer.contrast(default_model, ["I love this, it is wonderful."], ["I hate this, it is terrible."], layer=15)
    baked = baked_is_hooked(default_model, d.project_out(everywhere=True, first=True), 1e-3)
    assert torch.equal(logits(read_again(baked, tmp_path), default_model), logits(baked.model, default_model))


def test_means_in_several_blocks_are_baked(llama: Tiny) -> None:
    heads = mi.Selection(tuple(mi.Site("head", layer, 1) for layer in (2, 0, 1)))
    assert mi.bake(llama.model, heads.switch_off()).label == "approximate"

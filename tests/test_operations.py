"""Every operation of a recipe beside the same thing by hand, in one pass, joined midway and with a key-value cache."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.direction import Direction
from mi_widgets.intervention import Intervention
from mi_widgets.run import pair_reader
from mi_widgets.subspace import Subspace

from . import tiny
from .conftest import Tiny
from .test_oracle import HEAD, LAYER, all_operations, direction, edited, head, once, residual, same, subspace
from .tiny import CLEAN, CORRUPT, OTHERS, put


def turned(step: torch.Tensor) -> tiny.Change:
    return lambda x: (x + step) * (x.norm(dim=-1, keepdim=True) / (x + step).norm(dim=-1, keepdim=True))


def without(vector: np.ndarray) -> tiny.Change:
    v = torch.tensor(vector)
    return lambda x: x - (x @ v)[..., None] * v


def test_a_clamped_head_and_clamped_neurons(small: Tiny) -> None:
    edited(
        small,
        mi.Selection((head(),)).clamp(-0.05, 0.1),
        (small.plain.z(LAYER), put(lambda x: x.clamp(-0.05, 0.1), head=HEAD)),
    )
    place, alone = small.plain.neurons(LAYER), lambda x: torch.cat([x[..., :3].clamp(max=-0.1), x[..., 3:]], -1)
    edited(small, mi.Selection(tuple(mi.Site("neuron", LAYER, n) for n in range(3))).clamp(high=-0.1), (place, alone))


def test_a_direction_that_keeps_the_length(small: Tiny) -> None:
    d = direction(small.model.d_model)
    step = torch.tensor(d.vector) * 0.7 * d.norm
    edited(small, d.add(0.7, keep_norm=True), (small.plain.post(LAYER), put(turned(step))))


@pytest.mark.parametrize("first", [False, True])
def test_a_direction_projected_out_at_one_place(small: Tiny, first: bool) -> None:
    d = direction(small.model.d_model)
    where = slice(0 if first else 1, None)
    edited(small, d.project_out(first=first), (small.plain.post(LAYER), put(without(d.vector), where)))


def test_a_direction_projected_out_everywhere_is_nowhere(small: Tiny) -> None:
    d = direction(small.model.d_model)
    recipe, names = d.project_out(everywhere=True), [f"blocks.{n}.hook_resid_post" for n in range(tiny.LAYERS)]
    seen = small.model.do(lambda: small.model.capture(small.ids(), names, recipe))
    for x in seen.values():
        along = (x[0].float() @ torch.tensor(d.vector)).abs()
        assert along[1:].max() < 1e-4 < along[0]  # position 0 is spared


def test_a_direction_at_a_heads_output(small: Tiny) -> None:
    d = Direction(np.linspace(-1, 2, tiny.D_HEAD), LAYER, 3.0, 0.5, head=HEAD)
    step = torch.tensor(d.vector) * 0.5 * d.norm
    edited(small, d.add(), (small.plain.z(LAYER), put(lambda x: x + step, head=HEAD)))


def test_a_direction_of_another_width_is_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="d_head 6"):
        mi.run(llama.model, CLEAN, Direction(np.ones(7), LAYER, 3.0, 0.5, head=HEAD).add())
    with pytest.raises(ValueError, match="d_model 20"):
        mi.run(llama.model, CLEAN, direction(7).add())


def test_a_head_taken_from_one_of_several_texts(small: Tiny) -> None:
    texts = (CORRUPT, *OTHERS)
    drawn = random.Random(5).choice([t for t in texts if small.ids(t).shape[1] >= small.ids().shape[1]])
    z = small.plain.see(small.ids(drawn), small.plain.z(LAYER))[:, : small.ids().shape[1]]
    recipe = mi.Selection((head(),)).switch_off("resample", texts, seed=5)
    edited(small, recipe, (small.plain.z(LAYER), put(tiny.one_head(z, HEAD), head=HEAD)))
    with pytest.raises(ValueError, match="tokens or more"):
        mi.run(small.model, CLEAN, mi.Selection((head(),)).switch_off("resample", ["a b"]))


@pytest.mark.parametrize("renormalise", [False, True])
def test_attention_that_is_cut(small: Tiny, renormalise: bool) -> None:
    """By hand: what the head then mixes of the values."""
    query = 7
    pattern = small.plain.pattern(small.ids(), LAYER)[0, HEAD].clone()
    row = pattern[query].clone()
    key = int(row.argmax())
    row[key] = 0
    pattern[query] = row / row.sum() if renormalise else row
    z = pattern @ small.plain.values(small.ids(), LAYER)[0, HEAD]
    recipe = mi.Selection((head(),)).knock_out([(query, key)], renormalise)
    edited(small, recipe, (small.plain.z(LAYER), put(z, head=HEAD)))


def test_a_head_that_looks_at_nothing_writes_nothing(small: Tiny) -> None:
    same(
        mi.run(small.model, CLEAN, mi.Selection((head(),)).knock_out()).logits,
        mi.run(small.model, CLEAN, once("zero", head())).logits,
    )


def test_a_pattern_has_neither_a_mean_nor_directions() -> None:
    with pytest.raises(ValueError, match="has no mean"):
        mi.Selection((head(part="pattern"),)).switch_off(reference=OTHERS)
    with pytest.raises(ValueError, match="is a pattern"):
        once("add", head(part="pattern"), amount=1.0, direction=direction(tiny.D_HEAD))


def test_a_cut_that_cuts_nothing_is_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="sees only keys"):
        mi.run(llama.model, CLEAN, mi.Selection((head(),)).knock_out([(2, 5)]))
    with pytest.raises(ValueError, match="touches nothing"):
        mi.run(llama.model, CLEAN, mi.Selection((head(),)).knock_out([(2, 500)]))
    with pytest.raises(ValueError, match="only heads attend"):
        mi.Selection((residual(),)).knock_out()


@pytest.mark.parametrize("part", ["W_Q", "W_K", "W_V", "W_O", "W_in", "W_out"])
def test_an_addition_to_a_weight(small: Tiny, part: str) -> None:
    """By hand: the Hugging Face module's own matrix, edited and put back."""
    model, site = small.model, mi.Site("weight", LAYER, part=part)
    rng = np.random.default_rng(0)
    width = {"W_O": tiny.HEADS * tiny.D_HEAD, "W_out": tiny.D_MLP}.get(part, model.d_model)
    columns = (0, 5, 2)
    delta = Delta(rng.standard_normal((width, 1)), rng.standard_normal((1, 3)), None, columns)
    found = mi.run(model, CLEAN, mi.Recipe((Intervention("delta", site, delta=delta, strength=0.5),)))
    bridge = mi.Model(tiny.hugging_face(small.shape), tiny.tokenizer()).bridge
    block = bridge.blocks[LAYER]
    owner = block.attn if part in ("W_Q", "W_K", "W_V", "W_O") else block.mlp
    linear = getattr(owner, {"W_Q": "q", "W_K": "k", "W_V": "v", "W_O": "o", "W_in": "in", "W_out": "out"}[part])
    weight = linear.original_component.weight
    with torch.no_grad():
        for n, column in enumerate(columns):
            added = 0.5 * torch.tensor(delta.matrix[:, n])
            if type(linear.original_component).__name__ == "Conv1D":
                weight[:, column] += added
            else:
                weight[column] += added
        expected = bridge(small.ids())[0]
    same(found.logits, expected)
    assert (expected - mi.run(model, CLEAN).logits).abs().max() > 1e-3


def test_an_addition_that_does_not_fit_is_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        mi.run(llama.model, CLEAN, once("delta", mi.Site("weight", 0, part="W_Q"), delta=Delta(np.ones((3, 4)))))


@pytest.mark.parametrize("positions", [None, [4, -1]])
def test_coordinates_in_a_subspace_taken_from_another_prompt(small: Tiny, positions: list[int] | None) -> None:
    basis = subspace(small.model.d_model).basis
    there = small.plain.residual(small.ids(CORRUPT), LAYER, "post")[0].numpy()
    places = list(range(small.ids().shape[1])) if positions is None else positions

    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        for place in places:
            here = x[0, place].numpy()
            for vector in basis:
                out[0, place] += torch.tensor(((there[place] - here) @ vector) * vector)
        return out

    recipe = subspace(small.model.d_model).swap(CORRUPT, positions)
    edited(small, recipe, (small.plain.post(LAYER), change))


def test_a_swap_of_the_whole_space_is_the_other_prompts_activation(llama: Tiny) -> None:
    whole = Subspace(np.eye(llama.model.d_model), LAYER).swap(CORRUPT, [5])
    taken = once("replace", residual(part="post", position=5), prompt=CORRUPT)
    same(mi.run(llama.model, CLEAN, whole).logits, mi.run(llama.model, CLEAN, taken).logits)


def test_a_swap_that_does_not_fit_is_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="d_model 20"):
        mi.run(llama.model, CLEAN, subspace(7).swap(CORRUPT))
    with pytest.raises(ValueError, match="the prompt 15"):
        mi.run(llama.model, CLEAN, subspace(20).swap("Mary"))


def test_runs_that_join_midway_give_the_same(small: Tiny) -> None:
    recipes = all_operations(small)
    recording, read = small.model.record(CLEAN), pair_reader(small.model, "logit_diff", small.pair)
    found = np.zeros(len(recipes))
    for numbers, values in small.model.do(lambda: list(small.model.sweep(recording, recipes, read))):
        found[numbers] = values
    plain = [float(read(mi.run(small.model, CLEAN, recipe).logits[-1:])) for recipe in recipes]
    assert np.abs(found - plain).max() < 1e-4


def apart(small: Tiny) -> list[tuple[mi.Recipe, mi.Recipe]]:
    """Pairs of edits at two sites of which the later one in the model reads, or adds to, what the earlier one left."""
    model, rng = small.model, np.random.default_rng(2)
    pairs = []
    for part, own, shape in (
        ("W_O", head(), (24, model.d_model)),
        ("W_Q", head(part="q"), (model.d_model, 24)),
        ("W_in", mi.Site("neuron", LAYER, 3, "pre"), (model.d_model, tiny.D_MLP)),
        ("W_out", mi.Site("neuron", LAYER, 3), (tiny.D_MLP, model.d_model)),
    ):
        weight = once("delta", mi.Site("weight", LAYER, part=part), delta=Delta(rng.standard_normal(shape)))
        pairs.append((weight, once("scale", own, amount=3.0)))
    if small.shape != "pythia":
        mid = once("zero", residual(LAYER, "mid"))
        pairs.append((mid, once("scale", residual(LAYER, "pre"), amount=3.0)))
        pairs.append((mid, direction(model.d_model).project_out(everywhere=True)))
    return pairs


def test_edits_of_two_sites_have_no_order(small: Tiny) -> None:
    pairs = apart(small)
    recipes = [recipe for one, other in pairs for recipe in (one + other, other + one)]
    recording, read = small.model.record(CLEAN), pair_reader(small.model, "logit_diff", small.pair)
    found = np.zeros(len(recipes))
    for numbers, values in small.model.do(lambda: list(small.model.sweep(recording, recipes, read))):
        found[numbers] = values
    runs = [mi.run(small.model, CLEAN, recipe).logits for recipe in recipes]
    for there, back in zip(runs[::2], runs[1::2], strict=True):
        same(there, back, 1e-5)
    assert np.abs(found - [float(read(logits[-1:])) for logits in runs]).max() < 1e-4


def test_a_middle_at_zero_is_zero_whatever_enters_the_block(llama: Tiny) -> None:
    name = f"blocks.{LAYER}.hook_resid_mid"
    recipe = once("zero", residual(LAYER, "mid")) + once("scale", residual(LAYER, "pre"), amount=3.0)
    seen = llama.model.do(lambda: llama.model.capture(llama.ids(), [name], recipe))[name]
    assert seen.abs().max() == 0


def test_hooks_on_the_users_bridge_give_the_same(small: Tiny) -> None:
    for recipe in all_operations(small):
        found = small.model.bridge.run_with_hooks(small.ids(), fwd_hooks=recipe.hooks(small.model, CLEAN))[0]
        same(mi.run(small.model, CLEAN, recipe).logits, found.detach(), 1e-5)


def test_frozen_attention_looks_where_the_unedited_run_looks(small: Tiny) -> None:
    """By hand: every head's output as the clean pattern times the edited run's values, layer by layer."""
    d, ids = direction(small.model.d_model, layer=0), small.ids()
    step = torch.tensor(d.vector) * 5 * d.norm
    patterns = [small.plain.pattern(ids, layer)[0] for layer in range(tiny.LAYERS)]
    edits = [(small.plain.post(0), put(lambda x: x + step))]
    for layer in range(1, tiny.LAYERS):
        seen: list[torch.Tensor] = []
        place = small.plain.qkv(layer, "v")
        small.plain.logits(ids, *edits, (place, lambda x, seen=seen: seen.append(x.clone()) or x))
        kv_heads = getattr(small.plain.hf.config, "num_key_value_heads", None) or tiny.HEADS
        values = [seen[0][..., small.plain.columns("v", h * kv_heads // tiny.HEADS)] for h in range(tiny.HEADS)]
        z = torch.cat([patterns[layer][h] @ values[h][0] for h in range(tiny.HEADS)], dim=-1)
        edits.append((small.plain.z(layer), put(z)))
    expected = small.plain.logits(ids, *edits)
    found = mi.run(small.model, CLEAN, d.add(5.0), freeze_attention=True).logits
    same(found, expected)
    assert (found - mi.run(small.model, CLEAN, d.add(5.0)).logits).abs().max() > 1e-2
    same(mi.run(small.model, CLEAN, freeze_attention=True).logits, mi.run(small.model, CLEAN).logits, 1e-5)


def test_patterns_that_no_edit_reaches_are_refused() -> None:
    config = AutoConfig.for_model(
        "opt", hidden_size=24, num_hidden_layers=2, num_attention_heads=4, ffn_dim=28, word_embed_proj_dim=24,
        vocab_size=tiny.trained().get_vocab_size(), max_position_embeddings=32,
    )  # fmt: skip
    hf = AutoModelForCausalLM.from_config(config).eval()
    hf.config.architectures = [type(hf).__name__]
    model = mi.Model(hf, tiny.tokenizer())
    for recipe, freeze in ((mi.Selection((head(),)).knock_out(), False), (None, True)):
        with pytest.raises(ValueError, match="no edit reaches"):
            mi.run(model, CLEAN, recipe, freeze_attention=freeze)


# -- where and when --------------------------------------------------------------------------------------------------


def test_an_edit_of_generated_positions_alone_is_none_in_a_run(llama: Tiny) -> None:
    later = direction(llama.model.d_model).add(where="generated")
    for work in (
        lambda: mi.run(llama.model, CLEAN, later),
        lambda: later.hooks(llama.model),
        lambda: later.hooks(llama.model, CLEAN),
        lambda: llama.model.record(CLEAN, later),
        lambda: mi.locate.causal(llama.model, llama.pair, recipe=later, progress=False),
    ):
        with pytest.raises(ValueError, match=r"mi\.generate"):
            work()


def test_a_condition_is_read_in_the_run_without_the_recipe(small: Tiny) -> None:
    gate, d = direction(small.model.d_model, layer=2), direction(small.model.d_model, layer=0)
    x = small.plain.residual(small.ids(), 2, "post")[0, -1]
    value = float(x @ torch.tensor(gate.vector))
    base, ungated = mi.run(small.model, CLEAN).logits, mi.run(small.model, CLEAN, d.add(5.0)).logits
    assert torch.equal(mi.run(small.model, CLEAN, d.add(5.0).when(gate, value + 1e-3)).logits, base)
    same(mi.run(small.model, CLEAN, d.add(5.0).when(gate, value - 1e-3)).logits, ungated, 1e-6)
    other = float(small.plain.residual(small.ids(), 2, "post")[0, 4] @ torch.tensor(gate.vector))
    same(mi.run(small.model, CLEAN, d.add(5.0).when(gate, other - 1e-3, position=4)).logits, ungated, 1e-6)


def test_a_condition_needs_the_prompt_and_comes_once(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    with pytest.raises(ValueError, match=r"recipe\.hooks\(model, prompt\)"):
        d.when(d, 0.0).hooks(llama.model)
    with pytest.raises(ValueError, match="has a condition already"):
        d.when(d, 0.0).when(d, 1.0)


def test_a_direction_comes_back_from_its_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    d = Direction(
        np.linspace(-1, 2, 6), 3, 2.0, 0.1, "a <b>", ("up",), ("down",), {"weights": "x"}, head=2, kind="probe"
    )
    back = Direction.load(d.save(tmp_path / "d.safetensors"))
    assert back == d and back.provenance == d.provenance
    from safetensors.numpy import load_file, save_file

    (tmp_path / "plain.safetensors").write_bytes(b"no")
    save_file(load_file(tmp_path / "d.safetensors"), tmp_path / "bare.safetensors")
    for name in ("plain", "bare"):
        with pytest.raises(ValueError, match="not a direction"):
            Direction.load(tmp_path / f"{name}.safetensors")


@pytest.mark.parametrize(
    "recipe",
    [
        mi.Selection((head(),)).clamp(-1e6, 1e6),
        mi.Selection((head(),)).replace(CLEAN),
        direction(20).add(3.0).when(direction(20), 1e6),
    ],
    ids=["clamps nothing", "from the same prompt", "a shut gate"],
)
def test_an_edit_that_finds_nothing_to_change_says_so(llama: Tiny, recipe: mi.Recipe) -> None:
    run = mi.run(llama.model, CLEAN, recipe)
    assert torch.equal(run.logits, mi.run(llama.model, CLEAN).logits)
    assert any("changes nothing on this prompt" in said for said in run.warnings)
    assert not mi.run(llama.model, CLEAN, direction(20).add(3.0)).warnings


def test_a_shut_gate_hides_no_mistake(llama: Tiny) -> None:
    shut = direction(20), 1e6
    for recipe in (
        mi.Selection((head(99),)).scale(2).when(*shut),
        direction(7).add(3.0).when(*shut),
        direction(20).add(1.0, [99]).when(*shut),
    ):
        with pytest.raises(ValueError):
            mi.run(llama.model, CLEAN, recipe)


@pytest.mark.parametrize("number", [10**400, "2", None, float("nan")], ids=str)
def test_a_number_that_is_none_is_refused_in_words(number: object) -> None:
    d, heads = direction(20), mi.Selection((head(),))
    for work in (lambda: d.add().at(number), lambda: heads.scale(number), lambda: d.when(d, number)):  # type: ignore[arg-type]
        with pytest.raises(ValueError):
            work()


def test_a_direction_out_of_a_single_token_is_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="position 0 is spared"):
        mi.run(llama.model, [5], direction(20).project_out())

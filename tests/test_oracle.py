"""Edits, maps and lenses against plain PyTorch hooks on the plain Hugging Face model, for five shapes of model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.delta import Delta
from mi_widgets.intervention import Intervention

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, OTHERS, put

LAYER, HEAD = 1, 2
CELLS = ((0, 0), (LAYER, HEAD), (tiny.LAYERS - 1, tiny.HEADS - 1))
EVERYWHERE = slice(None)
PATCHING = pytest.mark.parametrize(
    ("method", "base", "source"), [("denoise", CORRUPT, CLEAN), ("noise", CLEAN, CORRUPT)], ids=["denoise", "noise"]
)


def head(layer: int = LAYER, index: int = HEAD, position: int | None = None, part: str = "") -> mi.Site:
    return mi.Site("head", layer, index, part, position)


def residual(layer: int = LAYER, part: str = "pre", position: int | None = None) -> mi.Site:
    return mi.Site("residual", layer, part=part, position=position)


def once(op: str, site: mi.Site, **more: object) -> mi.Recipe:
    return mi.Recipe((Intervention(op, site, **more),))  # type: ignore[arg-type]


def direction(width: int, layer: int = LAYER) -> mi.Direction:
    return mi.Direction(np.linspace(-1, 2, width), layer, norm=3.0, natural=0.5)


def subspace(width: int) -> mi.Subspace:
    """Two random directions at right angles."""
    return mi.Subspace(np.linalg.qr(np.random.default_rng(2).standard_normal((width, 2)))[0].T, LAYER)


def same(found: torch.Tensor, expected: torch.Tensor, within: float = 1e-4) -> None:
    assert (found - expected).abs().max().item() < within


def edited(small: Tiny, recipe: mi.Recipe, *edits: tuple[tiny.Place, tiny.Change]) -> None:
    """A recipe gives what the plain edits give, and that is something else than no edit."""
    expected = small.plain.logits(small.ids(), *edits)
    same(mi.run(small.model, CLEAN, recipe).logits, expected)
    assert (expected - small.plain.logits(small.ids())).abs().max() > 1e-2


# -- runs -------------------------------------------------------------------------------------------------------------


def test_a_run_without_a_recipe_is_the_model_itself(small: Tiny) -> None:
    same(mi.run(small.model, CLEAN).logits, small.plain.logits(small.ids()), 2e-5)


@pytest.mark.parametrize(("layer", "index"), CELLS)
def test_a_head_at_zero(small: Tiny, layer: int, index: int) -> None:
    edited(small, once("zero", head(layer, index)), (small.plain.z(layer), put(0.0, head=index)))


@pytest.mark.parametrize("position", [0, 5, -1])
def test_a_head_at_zero_at_one_position(small: Tiny, position: int) -> None:
    where = slice(position, position + 1 or None)
    edited(small, once("zero", head(position=position)), (small.plain.z(LAYER), put(0.0, where, HEAD)))


def test_a_scaled_head(small: Tiny) -> None:
    edited(small, once("scale", head(), amount=-1.5), (small.plain.z(LAYER), put(lambda x: -1.5 * x, head=HEAD)))


def test_half_an_edit_is_half_the_way(small: Tiny) -> None:
    recipe = once("zero", head()).at(0.25)
    edited(small, recipe, (small.plain.z(LAYER), put(lambda x: 0.75 * x, head=HEAD)))


def test_a_head_at_its_mean_keeps_position_0_apart(small: Tiny) -> None:
    seen = [tiny.one_head(small.plain.see(small.ids(text), small.plain.z(LAYER)), HEAD)[0] for text in OTHERS]
    first = torch.stack([z[0] for z in seen]).mean(0)
    rest = torch.cat([z[1:] for z in seen]).mean(0)
    recipe = once("mean", head(), reference=mi.Reference(OTHERS))
    place = small.plain.z(LAYER)
    edited(small, recipe, (place, put(first, slice(0, 1), HEAD)), (place, put(rest, slice(1, None), HEAD)))


def test_a_head_taken_from_another_prompt(small: Tiny) -> None:
    there = tiny.one_head(small.plain.see(small.ids(CORRUPT), small.plain.z(LAYER)), HEAD)
    edited(small, once("replace", head(), prompt=CORRUPT), (small.plain.z(LAYER), put(there, head=HEAD)))


def test_an_ffn_output_at_zero_and_halved(small: Tiny) -> None:
    site = mi.Site("ffn", LAYER)
    edited(small, once("zero", site), (small.plain.ffn(LAYER), put(0.0)))
    edited(small, once("scale", site, amount=0.5), (small.plain.ffn(LAYER), put(lambda x: x / 2)))


@pytest.mark.parametrize("part", ["pre", "post"])
@pytest.mark.parametrize("position", [None, 0, 5, -1])
def test_a_scaled_residual(small: Tiny, part: str, position: int | None) -> None:
    where = EVERYWHERE if position is None else slice(position, position + 1 or None)
    place = getattr(small.plain, part)(LAYER)
    recipe = once("scale", residual(part=part, position=position), amount=0.3)
    edited(small, recipe, (place, put(lambda x: 0.3 * x, where)))


@pytest.mark.parametrize("positions", [None, [6]])
def test_an_added_direction(small: Tiny, positions: list[int] | None) -> None:
    d = direction(small.model.d_model)
    step = torch.tensor(d.vector) * 0.7 * d.norm
    where = EVERYWHERE if positions is None else slice(6, 7)
    edited(small, d.add(0.7, positions), (small.plain.post(LAYER), put(lambda x: x + step, where)))


def test_edits_of_one_site_apply_left_to_right(small: Tiny) -> None:
    d = direction(small.model.d_model)
    step = torch.tensor(d.vector) * 0.7 * d.norm
    halve, add = once("scale", residual(part="post"), amount=0.5), d.add(0.7)
    place = small.plain.post(LAYER)
    edited(small, halve + add, (place, put(lambda x: 0.5 * x + step)))
    edited(small, add + halve, (place, put(lambda x: 0.5 * (x + step))))


def test_the_embedding_at_zero(small: Tiny) -> None:
    embed = small.plain.hf.get_input_embeddings()
    site = mi.Site("embedding", position=3)
    edited(small, once("zero", site), ((embed, "out"), put(0.0, slice(3, 4))))


def all_operations(small: Tiny) -> list[mi.Recipe]:
    d = direction(small.model.d_model)
    heads = mi.Selection((head(), head(0, 1)))
    rng = np.random.default_rng(1)
    return [
        heads.clamp(-0.05, 0.1),
        heads.replace(CORRUPT),
        heads.knock_out([(7, 3), (-1, 0)], renormalise=True),
        heads.switch_off("resample", (CORRUPT,)),
        d.add(0.7, keep_norm=True).at(0.5),
        d.add(0.7, where="prompt"),
        d.project_out(),
        d.project_out(everywhere=True),
        once(
            "delta", mi.Site("weight", LAYER, part="W_O"), delta=Delta(rng.standard_normal((24, small.model.d_model)))
        ),
        d.add(0.7).when(d, above=-1e9),
        subspace(small.model.d_model).swap(CORRUPT),
    ]


# -- the same numbers three ways --------------------------------------------------------------------------------------


def many_edits(small: Tiny) -> mi.Recipe:
    """One of each kind, at strengths and positions of all sorts."""
    steps = (
        once("mean", head(0, 0), reference=mi.Reference(OTHERS)),
        once("mean", head(0, 1, position=0), reference=mi.Reference(OTHERS)),
        once("mean", head(0, 2, position=4), reference=mi.Reference(OTHERS[:1])).at(0.5),
        once("zero", head(2, 3)),
        once("scale", mi.Site("ffn", 1, position=-2), amount=1.7),
        once("replace", residual(2, position=9), prompt=CORRUPT),
        once("replace", head(2, 1), prompt=CORRUPT).at(0.4),
    )
    if small.shape != "pythia":
        steps += (
            once("scale", residual(1, "mid", 8), amount=0.4),
            once("replace", residual(2, "mid"), prompt=CORRUPT).at(0.3),
        )
    steps += (
        once("scale", head(1, 0, part="pattern"), amount=0.5),
        once("replace", head(2, 0, 12, "pattern"), prompt=CORRUPT),
    )
    made = mi.steer.contrast(small.model, OTHERS[:2], OTHERS[2:], LAYER, name="one, two")
    recipe = made.add(0.3) + made.add(-0.2, [3, 7])
    for step in steps:
        recipe = recipe + step
    return recipe


def test_hooks_on_the_users_bridge_give_the_same(small: Tiny) -> None:
    recipe = many_edits(small)
    found = small.model.bridge.run_with_hooks(small.ids(), fwd_hooks=recipe.hooks(small.model))[0]
    same(mi.run(small.model, CLEAN, recipe).logits, found.detach(), 1e-5)


def saved(shape: str, folder: Path, dtype: torch.dtype = torch.float32) -> mi.Model:
    """A model that code can load by its name."""
    tiny.hugging_face(shape).to(dtype).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return mi.load(folder)


def agrees(model: mi.Model, recipe: mi.Recipe, code: str, prompt: Any = CLEAN, within: float = 1e-5) -> None:
    """The program gives the numbers of the recipe, which are others than those of no recipe, and needs no package."""
    assert "mi_widgets" not in code
    names: dict[str, torch.Tensor] = {}
    grad = torch.is_grad_enabled()
    try:
        exec(code, names)
    finally:
        torch.set_grad_enabled(grad)
    same(mi.run(model, prompt).logits[-1], names["before"], within)
    same(mi.run(model, prompt, recipe).logits[-1], names["after"], within)
    assert (names["before"] - names["after"]).abs().max() > 10 * within


def test_the_code_gives_the_same_without_this_package(small: Tiny, tmp_path: Path) -> None:
    model = saved(small.shape, tmp_path)
    source = mi.Recipe(provenance={**model.provenance, "answer": small.pair.answer, "foil": small.pair.foil})
    recipe = many_edits(small) + source
    agrees(model, recipe, recipe.code(CLEAN))


def test_the_code_of_a_half_precision_model_names_its_dtype(tmp_path: Path) -> None:
    model = saved("llama", tmp_path, torch.bfloat16)
    recipe = mi.steer.switch_off([mi.Site("head", 0, 1)], reference=OTHERS)
    assert "dtype=torch.bfloat16" in recipe.code(CLEAN, model)
    agrees(model, recipe, recipe.code(CLEAN, model))


def test_the_code_of_one_vector_at_two_layers_adds_it_at_both(tmp_path: Path) -> None:
    model = saved("llama", tmp_path)
    texts = ([CLEAN, OTHERS[0]], [CORRUPT, OTHERS[1]])
    first = mi.steer.contrast(model, *texts, layer=0)
    assert first.provenance["source"] == model.provenance["source"]
    later = replace(mi.steer.contrast(model, *texts, layer=2), vector=first.vector)
    code = (first.add(0.5) + later.add(0.5)).code(CLEAN)
    assert "v0 = contrast" in code and "v1 = contrast" in code
    one = mi.steer.contrast(model, *texts, layer=1)
    agrees(model, one.add(0.4), one.add(0.4).code(CLEAN))


def test_the_code_of_a_mean_at_the_first_position_counted_from_the_end(tmp_path: Path) -> None:
    model, ids = saved("llama", tmp_path), [301, 290, 310, 277]  # no BOS: the first position is one like others
    for position in (-4, -3):
        recipe = mi.steer.switch_off([mi.Site("residual", 1, part="post", position=position)], reference=OTHERS)
        agrees(model, recipe, recipe.code(ids, model), ids)


def test_code_of_a_recipe_that_knows_no_model_asks_for_one(llama: Tiny) -> None:
    recipe = mi.steer.scale([mi.Site("head", 0, 0)], 0)
    with pytest.raises(ValueError, match=r"recipe\.code\(model=model\)"):
        recipe.code(CLEAN)
    assert "'tiny llama'" in recipe.code(CLEAN, llama.model)


def test_hooks_at_a_position_that_the_prompt_lacks_say_so(small: Tiny) -> None:
    bridge, length = small.model.bridge, small.ids().shape[1]
    for position in (length, -length - 1):
        recipe = mi.steer.scale([mi.Site("residual", 1, position=position)], 0)
        with pytest.raises(ValueError, match=f"touches nothing: the prompt has {length} tokens"):
            bridge.run_with_hooks(small.ids(), fwd_hooks=recipe.hooks(small.model))


def test_a_step_that_is_no_edit_is_named(llama: Tiny) -> None:
    result = mi.run(llama.model, CLEAN, mi.steer.scale([mi.Site("head", 0, 0)], 1))
    assert result.warnings == ("L0H0 × 1 changes nothing",)
    assert torch.equal(result.logits, mi.run(llama.model, CLEAN).logits)


# -- maps -------------------------------------------------------------------------------------------------------------


def plain_effect(small: Tiny, base: str, *edits: tuple[tiny.Place, tiny.Change]) -> float:
    """The pair's metric after an edit minus before, one full forward each."""
    return small.difference(small.plain.logits(small.ids(base), *edits)) - small.unedited(base)


@PATCHING
def test_every_head_is_patched_as_by_hand(small: Tiny, method: str, base: str, source: str) -> None:
    grid = mi.locate.causal(small.model, small.pair, "heads", method, progress=False)
    places = [small.plain.z(layer) for layer in range(tiny.LAYERS)]
    seen = [small.plain.see(small.ids(source), place) for place in places]
    expected = np.zeros((tiny.LAYERS, tiny.HEADS))
    for layer, index in np.ndindex(*expected.shape):
        there = tiny.one_head(seen[layer], index)
        expected[layer, index] = plain_effect(small, base, (places[layer], put(there, head=index)))
    np.testing.assert_allclose(grid.values.filled(np.nan), expected, atol=1e-4)
    assert np.abs(expected).max() > 0.05


@pytest.mark.parametrize("objects", ["residual", "ffn"])
@PATCHING
def test_every_position_is_patched_as_by_hand(small: Tiny, objects: str, method: str, base: str, source: str) -> None:
    grid = mi.locate.causal(small.model, small.pair, objects, method, progress=False)
    place_of = {"residual": small.plain.pre, "ffn": small.plain.ffn}[objects]
    places = [place_of(layer) for layer in range(tiny.LAYERS)]
    seen = [small.plain.see(small.ids(source), place) for place in places]
    expected = np.zeros((tiny.LAYERS, small.ids().shape[1]))
    for layer, position in np.ndindex(*expected.shape):
        if 0 < position < 9:
            continue  # before the first differing token, 0 is what stays
        where = slice(position, position + 1)
        change = put(seen[layer][:, where], where)
        expected[layer, position] = plain_effect(small, base, (places[layer], change))
    np.testing.assert_allclose(grid.values.filled(np.nan), expected, atol=1e-4)
    assert np.abs(expected).max() > 0.05


def test_every_head_at_zero_as_by_hand(small: Tiny) -> None:
    grid = mi.locate.causal(small.model, small.pair, "heads", "zero", progress=False)
    for layer, index in np.ndindex(*grid.shape):
        expected = plain_effect(small, CLEAN, (small.plain.z(layer), put(0.0, head=index)))
        assert grid.values[layer, index] == pytest.approx(expected, abs=1e-4)


def test_heads_at_one_position_as_by_hand(llama: Tiny) -> None:
    sites = [head(layer, index, position) for layer, index in CELLS for position in (10, 14)]
    grid = mi.locate.causal(llama.model, llama.pair, "head_positions", sites=sites, progress=False)
    assert grid.values.count() == len(sites)
    for site in sites:
        place, where = llama.plain.z(site.layer), slice(site.position, site.position + 1)
        there = tiny.one_head(llama.plain.see(llama.ids(CLEAN), place), site.index)[:, where]
        expected = plain_effect(llama, CORRUPT, (place, put(there, where, site.index)))
        assert grid.values[grid.index(site)] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_queries_keys_and_values_are_patched_as_by_hand(llama: Tiny, part: str) -> None:
    grid = mi.locate.causal(llama.model, llama.pair, part, progress=False)
    heads = tiny.HEADS if part == "q" else tiny.KV_HEADS
    assert grid.shape == (tiny.LAYERS, heads)
    layer, index = 0, heads - 1
    place = (llama.plain.blocks[layer].get_submodule(f"self_attn.{part}_proj"), "out")
    columns = slice(index * tiny.D_HEAD, (index + 1) * tiny.D_HEAD)
    there = llama.plain.see(llama.ids(CLEAN), place)[..., columns]

    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        out[..., columns] = there
        return out

    expected = plain_effect(llama, CORRUPT, (place, change))
    assert grid.values[layer, index] == pytest.approx(expected, abs=1e-4)
    assert abs(expected) > 1e-3


PARTS = ("pre", "mid", "post")
VECTOR = np.linspace(-1.0, 1.5, 6)


def place_of(small: Tiny, objects: str, layer: int, part: str = "pre") -> tiny.Place:
    """The plain place of an object, and for q, k, v (of one weight in gpt2 and pythia) of that weight's output."""
    plain = small.plain
    if objects in ("q", "k", "v"):
        return plain.qkv(layer, objects)
    if objects == "residual":
        return {"pre": plain.pre, "mid": plain.mid, "post": plain.post}[part](layer)
    names = {"heads": plain.z, "head_positions": plain.z, "ffn": plain.ffn, "neurons": plain.neurons}
    return (plain.hf.get_input_embeddings(), "out") if objects == "embedding" else names[objects](layer)


def part_of(small: Tiny, objects: str, site: mi.Site) -> tuple[slice, slice]:
    """(positions, columns) of a site in what its place carries, [1, pos, width]."""
    at = site.position
    where = EVERYWHERE if at is None else slice(at, at + 1)
    if site.kind == "neuron":
        return where, slice(site.index, site.index + 1)
    if site.kind == "head":
        columns = small.plain.columns(objects, site.index)
        return where, columns
    return where, EVERYWHERE


def by_hand(small: Tiny, objects: str, part: str, site: mi.Site, base: str, new: object) -> float:
    """The effect of putting `new` ([1, pos, width] of a whole run, or a number) at a site, one full forward."""
    where, columns = part_of(small, objects, site)

    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        out[:, where, columns] = new[:, where, columns] if isinstance(new, torch.Tensor) else new
        return out

    return plain_effect(small, base, (place_of(small, objects, site.layer or 0, part), change))


def samples(grid: mi.Grid) -> list[tuple[int, ...]]:
    """All cells of a short map; of a long one the first, the last, and five in between."""
    cells = [index for index, _ in grid.cells()]
    if len(cells) < 20:
        return cells
    return [*cells[:: max(1, len(cells) // 5)], cells[-1]]


OBJECTS = ("heads", "q", "k", "v", "head_positions", "residual", "ffn", "neurons", "embedding")


@pytest.mark.parametrize("method", ["denoise", "noise", "zero", "mean", "resample"])
@pytest.mark.parametrize("objects", OBJECTS)
def test_every_object_under_every_method_as_by_hand(small: Tiny, objects: str, method: str) -> None:
    reference = (CLEAN, CORRUPT) if method in ("mean", "resample") else None
    grid = mi.locate.causal(small.model, small.pair, objects, method, progress=False, reference=reference)
    base, sources = (CORRUPT, (CLEAN,)) if method == "denoise" else (CLEAN, (CORRUPT,))
    sources = (CLEAN, CORRUPT) if method == "mean" else sources
    found = 0.0
    for index in samples(grid):
        site = grid.site(index)
        seen = [small.plain.see(small.ids(text), place_of(small, objects, site.layer or 0)) for text in sources]
        new = 0.0 if method == "zero" else torch.stack(seen).mean(0)
        expected = by_hand(small, objects, "pre", site, base, new)
        assert grid.values[index] == pytest.approx(expected, abs=1e-4), site
        found = max(found, abs(expected))
    assert found > 1e-3


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("method", ["denoise", "zero"])
def test_the_residual_stream_at_its_three_places(small: Tiny, part: str, method: str) -> None:
    if part == "mid" and small.shape == "pythia":
        with pytest.raises(ValueError, match="parallel"):
            mi.locate.causal(small.model, small.pair, "residual", method, part, progress=False)
        return
    grid = mi.locate.causal(small.model, small.pair, "residual", method, part, progress=False)
    base = CORRUPT if method == "denoise" else CLEAN
    for index in samples(grid):
        site = grid.site(index)
        there = small.plain.residual(small.ids(CLEAN), site.layer, part)
        expected = small.plain.with_residual(small.ids(base), site.layer, part, site.position, there, method == "zero")
        assert grid.values[index] == pytest.approx(small.difference(expected) - small.unedited(base), abs=1e-4), site


@pytest.mark.parametrize("objects", ["heads", "q", "residual", "neurons"])
def test_a_vector_in_its_place(small: Tiny, objects: str) -> None:
    width = {"residual": small.model.d_model, "neurons": 1}.get(objects, tiny.D_HEAD)
    vector = np.resize(VECTOR, width)
    grid = mi.locate.causal(small.model, small.pair, objects, vector=vector, progress=False)
    assert grid.provenance["method"] == "causal/vector" and len(grid.provenance["vector"]) == 16
    for index in samples(grid):
        site = grid.site(index)
        expected = by_hand(small, objects, "pre", site, CLEAN, torch.tensor(vector, dtype=torch.float32)[None, None]
                           .expand(1, small.ids().shape[1], -1)) if site.kind == "residual" else None  # fmt: skip
        if expected is None:
            where, columns = part_of(small, objects, site)
            new = put_columns(where, columns, torch.tensor(vector, dtype=torch.float32))
            expected = plain_effect(small, CLEAN, (place_of(small, objects, site.layer), new))
        assert grid.values[index] == pytest.approx(expected, abs=1e-4), site


def put_columns(where: slice, columns: slice, new: torch.Tensor) -> tiny.Change:
    def change(x: torch.Tensor) -> torch.Tensor:
        out = x.clone()
        out[:, where, columns] = new
        return out

    return change


@pytest.mark.parametrize("method", ["denoise", "zero", "mean"])
def test_patterns_as_by_hand(small: Tiny, method: str) -> None:
    """A pattern that is put in a head's place gives that head's z, from the run's own values."""
    grid = mi.locate.causal(small.model, small.pair, "pattern", method, progress=False)
    base = CORRUPT if method == "denoise" else CLEAN
    for index in samples(grid):
        layer, head_ = index
        seen = {text: small.plain.pattern(small.ids(text), layer)[:, head_] for text in (CLEAN, CORRUPT)}
        news = {"denoise": seen[CLEAN], "zero": 0 * seen[CLEAN], "mean": (seen[CLEAN] + seen[CORRUPT]) / 2}
        z = news[method] @ small.plain.values(small.ids(base), layer)[:, head_]
        expected = plain_effect(small, base, (small.plain.z(layer), put(z, head=head_)))
        assert grid.values[index] == pytest.approx(expected, abs=1e-4)


def test_attention_that_is_cut_as_by_hand(small: Tiny) -> None:
    pairs = [(14 if small.ids().shape[1] > 14 else 13, 9), (-3, 2), (0, 0)]
    grid = mi.locate.causal(small.model, small.pair, pairs=pairs, progress=False)
    assert grid.part == "pattern" and "not renormalised" in grid.title
    for index in samples(grid):
        layer, head_ = index
        pattern = small.plain.pattern(small.ids(), layer)[:, head_].clone()
        for query, key in pairs:
            pattern[:, query, key] = 0
        z = pattern @ small.plain.values(small.ids(), layer)[:, head_]
        expected = plain_effect(small, CLEAN, (small.plain.z(layer), put(z, head=head_)))
        assert grid.values[index] == pytest.approx(expected, abs=1e-4)
    assert np.abs(grid.values).max() > 1e-3


def test_a_map_under_a_recipe_edits_both_runs(small: Tiny) -> None:
    """Every run of the map has a head scaled, and the values that are put come from such a run."""
    recipe = once("scale", head(0, 1), amount=0.8)
    grid = mi.locate.causal(small.model, small.pair, "residual", recipe=recipe, progress=False)
    always = (small.plain.z(0), put(lambda x: 0.8 * x, head=1))
    before = small.difference(small.plain.logits(small.ids(CORRUPT), always))
    for index in samples(grid):
        site = grid.site(index)
        seen: list[torch.Tensor] = []
        place = small.plain.pre(site.layer)
        small.plain.logits(small.ids(CLEAN), always, (place, lambda x, seen=seen: seen.append(x.clone()) or x))
        where = slice(site.position, site.position + 1)
        after = small.plain.logits(small.ids(CORRUPT), always, (place, put(seen[0][:, where], where)))
        assert grid.values[index] == pytest.approx(small.difference(after) - before, abs=1e-4)
    assert grid.provenance["recipe"] == recipe.hash


def test_a_mean_over_other_lengths_is_pooled(small: Tiny) -> None:
    grid = mi.locate.causal(small.model, small.pair, "heads", "mean", reference=OTHERS, progress=False)
    seen = [small.plain.see(small.ids(text), small.plain.z(LAYER))[0] for text in OTHERS]
    first, rest = torch.stack([z[0] for z in seen]).mean(0), torch.cat([z[1:] for z in seen]).mean(0)
    new = torch.stack([first, *[rest] * (small.ids().shape[1] - 1)])[None]
    expected = by_hand(small, "heads", "pre", head(), CLEAN, new)
    assert grid.values[LAYER, HEAD] == pytest.approx(expected, abs=1e-4)
    assert grid.provenance["mean"] == "pooled over positions but 0"


def test_a_map_of_several_pairs_is_the_mean_of_their_maps(llama: Tiny) -> None:
    pair = llama.pair
    other = mi.Pair(CLEAN.replace("store", "garden"), CORRUPT.replace("store", "garden"), pair.answer, pair.foil)
    task = mi.Task((pair, other))
    maps = [mi.locate.causal(llama.model, each, progress=False) for each in (pair, other)]
    mean = (maps[0].values + maps[1].values) / 2
    np.testing.assert_allclose(mi.locate.causal(llama.model, task, progress=False).values, mean, atol=1e-5)


def test_refining_ends_in_the_exact_map(llama: Tiny) -> None:
    steps = list(mi.locate.refine(llama.model, llama.pair, "residual"))
    exact = mi.locate.causal(llama.model, llama.pair, "residual", progress=False)
    np.testing.assert_allclose(steps[-1].values, exact.values, atol=1e-6)
    assert steps[-1].values.count() == exact.values.size


# -- lens -------------------------------------------------------------------------------------------------------------


def test_the_lens_is_the_final_norm_and_the_unembedding(small: Tiny) -> None:
    grid = mi.locate.lens(small.model, CLEAN)
    for layer in range(tiny.LAYERS):
        residual_post = small.plain.see(small.ids(), small.plain.post(layer))[0]
        expected = small.plain.read(residual_post).softmax(-1)
        np.testing.assert_allclose(grid.values[layer], expected.amax(-1), atol=1e-5)
        np.testing.assert_array_equal(grid.readings.ids[layer][:, 0], expected.argmax(-1))


def test_the_lens_of_one_word_and_its_last_row(small: Tiny) -> None:
    word = str(small.pair.answer)
    grid = mi.locate.lens(small.model, CLEAN, target=word)
    own = small.plain.logits(small.ids()).softmax(-1)[:, small.model.single(word)]
    np.testing.assert_allclose(grid.values[-1], own, atol=1e-5)


def test_the_lens_of_an_edited_run(llama: Tiny) -> None:
    recipe = once("zero", head(0, 0))
    grid = mi.locate.lens(llama.model, CLEAN, recipe=recipe)
    own = mi.run(llama.model, CLEAN, recipe).logits.softmax(-1).amax(-1)
    np.testing.assert_allclose(grid.values[-1], own, atol=1e-5)
    assert grid.provenance["recipe"] == recipe.hash


def test_the_lens_agrees_with_transformer_lens(small: Tiny) -> None:
    from transformer_lens.tools.analysis import logit_lens

    theirs = logit_lens(small.model.bridge, CLEAN, positions=None, top_k=1, return_type="probs")
    ours = mi.locate.lens(small.model, CLEAN)
    after_blocks = theirs.values[-tiny.LAYERS :, 0, :, 0]
    np.testing.assert_allclose(ours.values[:-1], after_blocks[:-1].detach(), atol=1e-5)


# -- contrast ---------------------------------------------------------------------------------------------------------


def test_a_contrast_is_the_difference_of_mean_residuals(small: Tiny) -> None:
    up, down = OTHERS[:2], OTHERS[2:]
    seen = {text: small.plain.see(small.ids(text), small.plain.post(LAYER))[0, 1:] for text in OTHERS}
    means = [torch.stack([seen[text].mean(0) for text in texts]).mean(0) for texts in (up, down)]
    difference = means[0] - means[1]
    norm = np.median(torch.cat(list(seen.values())).norm(dim=-1))
    made = mi.steer.contrast(small.model, up, down, LAYER)
    np.testing.assert_allclose(made.vector, difference / difference.norm(), atol=1e-5)
    assert made.norm == pytest.approx(float(norm), rel=1e-4)
    assert made.natural == pytest.approx(float(difference.norm() / norm), rel=1e-4)


def test_a_sweep_over_strengths_is_a_run_for_each(llama: Tiny) -> None:
    d = direction(llama.model.d_model)
    grid = mi.steer.sweep(llama.model, llama.pair, d, (-0.3, 0.0, 0.5))
    base = mi.run(llama.model, CLEAN).metric(llama.pair.answer, llama.pair.foil)
    for strength, value in zip((-0.3, 0.0, 0.5), grid.values, strict=True):
        after = mi.run(llama.model, CLEAN, d.add(strength)).metric(llama.pair.answer, llama.pair.foil)
        assert value == pytest.approx(after - base, abs=1e-4)
    assert grid.values[1] == 0


def test_code_takes_from_a_file_only_what_can_stand_in_a_program(tmp_path: Path) -> None:
    evil = "float32) if not __import__('os').system('echo PWNED') else print('x'"
    for dtype in (evil, 5, None, ["float32"]):
        recipe = mi.Recipe((Intervention("zero", mi.Site("head", 0, 0)),), {"source": "gpt2", "dtype": dtype})
        back = mi.Recipe.load(recipe.save(tmp_path / "recipe.json"))
        with pytest.raises(ValueError, match="dtype"):
            back.code(CLEAN)


def test_code_runs_texts_and_ids(llama: Tiny) -> None:
    recipe = mi.steer.scale([mi.Site("head", 0, 0)], 0)
    for ids in ([1, 2, 3], torch.tensor([1, 2, 3]), torch.tensor([[1, 2, 3]]), np.array([1, 2, 3])):
        assert "\nprompt = [1, 2, 3]\n" in recipe.code(ids, llama.model)
    for prompt in ([{"role": "user", "content": "hi"}], [], [1.5]):
        with pytest.raises(ValueError, match=r"model\.ids"):
            recipe.code(prompt, llama.model)


def test_hooks_are_made_for_a_bridge_as_well(llama: Tiny) -> None:
    recipe = mi.steer.scale([mi.Site("head", 0, 0)], 0)
    ((name, _),) = recipe.hooks(llama.model.bridge)
    assert name == "blocks.0.attn.hook_z"

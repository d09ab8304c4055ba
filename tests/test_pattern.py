"""A head's attention, plain and weighted by its values, against plain PyTorch on the Hugging Face model."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import mi_widgets as mi

from .conftest import Tiny
from .test_weights import mix_weight, weight_of
from .tiny import CLEAN, CORRUPT, HEADS, LAYERS

CELLS = [(0, 0), (1, 3), (2, 1)]


def weighted(small: Tiny, layer: int, head: int) -> torch.Tensor:
    """‖what the head writes at each query for each key‖, key by key and query by query; Gemma's post-norm included."""
    ids = small.ids()
    pattern = small.plain.pattern(ids, layer)[0, head]
    values = small.plain.values(ids, layer)[0, head]
    found = torch.zeros_like(pattern)
    with torch.no_grad():
        written = values @ mix_weight(small, layer)[head]
        for query, row in enumerate(pattern):
            for key in range(query + 1):
                found[query, key] = through_norm(small, layer, query, row[key] * written[key]).norm()
    return found


def through_norm(small: Tiny, layer: int, query: int, x: torch.Tensor) -> torch.Tensor:
    """A part of what the attention writes at a query, behind the norm whose scale is that of the whole."""
    if small.shape != "gemma2":
        return x
    norm = small.plain.blocks[layer].post_attention_layernorm
    whole = small.plain.see(small.ids(), (norm, "in"))[0, query]
    return x / (whole.pow(2).mean() + norm.eps).sqrt() * weight_of(norm)  # type: ignore[operator]


@pytest.mark.parametrize(("layer", "head"), CELLS)
def test_the_plain_pattern_is_the_models_own(small: Tiny, layer: int, head: int) -> None:
    grid = mi.locate.pattern(small.model, CLEAN, mi.Site("head", layer, head))
    own = small.plain.pattern(small.ids(), layer)[0, head].numpy()
    lower = np.tri(len(own), dtype=bool)
    np.testing.assert_allclose(grid.values.filled(np.nan)[lower], own[lower], atol=1e-5)
    assert np.ma.getmaskarray(grid.values)[~lower].all()
    assert [axis.name for axis in grid.axes] == ["query_pos", "key_pos"] and grid.unit == "of its attention"


@pytest.mark.parametrize(("layer", "head"), CELLS)
def test_weighted_it_is_the_length_of_what_is_written(small: Tiny, layer: int, head: int) -> None:
    grid = mi.locate.pattern(small.model, CLEAN, mi.Site("head", layer, head), weighting="value_norm")
    expected = weighted(small, layer, head).numpy()
    np.testing.assert_allclose(grid.values.filled(0), expected, rtol=1e-4, atol=1e-5)
    assert expected.max() > 0.1 and grid.unit == "residual units"


def test_what_all_keys_write_together_is_what_the_head_writes(llama: Tiny) -> None:
    """The vectors whose lengths are shown add up to z W_O of the head."""
    ids, layer, head = llama.ids(), 1, 3
    written = llama.plain.values(ids, layer)[0, head] @ mix_weight(llama, layer)[head]
    together = llama.plain.pattern(ids, layer)[0, head] @ written
    z = llama.plain.see(ids, llama.plain.z(layer))[0].unflatten(-1, (HEADS, -1))[:, head]
    torch.testing.assert_close(together, z @ mix_weight(llama, layer)[head], rtol=1e-4, atol=1e-5)


def test_all_heads_at_once_are_those_one_by_one(small: Tiny) -> None:
    runs = [(small.ids(), None), (small.ids(CORRUPT), None)]
    found = small.model.do(lambda: small.model.attention(runs, lambda _, x: x.weighted.numpy().copy(), weighted=True))
    assert len(found) == LAYERS
    for row, text in enumerate((CLEAN, CORRUPT)):
        for layer, head in CELLS:
            one = mi.locate.pattern(small.model, text, mi.Site("head", layer, head), weighting="value_norm")
            np.testing.assert_allclose(np.tril(found[layer][row, head]), one.values.filled(0), rtol=1e-4, atol=1e-6)


def test_runs_beside_each_other_are_edited_each_for_itself(llama: Tiny) -> None:
    recipe = mi.Recipe((mi.Intervention("zero", mi.Site("head", 0, 1)),))
    runs = [(llama.ids(), None), (llama.ids(), recipe)]
    both = llama.model.do(lambda: llama.model.attention(runs, lambda _, x: x.pattern.numpy().copy()))
    for row, edits in enumerate((None, recipe)):
        one = mi.locate.pattern(llama.model, CLEAN, mi.Site("head", 2, 1), recipe=edits)
        np.testing.assert_allclose(both[2][row, 1], one.values.filled(0), atol=1e-6)
    assert np.abs(both[2][0] - both[2][1]).max() > 1e-4


def test_a_recipe_edits_the_run_that_is_shown(llama: Tiny) -> None:
    cut = mi.Recipe((mi.Intervention("knock_out", mi.Site("head", 1, 2, "pattern", position=9, key=4)),))
    head = mi.Site("head", 1, 2)
    before, after = (mi.locate.pattern(llama.model, CLEAN, head, recipe=recipe) for recipe in (None, cut))
    change = (after.values - before.values).filled(0)
    assert after.values[9, 4] == 0 and change[9, 4] < -1e-4
    assert np.flatnonzero(np.abs(change).max(1) > 1e-6).tolist() == [9]
    assert after.provenance["recipe"] == cut.hash


def test_layers_after_the_one_that_is_read_are_not_run(llama: Tiny) -> None:
    reached = []
    hook = llama.model.points["blocks.1.attn.hook_q"].register_forward_hook(lambda *_: reached.append(1))
    mi.locate.pattern(llama.model, CLEAN, mi.Site("head", 0, 0), weighting="value_norm")
    assert reached == []
    mi.locate.pattern(llama.model, CLEAN, mi.Site("head", 1, 0))
    hook.remove()
    assert reached


@pytest.mark.parametrize(
    ("head", "more", "says"),
    [
        (mi.Site("head", 3, 0), {}, "no layer 3, head 0: tiny llama has 3 layers of 4 heads"),
        (mi.Site("head", 0, 4), {}, "no layer 0, head 4"),
        (mi.Site("head", 0, 0, "v"), {}, "one query head"),
        (mi.Site("ffn", 0), {}, "one query head"),
        (mi.Site("head", 0, 0), {"weighting": "norm"}, "weighting must be one of plain, value_norm, not 'norm'"),
    ],
)
def test_what_is_no_head_or_weighting_is_refused(llama: Tiny, head: mi.Site, more: dict[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        mi.locate.pattern(llama.model, CLEAN, head, **more)

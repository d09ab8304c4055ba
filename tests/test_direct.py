"""Direct contributions against the same decomposition by hand, from plain PyTorch hooks and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, HEADS


def frozen(norm: Any, x: torch.Tensor, whole: torch.Tensor) -> torch.Tensor:
    """A norm's weight and centring on x, with the scale that it has on `whole`; no bias."""
    weight = norm.weight + 1 if type(norm).__name__.startswith("Gemma") else norm.weight
    eps = getattr(norm, "variance_epsilon", None) or norm.eps
    if isinstance(norm, torch.nn.LayerNorm):
        x, whole = x - x.mean(-1, keepdim=True), whole - whole.mean(-1, keepdim=True)
    return x / (whole.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def final(small: Tiny, x: torch.Tensor, text: str = CLEAN) -> torch.Tensor:
    """logit(answer) − logit(foil) that residual parts [..., d_model] add at the last position, before a soft-cap."""
    whole = small.plain.see(small.ids(text), small.plain.post(tiny.LAYERS - 1))[0, -1]
    answer, foil = (small.model.single(str(word)) for word in (small.pair.answer, small.pair.foil))
    weight = small.plain.unembed.weight
    return frozen(small.plain.norm, x, whole) @ (weight[answer] - weight[foil])


def mix_weight(small: Tiny, layer: int) -> torch.Tensor:
    """The output projection as [head, d_head, d_model]."""
    weight = small.plain.blocks[layer].get_submodule(small.plain.mix).weight
    weight = weight if small.shape == "gpt2" else weight.T
    return weight.unflatten(0, (HEADS, tiny.D_HEAD))


def head_writes(small: Tiny, layer: int, text: str = CLEAN) -> torch.Tensor:
    """What each head adds to the last position, [head, d_model]."""
    z = small.plain.see(small.ids(text), small.plain.z(layer))[0, -1].unflatten(-1, (HEADS, tiny.D_HEAD))
    writes = torch.einsum("hd,hdm->hm", z, mix_weight(small, layer))
    if small.shape == "gemma2":
        block = small.plain.blocks[layer]
        mixed = small.plain.see(small.ids(text), (block.self_attn.o_proj, "out"))[0, -1]
        writes = frozen(block.post_attention_layernorm, writes, mixed)
    return writes


def before_cap(small: Tiny, text: str = CLEAN) -> float:
    with torch.no_grad():
        whole = small.plain.see(small.ids(text), small.plain.post(tiny.LAYERS - 1))[0, -1]
        return small.difference(small.plain.unembed(small.plain.norm(whole))[None])


@pytest.mark.parametrize(("run", "text"), [("clean", CLEAN), ("corrupt", CORRUPT)])
def test_every_head_as_by_hand(small: Tiny, run: str, text: str) -> None:
    grid = mi.locate.direct(small.model, small.pair, "heads", run, progress=False)
    with torch.no_grad():
        expected = torch.stack([final(small, head_writes(small, layer, text), text) for layer in range(tiny.LAYERS)])
    np.testing.assert_allclose(grid.values, expected, atol=1e-4)
    assert grid.values.shape == (tiny.LAYERS, HEADS) and expected.abs().max() > 0.05


def test_every_ffn_as_by_hand(small: Tiny) -> None:
    grid = mi.locate.direct(small.model, small.pair, "ffn", progress=False)
    with torch.no_grad():
        outs = [small.plain.see(small.ids(), small.plain.ffn(layer))[0, -1] for layer in range(tiny.LAYERS)]
        expected = torch.stack([final(small, out) for out in outs])
    np.testing.assert_allclose(grid.values, expected, atol=1e-4)


def test_the_parts_sum_to_the_metric(small: Tiny) -> None:
    parts = mi.locate.direct(small.model, small.pair, progress=False).provenance["parts"]
    names = ("embedding", "heads", "attention biases", "ffn", "final biases")
    assert sum(parts[name] for name in names) == pytest.approx(before_cap(small), abs=1e-4)
    assert parts["metric"] == pytest.approx(before_cap(small), abs=1e-4) and abs(parts["off by"]) < 1e-4
    if small.shape in ("gpt2", "pythia"):
        assert min(abs(parts["attention biases"]), abs(parts["final biases"])) > 1e-3
    else:
        assert abs(parts["attention biases"]) < 1e-5 and parts["final biases"] == 0


def test_a_soft_cap_is_said() -> None:
    small = Tiny("gemma2")
    grid = mi.locate.direct(small.model, small.pair, progress=False)
    assert "before the soft-cap" in grid.title and grid.provenance["before soft-cap"] is True
    assert abs(grid.provenance["parts"]["metric"] - small.unedited(CLEAN)) > 0.01
    llama = Tiny("llama")
    grid = mi.locate.direct(llama.model, llama.pair, progress=False)
    assert "soft-cap" not in grid.title
    assert grid.provenance["parts"]["metric"] == pytest.approx(llama.unedited(CLEAN), abs=1e-4)


def test_neurons_sum_to_their_ffn_without_its_bias(small: Tiny) -> None:
    neurons = mi.locate.direct(small.model, small.pair, "neurons", progress=False)
    ffn = mi.locate.direct(small.model, small.pair, "ffn", progress=False)
    assert neurons.shape == (tiny.LAYERS, tiny.D_MLP)
    rest = ffn.values - neurons.values.sum(1)
    for layer, block in enumerate(small.plain.blocks):
        names = {"gpt2": "mlp.c_proj", "pythia": "mlp.dense_4h_to_h"}
        bias = (
            block.get_submodule(names[small.shape]).bias if small.shape in names else torch.zeros(small.model.d_model)
        )
        with torch.no_grad():
            assert rest[layer] == pytest.approx(float(final(small, bias)), abs=1e-4)


def test_attention_is_its_heads_and_its_bias(small: Tiny) -> None:
    whole = mi.locate.direct(small.model, small.pair, "attention", progress=False)
    heads = mi.locate.direct(small.model, small.pair, "heads", progress=False)
    difference = float((whole.values - heads.values.sum(1)).sum())
    assert difference == pytest.approx(whole.provenance["parts"]["attention biases"], abs=1e-5)


def test_models_that_scale_their_streams_and_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**tiny._grouped(logits_scaling=3.0, residual_multiplier=0.4, hidden_size=24), "head_dim": None}
    config = {"model_type": "granite", **{k: v for k, v in settings.items() if v is not None}}
    monkeypatch.setitem(tiny.CONFIGS, "granite", config)
    model = mi.Model(tiny.hugging_face("granite"), tiny.tokenizer())
    logits = mi.run(model, CLEAN).logits[-1] - mi.run(model, CORRUPT).logits[-1]
    ranked = logits.argsort(descending=True).tolist()
    words = [model.tokenizer.decode([id_]) for id_ in ranked]
    words = [w for w in words if w.isascii() and model.is_single(w)]
    parts = mi.locate.direct(
        model, mi.Task((mi.Pair(CLEAN, CORRUPT, words[0], words[-1]),)), progress=False
    ).provenance["parts"]
    own = mi.run(model, CLEAN).metric(words[0], words[-1])
    assert parts["metric"] == pytest.approx(own, abs=1e-4) and abs(parts["off by"]) < 1e-4
    model.close()


def test_several_answers_bend_the_sum_and_it_is_said(llama: Tiny) -> None:
    pair = llama.pair
    words = (str(pair.answer), " the")
    grid = mi.locate.direct(llama.model, mi.Pair(CLEAN, CORRUPT, words, pair.foil), progress=False)
    parts = grid.provenance["parts"]
    assert parts["off by"] == pytest.approx(parts["metric"] - parts["sum"], abs=1e-6) and abs(parts["off by"]) > 1e-4


def test_it_can_be_put_beside_the_total_effect(llama: Tiny) -> None:
    total = mi.locate.causal(llama.model, llama.pair, "heads", "zero", progress=False)
    alone = mi.locate.direct(llama.model, llama.pair, progress=False)
    assert alone.axes == total.axes and (total - alone).shape == total.shape
    assert (alone.toward, alone.provenance["base"]) == (1, "clean")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"objects": "residual"}, "objects must be"),
        ({"run": "other"}, "run must be"),
    ],
)
def test_what_has_no_direct_path_is_refused(llama: Tiny, fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.locate.direct(llama.model, llama.pair, progress=False, **fields)


def test_only_logit_differences_are_taken_apart(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="logit_diff"):
        mi.locate.direct(llama.model, mi.Task((llama.pair,), metric="logprob"), progress=False)

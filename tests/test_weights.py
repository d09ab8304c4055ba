"""Circuits of single heads against the same algebra by hand, from the Hugging Face model's weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, D_HEAD, HEADS, KV_HEADS

TOKENS, OTHERS = (5, 77, 200, 310, 41), (9, 77, 120)
ROTARY = ("llama", "gemma2", "qwen3", "pythia")


def site(layer: int = 1, head: int = 2) -> mi.Site:
    return mi.Site("head", layer, head)


# -- by hand ----------------------------------------------------------------------------------------------------------


def embedded(small: Tiny, ids: Sequence[int]) -> torch.Tensor:
    """Token embeddings [token, d_model], as they enter the first block."""
    x = small.plain.hf.get_input_embeddings().weight[list(ids)]
    return x * x.shape[-1] ** 0.5 if small.shape == "gemma2" else x


def weight_of(norm: Any) -> torch.Tensor:
    return norm.weight + 1 if type(norm).__name__.startswith("Gemma") else norm.weight


def part(small: Tiny, layer: int, objects: str, head: int, ids: Sequence[int]) -> torch.Tensor:
    """A head's queries, keys or values [token, d_head] of bare tokens, biases and q/k norms included."""
    block = small.plain.blocks[layer]
    normed = block.get_submodule("ln_1" if small.shape == "gpt2" else "input_layernorm")(embedded(small, ids))
    grouped = objects in "kv" and small.shape not in ("gpt2", "pythia")
    own = head * KV_HEADS // HEADS if grouped else head
    module, _ = small.plain.qkv(layer, objects)
    x = module(normed)[..., small.plain.columns(objects, own)]
    return getattr(block.self_attn, f"{objects}_norm")(x) if small.shape == "qwen3" and objects in "qk" else x


def turned(small: Tiny, x: torch.Tensor, position: int) -> torch.Tensor:
    """RoPE by hand: the first `width` numbers of x [token, d_head], the first half of them paired with the second."""
    if small.shape == "gpt2":
        return x
    width = 2 if small.shape == "pythia" else D_HEAD
    angles = position * 10000.0 ** (-torch.arange(0, width, 2) / width)
    one, two, rest = x[:, : width // 2], x[:, width // 2 : width], x[:, width:]
    cos, sin = angles.cos(), angles.sin()
    return torch.cat([one * cos - two * sin, two * cos + one * sin, rest], dim=-1)


def score(small: Tiny, layer: int, head: int, queries: Sequence[int], keys: Sequence[int], back: int) -> torch.Tensor:
    q = turned(small, part(small, layer, "q", head, queries), back)
    found = q @ part(small, layer, "k", head, keys).T / D_HEAD**0.5
    return 4.0 * torch.tanh(found / 4.0) if small.shape == "gemma2" else found


def mix_weight(small: Tiny, layer: int) -> torch.Tensor:
    """The output projection as [head, d_head, d_model]."""
    weight = small.plain.blocks[layer].get_submodule(small.plain.mix).weight
    return (weight if small.shape == "gpt2" else weight.T).unflatten(0, (HEADS, D_HEAD))


def written(small: Tiny, layer: int, head: int, ids: Sequence[int]) -> torch.Tensor:
    """Values through the output projection; through Gemma's post-norm, with the scale of all heads' sum."""
    every = [part(small, layer, "v", each, ids) @ mix_weight(small, layer)[each] for each in range(HEADS)]
    if small.shape != "gemma2":
        return every[head]
    norm = small.plain.blocks[layer].post_attention_layernorm
    size = (sum(every).pow(2).mean(-1, keepdim=True) + norm.eps).sqrt()  # type: ignore[union-attr]
    return every[head] / size * weight_of(norm)


def to_logits(small: Tiny, x: torch.Tensor, targets: Sequence[int]) -> torch.Tensor:
    norm = small.plain.norm
    x = x - x.mean(-1, keepdim=True) if isinstance(norm, torch.nn.LayerNorm) else x
    logits = (x * weight_of(norm)) @ small.plain.unembed.weight.T
    return (logits - logits.mean(-1, keepdim=True))[:, list(targets)]


# -- both circuits ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 2), (2, 3)])
def test_ov_as_by_hand(small: Tiny, layer: int, head: int) -> None:
    grid = mi.locate.ov_circuit(small.model, site(layer, head), TOKENS, OTHERS)
    with torch.no_grad():
        expected = to_logits(small, written(small, layer, head, TOKENS), OTHERS)
    np.testing.assert_allclose(grid.values, expected, rtol=1e-4, atol=2e-4)
    assert grid.shape == (len(TOKENS), len(OTHERS)) and expected.abs().max() > 0.5


@pytest.mark.parametrize(("layer", "head", "back"), [(0, 0, 1), (1, 2, 4), (2, 3, 0)])
def test_qk_as_by_hand(small: Tiny, layer: int, head: int, back: int) -> None:
    grid = mi.locate.qk_circuit(small.model, site(layer, head), TOKENS, OTHERS, back)
    with torch.no_grad():
        expected = score(small, layer, head, TOKENS, OTHERS, back)
    np.testing.assert_allclose(grid.values, expected, rtol=1e-4, atol=1e-4)
    assert grid.shape == (len(TOKENS), len(OTHERS)) and expected.abs().max() > 0.5


@pytest.mark.parametrize("shape", ROTARY)
def test_in_the_first_block_they_are_the_models_own_attention(shape: str) -> None:
    """A prompt of two tokens: the softmax of its two scores is the pattern."""
    small = Tiny(shape)
    for key, query in ((5, 77), (200, 310)):
        back = mi.locate.qk_circuit(small.model, site(0, 3), [query], [key]).values
        itself = mi.locate.qk_circuit(small.model, site(0, 3), [query], distance=0).values
        found = torch.tensor(np.concatenate([back[0], itself[0]])).softmax(-1)
        own = small.plain.pattern(torch.tensor([key, query]), 0)[0, 3, 1]
        np.testing.assert_allclose(found, own, atol=1e-5)


def test_only_rotation_tells_distances_apart(small: Tiny) -> None:
    near, far = (mi.locate.qk_circuit(small.model, site(), TOKENS, distance=back) for back in (1, 4))
    same = np.abs(near.values - far.values).max() < 1e-5
    assert same == (small.shape == "gpt2")
    assert ("without position embeddings" in near.title) == same and ("at distance 4" in far.title) != same
    assert far.provenance["distance"] == (None if same else 4)


def test_what_the_grids_say(llama: Tiny) -> None:
    grid = mi.locate.ov_circuit(llama.model, site(), CLEAN)
    ids = list(dict.fromkeys(llama.model.ids(CLEAN, prepend_bos=False)[0].tolist()))
    assert [axis.name for axis in grid.axes] == ["source", "target"] and grid.axes[0].coordinates == tuple(ids)
    assert grid.axes[1].labels == tuple(label["text"] for label in llama.model.labels(ids))
    assert (grid.kind, grid.toward, grid.provenance["head"]) == ("", 1, "L1H2")
    assert grid.provenance["weights"] == llama.model.weights and "final scale 1" in grid.unit
    capped = Tiny("gemma2").model
    assert "before the final soft-cap" in mi.locate.ov_circuit(capped, site(), TOKENS).title
    assert "±4" in mi.locate.qk_circuit(capped, site(), TOKENS).sign
    assert "soft-cap" not in mi.locate.qk_circuit(llama.model, site(), TOKENS).sign


def test_models_that_scale_their_streams_and_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tiny._grouped(hidden_size=24, residual_multiplier=0.4, logits_scaling=3.0, attention_multiplier=0.3)
    config = {"model_type": "granite", **{name: value for name, value in settings.items() if name != "head_dim"}}
    monkeypatch.setitem(tiny.CONFIGS, "granite", config)
    small = Tiny("granite")
    with torch.no_grad():
        writes = to_logits(small, written(small, 1, 2, TOKENS), OTHERS) * 0.4 / 3.0
        attention = score(small, 1, 2, TOKENS, OTHERS, 3) * D_HEAD**0.5 * 0.3
    found = mi.locate.ov_circuit(small.model, site(), TOKENS, OTHERS)
    np.testing.assert_allclose(found.values, writes, rtol=1e-4, atol=1e-4)
    found = mi.locate.qk_circuit(small.model, site(), TOKENS, OTHERS, 3)
    np.testing.assert_allclose(found.values, attention, rtol=1e-4, atol=1e-4)


def test_words_are_their_ids(llama: Tiny) -> None:
    words = [word for word in (" Mary", " John", " the") if llama.model.is_single(word)]
    assert len(words) > 1
    ids = [llama.model.single(word) for word in words]
    by_word, by_id = (mi.locate.qk_circuit(llama.model, site(), tokens) for tokens in (words, ids))
    assert by_word.axes[0] == by_id.axes[0] and (by_word.values == by_id.values).all()


def test_long_lists_are_unembedded_in_chunks(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = mi.locate.ov_circuit(llama.model, site(), TOKENS, OTHERS)
    monkeypatch.setattr("mi_widgets.model.readout._BYTES", 2 * 4 * llama.model.twin.cfg.d_vocab)
    np.testing.assert_allclose(
        mi.locate.ov_circuit(llama.model, site(), TOKENS, OTHERS).values, whole.values, atol=1e-5
    )


def test_the_model_is_left_as_it_was(small: Tiny) -> None:
    before = mi.run(small.model, CLEAN).logits
    mi.locate.ov_circuit(small.model, site(), TOKENS)
    mi.locate.qk_circuit(small.model, site(), TOKENS)
    torch.testing.assert_close(mi.run(small.model, CLEAN).logits, before, rtol=0, atol=0)


def test_what_has_no_circuit_is_refused(llama: Tiny) -> None:
    model = llama.model
    with pytest.raises(ValueError, match="one query head"):
        mi.locate.ov_circuit(model, mi.Site("head", 1, 0, "v"), TOKENS)
    with pytest.raises(ValueError, match="heads 0 to 3"):
        mi.locate.qk_circuit(model, site(1, 4), TOKENS)
    with pytest.raises(ValueError, match=r"300 different tokens.*at most 256"):
        mi.locate.ov_circuit(model, site(), range(300))
    with pytest.raises(ValueError, match="targets is empty"):
        mi.locate.ov_circuit(model, site(), TOKENS, [])
    with pytest.raises(ValueError, match="how many tokens back"):
        mi.locate.qk_circuit(model, site(), TOKENS, distance=-1)
    with pytest.raises(ValueError, match=r"80 tokens together.*at most 64"):
        mi.locate.qk_circuit(model, site(), range(40))
    capped = Tiny("gemma2").model
    with pytest.raises(ValueError, match="last 5 tokens"):
        mi.locate.qk_circuit(capped, site(0, 0), TOKENS, distance=5)
    assert mi.locate.qk_circuit(capped, site(1, 0), TOKENS, distance=5).shape == (5, 5)


# -- the default model ------------------------------------------------------------------------------------------------

#: Heads that copied another list of words best, and its induction heads, which copy what earlier layers made of a word.
COPYING = ((10, 6), (27, 3), (28, 5), (29, 1))
INDUCTION = ((18, 6), (17, 3), (17, 4), (17, 5), (18, 7))
WORDS = (
    " apple", " London", " chair", " engine", " purple", " mountain", " soldier", " history", " camera", " mother",
    " Friday", " sugar", " hammer", " Germany", " piano", " market", " forest", " tiger", " lemon", " church",
)  # fmt: skip


def copied(model: mi.Model, where: tuple[int, int]) -> float:
    """The share of words that a head's OV circuit raises more than any other of them."""
    values = mi.locate.ov_circuit(model, site(*where), WORDS).values
    return float((values.argmax(1) == np.arange(len(WORDS))).mean())


@pytest.mark.model
@pytest.mark.slow
def test_copying_heads_of_the_default_model(default_model: mi.Model) -> None:
    drawn = np.random.default_rng(0).choice(default_model.n_layers * default_model.n_heads, 20, replace=False)
    others = np.mean([copied(default_model, divmod(int(each), default_model.n_heads)) for each in drawn])
    assert min(copied(default_model, where) for where in COPYING) > others + 0.5
    assert max(copied(default_model, where) for where in INDUCTION) < 0.5  # blind to what they read


@pytest.mark.model
def test_scores_in_the_first_block_of_the_default_model(default_model: mi.Model) -> None:
    name, key, query = "blocks.0.attn.hook_pattern", " Paris", " Rome"
    ids = torch.tensor([[default_model.single(key), default_model.single(query)]])
    own = default_model.do(lambda: default_model.capture(ids, [name]))[name][0, :, 1]
    for head in range(default_model.n_heads):
        back = mi.locate.qk_circuit(default_model, site(0, head), [query], [key]).values[0]
        itself = mi.locate.qk_circuit(default_model, site(0, head), [query], distance=0).values[0]
        np.testing.assert_allclose(torch.tensor(np.concatenate([back, itself])).softmax(-1), own[head], atol=1e-5)

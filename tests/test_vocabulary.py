"""What parts of a model say in tokens, against the final norm and unembedding applied by hand."""

from __future__ import annotations

from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

import mi_widgets as mi
from mi_widgets.intervention import Intervention
from mi_widgets.model import readout

from . import tiny
from .conftest import Tiny
from .test_direct import frozen, head_writes
from .tiny import CLEAN, HEADS

SCALED = {
    "granite": {"model_type": "granite", **tiny._grouped(logits_scaling=3.0, residual_multiplier=0.4, hidden_size=24)},
    "cohere": {"model_type": "cohere", **tiny._grouped(logit_scale=0.3, hidden_size=24)},
}


@pytest.fixture(params=SCALED)
def scaled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Models that scale their logits, and (Granite) what their blocks add."""
    config = {key: value for key, value in SCALED[request.param].items() if key != "head_dim"}
    monkeypatch.setitem(tiny.CONFIGS, request.param, config)
    model = mi.Model(tiny.hugging_face(request.param), tiny.tokenizer())
    yield model
    model.close()


def read(small: Tiny, layer: int) -> torch.Tensor:
    """Log-probabilities [pos, d_vocab] as if the model stopped after a block."""
    return small.plain.read(small.plain.see(small.ids(), small.plain.post(layer))[0]).log_softmax(-1)


def test_the_last_row_of_the_lens_is_the_models_own_output(scaled: mi.Model) -> None:
    own = mi.run(scaled, CLEAN).logits.softmax(-1).amax(-1)
    grid = mi.locate.lens(scaled, CLEAN)
    assert grid.values[-1].tolist() == pytest.approx(own.tolist(), abs=1e-5)
    assert grid.provenance["last row off by"] < 1e-4


def test_the_check_of_the_last_row_can_fail(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = mi.locate.lens(llama.model, CLEAN)
    assert plain.provenance["last row off by"] < 1e-4 and "log-probabilities within" in plain.sign
    unembed = type(llama.model).unembed
    monkeypatch.setattr(type(llama.model), "unembed", lambda self, x: unembed(self, x) * 1.01)
    assert mi.locate.lens(llama.model, CLEAN).provenance["last row off by"] > 1e-3


# -- whole streams ----------------------------------------------------------------------------------------------------


def test_ranks_count_from_one(small: Tiny) -> None:
    word = str(small.pair.foil)
    id_ = small.model.single(word)
    named = mi.locate.lens(small.model, CLEAN, value="rank", target=word)
    own = mi.locate.lens(small.model, CLEAN, value="rank")
    final = read(small, tiny.LAYERS - 1).argmax(-1)
    for layer in range(tiny.LAYERS):
        logp = read(small, layer)
        np.testing.assert_array_equal(named.values[layer], (logp > logp[:, id_, None]).sum(-1) + 1)
        theirs = logp.gather(1, final[:, None])
        np.testing.assert_array_equal(own.values[layer], (logp > theirs).sum(-1) + 1)
    assert (own.values[-1] == 1).all() and own.values.max() > 5
    assert (own.unit, own.toward) == ("rank", 0)


def test_the_distance_is_of_the_output_from_the_layer(small: Tiny) -> None:
    grid = mi.locate.lens(small.model, CLEAN, value="kl")
    final = read(small, tiny.LAYERS - 1)
    for layer in range(tiny.LAYERS):
        expected = torch.nn.functional.kl_div(read(small, layer), final, log_target=True, reduction="none").sum(-1)
        np.testing.assert_allclose(grid.values[layer], expected, atol=1e-4)
    assert grid.values[0].min() > 0.1 and np.abs(grid.values[-1]).max() < 1e-4 and grid.unit == "nats"


def test_the_difference_of_two_tokens(small: Tiny) -> None:
    answer, foil = small.pair.answer, small.pair.foil
    grid = mi.locate.lens(small.model, CLEAN, value="logit_diff", answer=answer, foil=foil)
    left, right = (small.model.single(str(word)) for word in (answer, foil))
    for layer in range(tiny.LAYERS):
        logp = read(small, layer)
        np.testing.assert_allclose(grid.values[layer], logp[:, left] - logp[:, right], atol=1e-4)
    assert (grid.unit, grid.toward) == ("logits", 1)


def test_readings_are_the_largest_probabilities_in_order(small: Tiny) -> None:
    """Also where the vocabulary is no whole number of blocks, as here."""
    assert small.plain.unembed.weight.shape[0] % 64
    grid = mi.locate.lens(small.model, CLEAN, value="rank")
    for layer in range(tiny.LAYERS):
        top = read(small, layer).exp().topk(5)
        np.testing.assert_array_equal(grid.readings.ids[layer], top.indices)
        np.testing.assert_allclose(grid.readings.values[layer], top.values, atol=1e-5)
    assert set(np.unique(grid.readings.ids)) <= set(grid.readings.vocabulary)


# -- column by column -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["prob", "rank", "kl"])
def test_the_last_position_comes_first(llama: Tiny, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    whole = mi.locate.lens(llama.model, CLEAN, value=value)
    room = 4 * llama.plain.unembed.weight.shape[0] * tiny.LAYERS * 4  # four columns
    monkeypatch.setattr("mi_widgets.model.readout._BYTES", room)
    heard: list[tuple[int, int]] = []
    steps = list(mi.locate.lens_steps(llama.model, CLEAN, value=value, progress=lambda *counts: heard.append(counts)))
    length = llama.ids().shape[1]
    assert [int(grid.values.count()) // tiny.LAYERS for grid in steps] == [1, 5, 9, 13, length]
    assert not steps[0].values.mask[:, -1].any() and steps[0].values.mask[:, :-1].all()
    np.testing.assert_allclose(steps[-1].values, whole.values, atol=1e-5)
    np.testing.assert_array_equal(steps[-1].readings.ids, whole.readings.ids)
    assert heard[-1] == (length * tiny.LAYERS,) * 2
    assert steps[0].show() is not None  # a partial lens can be drawn


def test_a_prompt_of_one_token(llama: Tiny) -> None:
    assert mi.locate.lens(llama.model, torch.tensor([[7]])).values.count() == tiny.LAYERS


# -- components -------------------------------------------------------------------------------------------------------


def contribution(small: Tiny, part: torch.Tensor, position: int | slice = slice(None)) -> torch.Tensor:
    """Centred logits that parts of the last residual stream add."""
    whole = small.plain.see(small.ids(), small.plain.post(tiny.LAYERS - 1))[0, position]
    logits = frozen(small.plain.norm, part, whole) @ small.plain.unembed.weight.T
    return (logits - logits.mean(-1, keepdim=True)).detach()


def attention_out(small: Tiny, layer: int) -> torch.Tensor:
    names = {"gpt2": "attn", "pythia": "attention", "gemma2": "post_attention_layernorm"}
    place = small.plain.blocks[layer].get_submodule(names.get(small.shape, "self_attn")), "out"
    return small.plain.see(small.ids(), place)[0]


@pytest.mark.parametrize("objects", ["attention", "ffn"])
def test_components_add_to_centred_logits(small: Tiny, objects: str) -> None:
    word = str(small.pair.answer)
    grid = mi.locate.lens(small.model, CLEAN, objects, target=word)
    first = mi.locate.lens(small.model, CLEAN, objects)
    for layer in range(tiny.LAYERS):
        seen = small.plain.see(small.ids(), small.plain.ffn(layer))[0]
        logits = contribution(small, seen if objects == "ffn" else attention_out(small, layer))
        np.testing.assert_allclose(grid.values[layer], logits[:, small.model.single(word)], atol=1e-4)
        np.testing.assert_allclose(first.values[layer], logits.amax(-1), atol=1e-4)
        np.testing.assert_array_equal(first.readings.ids[layer][:, 0], logits.argmax(-1))
    assert "not a prediction" in grid.sign and (grid.unit, grid.toward) == ("logits", 1)


def test_heads_add_to_centred_logits_at_the_last_position(small: Tiny) -> None:
    grid = mi.locate.lens(small.model, CLEAN, "heads")
    assert grid.shape == (tiny.LAYERS, HEADS)
    for layer in range(tiny.LAYERS):
        logits = contribution(small, head_writes(small, layer), -1)
        np.testing.assert_allclose(grid.values[layer], logits.amax(-1), atol=1e-4)
        np.testing.assert_array_equal(grid.readings.ids[layer][:, 0], logits.argmax(-1))


def test_what_components_add_is_what_the_direct_map_says(small: Tiny) -> None:
    """Two ways to one number: through the unembedding, and backward from the metric."""
    sides = {"answer": small.pair.answer, "foil": small.pair.foil}
    for objects in ("heads", "neurons"):
        grid = mi.locate.lens(small.model, CLEAN, objects, "logit_diff", **sides)
        direct = mi.locate.direct(small.model, small.pair, objects, progress=False)
        np.testing.assert_allclose(grid.values, direct.values, atol=1e-4)
        assert grid.axes == direct.axes


def test_neurons_of_one_token_are_centred(llama: Tiny) -> None:
    word = str(llama.pair.answer)
    grid = mi.locate.lens(llama.model, CLEAN, "neurons", target=word)
    layer, neuron = 1, 3
    down = llama.plain.blocks[layer].mlp.down_proj
    activation = llama.plain.see(llama.ids(), (down, "in"))[0, -1, neuron]
    logits = contribution(llama, activation * down.weight[:, neuron], -1)
    assert grid.values[layer, neuron] == pytest.approx(float(logits[llama.model.single(word)]), abs=1e-5)


def test_parts_of_a_scaled_stream_sum_to_its_logits(scaled: mi.Model) -> None:
    ids, word = scaled.ids(CLEAN), " Mary"
    ffn, attention = (mi.locate.lens(scaled, CLEAN, objects, target=word) for objects in ("ffn", "attention"))
    logits = mi.run(scaled, CLEAN).logits[-1]
    own = float(logits[scaled.single(word)] - logits.mean())
    heads = mi.locate.lens(scaled, CLEAN, "heads", target=word)
    assert float(heads.values.sum()) == pytest.approx(float(attention.values[:, -1].sum()), abs=1e-4)
    rest = own - float(ffn.values[:, -1].sum() + attention.values[:, -1].sum())

    def embedded() -> float:
        caught, _ = readout.streams(scaled, ids, ["blocks.0.hook_resid_pre", "blocks.2.hook_resid_post"], None)
        start, end = (caught[name][-1:] for name in caught)
        return float(readout.contribution(scaled, start, end)[0, scaled.single(word)])

    assert rest == pytest.approx(scaled.do(embedded), abs=1e-3)


def test_an_edited_run_is_read(llama: Tiny) -> None:
    recipe = mi.Recipe((Intervention("zero", mi.Site("head", 0, 1)),))
    word = str(llama.pair.answer)
    for objects in ("heads", "ffn", "neurons"):
        before, after = (mi.locate.lens(llama.model, CLEAN, objects, target=word, recipe=r) for r in (None, recipe))
        assert np.abs(before.values - after.values).max() > 1e-3
        assert after.provenance["recipe"] == recipe.hash
    heads = mi.locate.lens(llama.model, CLEAN, "heads", target=word, recipe=recipe)
    assert abs(float(heads.values[0, 1])) < 1e-6


# -- translators ------------------------------------------------------------------------------------------------------


class Halved:
    """An affine lens that shrinks and shifts."""

    def apply(self, layer: int, x: torch.Tensor) -> torch.Tensor:
        return x * (0.5 + layer) + 0.1


def test_a_translator_maps_all_layers_but_the_last(small: Tiny) -> None:
    grid = mi.locate.lens(small.model, CLEAN, translator=Halved())
    for layer in range(tiny.LAYERS):
        stream = small.plain.see(small.ids(), small.plain.post(layer))[0]
        stream = stream if layer == tiny.LAYERS - 1 else Halved().apply(layer, stream)
        expected = small.plain.read(stream).softmax(-1).amax(-1)
        np.testing.assert_allclose(grid.values[layer], expected, atol=1e-5)
    assert grid.provenance["translator"] == "Halved" and "Translated lens" in grid.title


def test_a_jacobian_lens_is_a_translator(llama: Tiny) -> None:
    from transformer_lens.tools.analysis import JacobianLens

    model = mi.Model(tiny.hugging_face("llama"), tiny.tokenizer())
    lens = JacobianLens.fit(
        model.bridge, [CLEAN, *tiny.OTHERS], corpus="four sentences", skip_first_positions=1, show_progress=False
    )
    grid = mi.locate.lens(model, CLEAN, translator=lens)
    theirs = lens.readout(model.bridge, llama.ids(), top_k=1, return_full_logits=True)
    for layer in range(tiny.LAYERS):
        expected = theirs.lens_logits[layer].softmax(-1).amax(-1)
        np.testing.assert_allclose(grid.values[layer], expected, atol=1e-4)
    model.close()


def test_what_is_no_translator_is_refused(llama: Tiny) -> None:
    with pytest.raises(TypeError, match="apply"):
        mi.locate.lens(llama.model, CLEAN, translator=object())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"objects": "layers"}, "objects must be one of"),
        ({"value": "logit"}, "value must be one of"),
        ({"value": "logit_diff"}, "needs answer= and foil="),
        ({"answer": "a", "foil": " the"}, "for it alone"),
        ({"objects": "heads", "value": "kl"}, "predict nothing"),
        ({"objects": "ffn", "value": "rank"}, "predict nothing"),
        ({"objects": "ffn", "translator": Halved()}, "residual stream"),
        ({"objects": "neurons"}, "name what neurons"),
        ({"target": "two words"}, "exactly one"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(llama: Tiny, fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.locate.lens(llama.model, CLEAN, **fields)


def test_a_lens_that_is_stopped_keeps_what_it_has(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mi_widgets.model.readout._BYTES", 1)
    stop = Event()
    steps = mi.locate.lens_steps(llama.model, CLEAN, stop=stop)
    first = next(steps)
    stop.set()
    assert first.values.count() == tiny.LAYERS and list(steps) == []

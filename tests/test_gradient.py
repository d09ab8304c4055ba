"""Gradient estimates against autograd through plain PyTorch hooks, finite differences, and TransformerLens's own."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import mi_widgets as mi
from mi_widgets.locate.gradient import fair

from . import tiny
from .conftest import Tiny
from .tiny import CLEAN, CORRUPT, HEADS, OTHERS

BASES = pytest.mark.parametrize(
    ("base", "here", "there"), [("denoise", CORRUPT, CLEAN), ("noise", CLEAN, CORRUPT)], ids=["denoise", "noise"]
)


def estimate(small: Tiny, objects: str, method: str = "atp", base: str | None = None, **more: Any) -> np.ndarray:
    return mi.locate.gradient(small.model, small.pair, objects, method, base, progress=False, **more).values


def slopes(
    small: Tiny, text: str, places: Sequence[tiny.Place], start: torch.Tensor | None = None
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """(activations, gradients of the pair's metric) at some places of the plain model, [pos, width] each."""
    kept: dict[int, torch.Tensor] = {}
    ids, _ = small.ids(text), small.pair  # both run the model, which is not to happen under the hooks below

    def watch(number: int) -> tiny.Change:
        def change(x: torch.Tensor) -> torch.Tensor:
            kept[number] = x.view_as(x)
            return kept[number]

        return change

    embed = small.plain.hf.get_input_embeddings()
    with ExitStack() as stack, torch.enable_grad():
        leaf = tiny._changed((embed, "out"), lambda x: (x if start is None else start).detach().requires_grad_())
        stack.enter_context(leaf)
        for number, place in enumerate(places):
            stack.enter_context(tiny._changed(place, watch(number)))
        logits = small.plain.hf(ids).logits[0, -1]
        found = torch.autograd.grad(metric(small, logits), [kept[i] for i in range(len(places))])
    return [kept[i][0].detach() for i in range(len(places))], [g[0] for g in found]


def metric(small: Tiny, logits: torch.Tensor) -> torch.Tensor:
    answer, foil = (small.model.single(str(text)) for text in (small.pair.answer, small.pair.foil))
    return logits[answer] - logits[foil]


def products(small: Tiny, places: Sequence[tiny.Place], here: str, there: str) -> torch.Tensor:
    """(source − base) · gradient at the base run, [layer, pos, width]."""
    old, found = slopes(small, here, places)
    new, _ = slopes(small, there, places)
    return torch.stack([(b - a) * g for a, b, g in zip(old, new, found, strict=True)])


def every(place: Any) -> list[tiny.Place]:
    return [place(layer) for layer in range(tiny.LAYERS)]


def down(small: Tiny, layer: int) -> tiny.Place:
    """What the FFN's last projection reads: the neurons."""
    names = ("mlp.c_proj", "mlp.dense_4h_to_h", "mlp.down_proj")
    parts = dict(small.plain.blocks[layer].named_modules())
    return next(parts[name] for name in names if name in parts), "in"


# -- attribution patching ---------------------------------------------------------------------------------------------


@BASES
def test_heads_are_step_times_slope(small: Tiny, base: str, here: str, there: str) -> None:
    expected = products(small, every(small.plain.z), here, there).unflatten(-1, (HEADS, tiny.D_HEAD)).sum(-1)
    np.testing.assert_allclose(estimate(small, "heads", base=base), expected.sum(1), atol=1e-4)
    found = estimate(small, "head_positions", base=base)
    np.testing.assert_allclose(found, expected.transpose(1, 2), atol=1e-4)
    assert np.abs(found).max() > 0.05


@pytest.mark.parametrize("objects", ["residual", "ffn"])
@BASES
def test_streams_are_step_times_slope(small: Tiny, objects: str, base: str, here: str, there: str) -> None:
    place = small.plain.pre if objects == "residual" else small.plain.ffn
    expected = products(small, every(place), here, there).sum(-1)
    np.testing.assert_allclose(estimate(small, objects, base=base), expected, atol=1e-4)


def test_the_residual_after_a_block_and_the_tokens(small: Tiny) -> None:
    expected = products(small, every(small.plain.post), CORRUPT, CLEAN).sum(-1)
    np.testing.assert_allclose(estimate(small, "residual", part="post"), expected, atol=1e-4)
    embed = (small.plain.hf.get_input_embeddings(), "out")
    expected = products(small, [embed], CORRUPT, CLEAN).sum(-1)[0]
    np.testing.assert_allclose(estimate(small, "tokens"), expected, atol=1e-4)


def test_neurons_are_summed_over_positions(small: Tiny) -> None:
    expected = products(small, [down(small, layer) for layer in range(tiny.LAYERS)], CORRUPT, CLEAN).sum(1)
    found = estimate(small, "neurons")
    assert found.shape == (tiny.LAYERS, tiny.D_MLP)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("part", ["q", "k", "v"])
def test_queries_keys_and_values_count_their_own_heads(llama: Tiny, part: str) -> None:
    heads = HEADS if part == "q" else tiny.KV_HEADS
    places = [(block.get_submodule(f"self_attn.{part}_proj"), "out") for block in llama.plain.blocks]
    expected = products(llama, places, CORRUPT, CLEAN).unflatten(-1, (heads, tiny.D_HEAD)).sum((1, 3))
    np.testing.assert_allclose(estimate(llama, part), expected, atol=1e-4)


@pytest.mark.parametrize("shape", ["llama", "gemma2"])
def test_the_middle_of_a_block_has_the_slope_of_what_is_added_to_it(shape: str) -> None:
    small = Tiny(shape)
    added, norm = {
        "llama": ("self_attn", "post_attention_layernorm"),
        "gemma2": ("post_attention_layernorm", "pre_feedforward_layernorm"),
    }[shape]
    writes = [(block.get_submodule(added), "out") for block in small.plain.blocks]
    reads = [(block.get_submodule(norm), "in") for block in small.plain.blocks]
    found = slopes(small, CORRUPT, writes)[1]
    old, new = (torch.stack(slopes(small, text, reads)[0]) for text in (CORRUPT, CLEAN))
    expected = ((new - old) * torch.stack(found)).sum(-1)
    np.testing.assert_allclose(estimate(small, "residual", part="mid"), expected, atol=1e-4)


def test_parallel_blocks_have_no_middle() -> None:
    with pytest.raises(ValueError, match="parallel"):
        estimate(Tiny("pythia"), "residual", part="mid")


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (1, 2), (tiny.LAYERS - 1, HEADS - 1)])
def test_an_estimate_is_the_slope_of_the_exact_effect(small: Tiny, layer: int, head: int) -> None:
    """A small step toward the clean activation changes the metric by that share of the estimate."""
    hf = copy.deepcopy(small.plain.hf).double()
    plain = tiny.Plain.of(hf)
    place, share = plain.z(layer), 2e-3  # norms compute in float32 all the same
    old, new = (plain.see(small.ids(text), place) for text in (CORRUPT, CLEAN))
    there = tiny.one_head(new - old, head)

    def after(step: float) -> float:
        change = tiny.put(lambda x: x + step * there, head=head)
        return float(metric(small, plain.logits(small.ids(CORRUPT), (place, change))[-1]))

    slope = (after(share) - after(-share)) / (2 * share)
    assert estimate(small, "heads")[layer, head] == pytest.approx(slope, abs=2e-3, rel=0.01)


def test_zero_and_mean_are_steps_to_where_ablation_goes(small: Tiny) -> None:
    values, found = slopes(small, CLEAN, every(small.plain.z))
    expected = torch.stack([-x * g for x, g in zip(values, found, strict=True)])
    expected = expected.unflatten(-1, (HEADS, tiny.D_HEAD)).sum((1, 3))
    np.testing.assert_allclose(estimate(small, "heads", base="zero"), expected, atol=1e-4)
    np.testing.assert_allclose(estimate(small, "heads", "grad_x_input"), -expected, atol=1e-4)
    seen = [slopes(small, text, every(small.plain.z))[0] for text in tiny.OTHERS]
    expected = torch.zeros(tiny.LAYERS, HEADS)
    for layer in range(tiny.LAYERS):
        there = torch.stack([x[layer][0] for x in seen]).mean(0), torch.cat([x[layer][1:] for x in seen]).mean(0)
        goal = torch.cat([there[0][None], there[1].expand(len(values[layer]) - 1, -1)])
        product = (goal - values[layer]) * found[layer]
        expected[layer] = product.unflatten(-1, (HEADS, tiny.D_HEAD)).sum((0, 2))
    np.testing.assert_allclose(estimate(small, "heads", base="mean", reference=tiny.OTHERS), expected, atol=1e-4)


@pytest.mark.parametrize("shape", ["gpt2", "llama", "pythia"])
def test_it_agrees_with_transformer_lens(shape: str) -> None:
    from transformer_lens.tools.analysis.attribution_patching import attribution_patch

    small = Tiny(shape)
    model = mi.Model(tiny.hugging_face(shape), tiny.tokenizer())
    with torch.enable_grad():
        theirs = attribution_patch(
            model.bridge, small.ids(CLEAN), small.ids(CORRUPT), lambda logits: metric(small, logits[0, -1])
        )
    expected = np.zeros((tiny.LAYERS, HEADS, small.ids().shape[1]))
    for node, score in theirs.node_scores.items():
        if node.kind == "attn_head_out":
            expected[node.layer, node.head, node.position] = float(score)
    np.testing.assert_allclose(estimate(small, "head_positions"), expected, atol=1e-4)
    model.close()


# -- the softmax done exactly -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["llama", "qwen3", "gemma2"])
@pytest.mark.parametrize("part", ["q", "k"])
@BASES
def test_the_softmax_is_exact(shape: str, part: str, base: str, here: str, there: str) -> None:
    small = Tiny(shape)
    heads = HEADS if part == "q" else tiny.KV_HEADS
    expected = torch.zeros(tiny.LAYERS, heads)
    with torch.enable_grad():
        out = small.plain.hf(small.ids(here), output_attentions=True)
        found = torch.autograd.grad(metric(small, out.logits[0, -1]), out.attentions)
    for layer, block in enumerate(small.plain.blocks):
        place = block.get_submodule(f"self_attn.{part}_proj"), "out"
        source = small.plain.see(small.ids(there), place)
        with torch.no_grad(), tiny._changed(place, lambda x, source=source: source):
            patched = small.plain.hf(small.ids(here), output_attentions=True).attentions[layer]
        effects = ((patched - out.attentions[layer]) * found[layer])[0].sum((-2, -1)).detach()
        expected[layer] = effects.unflatten(0, (heads, -1)).sum(1)
    np.testing.assert_allclose(estimate(small, part, "atp_qk", base), expected, atol=1e-4)
    assert expected.abs().max() > 0.01


# -- integrated gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["left", "midpoint"])
@BASES
def test_five_steps_in_one_batch_are_five_runs(small: Tiny, rule: str, base: str, here: str, there: str) -> None:
    embed = (small.plain.hf.get_input_embeddings(), "out")
    start, end = (small.plain.see(small.ids(text), embed) for text in (here, there))
    places = every(small.plain.pre)
    sums = [torch.zeros(1)] * tiny.LAYERS
    for step in range(5):
        share = (step + (rule == "midpoint") / 2) / 5
        found = slopes(small, here, places, start=start + share * (end - start))[1]
        sums = [a + b / 5 for a, b in zip(sums, found, strict=True)]
    old, new = (torch.stack(slopes(small, text, places)[0]) for text in (here, there))
    expected = ((new - old) * torch.stack(sums)).sum(-1)
    found = estimate(small, "residual", "ig", base, steps=5, rule=rule)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_integrated_gradients_of_tokens_sum_to_the_difference(small: Tiny) -> None:
    grid = mi.locate.gradient(small.model, small.pair, "tokens", "ig", steps=200, progress=False)
    whole = small.unedited(CLEAN) - small.unedited(CORRUPT)
    assert float(grid.values.sum()) == pytest.approx(whole, abs=0.02 * abs(whole))
    assert grid.provenance["gap"] == pytest.approx(float(grid.values.sum()) - whole, abs=1e-3)
    assert "within" in grid.sign and "200 steps, midpoint rule" in grid.title
    coarse = mi.locate.gradient(small.model, small.pair, "tokens", "ig", steps=1, rule="left", progress=False)
    assert abs(coarse.provenance["gap"]) > abs(grid.provenance["gap"])


def test_many_steps_are_several_batches(llama: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = estimate(llama, "heads", "ig", steps=7)
    module = importlib.import_module("mi_widgets.locate.gradient")
    monkeypatch.setattr(module, "_TOKENS", 2 * llama.ids().shape[1])
    np.testing.assert_allclose(estimate(llama, "heads", "ig", steps=7), whole, atol=1e-5)


# -- relevance patching -----------------------------------------------------------------------------------------------


def straight(hf: nn.Module) -> nn.Module:
    """A copy whose backward pass follows the three rules, written out module by module."""
    own = copy.deepcopy(hf)
    for module in own.modules():
        name = type(module).__name__
        if name.endswith("RMSNorm"):
            offset = 1.0 if name.startswith("Gemma") else 0.0
            module.forward = _rms(module, offset)  # type: ignore[method-assign]
        elif isinstance(module, nn.LayerNorm):
            module.forward = _layer_norm(module)  # type: ignore[method-assign]
        elif hasattr(module, "gate_proj"):
            module.forward = _gated(module)  # type: ignore[method-assign]
        elif name in ("GPT2MLP", "GPTNeoXMLP"):
            _constant_factor(module)
    return own


def _rms(module: Any, offset: float) -> Any:
    eps = getattr(module, "variance_epsilon", None) or module.eps
    return lambda x: x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt().detach() * (offset + module.weight)


def _layer_norm(module: Any) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x / (x.pow(2).mean(-1, keepdim=True) + module.eps).sqrt().detach() * module.weight + module.bias

    return forward


def _gated(module: Any) -> Any:
    def forward(x: torch.Tensor) -> torch.Tensor:
        gate, up = module.gate_proj(x), module.up_proj(x)
        active = gate * (module.act_fn(gate) / gate).detach()
        product = (active * up.detach() + active.detach() * up) / 2
        return module.down_proj(product)

    return forward


def _constant_factor(module: Any) -> None:
    act = module.act
    module.act = type("Straight", (nn.Module,), {"forward": lambda self, x: x * (act(x) / x).detach()})()


def test_relevance_follows_its_three_rules(small: Tiny) -> None:
    hf = straight(small.plain.hf)
    plain = tiny.Plain.of(hf)
    bent = Tiny(small.shape)
    object.__setattr__(bent, "plain", plain)  # a model of its own, with the same numbers
    torch.testing.assert_close(plain.logits(small.ids()), small.plain.logits(small.ids()), atol=1e-4, rtol=1e-4)
    expected = products(bent, every(plain.z), CORRUPT, CLEAN).unflatten(-1, (HEADS, tiny.D_HEAD)).sum((1, 3))
    np.testing.assert_allclose(estimate(small, "heads", "relp"), expected, atol=2e-4)
    expected = products(bent, every(plain.pre), CORRUPT, CLEAN).sum(-1)
    np.testing.assert_allclose(estimate(small, "residual", "relp"), expected, atol=2e-4)


# -- what an estimate is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objects", ["heads", "q", "k", "v", "head_positions", "residual", "ffn"])
@pytest.mark.parametrize("base", ["denoise", "noise"])
def test_it_has_the_cells_of_the_exact_map(llama: Tiny, objects: str, base: str) -> None:
    guess = mi.locate.gradient(llama.model, llama.pair, objects, base=base, progress=False)
    exact = mi.locate.causal(llama.model, llama.pair, objects, base, progress=False)
    assert (exact - guess).shape == exact.shape
    assert (guess.toward, guess.unit, guess.provenance["base"]) == (
        exact.toward,
        exact.unit,
        exact.provenance["base"],
    )
    assert guess.provenance["estimate"] is True and guess.estimated.all() and "estimate" in guess.title
    assert guess.provenance["estimates"] == exact.provenance["method"]


def test_several_pairs_are_averaged_and_those_not_solved_counted(llama: Tiny) -> None:
    pair = llama.pair
    other = mi.Pair(CLEAN.replace("store", "garden"), CORRUPT.replace("store", "garden"), pair.answer, pair.foil)
    turned = mi.Pair(pair.clean, pair.corrupt, pair.foil, pair.answer)
    heard: list[tuple[int, int]] = []
    grid = mi.locate.gradient(llama.model, [pair, other, turned], progress=lambda *counts: heard.append(counts))
    maps = [mi.locate.gradient(llama.model, each, progress=False).values for each in (pair, other)]
    np.testing.assert_allclose(grid.values, (maps[0] + maps[1]) / 2, atol=1e-5)
    assert (grid.provenance["pairs"], grid.provenance["pairs not solved"]) == (2, 1)
    assert heard == [(1, 2), (2, 2)]


def spanned(place: str, begin: str = "") -> mi.Pair:
    """The sentence at another place, which may have more tokens, with the place and the giver as roles."""
    clean, corrupt = (begin + text.replace("the store", place) for text in (CLEAN, CORRUPT))
    spans = {"place": place, "giver": "gave"}
    found = {name: (clean.index(text), clean.index(text) + len(text)) for name, text in spans.items()}
    return mi.Pair(clean, corrupt, "a", " John", spans=found)


def bare(pair: mi.Pair) -> mi.Pair:
    return mi.Pair(pair.clean, pair.corrupt, pair.answer, pair.foil)


SEVERAL = {
    "roles": [spanned("the store"), spanned("the old garden")],
    "positions": [bare(spanned("the store")), bare(spanned("the garden"))],
    "from the end": [bare(spanned("the store")), bare(spanned("the store", "So "))],
}


@pytest.mark.parametrize("words", SEVERAL)
@pytest.mark.parametrize(("objects", "method"), [("residual", "ig"), ("head_positions", "atp"), ("embedding", "ig")])
def test_several_pairs_have_the_positions_of_the_exact_map(llama: Tiny, words: str, objects: str, method: str) -> None:
    """Each column is the mean of the single maps' columns at each pair's own token, told here by its text."""
    task = mi.Task(SEVERAL[words], metric="logprob")
    guess = mi.locate.gradient(llama.model, task, objects, method, progress=False)
    exact = mi.locate.causal(llama.model, task, objects, progress=False)
    assert (exact - guess).axes == exact.axes
    assert guess.provenance["positions"] == exact.provenance["positions"] == words
    singles = [
        mi.locate.gradient(llama.model, mi.Task((bare(pair),), metric="logprob"), objects, method, progress=False)
        for pair in task
    ]
    columns = [_columns(single, words, len(guess.axes[-1])) for single in singles]
    expected = [single.values[..., own] for single, own in zip(singles, columns, strict=True)]
    assert np.abs(expected[0] - expected[1]).max() > 1e-4
    np.testing.assert_allclose(guess.values, (expected[0] + expected[1]) / 2, atol=1e-5)


def _columns(single: mi.Grid, words: str, count: int) -> list[int]:
    labels = list(single.axes[-1].labels)
    if words != "roles":
        return list(range(len(labels) - count, len(labels)))
    place = next(label for label in ("·store", "·garden") if label in labels)
    second = [at for at, label in enumerate(labels) if label == "·John"][1]
    return [labels.index(place), second, labels.index("·gave"), len(labels) - 1]


def test_roles_do_not_hide_how_far_all_tokens_are_from_the_difference(llama: Tiny) -> None:
    pairs = SEVERAL["roles"]
    some, *alone = (
        mi.locate.gradient(llama.model, mi.Task(each, metric="logprob"), "tokens", "ig", progress=False)
        for each in (pairs, *((bare(pair),) for pair in pairs))
    )
    assert some.provenance["gap"] == pytest.approx(np.mean([each.provenance["gap"] for each in alone]), abs=1e-5)
    assert "All tokens, of which these are some, sum to" in some.sign
    assert all("The values sum to" in each.sign for each in alone)


@pytest.mark.parametrize("shape", ["llama", "gpt2"])
@pytest.mark.parametrize("frozen", [True, False])
def test_the_users_parameters_are_left_alone(shape: str, frozen: bool) -> None:
    small, hf = Tiny(shape), tiny.hugging_face(shape)
    hf.requires_grad_(not frozen)
    model = mi.Model(hf, tiny.tokenizer())
    expected = {method: estimate(small, "heads", method) for method in ("atp", "relp", "ig")}
    before = model.fingerprint()
    for method, values in expected.items():
        found = mi.locate.gradient(model, small.pair, method=method, progress=False).values
        np.testing.assert_allclose(found, values, atol=1e-5)
    assert model.fingerprint() == before
    assert all(p.grad is None and p.requires_grad is not frozen for p in hf.parameters())
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    model.close()


def test_half_precision_gives_nearly_the_same(llama: Tiny) -> None:
    model = mi.Model(tiny.hugging_face("llama").to(torch.bfloat16), tiny.tokenizer())
    full = estimate(llama, "heads")
    for method in ("atp", "ig", "relp"):
        half = mi.locate.gradient(model, llama.pair, method=method, progress=False).values
        full = estimate(llama, "heads", method)
        assert np.corrcoef(half.ravel(), full.ravel())[0, 1] > 0.9
    model.close()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"objects": "layers"}, "objects must be one of"),
        ({"method": "magic"}, "method must be one of"),
        ({"base": "clean"}, "base must be one of"),
        ({"method": "grad_x_input", "base": "noise"}, "leave base out"),
        ({"method": "atp_qk"}, "for heads use"),
        ({"method": "ig", "base": "zero"}, "denoise or noise"),
        ({"steps": 5}, "are for method='ig'"),
        ({"method": "ig", "rule": "right"}, "rule must be"),
        ({"method": "ig", "steps": 0}, "at least 1"),
        ({"method": "ig", "steps": 2.5}, "a whole number"),
        ({"objects": "residual", "part": "z"}, "has no part"),
        ({"reference": OTHERS}, "denoise reads no reference"),
    ],
)
def test_what_cannot_be_estimated_is_refused_in_words(llama: Tiny, fields: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        mi.locate.gradient(llama.model, llama.pair, progress=False, **fields)


def test_metrics_without_a_slope_are_refused(llama: Tiny) -> None:
    with pytest.raises(ValueError, match="accuracy"):
        mi.locate.gradient(llama.model, mi.Task((llama.pair,), metric="accuracy"), progress=False)


def test_what_is_fair() -> None:
    assert fair("heads") and fair("v") and fair("q", method="atp_qk")
    assert not fair("q") and not fair("residual") and not fair("residual", method="relp")
    assert fair("residual", method="ig") and not fair("residual", "zero", "ig")


# -- the default model ------------------------------------------------------------------------------------------------


def agreement(guess: mi.Grid, exact: mi.Grid) -> tuple[float, int]:
    """(Pearson's r, how many of the ten strongest cells are shared)."""
    a, b = (grid.values.filled(0).ravel() for grid in (guess, exact))
    first, second = (set(np.abs(x).argsort()[-10:].tolist()) for x in (a, b))
    return float(np.corrcoef(a, b)[0, 1]), len(first & second)


@pytest.mark.model
@pytest.mark.slow
def test_on_a_real_model_heads_are_estimated_well_and_the_residual_is_not(default_model: mi.Model) -> None:
    pair = mi.tasks.ioi().items[0]
    found = {}
    for objects, method in (("heads", "atp"), ("residual", "atp"), ("residual", "ig")):
        guess = mi.locate.gradient(default_model, pair, objects, method, progress=False)
        found[objects, method] = agreement(guess, mi.locate.causal(default_model, pair, objects, progress=False))
    assert found["heads", "atp"][0] > 0.8 and found["heads", "atp"][1] >= 7
    assert found["residual", "atp"][0] < found["residual", "ig"][0] and found["residual", "ig"][0] > 0.8
    assert found["residual", "atp"][1] < 7


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("part", ["q", "k"])
def test_on_a_real_model_the_exact_softmax_finds_more(default_model: mi.Model, part: str) -> None:
    shared = {"atp": 0, "atp_qk": 0}
    for pair in (mi.tasks.capitals().items[0], mi.tasks.ioi().items[0]):
        exact = mi.locate.causal(default_model, pair, part, progress=False)
        for method in shared:
            guess = mi.locate.gradient(default_model, pair, part, method, progress=False)
            shared[method] += agreement(guess, exact)[1]
    assert shared["atp_qk"] > shared["atp"] and shared["atp_qk"] >= 16

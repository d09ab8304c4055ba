"""Dictionaries (SAEs): their activations against their definitions, and their features as objects of a model."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import mi_widgets as mi
from mi_widgets.model import Read, first_difference, readout
from mi_widgets.model.dictionary import KINDS, NORMS

from . import tiny
from .conftest import Tiny

SIZE, K = 40, 4


def tensors(width: int, size: int = SIZE, seed: int = 0) -> dict[str, torch.Tensor]:
    """A random dictionary's tensors."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "encoder": random(width, size) / width**0.5,
        "encoder_bias": random(size) * 0.3 - 0.5,
        "decoder": random(size, width),
        "decoder_bias": random(width),
    }


def dictionary(width: int, kind: str = "topk", layer: int = 1, **more: Any) -> mi.Dictionary:
    """A random dictionary of any kind."""
    extra = {
        "standard": {},
        "topk": {"k": K},
        "jumprelu": {"threshold": torch.linspace(0, 1, SIZE)},
        "gated": {"gate_gain": torch.linspace(-1, 1, SIZE), "gate_bias": torch.linspace(-0.5, 0.5, SIZE)},
    }[kind]
    return mi.Dictionary(**tensors(width), layer=layer, kind=kind, **{**extra, **more})


@pytest.fixture
def featured(small: Tiny) -> Any:
    """A tiny model with a dictionary of its stream after block 1, which goes again."""
    model = small.model
    own = model.attach(dictionary(model.d_model))
    yield model, own, small
    model._dictionaries.clear()
    model.do(lambda: model.points.pop(f"{own.carrier}.features"))


def stream(model: mi.Model, prompt: str, own: mi.Dictionary) -> torch.Tensor:
    ids = model.ids(prompt)
    return model.do(lambda: model.capture(ids, [own.carrier])[own.carrier])[0]


# -- activations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_activations_are_those_of_the_papers_formula(kind: str, norm: str) -> None:
    own, x = dictionary(12, kind, norm=norm), torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(1))
    found = own.encode(x)
    for row in range(3):
        for position in range(5):
            expected = _by_hand(own, x[row, position])
            assert torch.allclose(found[row, position], expected, atol=1e-5)
    assert (found > 0).any() and (found == 0).any()


def _by_hand(own: mi.Dictionary, x: torch.Tensor) -> torch.Tensor:
    """One vector, one feature at a time."""
    if own.norm == "constant_norm":
        x = x * len(x) ** 0.5 / x.square().sum().sqrt()
    if own.norm == "layer_norm":
        x = x - x.mean()
        x = x / (x.std() + 1e-5)
    x = x - own.decoder_bias
    before = [float(x @ own.encoder[:, j] + own.encoder_bias[j]) for j in range(SIZE)]
    if own.kind == "gated":
        second = [
            float(x @ own.encoder[:, j]) * float(own.gate_gain[j].exp()) + float(own.gate_bias[j]) for j in range(SIZE)
        ]
        return torch.tensor([max(s, 0.0) if b > 0 else 0.0 for b, s in zip(before, second, strict=True)])
    if own.kind == "jumprelu":
        return torch.tensor([max(b, 0.0) if b > float(t) else 0.0 for b, t in zip(before, own.threshold, strict=True)])
    most = sorted(before, reverse=True)[K - 1] if own.kind == "topk" else 0.0
    return torch.tensor([max(b, 0.0) if b >= most else 0.0 for b in before])


@pytest.mark.parametrize("norm", NORMS)
def test_a_normalisation_is_undone_where_features_are_written(norm: str) -> None:
    own = dictionary(12, "standard", norm=norm)
    x = torch.randn(4, 12, generator=torch.Generator().manual_seed(2))
    active = own.encode(x)
    by = torch.zeros_like(active)
    by[:, 3] = 2.0
    changed = own.decode(active + by, x) - own.decode(active, x)
    assert torch.allclose(own.change(x, by), changed, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "sparse"}, "kind is one of standard"),
        ({"part": "mid"}, "part is one of post"),
        ({"norm": "batch"}, "norm is one of none"),
        ({"layer": -1}, "whole number from 0"),
        ({"k": 0}, "how many of 40 features"),
        ({"kind": "jumprelu"}, "needs its threshold"),
        ({"encoder_bias": torch.zeros(3)}, r"encoder_bias is \(3,\)"),
        ({"decoder_bias": torch.full((12,), torch.nan)}, "decoder_bias holds a number that is not finite"),
    ],
)
def test_what_is_no_dictionary_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        replace(dictionary(12), **wrong)


# -- features as objects of a model -----------------------------------------------------------------------------------


def test_attaching_a_dictionary_changes_no_number_of_the_model(featured: Any) -> None:
    model, own, small = featured
    ids = model.ids(tiny.CLEAN)
    plain = small.plain.logits(ids)
    seen: list[torch.Tensor] = []
    point = f"{own.carrier}.features"
    watched = model.do(lambda: model.forward(ids, [(point, lambda a, hook: seen.append(a))]))
    kept = model.do(lambda: model.forward(ids, [(point, lambda a, hook: a)]))
    bare = model.do(lambda: model.forward(ids))
    assert torch.equal(watched, bare) and torch.equal(kept, bare)
    assert torch.allclose(bare[0], plain, atol=1e-5)
    assert torch.equal(seen[0][0], own.encode(stream(model, tiny.CLEAN, own)))


def test_an_edit_moves_the_stream_by_the_feature_alone_and_keeps_the_error(featured: Any) -> None:
    model, own, _ = featured
    x = stream(model, tiny.CLEAN, own)
    active = own.encode(x)
    index = int(active[1:].sum(0).argmax())
    recipe = mi.Selection((mi.Site("feature", own.layer, index),)).scale(3.0)
    expected = x + (2.0 * active[:, index])[:, None] * own.decoder[index]
    expected[0] = x[0]  # on which no dictionary is trained
    found = mi.run(model, tiny.CLEAN, recipe)
    put = model.do(lambda: model.forward(model.ids(tiny.CLEAN), [(own.carrier, lambda y, hook: expected[None])]))
    assert torch.allclose(found.logits, put[0], atol=1e-5)
    assert not torch.allclose(found.logits, mi.run(model, tiny.CLEAN).logits, atol=1e-3)


def test_features_are_edited_alike_in_runs_sweeps_and_generation(featured: Any) -> None:
    model, own, _ = featured
    x = own.encode(stream(model, tiny.CLEAN, own))
    index = int(x[1:].sum(0).argmax())
    site = mi.Site("feature", own.layer, index)
    for recipe in (
        mi.Selection((site,)).switch_off(),
        mi.Selection((site,)).switch_off("zero"),
        mi.Selection((site,)).clamp(0.5, 0.7),
        mi.Selection((replace(site, position=3),)).scale(2.0),
        mi.Selection((site,)).replace(tiny.CORRUPT),
    ):
        run = mi.run(model, tiny.CLEAN, recipe).logits[-1]
        recording = model.record(tiny.CLEAN)
        swept = model.do(lambda r=recipe, base=recording: list(model.sweep(base, [r], Read(lambda logits: logits))))
        assert torch.allclose(swept[0][1][0], run, atol=1e-4)
        assert mi.generate(model, tiny.CLEAN, recipe, max_new_tokens=1) == model.tokenizer.decode([int(run.argmax())])


def test_a_causal_map_of_features_is_that_of_plain_edits(featured: Any) -> None:
    model, own, small = featured
    pair = small.pair
    grid = mi.locate.causal(model, pair, "features", progress=False)
    assert grid.shape == (1, SIZE) and grid.kind == "feature" and grid.axes[0].coordinates == (own.layer,)
    clean, corrupt = (stream(model, text, own) for text in (pair.clean, pair.corrupt))
    here, there = own.encode(corrupt), own.encode(clean)
    base = mi.run(model, pair.corrupt).metric(pair.answer, pair.foil)
    for index in range(SIZE):
        x = corrupt + (there - here)[:, index, None] * own.decoder[index]
        logits = model.do(lambda x=x: model.forward(model.ids(pair.corrupt), [(own.carrier, lambda y, hook: x[None])]))
        assert abs(float(grid.values[0, index]) - (small.difference(logits[0]) - base)) < 1e-4
    assert grid.provenance["dictionaries"] == {f"{own.layer}.post": own.hash}


@pytest.mark.parametrize("method", ["zero", "mean"])
def test_switching_a_feature_off_leaves_position_0(featured: Any, method: str) -> None:
    model, own, small = featured
    pair = small.pair
    grid = mi.locate.causal(model, pair, "features", method, progress=False)
    clean = stream(model, pair.clean, own)
    here = own.encode(clean)
    runs = [own.encode(stream(model, text, own)) for text in (pair.clean, pair.corrupt)]
    there = torch.zeros_like(here) if method == "zero" else torch.stack(runs).mean(0)
    base = mi.run(model, pair.clean).metric(pair.answer, pair.foil)
    for index in here.sum(0).topk(5).indices.tolist():
        x = clean.clone()
        x[1:] += (there - here)[1:, index, None] * own.decoder[index]
        logits = model.do(lambda x=x: model.forward(model.ids(pair.clean), [(own.carrier, lambda y, hook: x[None])]))
        assert abs(float(grid.values[0, index]) - (small.difference(logits[0]) - base)) < 1e-4


def test_features_that_are_as_active_in_both_runs_cost_nothing(featured: Any) -> None:
    model, own, small = featured
    cost = mi.locate.cost(model, small.pair, objects="features")
    first = first_difference(*(model.ids(t)[0].tolist() for t in (small.pair.clean, small.pair.corrupt)))
    here, there = (own.encode(stream(model, text, own))[first:] for text in (small.pair.clean, small.pair.corrupt))
    assert cost.cells == SIZE and cost.runs == int((here != there).any(0).sum()) < SIZE


def test_the_gradient_of_a_feature_is_the_slope_of_its_edit(featured: Any) -> None:
    model, own, small = featured
    pair = small.pair
    grid = mi.locate.gradient(model, pair, "features", "grad_x_input", progress=False)
    base = mi.run(model, pair.clean).metric(pair.answer, pair.foil)
    for index in own.encode(stream(model, pair.clean, own)).sum(0).topk(3).indices.tolist():
        selection = mi.Selection((mi.Site("feature", own.layer, index),))
        up, down = (
            mi.run(model, pair.clean, selection.scale(1 + step)).metric(pair.answer, pair.foil) - base
            for step in (2e-3, -2e-3)
        )
        assert abs((up - down) / 4e-3 - float(grid.values[0, index])) < 2e-2 * max(1, abs(float(grid.values[0, index])))


def test_a_lens_of_features_adds_up_to_the_part_that_they_explain(featured: Any) -> None:
    model, own, small = featured
    answer, foil = small.pair.answer, small.pair.foil
    grid = mi.locate.lens(model, tiny.CLEAN, "features", "logit_diff", answer=answer, foil=foil)
    x = stream(model, tiny.CLEAN, own)[-1:]
    active = own.encode(x)
    assert (grid.values[0] != 0).sum() <= K and np.count_nonzero(grid.values[0]) > 0
    whole = own.change(x, active)

    def by_hand() -> float:
        last = f"blocks.{model.n_layers - 1}.hook_resid_post"
        end = model.capture(model.ids(tiny.CLEAN), [last])[last][0, -1:]
        return small.difference(readout.contribution(model, whole, end))

    assert abs(float(grid.values.sum()) - model.do(by_hand)) < 1e-4


def test_a_feature_as_a_direction_has_its_row_and_a_scale(featured: Any) -> None:
    model, own, _ = featured
    direction = mi.steer.feature(model, mi.Site("feature", own.layer, 5), [tiny.CLEAN, *tiny.OTHERS])
    row = own.decoder[5].numpy()
    assert np.allclose(direction.vector, row / np.linalg.norm(row), atol=1e-6)
    assert direction.layer == own.layer and direction.kind == "feature" and direction.natural > 0
    assert len(mi.run(model, tiny.CLEAN, direction.add()).tokens)


def test_the_tokens_on_which_a_feature_is_most_active_are_found(featured: Any) -> None:
    model, own, _ = featured
    texts = [tiny.CLEAN, *tiny.OTHERS]
    index = int(torch.cat([own.encode(stream(model, text, own))[1:] for text in texts]).amax(0).argmax())
    found = mi.locate.activating(model, mi.Site("feature", own.layer, index), texts, top=2)
    best = max(texts, key=lambda text: float(own.encode(stream(model, text, own))[1:, index].max()))
    assert found[0].text == best and found[0].activation >= found[-1].activation > 0
    assert found[0].activations[found[0].position] == found[0].activation
    assert f"«{found[0].token}»" in str(found[0])


def test_a_recipe_remembers_its_dictionary_and_refuses_another(featured: Any, tmp_path: Path) -> None:
    model, own, small = featured
    grid = mi.locate.causal(model, small.pair, "features", progress=False)
    recipe = grid.select(top=2).scale(0.0)
    assert {step.dictionary for step in recipe.interventions} == {own.hash}
    again = mi.Recipe.load(recipe.save(tmp_path / "r.json"))
    assert again.interventions == recipe.interventions
    before = mi.run(model, tiny.CLEAN, recipe).logits
    model.attach(mi.Dictionary(**tensors(model.d_model, seed=9), layer=own.layer, kind="topk", k=K))
    with pytest.raises(ValueError, match=f"made with the dictionary {own.hash}"):
        mi.run(model, tiny.CLEAN, recipe)
    model.attach(own)
    assert torch.equal(mi.run(model, tiny.CLEAN, again).logits, before)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_code_for_features_gives_the_same_numbers(small: Tiny, tmp_path: Path, kind: str, norm: str) -> None:
    model = mi.Model(small.model._source, small.model.tokenizer, "tiny")
    own = model.attach(dictionary(model.d_model, kind, norm=norm, centred=kind != "jumprelu"))
    index = int(own.encode(stream(model, tiny.CLEAN, own))[1:].sum(0).argmax())
    site = mi.Site("feature", own.layer, index)
    one = mi.Selection((site,))
    recipe = one.scale(2.0) + one.switch_off(reference=tiny.OTHERS).at(0.5) + one.clamp(0.2, 0.9)
    recipe = recipe + mi.Selection((replace(site, position=-2),)).replace(tiny.CORRUPT)
    with pytest.raises(ValueError, match=r"\.save\(path\)"):
        recipe.code(tiny.CLEAN, model)
    program = recipe.code(tiny.CLEAN, model, features=own.save(tmp_path / "sae.safetensors"))
    hooks, logits = _executed(program, model)
    assert len(hooks) == 4
    assert torch.allclose(logits, mi.run(model, tiny.CLEAN, recipe).logits[-1], atol=1e-4)
    model.close()


def _executed(program: str, model: mi.Model) -> tuple[list[Any], torch.Tensor]:
    """A program run with the model's own bridge in the place of the one it would load."""
    space: dict[str, Any] = {"given": model.bridge}
    lines = "\n".join("bridge = given" if line.startswith("bridge = ") else line for line in program.split("\n"))
    try:
        exec(lines, space)
    finally:
        torch.set_grad_enabled(True)
    return space["hooks"], space["after"]


def test_what_a_feature_cannot_be_written_as_is_said(featured: Any) -> None:
    model, own, _ = featured
    recipe = mi.Selection((mi.Site("feature", own.layer, 2),)).scale(0.0)
    assert "no weight holds it" in str(mi.bake(model, recipe))
    assert recipe.to_vllm(model).missing


def test_without_a_dictionary_a_feature_is_refused_with_the_call_that_helps(small: Tiny) -> None:
    for ask in (
        lambda: mi.locate.causal(small.model, small.pair, "features", progress=False),
        lambda: mi.locate.gradient(small.model, small.pair, "features", progress=False),
        lambda: mi.run(small.model, tiny.CLEAN, mi.Selection((mi.Site("feature", 0, 1),)).scale(0.0)),
    ):
        with pytest.raises(ValueError, match=r"model.attach\(mi.Dictionary.load"):
            ask()


def test_what_does_not_fit_is_not_attached(small: Tiny) -> None:
    with pytest.raises(ValueError, match="d_model"):
        small.model.attach(dictionary(small.model.d_model + 1))
    with pytest.raises(ValueError, match="layers 0 to 2"):
        small.model.attach(dictionary(small.model.d_model, layer=3))
    with pytest.raises(TypeError, match="takes a Dictionary"):
        small.model.attach("sae")  # type: ignore[arg-type]
    assert not small.model.dictionaries


def test_the_model_is_as_it_was_and_a_twin_that_is_made_again_keeps_its_dictionary(featured: Any) -> None:
    model, _, small = featured
    before = model.fingerprint()
    grid = mi.locate.causal(model, small.pair, "features", progress=False)
    assert model.fingerprint() == before
    model.do(model._forget)
    model.do(lambda: None)
    assert np.allclose(mi.locate.causal(model, small.pair, "features", progress=False).values, grid.values)


# -- files of other packages ------------------------------------------------------------------------------------------


def write(folder: Path, weights: str, found: dict[str, torch.Tensor], config: str = "", **settings: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in found.items()}, str(folder / weights))
    if config:
        (folder / config).write_text(json.dumps(settings))
    return folder


def theirs(kind: str = "standard", width: int = 12) -> dict[str, torch.Tensor]:
    """The same numbers under SAELens's names."""
    own = dictionary(width, kind)
    names = {"encoder": "W_enc", "decoder": "W_dec", "decoder_bias": "b_dec", "threshold": "threshold"}
    names |= (
        {"encoder_bias": "b_gate", "gate_gain": "r_mag", "gate_bias": "b_mag"}
        if kind == "gated"
        else {"encoder_bias": "b_enc"}
    )
    return {names[name]: tensor for name, tensor in own.tensors.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_saelens_folder_is_read(tmp_path: Path, kind: str) -> None:
    settings = {"architecture": kind, "hook_name": "blocks.2.hook_resid_pre", "k": K, "apply_b_dec_to_input": True}
    read = mi.Dictionary.load(write(tmp_path, "sae_weights.safetensors", theirs(kind), "cfg.json", **settings))
    assert (read.layer, read.part, read.kind) == (2, "pre", kind)
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    assert torch.equal(read.encode(x), dictionary(12, kind).encode(x))


def test_a_newer_saelens_folder_says_its_place_in_its_metadata(tmp_path: Path) -> None:
    settings = {"architecture": "standard", "metadata": {"hook_name": "blocks.1.hook_mlp_out", "model_name": "gpt2"}}
    read = mi.Dictionary.load(write(tmp_path, "sae_weights.safetensors", theirs(), "cfg.json", **settings))
    assert (read.layer, read.part, read.card["model"]) == (1, "ffn", "gpt2")


def test_activations_in_units_of_the_decoders_rows_choose_the_same_features(tmp_path: Path) -> None:
    settings = {"architecture": "topk", "k": K, "hook_name": "blocks.1.hook_resid_post",
                "rescale_acts_by_decoder_norm": True}  # fmt: skip
    read = mi.Dictionary.load(write(tmp_path, "sae_weights.safetensors", theirs("topk"), "cfg.json", **settings))
    own, x = dictionary(12, "standard"), torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    length = own.decoder.norm(dim=1)
    scaled = own.encode(x) * length
    kept = torch.where(scaled >= scaled.topk(K, dim=-1).values[:, -1:], scaled, 0.0)
    assert torch.allclose(read.encode(x), kept, atol=1e-5)
    assert torch.allclose(read.decode(read.encode(x), x), own.decode(kept / length, x), atol=1e-5)


@pytest.mark.parametrize(("name", "norm"), [("constant_norm_rescale", "constant_norm"), ("layer_norm", "layer_norm")])
def test_a_configured_normalisation_is_applied(tmp_path: Path, name: str, norm: str) -> None:
    settings = {"architecture": "standard", "hook_name": "blocks.1.hook_resid_post", "normalize_activations": name}
    read = mi.Dictionary.load(write(tmp_path, "sae_weights.safetensors", theirs(), "cfg.json", **settings))
    assert read.norm == norm


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"normalize_activations": "expected_average_only_in"}, "fold_activation_norm_scaling_factor"),
        ({"normalize_activations": "whitening"}, "normalises by 'whitening'"),
        ({"architecture": "temporal"}, "none of ours"),
        ({"activation_fn": "tanh-relu"}, "activation function 'tanh-relu'"),
        ({"hook_name": "blocks.1.attn.hook_z"}, "hook_z"),
        ({"finetuning_scaling_factor": True}, "finetuning_scaling_factor"),
    ],
)
def test_a_folder_that_would_read_other_numbers_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    usual = {"architecture": "standard", "hook_name": "blocks.1.hook_resid_post"}
    folder = write(tmp_path, "sae_weights.safetensors", theirs(), "cfg.json", **{**usual, **settings})
    with pytest.raises(ValueError, match=says):
        mi.Dictionary.load(folder)


def sparse() -> dict[str, torch.Tensor]:
    own = dictionary(12)
    return {"encoder.weight": own.encoder.T, "encoder.bias": own.encoder_bias, "W_dec": own.decoder,
            "b_dec": own.decoder_bias}  # fmt: skip


@pytest.mark.parametrize(("name", "place"), [("layers.2", (2, "post")), ("h.1.mlp", (1, "ffn"))])
def test_a_sparsify_folder_is_read(tmp_path: Path, name: str, place: tuple[int, str]) -> None:
    folder = write(tmp_path / name, "sae.safetensors", sparse(), "cfg.json", activation="topk", k=K, d_in=12)
    read = mi.Dictionary.load(folder)
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    assert (read.layer, read.part) == place and torch.equal(read.encode(x), dictionary(12).encode(x))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"transcode": True}, "transcoder"),
        ({"skip_connection": True}, "skip"),
        ({"activation": "groupmax"}, "groupmax"),
    ],
)
def test_a_sparsify_folder_of_another_kind_is_refused(tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    folder = write(tmp_path / "layers.1", "sae.safetensors", sparse(), "cfg.json", **{"k": K, "d_in": 12, **settings})
    with pytest.raises(ValueError, match=says):
        mi.Dictionary.load(folder)


def test_both_gemma_scopes_are_read(tmp_path: Path) -> None:
    own = dictionary(12, "jumprelu", centred=False)
    names = {"encoder": "W_enc", "encoder_bias": "b_enc", "decoder": "W_dec", "decoder_bias": "b_dec"}
    plain = {names.get(name, name): tensor.numpy() for name, tensor in own.tensors.items()}
    first = tmp_path / "gemma-scope-2b-pt-res" / "layer_12" / "width_16k" / "average_l0_82"
    first.mkdir(parents=True)
    np.savez(first / "params.npz", **plain)
    second = tmp_path / "resid_post" / "layer_9_width_16k_l0_big"
    lower = {name.lower(): torch.from_numpy(array) for name, array in plain.items()}
    write(second, "params.safetensors", lower, "config.json", architecture="jump_relu", model_name="gemma-v3-1b")
    x = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    for folder, layer in ((first, 12), (second, 9)):
        read = mi.Dictionary.load(folder)
        assert (read.layer, read.part, read.kind) == (layer, "post", "jumprelu")
        assert torch.equal(read.encode(x), own.encode(x))


def test_a_pickle_in_the_place_of_an_array_is_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "layer_3"
    folder.mkdir()
    np.savez(folder / "params.npz", W_enc=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="not a file of plain arrays"):
        mi.Dictionary.load(folder)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no dictionary"):
        mi.Dictionary.load(tmp_path)
    folder = write(tmp_path / "a", "sae_weights.safetensors", theirs())
    with pytest.raises(ValueError, match=r"has no cfg.json"):
        mi.Dictionary.load(folder)
    folder = write(tmp_path / "b", "sae.safetensors", {"W_dec": torch.zeros(2, 2)}, "cfg.json", k=1)
    with pytest.raises(ValueError, match=r"lacks the tensor 'encoder\.weight'"):
        mi.Dictionary.load(folder, layer=1)
    folder = write(tmp_path / "c", "sae.safetensors", sparse(), "cfg.json", k=1)
    with pytest.raises(ValueError, match="which layer"):
        mi.Dictionary.load(folder)
    assert mi.Dictionary.load(folder, layer=1, part="pre").part == "pre"

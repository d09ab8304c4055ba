"""The affine lens: on a tiny model it reads better than the plain one; its file is closed and knows its model."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file

import mi_widgets as mi
from mi_widgets.locate.translator import Translator

from . import tiny
from .conftest import Tiny

ROOT = Path(__file__).parent.parent
LAYERS, WIDTH, RANK = 3, 7, 2


def tool() -> Any:
    """tools/train_lens.py as a module."""
    spec = importlib.util.spec_from_file_location("train_lens", ROOT / "tools" / "train_lens.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules.setdefault(spec.name, importlib.util.module_from_spec(spec))
    spec.loader.exec_module(module)
    return module


def source(layers: int = LAYERS, **changes: Any) -> dict[str, Any]:
    curve = [0.5] * layers
    held_out = {"texts": "0" * 16, "tokens": 9, "plain": curve, "affine": curve, "not_improved": [0]}
    header = {
        "format": "mi_widgets.translator/1", "model": "some model", "weights": "12345678", "method": "by hand",
        "seed": 0, "trained_on": {}, "held_out": held_out, "versions": {},
    }  # fmt: skip
    return {**header, **changes}


def made(**changes: Any) -> Translator:
    generator = torch.Generator().manual_seed(0)
    shapes = {"down": (LAYERS, WIDTH, RANK), "up": (LAYERS, RANK, WIDTH), "bias": (LAYERS, WIDTH)}
    parts = {name: torch.randn(shape, generator=generator).half().float() for name, shape in shapes.items()}
    return Translator(**{**parts, "source": source(), **changes})


@pytest.mark.parametrize("layer", [0, 2])
def test_it_adds_the_layers_own_correction(layer: int) -> None:
    translator, x = made(), torch.randn(4, 5, WIDTH)
    before = x.clone()
    down, up, bias = (part[layer].numpy() for part in (translator.down, translator.up, translator.bias))
    by_hand = [[v + up.T @ (down.T @ v) + bias for v in row] for row in x.numpy()]
    assert torch.allclose(translator.apply(layer, x), torch.tensor(np.array(by_hand)), atol=1e-5)
    assert torch.equal(x, before)
    assert translator.apply(layer, x[0, 0]).shape == (WIDTH,)
    half = translator.apply(layer, x.bfloat16())
    assert half.dtype == torch.bfloat16 and torch.allclose(half.float(), translator.apply(layer, x), atol=0.2)


def test_what_it_has_no_correction_for_is_refused() -> None:
    for layer in (-1, LAYERS):
        with pytest.raises(ValueError, match=f"layers 0 to 2, not {layer}"):
            made().apply(layer, torch.zeros(WIDTH))
    with pytest.raises(ValueError, match="vectors of 7 numbers, not 6"):
        made().apply(0, torch.zeros(2, 6))


def test_it_comes_back_from_its_file(tmp_path: Path) -> None:
    translator = made()
    found = Translator.load(translator.save(tmp_path / "lens.safetensors"))
    assert found.source == translator.source and (found.layers, found.rank) == (LAYERS, RANK)
    for name in ("down", "up", "bias"):
        assert torch.equal(getattr(found, name), getattr(translator, name))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"up": torch.zeros(LAYERS, WIDTH, RANK)}, "up and bias to match"),
        ({"bias": torch.zeros(LAYERS, WIDTH + 1)}, "up and bias to match"),
        ({"down": torch.zeros(WIDTH, RANK)}, "up and bias to match"),
        ({"bias": torch.full((LAYERS, WIDTH), float("nan"))}, "are finite"),
        ({"source": source(format="mi_widgets.translator/2")}, "not a translator of format"),
        ({"source": source(code="print()")}, "missing or unknown: ..code"),
        ({"source": {}}, "has the fields format"),
        ({"source": source(held_out={})}, "held_out has the fields"),
        ({"source": source(layers=LAYERS + 1)}, "one number for each of the 3 layers"),
    ],
)
def test_a_malformed_one_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        made(**changes)


def test_a_malformed_file_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "lens.safetensors"
    path.write_bytes(b"not safetensors")
    with pytest.raises(ValueError, match=r"lens\.safetensors is not a safetensors file"):
        Translator.load(path)
    arrays = {name: getattr(made(), name).numpy() for name in ("down", "up", "bias")}
    for tensors, header in (
        (arrays, None),
        ({**arrays, "more": arrays["bias"]}, source()),
        ({"down": arrays["down"]}, source()),
        (arrays, source(weights_file="x")),
    ):
        save_file(tensors, path, metadata=None if header is None else {"translator": json.dumps(header)})
        with pytest.raises(ValueError, match=r"lens\.safetensors"):
            Translator.load(path)


def test_another_models_translator_is_refused(llama: Tiny, tmp_path: Path) -> None:
    path = made().save(tmp_path / "lens.safetensors")
    with pytest.raises(ValueError, match=rf"some model with weights 12345678; tiny llama has .*{llama.model.weights}"):
        Translator.load(path, llama.model)
    assert Translator.default(llama.model) is None
    own = made(source=source(weights=llama.model.weights)).save(path)
    assert Translator.load(own, llama.model).source["weights"] == llama.model.weights


def test_a_lens_through_another_models_translator_is_refused(llama: Tiny) -> None:
    layers, width = llama.model.n_layers, llama.model.d_model
    shapes = {"down": (layers, width, RANK), "up": (layers, RANK, width), "bias": (layers, width)}
    parts = {name: torch.zeros(shape) for name, shape in shapes.items()}
    own, stranger = (made(**parts, source=source(weights=x)) for x in (llama.model.weights, "12345678"))
    through, plain = (mi.locate.lens(llama.model, tiny.CLEAN, translator=x) for x in (own, None))
    np.testing.assert_allclose(through.values, plain.values, atol=1e-6)
    with pytest.raises(ValueError, match=rf"some model with weights 12345678; tiny llama has .*{llama.model.weights}"):
        mi.locate.lens(llama.model, tiny.CLEAN, translator=stranger)


@pytest.fixture(scope="module")
def trained() -> Iterator[tuple[Any, Translator]]:
    """A tiny model, and a translator trained on what it wrote, measured on what it wrote under another seed."""
    module, hf, tokenizer = tool(), tiny.hugging_face("llama", initializer_range=0.3), tiny.tokenizer()
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        prompts = [module.encode(tokenizer, text) for text in tiny.OTHERS]
        (ids,) = (rows for rows in module.write(hf, prompts[:1], 30, 20, generator))
    held_out = [tokenizer.decode(row, skip_special_tokens=True) for row in ids]
    settings = module.Settings(rank=6, rows=60, length=20, steps=150, batch=200, common=100, rare=100, rate=0.02)
    yield hf, module.make(hf, tokenizer, settings, tiny.OTHERS, held_out, say=lambda _: None)


def test_training_brings_the_reading_closer_on_held_out_samples(trained: tuple[Any, Translator]) -> None:
    hf, translator = trained
    plain, affine = (translator.held_out[name] for name in ("plain", "affine"))
    assert translator.layers == tiny.LAYERS and translator.rank == 6
    assert all(better < 0.9 * worse for better, worse in zip(affine[:-1], plain[:-1], strict=True))
    assert affine[-1] == plain[-1] == 0 and translator.held_out["not_improved"] == []
    assert translator.source["weights"] == mi.Model(hf, tiny.tokenizer()).weights
    assert not translator.down[-1].any() and not translator.up[-1].any() and not translator.bias[-1].any()


def test_the_divergences_are_those_of_plain_hooks(trained: tuple[Any, Translator]) -> None:
    hf, translator = trained
    plain, module = tiny.Plain.of(hf), tool()
    ids = module.encode(tiny.tokenizer(), tiny.CLEAN)[None]
    own = plain.logits(ids)[1:].log_softmax(-1)
    with torch.no_grad():
        x = module.streams(hf, ids)
    for layer in range(tiny.LAYERS):
        stream = plain.see(ids, plain.post(layer))[0, 1:]
        assert torch.allclose(x[layer], stream, atol=1e-6)
        reading = plain.read(translator.apply(layer, stream)).log_softmax(-1)
        expected = float((own.exp() * (own - reading)).sum(-1).mean())
        with torch.no_grad():
            assert module.divergence(hf, x[-1], translator.apply(layer, x[layer])) == pytest.approx(expected, abs=1e-5)


FILE = ROOT / "mi_widgets" / "lenses" / "smollm2-135m-instruct.safetensors"


def test_the_shipped_file_is_small_and_says_what_it_is() -> None:
    assert FILE.stat().st_size <= 6_000_000
    found, module = Translator.load(FILE), tool()
    held_out = module.lines(module.TEXTS / "held_out.txt")
    assert found.held_out["texts"] == mi.Reference(tuple(held_out)).hash
    assert (
        found.source["trained_on"]["openings"] == mi.Reference(tuple(module.lines(module.TEXTS / "openings.txt"))).hash
    )
    plain, affine = (found.held_out[name] for name in ("plain", "affine"))
    assert found.held_out["not_improved"] == [n for n in range(found.layers - 1) if affine[n] >= plain[n]]
    with safe_open(str(FILE), framework="numpy") as file:
        assert all(file.get_tensor(name).dtype == np.float16 for name in file.keys())  # noqa: SIM118


def test_what_is_held_out_stands_nowhere_else() -> None:
    module = tool()
    held_out = module.lines(module.TEXTS / "held_out.txt")
    others = {*module.lines(module.TEXTS / "openings.txt"), *mi.steer.neutral()}
    assert len(set(held_out)) == len(held_out) >= 36 and not {*held_out} & others


@pytest.mark.model
def test_the_default_model_has_its_translator(default_model: Any) -> None:
    translator = Translator.default(default_model)
    assert translator is not None and translator.layers == default_model.n_layers
    x = torch.randn(3, default_model.d_model)
    assert torch.equal(translator.apply(default_model.n_layers - 1, x), x)


@pytest.mark.model
@pytest.mark.slow
@pytest.mark.parametrize("layer", [0, 12, 28])
def test_the_shipped_numbers_are_what_the_default_model_gives(default_model: Any, layer: int) -> None:
    module, translator = tool(), Translator.default(default_model)
    total, tokens = np.zeros(2), 0
    for text in module.lines(module.TEXTS / "held_out.txt"):
        ids = default_model.ids(text)
        name = f"blocks.{layer}.hook_resid_post"

        def work(ids: torch.Tensor = ids, name: str = name) -> list[float]:
            own = default_model.forward(ids)[0, 1:].log_softmax(-1)
            x = default_model.capture(ids, [name])[name][0, 1:]
            readings = (default_model.unembed(y[None])[0].log_softmax(-1) for y in (x, translator.apply(layer, x)))
            return [float((own.exp() * (own - reading)).sum()) for reading in readings]

        total += default_model.do(work)
        tokens += ids.shape[1] - 1
    assert tokens == translator.held_out["tokens"]
    shipped = [translator.held_out[lens][layer] for lens in ("plain", "affine")]
    assert (total / tokens).tolist() == pytest.approx(shipped, abs=1e-3)
